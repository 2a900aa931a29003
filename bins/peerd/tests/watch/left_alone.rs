//! Files that are none of ours, and stubs that cannot be taken yet.

use std::fs;

use scripted_peer::{ScriptedPeer, assert_same_bytes};

use super::support::offer;
use super::{drop_file, drop_stub, gone, looked_again, questions, rows, said, stub, times_said, watching};

#[tokio::test]
async fn files_of_others_are_left_alone_and_told_of_once_for_each_content() {
    let bob = ScriptedPeer::start().await;
    let home = watching(&bob);
    let daemon = home.start().await;
    let files: [(&str, &[u8]); 5] = [
        ("linux.torrent", b"d8:announce3:x:y4:infod6:lengthi1e4:name1:xee"),
        ("photo.jpg", b"\xff\xd8\xff"),
        ("film.magnet", b"magnet:?xt=urn:btih:00"),
        ("notes.peerd", b"hello\n"),
        ("empty.torrent", b""),
    ];
    for (name, bytes) in files {
        drop_file(&home, name, bytes);
        said(&daemon, "left alone", name).await;
    }
    for _ in 0..3 {
        looked_again(&home, &daemon).await;
    }
    for (name, bytes) in files {
        assert_eq!(fs::read(home.path("watch").join(name)).unwrap(), bytes, "{name}");
        assert_eq!(times_said(&daemon, "left alone", name), 1, "{name}");
    }
    drop_file(&home, "linux.torrent", "another one");
    looked_again(&home, &daemon).await;
    assert_eq!(times_said(&daemon, "left alone", "linux.torrent"), 2);
    assert!(rows(&daemon).await.is_empty() && bob.all_requests().is_empty());
}

#[tokio::test]
async fn folders_links_hidden_and_huge_files_are_no_stubs() {
    let bob = ScriptedPeer::start().await;
    let home = watching(&bob);
    let outside = home.path("outside.torrent");
    fs::write(&outside, stub("bob", "m")).unwrap();
    let dir = home.path("watch");
    fs::create_dir(dir.join("below.torrent")).unwrap();
    fs::write(dir.join("below.torrent/m.torrent"), stub("bob", "m")).unwrap();
    fs::write(dir.join(".m.torrent"), stub("bob", "m")).unwrap();
    std::os::unix::fs::symlink(&outside, dir.join("link.torrent")).unwrap();
    fs::File::create(dir.join("huge.torrent")).unwrap().set_len(1 << 40).unwrap();
    let daemon = home.start().await;
    for name in ["link.torrent", "huge.torrent"] {
        said(&daemon, "left alone", name).await;
    }
    looked_again(&home, &daemon).await;
    assert!(rows(&daemon).await.is_empty() && bob.all_requests().is_empty());
    assert!(outside.exists() && dir.join("below.torrent/m.torrent").exists());
}

#[tokio::test]
async fn a_stub_of_an_unknown_peer_stays_until_the_peer_is_known() {
    let bob = ScriptedPeer::start().await;
    offer(&bob, "m", 7, 1000);
    let home = watching(&bob);
    let daemon = home.start().await;
    let stub = drop_file(&home, "m.torrent", stub("carol", "m"));
    said(&daemon, "names a peer nobody has told us of", "m.torrent").await;
    for _ in 0..3 {
        looked_again(&home, &daemon).await;
    }
    assert_eq!(times_said(&daemon, "names a peer", "m.torrent"), 1);
    assert!(stub.exists() && bob.all_requests().is_empty());
    daemon.kill().await;
    let home = home.knowing("carol", bob.url("/"));
    let daemon = home.start().await;
    gone(&stub, &daemon).await;
    assert_same_bytes(home.completed("m.bin"), 7, 1000);
}

#[tokio::test]
async fn a_name_that_is_taken_keeps_the_stub_and_it_is_tried_again_by_itself() {
    let bob = ScriptedPeer::start().await;
    offer(&bob, "m", 7, 1000);
    let home = watching(&bob);
    fs::create_dir(home.path("completed")).unwrap();
    fs::write(home.completed("m.bin"), "the only copy of something else").unwrap();
    let daemon = home.start().await;
    let stub = drop_stub(&home, "m");
    said(&daemon, "cannot be taken yet", "m.torrent").await;
    assert!(rows(&daemon).await.is_empty());
    fs::remove_file(home.completed("m.bin")).unwrap();
    gone(&stub, &daemon).await;
    assert_same_bytes(home.completed("m.bin"), 7, 1000);
    assert!(questions(&bob, "m") <= 4, "later each time");
}
