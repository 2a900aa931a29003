//! `peerd stub make`, `stub show`, and `peerd add` with a stub file.

use scripted_peer::ScriptedPeer;
use serde_json::json;

use super::support::{KEY, MIB, offer_as, program};
use super::watching;
use crate::support::{Home, Output};

/// A command in the directory of the user, who has the configuration of `home`.
async fn peerd(home: &Home, arguments: &[&str]) -> Output {
    drop(home.serve());
    let mut command = program(&home.path("user"), arguments);
    command.env("PEERD_CONFIG", home.path("peerd.toml")).env("STATE_DIRECTORY", home.state());
    Output::of(command).await
}

#[tokio::test]
async fn a_stub_is_made_from_what_the_peer_says_and_shows_what_it_says() {
    let bob = ScriptedPeer::start().await;
    offer_as(&bob, "m", "Film 2024.mkv", 7, 3 * MIB);
    let home = watching(&bob);
    let made = peerd(&home, &["stub", "make", "bob/m"]).await.expect_code(0);
    assert_eq!(made.stdout, "Film 2024.mkv.torrent\n");
    assert_eq!(bob.all_requests()[0].header("x-api-key"), Some(KEY));
    let shown = peerd(&home, &["stub", "show", "Film 2024.mkv.torrent"]).await.expect_code(0);
    assert_eq!(shown.stdout, "Film 2024.mkv  3.00 MiB\nbob/m\n");
    let shown = peerd(&home, &["stub", "show", "--json", "Film 2024.mkv.torrent"]).await.expect_code(0);
    let wanted = json!([{ "peer": "bob", "item": "m" }]);
    assert_eq!(
        shown.json(),
        json!({ "kind": "torrent", "prefix": "peerd", "name": "Film 2024.mkv", "size": 3 * MIB, "wanted": wanted })
    );
    let again = peerd(&home, &["stub", "make", "bob/m"]).await.expect_code(1);
    assert!(again.stderr.contains("exists already"), "{again:?}");
}

#[tokio::test]
async fn with_name_and_size_nobody_is_asked_and_the_bytes_are_those_of_the_original_system() {
    let bob = ScriptedPeer::start().await;
    let home = watching(&bob);
    let line = ["stub", "make", "peer0001/conn:movie:42", "--name", "Big Buck Bunny", "--size", "10"];
    let line = [&line[..], &["--prefix", "jack", "-o", "x.torrent"]].concat();
    peerd(&home, &line).await.expect_code(0);
    let info = format!(
        "d6:lengthi10e4:name14:Big Buck Bunny12:piece lengthi16777216e6:pieces20:{}e",
        "\0".repeat(20)
    );
    let expected = format!("d7:comment27:jack:peer0001:conn:movie:424:info{info}e");
    assert_eq!(std::fs::read_to_string(home.path("user/x.torrent")).unwrap(), expected);
    assert!(bob.all_requests().is_empty());
}

#[tokio::test]
async fn a_stub_that_cannot_be_made_or_read_says_why_by_its_code() {
    let bob = ScriptedPeer::start().await;
    let home = watching(&bob);
    std::fs::write(home.path("user/other.torrent"), "no torrent").unwrap();
    std::fs::write(home.path("user/x.txt"), "").unwrap();
    for (line, code, words) in [
        (&["stub", "make", "bob"][..], 2, "neither PEER/ITEM"),
        (&["stub", "make", "http://x.example/"], 2, ".peerd file"),
        (&["stub", "make", "carol/m"], 4, "no peer is called carol"),
        (&["stub", "make", "bob/nothing"], 5, "404"),
        (&["stub", "show", "other.torrent"], 5, "not a torrent"),
        (&["stub", "show", "x.txt"], 5, "NAME.torrent or NAME.peerd"),
        (&["stub", "show", "missing.torrent"], 74, "missing.torrent"),
    ] {
        let output = peerd(&home, line).await.expect_code(code);
        assert!(output.stderr.contains(words) && output.stdout.is_empty(), "{line:?}: {output:?}");
    }
    bob.go_away().await;
    peerd(&home, &["stub", "make", "bob/m"]).await.expect_code(69);
}

#[tokio::test]
async fn add_takes_a_stub_file_and_everything_a_list_asks_for() {
    let bob = ScriptedPeer::start().await;
    for (item, name) in [("a", "a.bin"), ("b", "b.bin"), ("c", "c.bin")] {
        offer_as(&bob, item, name, 7, 1000);
    }
    let home = watching(&bob);
    let daemon = home.start().await;
    let dir = home.path("user");
    // By the id another machine knows the peer by.
    std::fs::write(dir.join("a.torrent"), super::stub(&super::id_of(&bob), "a")).unwrap();
    std::fs::write(dir.join("list.peerd"), "bob/b\nbob/c\n").unwrap();
    std::fs::write(dir.join("partly.peerd"), "bob/missing\nbob/c\n").unwrap();
    let one = daemon.cli(["add", "--wait", "a.torrent"]).await.expect_code(0);
    assert!(one.stdout.contains("a.bin"), "{one:?}");
    let several = daemon.cli(["add", "--wait", "list.peerd"]).await.expect_code(0);
    assert!(several.stdout.contains("b.bin") && several.stdout.contains("c.bin"), "{several:?}");
    std::fs::remove_file(home.completed("c.bin")).unwrap();
    daemon.cli(["add", "partly.peerd"]).await.expect_code(3);
    daemon.cli(["add", "--filename", "x", "list.peerd"]).await.expect_code(2);
    daemon.cli(["add", "missing.torrent"]).await.expect_code(2);
}
