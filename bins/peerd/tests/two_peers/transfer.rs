//! Bytes and keys: what arrives, and what does not.

use scripted_peer::{Answer, Gate, Representation, ScriptedPeer, assert_same_bytes, seeded_bytes};
use serde_json::json;

use crate::support::{DOWNLOADS, Daemon, Home, KEY, MIB, NameWatch, offer, offer_as, seeded_file};

/// A daemon that fetches from `sharer` under the name `bob`.
async fn fetching_from(sharer: &Daemon) -> (Home, Daemon) {
    let home = Home::new().knowing("bob", sharer.base());
    let daemon = home.start().await;
    (home, daemon)
}

#[tokio::test]
async fn files_of_any_size_arrive_byte_for_byte() {
    let sizes = [0, 1, 64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 3 * MIB + 7];
    let sharing = Home::sharing();
    for size in sizes {
        seeded_file(sharing.shared(&format!("{size}.bin")), size, size);
    }
    let sharer = sharing.start().await;
    let (home, daemon) = fetching_from(&sharer).await;
    let mut rows = Vec::new();
    for size in sizes {
        rows.push((size, daemon.add("bob", &sharer.item(&format!("{size}.bin")).await).await));
    }
    for (size, id) in rows {
        let row = daemon.until_state(id, "completed").await;
        assert_eq!(
            (&row["total"], &row["durable"], &row["written"]),
            (&json!(size), &json!(size), &json!(size))
        );
        assert_eq!(row["target"].as_str(), home.completed(&format!("{size}.bin")).to_str());
        assert!(row["completed_at"].is_string() && row["error"].is_null(), "{row:#}");
        assert_same_bytes(home.completed(&format!("{size}.bin")), size, size);
    }
    assert_eq!(home.names("incomplete"), [] as [&str; 0], "no part is left");
}

#[tokio::test]
async fn several_connections_bring_the_same_file() {
    let sharing = Home::sharing();
    seeded_file(sharing.shared("big.bin"), 5, 12 * MIB);
    let sharer = sharing.start().await;
    let home = Home::new().knowing("bob", sharer.base()).with(json!({ "downloads": { "connections": 4 } }));
    let daemon = home.start().await;
    let id = daemon.add("bob", &sharer.item("big.bin").await).await;
    daemon.until_state(id, "completed").await;
    assert_same_bytes(home.completed("big.bin"), 5, 12 * MIB);
}

#[tokio::test]
async fn the_final_name_never_exists_before_the_file_is_whole() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 7, 2 * MIB);
    let gate = Gate::closed();
    peer.script(&path, [Answer::hold_at(MIB, &gate)]);
    let home = Home::new().knowing("bob", peer.url("/"));
    let names = NameWatch::on(home.path("completed"));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    daemon.until(id, "had half of it durable", |row| row["durable"] == MIB).await;
    assert_eq!(home.names("completed"), [] as [&str; 0]);
    assert_eq!(home.part().metadata().expect("a part").len(), MIB);
    gate.release();
    daemon.until_state(id, "completed").await;
    names.assert_appeared_whole("m.bin");
    assert_same_bytes(home.completed("m.bin"), 7, 2 * MIB);
}

#[tokio::test]
async fn a_cut_transfer_goes_on_where_it_was_cut() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 7, MIB);
    peer.script(&path, [Answer::truncate_at(100_000), Answer::status(503), Answer::reset_at(100_000)]);
    let home = Home::new().knowing("bob", peer.url("/"));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    let row = daemon.until_state(id, "completed").await;
    assert_same_bytes(home.completed("m.bin"), 7, MIB);
    assert_eq!(row["restarts"], 0);
    let requests = peer.requests(&path);
    let asked: Vec<_> =
        requests.iter().map(|request| request.asked().map_or(0, |(start, _)| start)).collect();
    assert_eq!(asked[..3], [0, 100_000, 100_000], "what came before a cut is kept");
    assert!(asked[3] > 100_000, "what came before a reset as well: {asked:?}");
    let guarded = requests[1..].iter().all(|request| request.header("if-range") == Some("\"m-7\""));
    assert!(guarded, "each range names the representation it belongs to");
}

#[tokio::test]
async fn a_file_that_changed_on_the_other_side_is_never_mixed_with_what_it_was() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 7, MIB);
    let changed = Representation::seeded(8, MIB).etag("\"another\"");
    peer.script(&path, [Answer::truncate_at(300_000).and(Answer::then_serve(changed))]);
    let home = Home::new().knowing("bob", peer.url("/"));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    let row = daemon.until_state(id, "completed").await;
    assert_same_bytes(home.completed("m.bin"), 8, MIB);
    assert_eq!(row["restarts"], 1);
    assert_eq!(row["last_restart"]["discarded"], 300_000);
    assert_eq!(row["validator"], "\"another\"");
}

