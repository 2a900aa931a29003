//! The row changes hands under a reader: what can go on goes on, what cannot breaks.

use std::io::Write as _;

use scripted_peer::{Answer, Gate, Representation, ScriptedPeer, seeded_bytes};
use serde_json::json;

use crate::support::{MIB, offer};
use crate::{KIB, LONG, Reading, SEED, home};

/// C32
#[tokio::test]
async fn a_download_that_parks_and_comes_back_is_read_on_in_the_same_response() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", SEED, LONG);
    // Longer than a permit is held: the row is parked and claimed again.
    let busy = || Answer::status(503).header("retry-after", "2");
    peer.script(&path, [Answer::truncate_at(MIB), busy(), Answer::truncate_at(MIB), busy()]);
    let home = home(&peer);
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    let reading = Reading::of(&daemon, id, &[]).await;
    assert!(reading.rest().await == seeded_bytes(SEED, 0..LONG));
    daemon.until_state(id, "completed").await;
    assert_eq!(peer.unused(&path), 0, "it went through all of them");
}

#[tokio::test]
async fn a_pause_holds_a_response_up_and_a_resume_lets_it_go_on() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", SEED, LONG);
    let gate = Gate::closed();
    peer.script(&path, [Answer::hold_at(MIB, &gate)]);
    let home = home(&peer);
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    let mut reading = Reading::of(&daemon, id, &[]).await;
    assert!(reading.take(MIB).await == seeded_bytes(SEED, 0..MIB));
    daemon.obeyed(id, "pause").await;
    daemon.obeyed(id, "resume").await;
    assert!(reading.rest().await == seeded_bytes(SEED, MIB..LONG));
}

/// C50, P27: a response is of one representation.
#[tokio::test]
async fn a_download_that_starts_over_breaks_the_response_and_the_next_one_is_of_the_new_file() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", SEED, LONG);
    let other = Representation::seeded(8, LONG).etag("\"other\"");
    // Not before somebody reads: who comes later is given the other one from its beginning.
    let gate = Gate::closed();
    let first = Answer::hold_at(MIB, &gate).and(Answer::truncate_at(MIB)).and(Answer::then_serve(other));
    peer.script(&path, [first]);
    // One connection: another would be given the rest of the first while it is held.
    let home = home(&peer).with(json!({ "downloads": { "connections": 1 } }));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    let reading = Reading::of(&daemon, id, &[]).await;
    let tag = reading.field("etag").to_owned();
    gate.release();
    let bytes = reading.until_it_breaks().await;
    assert!(bytes == seeded_bytes(SEED, 0..bytes.len() as u64), "all of it of the first");
    let reading = Reading::of(&daemon, id, &[("if-range", &tag), ("range", "bytes=0-4")]).await;
    assert_eq!(reading.status, 200, "the tag is of bytes that are gone");
    assert!(reading.rest().await == seeded_bytes(8, 0..LONG));
    assert_eq!(daemon.until_state(id, "completed").await["restarts"], 1);
}

#[tokio::test]
async fn a_download_that_is_cancelled_deleted_or_fails_breaks_the_response() {
    for what in ["cancel", "delete", "fail"] {
        let peer = ScriptedPeer::start().await;
        let path = offer(&peer, "m", SEED, LONG);
        let gate = Gate::closed();
        peer.script(&path, [Answer::hold_at(MIB, &gate).and(Answer::truncate_at(MIB))]);
        peer.always(&path, Answer::status(404));
        let home = home(&peer);
        let daemon = home.start().await;
        let id = daemon.add("bob", "m").await;
        let mut reading = Reading::of(&daemon, id, &[]).await;
        assert!(reading.take(512 * KIB).await == seeded_bytes(SEED, 0..512 * KIB));
        match what {
            "cancel" => drop(daemon.obeyed(id, "cancel").await),
            "delete" => assert_eq!(daemon.delete(id, "").await.status, 204),
            _ => gate.release(),
        }
        let rest = reading.until_it_breaks().await;
        let until = 512 * KIB + rest.len() as u64;
        assert!(until <= MIB && rest == seeded_bytes(SEED, 512 * KIB..until), "{what}: {until}");
    }
}

/// C54: the file is read where it is, whatever it is called.
#[tokio::test]
async fn a_response_outlives_the_moment_the_file_gets_its_name() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", SEED, 32 * MIB);
    let gate = Gate::closed();
    peer.script(&path, [Answer::hold_at(MIB, &gate)]);
    let home = home(&peer);
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    // More than the sockets between us hold: the rest is read after the file has its name.
    let mut reading = Reading::of(&daemon, id, &[]).await;
    assert!(reading.take(KIB).await == seeded_bytes(SEED, 0..KIB));
    gate.release();
    daemon.until_state(id, "completed").await;
    assert!(reading.rest().await == seeded_bytes(SEED, KIB..32 * MIB));
}

/// P27: a file that somebody writes to after it has its name is another, whoever still has it open.
#[tokio::test]
async fn a_published_file_that_is_written_to_breaks_the_responses_that_began_before() {
    for tag in ["\"strong\"", "W/\"weak\""] {
        let peer = ScriptedPeer::start().await;
        let path = offer(&peer, "m", SEED, 32 * MIB);
        peer.serve(&path, Representation::seeded(SEED, 32 * MIB).etag(tag));
        let gate = Gate::closed();
        peer.script(&path, [Answer::hold_at(MIB, &gate)]);
        let home = home(&peer);
        let daemon = home.start().await;
        let id = daemon.add("bob", "m").await;
        let mut reading = Reading::of(&daemon, id, &[]).await;
        assert!(reading.take(KIB).await == seeded_bytes(SEED, 0..KIB));
        gate.release();
        daemon.until_state(id, "completed").await;
        let mut file = std::fs::OpenOptions::new().write(true).open(home.completed("m.bin")).expect("a file");
        file.write_all(&seeded_bytes(8, 0..32 * MIB)).expect("room for it");
        let bytes = reading.until_it_breaks().await;
        let until = KIB + bytes.len() as u64;
        assert!(bytes == seeded_bytes(SEED, KIB..until), "{tag}: all of it as it was, up to {until}");
    }
}

/// C54: the engine runs a second time under the same claim.
#[tokio::test]
async fn a_name_that_is_taken_meanwhile_costs_a_response_nothing() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", SEED, 32 * MIB);
    let gate = Gate::closed();
    peer.script(&path, [Answer::hold_at(MIB, &gate)]);
    let home = home(&peer).with(json!({ "downloads": { "on_conflict": "rename" } }));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    let mut reading = Reading::of(&daemon, id, &[]).await;
    assert!(reading.take(KIB).await == seeded_bytes(SEED, 0..KIB));
    std::fs::write(home.completed("m.bin"), "somebody else's").expect("a file");
    gate.release();
    let row = daemon.until_state(id, "completed").await;
    assert_ne!(row["target"].as_str(), home.completed("m.bin").to_str());
    assert!(reading.rest().await == seeded_bytes(SEED, KIB..32 * MIB));
}

#[tokio::test]
async fn a_daemon_that_stops_keeps_nobody_waiting_for_bytes_that_do_not_come() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", SEED, LONG);
    let gate = Gate::closed();
    peer.always(&path, Answer::hold_at(MIB, &gate));
    let home = home(&peer).with(json!({ "server": { "shutdown_grace": "50s" } }));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    let mut reading = Reading::of(&daemon, id, &[]).await;
    reading.take(MIB).await;
    let ((status, _), rest) = tokio::join!(daemon.terminate(), reading.until_it_breaks());
    assert!(status.success() && rest.is_empty(), "{status}");
}
