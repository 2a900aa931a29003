//! `on_conflict = "rename"` when the name is taken after the row got it.

use scripted_peer::{Answer, Gate, ScriptedPeer, assert_same_bytes};
use serde_json::json;

use super::home_with;
use crate::support::{MIB, offer};

#[tokio::test]
async fn with_rename_a_name_that_was_taken_meanwhile_is_left_alone_and_the_next_free_one_is_used() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 7, MIB);
    let gate = Gate::closed();
    peer.script(&path, [Answer::hold_at(MIB - 1, &gate)]);
    let home = home_with(&peer, json!({ "on_conflict": "rename" }));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    gate.parked(1).await;
    for name in ["m.bin", "m (1).bin"] {
        std::fs::write(home.completed(name), name).expect("a file");
    }
    gate.release();
    let row = daemon.until_state(id, "completed").await;
    assert_eq!(row["filename"], "m (2).bin");
    assert_eq!(row["target"], home.completed("m (2).bin").to_str().expect("a path"));
    assert_same_bytes(home.completed("m (2).bin"), 7, MIB);
    for name in ["m.bin", "m (1).bin"] {
        assert_eq!(std::fs::read_to_string(home.completed(name)).expect("a file"), name);
    }
    assert_eq!(home.names("incomplete"), Vec::<String>::new());
    assert_eq!(peer.requests(&path).len(), 1, "a whole file is not fetched again for a name");
}

#[tokio::test]
async fn with_rename_a_name_that_a_live_row_has_is_passed_over() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 7, MIB);
    let gate = Gate::closed();
    peer.script(&path, [Answer::hold_at(MIB - 1, &gate)]);
    let home = home_with(&peer, json!({ "on_conflict": "rename" }));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    gate.parked(1).await;
    offer(&peer, "n", 8, 1000);
    let add = json!({ "peer": "bob", "item": "n", "filename": "m (1).bin", "paused": true });
    let second = daemon.add_with(add).await;
    std::fs::write(home.completed("m.bin"), "precious").expect("a file");
    gate.release();
    assert_eq!(daemon.until_state(id, "completed").await["filename"], "m (2).bin");
    daemon.obeyed(second, "resume").await;
    daemon.until_state(second, "completed").await;
    assert_same_bytes(home.completed("m (1).bin"), 8, 1000);
}
