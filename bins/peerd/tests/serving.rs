//! What the peer API answers: files by range, items, lists and refusals.

mod serving_kit;

use std::fs;
use std::sync::atomic::Ordering;

use serving_kit::{Daemon, KEY, Setup, request};

#[tokio::test]
async fn ping_says_ok_to_anyone() {
    let daemon = Setup::default().start().await;
    let answer = daemon.connect().await.ask("GET", "/ping", &[]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), serde_json::json!({ "status": "OK" }));
}

#[tokio::test]
async fn a_handshake_names_version_node_and_capabilities() {
    let daemon = Setup::default().start().await;
    let document = daemon.get("/handshake").await.json();
    assert_eq!(document["name"], "test node");
    assert!(document["version"].is_string());
    assert!(document["capabilities"].as_array().is_some_and(|all| all.iter().any(|one| one == "ranges")));
}

#[tokio::test]
async fn a_whole_file_comes_with_everything_needed_to_resume_it() {
    for setup in Setup::each_way() {
        let daemon = setup.file("Big Film.mkv", "0123456789").start().await;
        let route = daemon.route("Big Film.mkv").await;
        let answer = daemon.get(&route).await;
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b"0123456789"[..]));
        for (name, value) in [
            ("accept-ranges", "bytes"),
            ("content-length", "10"),
            ("content-type", "video/matroska"),
            ("cache-control", "private, no-transform"),
            ("content-disposition", "attachment; filename=\"Big Film.mkv\""),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(answer.field(name), value, "{name}");
        }
        assert!(answer.field("etag").starts_with('"'), "a strong tag: {:?}", answer.field("etag"));
        assert!(answer.field("last-modified").ends_with(" GMT"));
    }
}

#[tokio::test]
async fn ranges_and_preconditions_are_answered_as_the_contract_says() {
    for setup in Setup::each_way() {
        let daemon = setup.file("f", "0123456789").start().await;
        let route = daemon.route("f").await;
        let tag = daemon.get(&route).await.field("etag").to_owned();
        for (fields, status, content_range, body) in [
            (&[("Range", "bytes=2-4")][..], 206, "bytes 2-4/10", "234"),
            (&[("Range", "bytes=8-")], 206, "bytes 8-9/10", "89"),
            (&[("Range", "bytes=-3")], 206, "bytes 7-9/10", "789"),
            (&[("Range", "bytes=0-1,3-4")], 200, "", "0123456789"),
            (&[("Range", "bytes=abc")], 200, "", "0123456789"),
            (&[("Range", "items=0-1")], 200, "", "0123456789"),
            (&[("Range", "bytes=2-4"), ("If-Range", &tag)], 206, "bytes 2-4/10", "234"),
            (&[("Range", "bytes=2-4"), ("If-Range", "\"other\"")], 200, "", "0123456789"),
            (&[("If-Match", &tag)], 200, "", "0123456789"),
            (&[("If-None-Match", &tag)], 304, "", ""),
        ] {
            let answer = daemon.ask("GET", &route, fields).await;
            assert_eq!(answer.status, status, "{fields:?}");
            assert_eq!(answer.field("content-range"), content_range, "{fields:?}");
            assert_eq!(answer.body, body.as_bytes(), "{fields:?}");
            assert_eq!(answer.field("etag"), tag, "{fields:?}");
        }
    }
}

#[tokio::test]
async fn refusals_of_a_file_are_problem_documents_that_keep_what_the_status_needs() {
    let daemon = Daemon::with("f", "0123456789").await;
    let route = daemon.route("f").await;
    for (fields, status, name) in [
        ([("Range", "bytes=10-")], 416, "range-not-satisfiable"),
        ([("Range", "bytes=4-2")], 416, "range-not-satisfiable"),
        ([("If-Match", "\"other\"")], 412, "precondition-failed"),
    ] {
        let answer = daemon.ask("GET", &route, &fields).await;
        assert_eq!(answer.status, status, "{fields:?}");
        assert_eq!(answer.field("content-type"), "application/problem+json");
        assert_eq!(answer.json()["type"], format!("urn:peerd:problem:{name}"));
        assert_eq!(answer.field("content-range"), if status == 416 { "bytes */10" } else { "" });
    }
}

