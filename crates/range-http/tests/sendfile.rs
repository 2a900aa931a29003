//! Bodies that leave by sendfile(2) below a real server are the file's bytes, or end the connection.
//!
//! Every test that goes through the server also says that hyper does not read what it queues: reading would end the test
//! by a fault.

#![cfg(all(feature = "sendfile", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "sendfile/kit.rs"]
mod kit;
mod support;

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use bytes::Buf;
use http_body_util::BodyExt;
use kit::{Connection, LONG_AGO, Server, request};
use range_http::sendfile::{FileSocket, WINDOW};
use support::content;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const LEN: usize = 3 * WINDOW + 12_345;

/// The content of most files here.
fn big() -> &'static [u8] {
    static BIG: LazyLock<Vec<u8>> = LazyLock::new(|| content(LEN));
    &BIG
}

#[tokio::test]
async fn every_shape_of_answer_is_exact_on_one_connection() {
    for by_address in [true, false] {
        let server =
            Server::new(by_address).file("big", big()).file("one", b"1").file("none", b"").start().await;
        let mut connection = server.connect().await;
        for (range, expected) in [
            ("", 0..LEN),
            ("bytes=0-", 0..LEN),
            ("bytes=0-0", 0..1),
            ("bytes=-1", LEN - 1..LEN),
            ("bytes=4095-4096", 4_095..4_097),
            ("bytes=1-65536", 1..65_537),
            ("bytes=2097151-2097152", WINDOW - 1..WINDOW + 1),
            ("bytes=2097152-4194303", WINDOW..2 * WINDOW),
            ("bytes=7-6000000", 7..6_000_001),
        ] {
            let answer = connection.ask(&request("GET", "/big", range)).await;
            assert_eq!(answer.status, if range.is_empty() { 200 } else { 206 });
            assert!(answer.body == big()[expected], "{range}, by address: {by_address}");
        }
        let parts = connection.ask(&request("GET", "/big", "bytes=0-99,3000000-3100000,-50")).await;
        assert_eq!(parts.status, 206);
        for part in [&big()[..100], &big()[3_000_000..=3_100_000], &big()[LEN - 50..]] {
            assert!(parts.body.windows(part.len()).any(|bytes| bytes == part), "a part of {}", part.len());
        }
        assert_eq!(connection.ask(&request("HEAD", "/big", "")).await.length, Some(LEN));
        assert_eq!(connection.ask(&request("GET", "/one", "")).await.body, b"1");
        assert_eq!(connection.ask(&request("GET", "/none", "")).await.body, b"");
        assert_eq!(connection.ask(&request("GET", "/big", "bytes=99999999-")).await.status, 416);
        assert_eq!(connection.ask(&request("GET", "/one", "bytes=0-")).await.body, b"1");
        assert_eq!(server.pieces_of_files() > 0, by_address, "pieces of files");
    }
}

#[tokio::test]
async fn answers_to_pipelined_requests_come_whole_and_in_order() {
    let server = Server::new(true).file("big", big()).start().await;
    let mut connection = server.connect().await;
    let places: Vec<usize> = (0..50).map(|turn| turn * 99_991 % (LEN - 70_000)).collect();
    let requests: Vec<u8> = places
        .iter()
        .flat_map(|place| request("GET", "/big", &format!("bytes={place}-{}", place + place % 70_000)))
        .collect();
    connection.send(&requests).await;
    for place in places {
        let answer = connection.answer(false).await.expect("an answer");
        assert!(answer.body == big()[place..=place + place % 70_000], "at {place}");
    }
}

#[tokio::test]
async fn old_and_careful_clients_get_the_same_bytes() {
    let server = Server::new(true).file("big", big()).start().await;
    let mut old = server.connect().await;
    old.send(b"GET /big HTTP/1.0\r\n\r\n").await;
    let answer = old.answer(false).await.expect("an answer");
    assert!(answer.body == big());
    let (rest, end) = old.rest_and_end().await;
    assert!(rest.is_empty() && end.is_ok(), "the connection ends politely");
    let mut careful = server.connect().await;
    let expect = "GET /big HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\nRange: bytes=5-9\r\n\r\nok";
    careful.send(expect.as_bytes()).await;
    assert_eq!(careful.answer(false).await.expect("an answer").body, content(10)[5..]);
}