#[tokio::test]
async fn a_peer_that_refuses_our_key_fails_the_download_for_good() {
    let sharing = Home::sharing();
    seeded_file(sharing.shared("film.mkv"), 1, 1000);
    let sharer = sharing.start().await;
    let item = sharer.item("film.mkv").await;
    let peer = json!({ "bob": { "url": sharer.base(), "key": "not-the-key-of-bob" } });
    let home = Home::new().with(json!({ "peers": peer }));
    let daemon = home.start().await;
    let id = daemon.add("bob", &item).await;
    let row = daemon.until_state(id, "failed").await;
    assert_eq!((&row["error"]["kind"], &row["retryable"]), (&json!("key-refused"), &json!(false)));
    assert_eq!(home.names("completed"), [] as [&str; 0]);
    assert!(!daemon.log.text().contains("not-the-key-of-bob"), "a key is nobody's business, in no log");
}

#[tokio::test]
async fn what_the_peer_or_we_do_not_know_is_404_and_queues_nothing() {
    let sharer = Home::sharing();
    let sharer = sharer.start().await;
    let (_home, daemon) = fetching_from(&sharer).await;
    for (peer, item, problem) in [("bob", "films:nothing", "item-unknown"), ("carol", "x", "peer-unknown")] {
        let answer = daemon.try_add(peer, item).await;
        assert_eq!((answer.status, answer.problem()), (404, problem.to_owned()));
    }
    assert_eq!(daemon.get(DOWNLOADS).await.json()["downloads"], json!([]));
}

#[tokio::test]
async fn a_peer_that_is_away_is_waited_for() {
    let peer = ScriptedPeer::start().await;
    offer_as(&peer, "m", "film.mkv", 7, MIB);
    peer.go_away().await;
    let often = json!({ "downloads": { "max_attempts": 100_000 } });
    let home = Home::new().knowing("bob", peer.url("/")).with(often);
    let daemon = home.start().await;
    let answer = daemon.try_add("bob", "m").await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let row = answer.json();
    assert!(row["filename"].is_null() && row["target"].is_null() && row["total"].is_null(), "{row:#}");
    let id = row["id"].as_u64().expect("an id");
    let row = daemon.until(id, "waited", |row| row["state"] == "waiting").await;
    assert_eq!(row["error"]["kind"], "unreachable");
    peer.come_back().await;
    let row = daemon.until_state(id, "completed").await;
    assert_eq!((&row["filename"], &row["error"]), (&json!("film.mkv"), &json!(null)));
    assert_same_bytes(home.completed("film.mkv"), 7, MIB);
}

#[tokio::test]
async fn what_does_not_match_its_digest_is_not_published() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", 7, 1000);
    let right = blake3::hash(&seeded_bytes(7, 0..1000)).to_hex().to_string();
    let home = Home::new().knowing("bob", peer.url("/"));
    let daemon = home.start().await;
    let wrong = "0".repeat(64);
    let id = daemon.add_with(json!({ "peer": "bob", "item": "m", "blake3": wrong })).await;
    let row = daemon.until_state(id, "failed").await;
    assert_eq!((&row["error"]["kind"], &row["retryable"]), (&json!("digest-mismatch"), &json!(false)));
    assert_eq!(home.names("completed"), [] as [&str; 0]);
    let id = daemon.add_with(json!({ "peer": "bob", "item": "m", "blake3": right })).await;
    daemon.until_state(id, "completed").await;
}

#[tokio::test]
async fn the_key_goes_to_the_peer_and_nowhere_else() {
    let (peer, elsewhere) = (ScriptedPeer::start().await, ScriptedPeer::start().await);
    let path = offer(&peer, "m", 7, 1000);
    elsewhere.serve("/m.bin", Representation::seeded(7, 1000).etag("\"m-7\""));
    peer.script(&path, [Answer::redirect(elsewhere.url("/m.bin"))]);
    let home = Home::new().knowing("bob", peer.url("/"));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    daemon.until_state(id, "completed").await;
    assert!(peer.all_requests().iter().all(|request| request.header("x-api-key") == Some(KEY)));
    let redirected = elsewhere.all_requests();
    assert!(redirected.iter().all(|request| request.header("x-api-key").is_none()), "{redirected:?}");
}