#[tokio::test]
async fn an_empty_file_is_whole_whatever_range_is_asked() {
    let daemon = Daemon::with("empty", "").await;
    let route = daemon.route("empty").await;
    for range in ["bytes=0-", "bytes=0-0", "bytes=-5"] {
        let answer = daemon.ask("GET", &route, &[("Range", range)]).await;
        assert_eq!((answer.status, answer.field("content-length")), (200, "0"), "{range}");
    }
}

#[tokio::test]
async fn head_tells_what_get_would_and_the_connection_goes_on() {
    let daemon = Daemon::with("f", "0123456789").await;
    let route = daemon.route("f").await;
    let mut client = daemon.connect().await;
    for (target, status, length) in [
        (route.as_str(), 200, "10"),
        ("/peer/items/none", 404, ""),
        ("/ping", 200, "15"),
        (&route, 200, "10"),
    ] {
        let answer = client.ask("HEAD", target, &[("X-Api-Key", KEY), ("Range", "bytes=0-1")]).await;
        assert_eq!(answer.status, status, "{target}");
        assert!(length.is_empty() || answer.field("content-length") == length, "{target}: {answer:?}");
    }
    assert_eq!(client.ask("GET", "/ping", &[]).await.status, 200);
}

#[tokio::test]
async fn one_connection_serves_every_kind_of_answer_in_turn() {
    for setup in Setup::each_way() {
        let daemon = setup.file("f", "0123456789").start().await;
        let route = daemon.route("f").await;
        let mut client = daemon.connect().await;
        for (field, status) in [
            (("Range", "bytes=5-6"), 206),
            (("Range", "bytes=10-"), 416),
            (("If-None-Match", "*"), 304),
            (("If-Match", "\"no\""), 412),
            (("Accept", "*/*"), 200),
        ] {
            let answer = client.ask("GET", &route, &[("X-Api-Key", KEY), field]).await;
            assert_eq!(answer.status, status, "{field:?}");
            assert_eq!(answer.field("connection"), "");
        }
    }
}

