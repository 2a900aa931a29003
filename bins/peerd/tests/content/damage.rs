//! Bytes that are on record and not to be had.

use scripted_peer::{Answer, Gate, ScriptedPeer, assert_same_bytes, seeded_bytes};

use crate::support::{Left, MIB, Stage, offer, seeded_file};
use crate::{KIB, LONG, Reading, SEED, home, starts};

/// C51, C53, P10, P24
#[tokio::test]
async fn recorded_bytes_that_cannot_be_read_are_fetched_again_and_counted() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", SEED, LONG);
    let gate = Gate::closed();
    peer.script(&path, [Answer::hold_at(MIB, &gate)]);
    let home = home(&peer);
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    daemon.until(id, "had a mebibyte on record", |row| row["durable"] == MIB).await;
    // Somebody cuts the part behind our back.
    std::fs::File::options().write(true).open(home.part()).unwrap().set_len(100 * KIB).unwrap();
    let reading = Reading::of(&daemon, id, &[]).await;
    assert!(reading.rest().await == seeded_bytes(SEED, 0..LONG), "and the same response goes on");
    daemon.until_state(id, "completed").await;
    assert_same_bytes(home.completed("m.bin"), SEED, LONG);
    assert_eq!(starts(&peer.requests(&path))[..2], [0, 100 * KIB]);
    let series = "peerd_download_wasted_bytes_total{peer=\"bob\",reason=\"corruption\"}";
    daemon.until_metric(series, (MIB - 100 * KIB) as f64).await;
}

/// C51, C53: nobody works on the row when it is found out.
#[tokio::test]
async fn a_part_that_was_cut_while_nobody_worked_on_it_is_never_served_short() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", SEED, MIB);
    let home = home(&peer);
    let stage =
        Stage { item: "m", seed: SEED, total: MIB, durable: MIB / 2, left: Left::Paused, blake3: None };
    let staged = stage.set(&home).await;
    seeded_file(&staged.part, SEED, 100 * KIB);
    let daemon = home.start().await;
    let refused = Reading::of(&daemon, staged.id, &[("range", "bytes=200000-200999")]).await;
    assert_eq!(refused.status, 503, "the row is paused, and the bytes are not there");
    let mut reading = Reading::of(&daemon, staged.id, &[]).await;
    assert!(reading.take(100 * KIB).await == seeded_bytes(SEED, 0..100 * KIB));
    // What is on record is put right under a new number, and a response of the old one cannot go on.
    daemon.obeyed(staged.id, "resume").await;
    assert_eq!(reading.until_it_breaks().await, b"");
    let again = Reading::of(&daemon, staged.id, &[]).await;
    assert!(again.rest().await == seeded_bytes(SEED, 0..MIB));
}

/// C51, P10
#[tokio::test]
async fn a_part_that_is_gone_is_fetched_again_for_whoever_reads() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", SEED, MIB);
    let home = home(&peer);
    let stage =
        Stage { item: "m", seed: SEED, total: MIB, durable: MIB / 2, left: Left::Queued, blake3: None };
    let staged = stage.set(&home).await;
    let daemon = home.start().await;
    let mut bytes = Vec::new();
    // A response of the generation that was on record breaks when it is given up.
    for _ in 0..2 {
        let reading = Reading::of(&daemon, staged.id, &[]).await;
        assert_eq!(reading.status, 200);
        let mut reading = reading;
        bytes.clear();
        while let Ok(Some(chunk)) = crate::within(reading.response.chunk()).await {
            bytes.extend_from_slice(&chunk);
        }
        if bytes.len() as u64 == MIB {
            break;
        }
    }
    assert!(bytes == seeded_bytes(SEED, 0..MIB));
}
