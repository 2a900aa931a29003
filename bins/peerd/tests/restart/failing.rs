//! A daemon that cannot go on says so, stops in good order and ends with a code of its own.

use scripted_peer::{Answer, Gate, ScriptedPeer, assert_same_bytes};
use serde_json::Value;

use super::home_of;
use crate::support::{MIB, durable_on_record, offer};

#[tokio::test]
async fn a_daemon_whose_registry_was_taken_away_says_why_and_ends_with_74() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 7, 4 * MIB);
    let gate = Gate::closed();
    peer.script(&path, [Answer::hold_at(2 * MIB, &gate)]);
    let home = home_of(&peer);
    let mut daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    daemon.until(id, "recorded what came", |row| row["durable"] == 2 * MIB).await;
    let (database, elsewhere) = (home.state().join("peerd.db"), home.path("elsewhere.db"));
    std::fs::rename(&database, &elsewhere).expect("a file to move");
    offer(&peer, "n", 8, 1000);
    let answer = daemon.try_add("bob", "n").await;
    assert_eq!(answer.status, 503, "what cannot be kept is not promised: {answer:?}");
    let status = daemon.ended().await;
    assert_eq!(status.code(), Some(74), "{}", daemon.log.tail());
    let reason = |event: &Value| {
        event["message"].as_str().filter(|message| message.contains("cannot go on"))?;
        event["error"].as_str().map(str::to_owned)
    };
    let reason = daemon.log.wait_for("why it ends", reason).await;
    assert!(reason.contains(&database.display().to_string()), "{reason}");

    std::fs::rename(&elsewhere, &database).expect("a file to move back");
    assert_eq!(durable_on_record(&home, id).await, 2 * MIB);
    gate.release();
    let daemon = home.start().await;
    daemon.until_state(id, "completed").await;
    assert_same_bytes(home.completed("m.bin"), 7, 4 * MIB);
}