#[tokio::test]
async fn items_are_listed_in_pages_and_described_one_by_one() {
    let daemon = Setup::default().file("a.mkv", "1").file("b/c.mkv", "22").file(".hidden", "x").start().await;
    let first = daemon.get("/peer/items?limit=2&q=mkv").await.json();
    assert_eq!(first["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(first["next"], serde_json::Value::Null);
    let mut names = Vec::new();
    let mut target = "/peer/items?limit=1".to_owned();
    loop {
        let page = daemon.get(&target).await.json();
        let item = &page["items"][0];
        let id = item["id"].as_str().expect("an id");
        assert_eq!(&daemon.get(&format!("/peer/items/{id}")).await.json(), item);
        let head = daemon.ask("HEAD", &format!("/peer/items/{id}/file"), &[]).await;
        assert_eq!(item["etag"], head.field("etag"), "the list knows the tag of the file");
        names.push(item["filename"].as_str().expect("a name").to_owned());
        match page["next"].as_str() {
            Some(next) => target = format!("/peer/items?limit=1&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(names, ["a.mkv", "c.mkv", "other.bin"]);
}

#[tokio::test]
async fn an_id_works_with_its_colon_encoded_or_not() {
    let daemon = Daemon::with("f", "x").await;
    let route = daemon.route("f").await;
    assert!(route.contains(':'));
    assert_eq!(daemon.get(&route.replace(':', "%3A")).await.status, 200);
}

#[tokio::test]
async fn refusals_name_no_local_path() {
    let daemon = Daemon::with("f", "x").await;
    let route = daemon.route("f").await;
    fs::remove_file(daemon.path("f")).expect("removed");
    for (method, target, status, name) in [
        ("GET", "/peer/items?limit=abc", 400, "bad-request"),
        ("GET", "/peer/items?cursor=abc", 400, "bad-request"),
        ("GET", "/peer/items/one:aaaaaaaaaaaaaaaaaaaa", 404, "item-unknown"),
        ("GET", "/peer/items/one:..%2F..%2Fetc%2Fpasswd/file", 404, "item-unknown"),
        ("GET", &route, 404, "item-unknown"),
        ("GET", "/nowhere", 404, "not-found"),
        ("GET", "/../../etc/passwd", 404, "not-found"),
        ("POST", "/peer/items", 405, "method-not-allowed"),
        ("DELETE", &route, 405, "method-not-allowed"),
    ] {
        let answer = daemon.ask(method, target, &[]).await;
        assert_eq!(answer.status, status, "{method} {target}");
        assert_eq!(answer.field("content-type"), "application/problem+json");
        assert_eq!(answer.json()["type"], format!("urn:peerd:problem:{name}"), "{method} {target}");
        assert_eq!(answer.field("allow"), if status == 405 { "GET, HEAD" } else { "" });
        let text = String::from_utf8(answer.body).expect("text");
        assert!(!text.contains(&*daemon.directory().to_string_lossy()), "{text}");
    }
}

#[tokio::test]
async fn every_file_name_makes_a_head_that_can_be_read() {
    use std::os::unix::ffi::OsStrExt;

    let daemon = Setup::default().start().await;
    let names = ["new\nline", "cr\r\nX-Injected: 1\r\n\r\nbody", "quo\"te", "ünï", "日本", "back\\slash"];
    let mut names: Vec<Vec<u8>> = names.iter().map(|name| name.as_bytes().to_vec()).collect();
    names.push(b"invalid-\xff".to_vec());
    let mut written = 0;
    for (n, name) in names.iter().enumerate() {
        // Not every file system takes every name.
        written += usize::from(
            fs::write(daemon.path("").join(std::ffi::OsStr::from_bytes(name)), vec![b'x'; n]).is_ok(),
        );
    }
    daemon.library.rescan("one").await.expect("a walk");
    let list = daemon.get("/peer/items?share=one").await.json();
    let items = list["items"].as_array().expect("items");
    assert_eq!(items.len(), written);
    for item in items {
        let answer = daemon.get(&format!("/peer/items/{}/file", item["id"].as_str().expect("an id"))).await;
        assert_eq!(answer.status, 200, "{item}");
        assert_eq!(answer.body.len() as u64, item["size"].as_u64().expect("a size"));
        assert_eq!(answer.field("x-injected"), "");
        assert!(answer.field("content-disposition").is_ascii());
    }
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_sent_is_cut_off_and_never_looks_whole() {
    type Change = fn(&std::path::Path);
    let changes: [(&str, Change); 4] = [
        ("truncated", |path| {
            fs::File::options()
                .write(true)
                .open(path)
                .and_then(|file| file.set_len(1 << 20))
                .expect("truncated");
        }),
        ("grown", |path| {
            use std::io::Write;
            fs::File::options()
                .append(true)
                .open(path)
                .and_then(|mut file| file.write_all(b"more"))
                .expect("grown");
        }),
        ("rewritten", |path| fs::write(path, vec![b'R'; SIZE]).expect("rewritten")),
        ("replaced", |path| {
            let other = path.with_extension("part");
            fs::write(&other, vec![b'R'; SIZE]).and_then(|()| fs::rename(other, path)).expect("replaced");
        }),
    ];
    const SIZE: usize = 16 << 20;
    let cases = changes.into_iter().flat_map(|change| Setup::each_way().map(|setup| (setup, change)));
    for (setup, (what, change)) in cases {
        let daemon = setup.file("big", vec![b'o'; SIZE]).start().await;
        let route = daemon.route("big").await;
        let mut client = daemon.connect_small().await;
        client.send(&request("GET", &route, &[("X-Api-Key", KEY)])).await;
        let head = client.head().await.expect("a head");
        assert_eq!((head.status, head.field("content-length")), (200, SIZE.to_string().as_str()));
        change(&daemon.path("big"));
        let body = client.rest().await;
        assert!(body.len() < SIZE, "{what}: all {} bytes came", body.len());
        assert!(body.iter().all(|&byte| byte == b'o'), "{what}: bytes of another version came");
        let fresh = daemon.ask("HEAD", &route, &[]).await;
        assert_ne!(fresh.field("etag"), head.field("etag"), "{what}");
        let resumed =
            daemon.ask("GET", &route, &[("Range", "bytes=100-"), ("If-Range", head.field("etag"))]).await;
        assert_eq!(resumed.status, 200, "{what}: the old tag resumes nothing");
        assert!(daemon.files_left_as_set_up(), "{what}");
    }
}

#[tokio::test]
async fn what_is_served_is_counted_as_it_goes() {
    for setup in Setup::each_way() {
        let daemon = setup.file("f", "0123456789").start().await;
        let route = daemon.route("f").await;
        daemon.ask("GET", &route, &[("Range", "bytes=2-4")]).await;
        daemon.ask("GET", &route, &[("Range", "bytes=99-")]).await;
        daemon.ask("HEAD", &route, &[]).await;
        daemon.get("/nowhere").await;
        let counts = &daemon.counts;
        assert_eq!(counts.sent.load(Ordering::Relaxed), 3);
        assert_eq!(*counts.ranges.lock().expect("not poisoned"), ["single_range", "unsatisfiable"]);
        let answers = counts.answers.lock().expect("not poisoned").clone();
        assert_eq!(answers, [("items", 200), ("file", 206), ("file", 416), ("file", 200), ("none", 404)]);
    }
}

#[tokio::test]
async fn bytes_are_counted_when_the_socket_took_them() {
    const SIZE: u64 = 16 << 20;
    for setup in Setup::each_way() {
        let daemon = setup.file("big", vec![b'o'; SIZE as usize]).start().await;
        let route = daemon.route("big").await;
        let mut client = daemon.connect_small().await;
        client.send(&request("GET", &route, &[("X-Api-Key", KEY)])).await;
        client.head().await.expect("a head");
        tokio::io::AsyncReadExt::read_exact(&mut client.stream, &mut [0; 4096]).await.expect("some bytes");
        let sent = daemon.counts.sent.load(Ordering::Relaxed);
        let shown = daemon.transfers.view().transfers;
        assert_eq!((shown.len(), shown[0].sent), (1, sent), "who reads is shown with the same count");
        drop(client);
        daemon.counts.body_ended.notified().await;
        let sent = daemon.counts.sent.load(Ordering::Relaxed);
        assert!((1..SIZE).contains(&sent), "{sent} bytes, of which some may never have arrived");
        assert!(daemon.transfers.view().transfers.is_empty());
        daemon.get(&route).await;
        assert_eq!(daemon.counts.sent.load(Ordering::Relaxed), sent + SIZE);
        assert!(daemon.files_left_as_set_up());
    }
}

#[tokio::test]
async fn a_request_needs_exactly_one_host() {
    let daemon = Setup::default().start().await;
    for head in ["GET /ping HTTP/1.1\r\n\r\n", "GET /ping HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"] {
        let mut client = daemon.connect().await;
        client.send(head.as_bytes()).await;
        let answer = client.answer(false).await.expect("an answer");
        assert_eq!((answer.status, answer.field("connection")), (400, "close"), "{head:?}");
    }
    let mut client = daemon.connect().await;
    client.send(b"GET /ping HTTP/1.0\r\n\r\n").await;
    assert_eq!(client.answer(false).await.expect("an answer").status, 200, "HTTP/1.0 had none");
}
