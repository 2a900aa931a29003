//! A stub that is dropped, and goes when its file is published.

use scripted_peer::{Answer, Gate, Representation, ScriptedPeer, assert_same_bytes};
use serde_json::json;

use super::support::{MIB, offer};
use super::{drop_file, drop_stub, fetches, gone, id_of, looked_again, rows, said, stub, taken, watching};

#[tokio::test]
async fn a_stub_goes_after_its_file_is_published_and_not_before() {
    let bob = ScriptedPeer::start().await;
    let gate = Gate::closed();
    // An item is one segment of the path, whatever it contains.
    let (item, path) = ("/peer/items/conn%3Amovie%3A42", "/peer/items/conn%3Amovie%3A42/file");
    let metadata = json!({ "filename": "film.bin", "size": MIB }).to_string();
    bob.serve(item, Representation::bytes(metadata));
    bob.serve(path, Representation::seeded(7, MIB).etag("\"a\""));
    bob.script(path, [Answer::hold_at(1000, &gate)]);
    let home = watching(&bob);
    let daemon = home.start().await;
    let stub = drop_file(&home, "Film.torrent", stub("bob", "conn:movie:42"));
    gate.parked(1).await;
    looked_again(&home, &daemon).await;
    assert!(stub.exists(), "nothing is published yet");
    gate.release();
    gone(&stub, &daemon).await;
    assert_same_bytes(home.completed("film.bin"), 7, MIB);
    assert_eq!(daemon.row(taken(&daemon).await).await["state"], "completed", "the row came first");
}

#[tokio::test]
async fn a_stub_that_lies_there_at_the_start_is_taken() {
    let bob = ScriptedPeer::start().await;
    offer(&bob, "m", 7, 1000);
    let home = watching(&bob);
    let stub = drop_stub(&home, "m");
    let daemon = home.start().await;
    gone(&stub, &daemon).await;
    assert_same_bytes(home.completed("m.bin"), 7, 1000);
}

#[tokio::test]
async fn a_peer_is_named_by_its_name_or_by_the_digest_of_its_url_and_either_word_will_do() {
    let bob = ScriptedPeer::start().await;
    let id = id_of(&bob);
    let home = watching(&bob);
    let daemon = home.start().await;
    for (item, peer, word) in
        [("a", "bob", "jack"), ("b", "bob", "peerd"), ("c", &*id, "jack"), ("d", &*id, "peerd")]
    {
        offer(&bob, item, 7, 1000);
        let comment = format!("{word}:{peer}:{item}");
        let file = format!("d7:comment{}:{comment}e", comment.len());
        let dropped = drop_file(&home, &format!("{item}.torrent"), file);
        gone(&dropped, &daemon).await;
        assert_same_bytes(home.completed(&format!("{item}.bin")), 7, 1000);
    }
    assert!(rows(&daemon).await.iter().all(|row| row["peer"] == "bob"), "a row has the name it has here");
}

#[tokio::test]
async fn a_list_goes_when_every_line_of_it_is_published() {
    let bob = ScriptedPeer::start().await;
    let gate = Gate::closed();
    for item in ["a", "b"] {
        offer(&bob, item, 7, 1000);
    }
    let url = offer(&bob, "c", 9, 1000);
    bob.script("/peer/items/b/file", [Answer::hold_head(&gate)]);
    let home = watching(&bob);
    let daemon = home.start().await;
    let text = format!("# tonight\r\nbob/a\r\n\r\nbob/b\r\n{}#top\r\nbob/a\r\n", bob.url(&url));
    let list = drop_file(&home, "list.peerd", text);
    gate.parked(1).await;
    for row in rows(&daemon).await.iter().filter(|row| row["item"] != "b") {
        daemon.until_state(row["id"].as_u64().unwrap(), "completed").await;
    }
    looked_again(&home, &daemon).await;
    assert!(list.exists(), "one of three is missing");
    gate.release();
    gone(&list, &daemon).await;
    assert_same_bytes(home.completed("b.bin"), 7, 1000);
    assert_same_bytes(home.completed("file"), 9, 1000);
    assert_eq!(rows(&daemon).await.len(), 3, "the same line twice asks once");
}