#[tokio::test]
async fn offsets_past_four_gibibytes_do_not_wrap() {
    let server = Server::new(true).file("sparse", b"").start().await;
    let mut file = OpenOptions::new().write(true).open(server.path("sparse")).unwrap();
    file.set_len(5 << 30).unwrap();
    file.seek(SeekFrom::Start((4 << 30) - 2)).unwrap();
    file.write_all(b"edge").unwrap();
    let mut connection = server.connect().await;
    let answer = connection.ask(&request("GET", "/sparse", "bytes=4294967293-4294967298")).await;
    assert_eq!(answer.body, b"\0edge\0");
    let hole = connection.ask(&request("GET", "/sparse", "bytes=5000000000-5003000000")).await;
    assert!(hole.body.len() == 3_000_001 && hole.body.iter().all(|&byte| byte == 0));
}

#[tokio::test]
async fn a_file_that_left_memory_is_read_before_it_is_sent() {
    let server = Server::new(true).file("big", big()).start().await;
    let file = File::open(server.path("big")).unwrap();
    file.sync_all().unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    let answer = server.connect().await.ask(&request("GET", "/big", "")).await;
    assert!(answer.body == big());
}

#[tokio::test]
async fn a_slow_reader_gets_every_byte() {
    let server = Server::new(true).file("big", big()).start().await;
    let mut slow = server.connect_small().await;
    slow.send(&request("GET", "/big", "")).await;
    assert!(slow.answer(false).await.expect("an answer").body == big());
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_its_connection_and_no_other() {
    let server = Server::new(true).file("big", big()).start().await;
    let (mut first, mut other) = (server.connect_small().await, server.connect().await);
    first.send(&request("GET", "/big", "")).await;
    first.head().await.expect("a head");
    drop(first);
    server.connection_failed().await;
    assert!(other.ask(&request("GET", "/big", "")).await.body == big());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_at_once_do_not_mix_their_files() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    // Each as long as the others, and beginning elsewhere.
    let body =
        |name: &str| [&big()[usize::from(name.as_bytes()[0])..], b"the end of ", name.as_bytes()].concat();
    let server =
        names.iter().fold(Server::new(true), |server, name| server.file(name, &body(name))).start().await;
    let mut readers = tokio::task::JoinSet::new();
    for (index, name) in names.into_iter().cycle().take(24).enumerate() {
        let mut connection = server.connect().await;
        let expected = body(name);
        readers.spawn(async move {
            for turn in 0..12 {
                let start = (index * 7_919 + turn * 523_403) % (LEN - 1_000);
                let end = (start + turn * 300_007).min(LEN - 1_000);
                let range = format!("bytes={start}-{end}");
                let answer = connection.ask(&request("GET", &format!("/{name}"), &range)).await;
                assert!(answer.body == expected[start..=end], "{name} {range}");
            }
        });
    }
    while let Some(read) = readers.join_next().await {
        read.unwrap();
    }
}

type Change<'a> = &'a dyn Fn(&Path);

/// The file is larger than what sockets hold, so most of it is still to be sent when it changes.
#[tokio::test]
async fn a_file_that_changes_while_it_is_sent_never_looks_whole() {
    const LEN: usize = 24 << 20;
    let content = content(LEN);
    let overwrite = |path: &Path| {
        let mut file = OpenOptions::new().write(true).open(path).unwrap();
        file.seek(SeekFrom::Start(LEN as u64 - 1)).unwrap();
        file.write_all(b"!").unwrap();
    };
    let replace = |path: &Path| {
        fs::write(path.with_extension("new"), &content).unwrap();
        fs::rename(path.with_extension("new"), path).unwrap();
    };
    let grow = |path: &Path| OpenOptions::new().append(true).open(path).unwrap().write_all(b"more").unwrap();
    let cut = |path: &Path| OpenOptions::new().write(true).open(path).unwrap().set_len(20 << 20).unwrap();
    let changes: [(&str, Change<'_>); 6] = [
        ("truncated", &cut),
        ("emptied", &|path| File::create(path).map(drop).unwrap()),
        ("grown", &grow),
        ("overwritten at its end", &overwrite),
        ("replaced", &replace),
        ("removed", &|path| fs::remove_file(path).unwrap()),
    ];
    for (what, change) in changes {
        let server = Server::new(true).file("big", &content).start().await;
        let mut connection = server.connect_small().await;
        connection.send(&request("GET", "/big", "")).await;
        connection.head().await.expect("a head");
        let mut received = connection.some(100_000).await;
        change(&server.path("big"));
        let (rest, end) = connection.rest_and_end().await;
        received.extend(rest);
        assert!(end.is_err(), "{what}: the connection is reset");
        assert!(received.len() < LEN, "{what}: {} bytes", received.len());
        assert!(received == content[..received.len()], "{what}: what came is the old file");
        assert!(server.pieces_of_files() > 0);
    }
}

/// The promise at the level of calls: before a change everything, after it nothing.
#[tokio::test]
async fn nothing_is_sent_once_a_change_was_seen() {
    let server = Server::new(true).file("big", big()).start().await;
    let (near, far) = kit::pair().await;
    let mut socket = FileSocket::new(near);
    let mut body = server.body("big", socket.lane());
    let mut piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(piece.remaining(), WINDOW);
    let sent = socket.write(piece.split_to(70_000).chunk()).await.unwrap();
    assert!(sent > 0);
    OpenOptions::new().append(true).open(server.path("big")).unwrap().write_all(b"more").unwrap();
    let error = socket.write(piece.chunk()).await.unwrap_err();
    assert!(error.to_string().contains("cannot send a part"), "{error}");
    assert!(socket.write(b"anything").await.is_err(), "nor does anything else go out");
    assert!(socket.shutdown().await.is_err(), "nor a polite end");
    drop(socket);
    let mut far = Connection::new(far);
    let (received, end) = far.rest_and_end().await;
    assert!(end.is_err() && received.len() <= sent && received == big()[..received.len()]);
}

#[tokio::test]
async fn what_a_body_left_behind_is_not_sent_with_the_next_answer() {
    let server = Server::new(true).file("big", big()).file("other", b"the other file").start().await;
    let mut connection = server.connect().await;
    for _ in 0..3 {
        // The server takes a piece of `big` and throws it away, keeps another, and answers with `other`.
        let answer = connection.ask(&request("GET", "/abandoned", "")).await;
        assert_eq!(answer.body, b"the other file");
        assert_eq!(connection.ask(&request("GET", "/big", "bytes=3-9")).await.body, content(10)[3..]);
    }
}

#[tokio::test]
async fn a_body_that_fails_midway_resets_nothing_but_its_connection() {
    let server = Server::new(true).file("big", big()).start().await;
    let mut connection = server.connect().await;
    connection.send(&request("GET", "/failing", "")).await;
    connection.head().await.expect("a head");
    let (received, _) = connection.rest_and_end().await;
    assert!(received.len() < LEN && received == big()[..received.len()]);
    assert!(server.connect().await.ask(&request("GET", "/big", "")).await.body == big());
}

#[tokio::test]
async fn a_file_that_may_still_be_written_to_is_copied() {
    let server = Server::new(true).at(LONG_AGO).file("fresh", big()).start().await;
    assert!(server.connect().await.ask(&request("GET", "/fresh", "")).await.body == big());
    assert_eq!(server.pieces_of_files(), 0);
}

/// A reader that takes everything at once never makes the server wait; the tasks beside it run all the same.
#[tokio::test]
async fn others_have_their_turn_after_every_window() {
    const WINDOWS: usize = 8;
    let server = Server::new(true).file("big", &vec![7; WINDOWS * WINDOW]).start().await;
    let (near, far) = kit::pair().await;
    let far = far.into_std().unwrap();
    far.set_nonblocking(false).unwrap();
    let reader = std::thread::spawn(move || std::io::copy(&mut &far, &mut std::io::sink()).unwrap());
    let turns = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&turns);
    let beside = tokio::spawn(async move {
        loop {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    });
    let mut socket = FileSocket::new(near);
    let mut body = server.body("big", socket.lane());
    while let Some(frame) = body.frame().await {
        let mut piece = frame.unwrap().into_data().unwrap();
        while piece.has_remaining() {
            let sent = socket.write(piece.chunk()).await.unwrap();
            piece.advance(sent);
        }
    }
    assert!(turns.load(Ordering::Relaxed) >= WINDOWS - 1, "{turns:?} turns");
    beside.abort();
    drop(socket);
    assert_eq!(reader.join().unwrap(), (WINDOWS * WINDOW) as u64);
}

#[tokio::test]
async fn text_and_addresses_can_be_written_together_and_alone() {
    let server = Server::new(true).file("big", big()).start().await;
    let (near, mut far) = kit::pair().await;
    let mut socket = FileSocket::new(near);
    let mut body = server.body("big", socket.lane());
    let mut piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
    let parts = [piece.split_to(10), piece.split_to(1), piece.split_to(10)];
    let empty: &[u8] = &[];
    let mut slices =
        [empty, b"head", parts[0].chunk(), parts[1].chunk(), empty, b"tail", parts[2].chunk(), b"."]
            .map(std::io::IoSlice::new);
    let mut left = &mut slices[..];
    while !left.is_empty() {
        let sent = socket.write_vectored(left).await.unwrap();
        assert!(sent > 0);
        std::io::IoSlice::advance_slices(&mut left, sent);
    }
    drop(socket);
    let mut received = Vec::new();
    far.read_to_end(&mut received).await.unwrap();
    let file = content(21);
    assert_eq!(received, [b"head", &file[..11], b"tail", &file[11..], b"."].concat());
}
