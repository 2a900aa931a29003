//! Alice shares with Bob: two commands on each side.

use scripted_peer::assert_same_bytes;
use serde_json::json;

use super::{lines, type_in};
use crate::support::{Daemon, Home, MIB, eventually, seeded_file};

/// A machine that shares its folder with nobody yet.
async fn alice() -> (Home, Daemon) {
    let home = Home::new();
    let shared = home.path("shared");
    let home = home.with(json!({ "shares": { "films": { "path": shared } } }));
    seeded_file(home.shared("film.mkv"), 7, MIB);
    let daemon = home.start().await;
    let walked = eventually(async || {
        let shares = daemon.get("/api/v1/shares").await.json();
        (shares["shares"][0]["items"] == 1).then_some(())
    });
    walked.await.expect("a walk over the share");
    (home, daemon)
}

#[tokio::test]
async fn two_people_become_peers_and_exchange_a_file() {
    // alice$ peerd serve --share ~/Videos
    let (_alice, sharer) = alice().await;
    let (bob, fetcher) = {
        let home = Home::new();
        let daemon = home.start().await;
        (home, daemon)
    };

    // alice$ peerd key create bob --invite
    let invited =
        sharer.cli(["key", "create", "bob", "--invite", "--peer-name", "alice"]).await.expect_code(0);
    let (command, key) = lines(&invited);

    // bob$ peerd peer add alice http://… --key-file -     and the key, when it asks
    let added = type_in(&bob, &fetcher, command, key).await.expect_code(0);
    assert!(!added.stdout.contains(key) && !added.stderr.contains(key), "{added:?}");
    let items = fetcher.cli(["peer", "items", "alice"]).await.expect_code(0).stdout;
    let item = items.lines().find(|line| line.contains("film.mkv")).expect("the film");
    let item = item.split_whitespace().next().expect("an id");

    // bob$ peerd add alice/ITEM --wait
    fetcher.cli(["add", &format!("alice/{item}"), "--wait"]).await.expect_code(0);
    assert_same_bytes(bob.completed("film.mkv"), 7, MIB);

    // Nothing Bob's daemon says or writes holds the key, but for the one file made for it.
    let answers = [
        fetcher.get("/api/v1/peers").await.body,
        fetcher.get("/api/v1/peers/alice").await.body,
        fetcher.get("/api/v1/downloads").await.body,
        fetcher.log.text(),
    ];
    assert!(answers.iter().all(|answer| !answer.contains(key)), "{answers:?}");
    for name in ["peerd.db", "peerd.db-wal"] {
        let bytes = std::fs::read(bob.state().join(name)).unwrap_or_default();
        assert!(!bytes.windows(key.len()).any(|at| at == key.as_bytes()), "{name}");
    }

    // alice$ peerd key revoke bob
    sharer.cli(["key", "revoke", "bob"]).await.expect_code(0);
    fetcher.cli(["peer", "test", "alice"]).await.expect_code(77);
    fetcher.cli(["peer", "items", "alice"]).await.expect_code(77);
}

#[tokio::test]
async fn an_added_peer_is_there_after_a_restart_with_its_key() {
    let (_alice, sharer) = alice().await;
    let (bob, fetcher) = {
        let home = Home::new();
        let daemon = home.start().await;
        (home, daemon)
    };
    let invited =
        sharer.cli(["key", "create", "bob", "--invite", "--peer-name", "alice"]).await.expect_code(0);
    let (command, key) = lines(&invited);
    type_in(&bob, &fetcher, command, key).await.expect_code(0);
    fetcher.kill().await;
    let fetcher = bob.start().await;
    let tested = fetcher.cli(["peer", "test", "alice", "--json"]).await.expect_code(0).json();
    assert_eq!((&tested["ok"], &tested["system"]), (&json!(true), &json!("peerd")), "{tested:#}");
}