#[tokio::test]
async fn a_line_that_cannot_be_read_keeps_the_list_and_holds_up_no_other() {
    let bob = ScriptedPeer::start().await;
    for item in ["a", "b"] {
        offer(&bob, item, 7, 1000);
    }
    let home = watching(&bob);
    let daemon = home.start().await;
    let list = drop_file(&home, "list.peerd", "bob/a\nnonsense\n");
    said(&daemon, "a line of a stub says nothing", "list.peerd").await;
    daemon.until_state(taken(&daemon).await, "completed").await;
    std::fs::remove_file(home.completed("a.bin")).unwrap();
    looked_again(&home, &daemon).await;
    assert!(list.exists());
    // Mended while the rest of it is done: what was published already is not fetched again.
    drop_file(&home, "list.peerd", "bob/a\nbob/b\n");
    gone(&list, &daemon).await;
    assert_same_bytes(home.completed("b.bin"), 7, 1000);
    assert_eq!(fetches(&bob, "a"), 1);
}

#[tokio::test]
async fn half_a_stub_is_left_alone_until_the_rest_of_it_comes() {
    let bob = ScriptedPeer::start().await;
    offer(&bob, "m", 7, 1000);
    let home = watching(&bob);
    let daemon = home.start().await;
    let bytes = stub("bob", "m");
    let path = drop_file(&home, "m.torrent", &bytes[..bytes.len() / 2]);
    said(&daemon, "not a stub", "m.torrent").await;
    assert!(path.exists() && rows(&daemon).await.is_empty());
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    std::io::Write::write_all(&mut file, &bytes[bytes.len() / 2..]).unwrap();
    gone(&path, &daemon).await;
    assert_same_bytes(home.completed("m.bin"), 7, 1000);
}

#[tokio::test]
async fn a_finished_stub_can_be_archived_beside_the_folder() {
    let bob = ScriptedPeer::start().await;
    offer(&bob, "m", 7, 1000);
    let home = watching(&bob).with(json!({ "watch": { "on_done": "archive" } }));
    let daemon = home.start().await;
    for archived in [&["m.torrent"][..], &["m (1).torrent", "m.torrent"]] {
        gone(&drop_stub(&home, "m"), &daemon).await;
        assert_eq!(home.names("watch-done"), archived);
    }
    assert_eq!(std::fs::read(home.path("watch-done").join("m.torrent")).unwrap(), stub("bob", "m"));
    assert_eq!(fetches(&bob, "m"), 1);
}

#[tokio::test]
async fn two_stubs_of_one_item_are_one_download_and_go_together() {
    let bob = ScriptedPeer::start().await;
    let gate = Gate::closed();
    let path = offer(&bob, "m", 7, 1000);
    bob.script(&path, [Answer::hold_head(&gate)]);
    let home = watching(&bob);
    let daemon = home.start().await;
    let first = drop_stub(&home, "m");
    gate.parked(1).await;
    let second = drop_file(&home, "again.torrent", stub("bob", "m"));
    said(&daemon, "in the queue already", "again.torrent").await;
    // The first one dropped again, under its own name.
    drop_stub(&home, "m");
    said(&daemon, "in the queue already", "m.torrent").await;
    assert!(first.exists() && second.exists());
    gate.release();
    gone(&first, &daemon).await;
    gone(&second, &daemon).await;
    assert_eq!((rows(&daemon).await.len(), fetches(&bob, "m")), (1, 1));
}

#[tokio::test]
async fn stubs_of_one_url_are_one_download_and_go_together() {
    let bob = ScriptedPeer::start().await;
    let gate = Gate::closed();
    let url = bob.url(&offer(&bob, "c", 9, 1000));
    bob.script("/peer/items/c/file", [Answer::hold_head(&gate)]);
    let home = watching(&bob).with(json!({ "downloads": { "on_conflict": "rename" } }));
    let stub = |(name, end)| drop_file(&home, name, format!("{url}{end}\n"));
    let stubs = [("a.peerd", ""), ("b.peerd", "#top"), ("c.peerd", "#end")].map(stub);
    let daemon = home.start().await;
    gate.parked(1).await;
    looked_again(&home, &daemon).await;
    assert_eq!(rows(&daemon).await.len(), 1, "{}", daemon.log.tail());
    gate.release();
    for stub in &stubs {
        gone(stub, &daemon).await;
    }
    assert_eq!((rows(&daemon).await.len(), home.names("completed")), (1, vec!["file".to_owned()]));
}
