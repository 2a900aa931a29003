//! `kill -9` between any two steps: the next start goes by the stub and its row alone.

use scripted_peer::{Answer, Gate, ScriptedPeer, assert_same_bytes};
use serde_json::json;

use super::support::{MIB, offer};
use super::{drop_stub, fetches, gone, looked_again, rows, said, taken, watching};

#[tokio::test]
async fn killed_while_its_file_is_fetched_the_stub_goes_after_the_next_start_has_published_it() {
    let bob = ScriptedPeer::start().await;
    let gate = Gate::closed();
    let path = offer(&bob, "m", 7, MIB);
    bob.script(&path, [Answer::hold_at(MIB / 2, &gate)]);
    let home = watching(&bob);
    let daemon = home.start().await;
    let stub = drop_stub(&home, "m");
    let id = taken(&daemon).await;
    daemon.until(id, "kept something", |row| row["durable"].as_u64() > Some(0)).await;
    daemon.kill().await;
    assert!(stub.exists());
    let daemon = home.start().await;
    gone(&stub, &daemon).await;
    assert_same_bytes(home.completed("m.bin"), 7, MIB);
    assert_eq!(rows(&daemon).await.len(), 1, "the row it had");
}

#[tokio::test]
async fn killed_between_publishing_and_removing_the_stub_goes_and_nothing_is_fetched_again() {
    for moved_on in [false, true] {
        let bob = ScriptedPeer::start().await;
        offer(&bob, "m", 7, 1000);
        let home = watching(&bob);
        let dir = home.path("watch");
        let stub = drop_stub(&home, "m");
        // A daemon that never gets to the stub.
        let home = home.with(json!({ "watch": { "dir": "" } }));
        let daemon = home.start().await;
        let id = daemon.add("bob", "m").await;
        daemon.until_state(id, "completed").await;
        daemon.kill().await;
        if moved_on {
            std::fs::remove_file(home.completed("m.bin")).unwrap();
        }
        let home = home.with(json!({ "watch": { "dir": dir } }));
        let daemon = home.start().await;
        gone(&stub, &daemon).await;
        looked_again(&home, &daemon).await;
        assert_eq!((rows(&daemon).await.len(), fetches(&bob, "m")), (1, 1), "moved on: {moved_on}");
    }
}

#[tokio::test]
async fn a_restart_is_no_second_request_for_a_failed_download_but_a_stub_dropped_meanwhile_is() {
    let bob = ScriptedPeer::start().await;
    let path = offer(&bob, "m", 7, 1000);
    bob.script(&path, [Answer::status(404)]);
    let home = watching(&bob);
    let daemon = home.start().await;
    let stub = drop_stub(&home, "m");
    let id = taken(&daemon).await;
    daemon.until_state(id, "failed").await;
    daemon.kill().await;
    let daemon = home.start().await;
    said(&daemon, "the stub stays", "m.torrent").await;
    looked_again(&home, &daemon).await;
    assert_eq!((daemon.row(id).await["state"].as_str(), fetches(&bob, "m")), (Some("failed"), 1));
    daemon.kill().await;
    drop_stub(&home, "m");
    let daemon = home.start().await;
    gone(&stub, &daemon).await;
    assert_eq!(daemon.row(id).await["state"], "completed");
    assert_eq!(rows(&daemon).await.len(), 1);
}

#[tokio::test]
async fn killed_again_and_again_every_stub_is_fetched_once_and_goes() {
    let bob = ScriptedPeer::start().await;
    let names: Vec<String> = (0..24).map(|n| format!("m{n}")).collect();
    for (seed, name) in (1..).zip(&names) {
        offer(&bob, name, seed, 20_000);
    }
    bob.limit_rate(200_000);
    let home = watching(&bob).with(json!({ "watch": { "settle": "1ms" } }));
    for name in &names {
        drop_stub(&home, name);
    }
    // Each life ends a little further on: after so many of its stubs have gone.
    for lives in 0..6 {
        let daemon = home.start().await;
        let before = home.names("watch").len();
        if before > lives {
            let fewer =
                super::eventually(async || (home.names("watch").len() + lives <= before).then_some(()));
            assert!(fewer.await.is_some(), "{}", daemon.log.tail());
        }
        daemon.kill().await;
    }
    bob.limit_rate(0);
    let daemon = home.start().await;
    for name in &names {
        gone(&home.path("watch").join(format!("{name}.torrent")), &daemon).await;
    }
    for (seed, name) in (1..).zip(&names) {
        assert_same_bytes(home.completed(&format!("{name}.bin")), seed, 20_000);
    }
    let rows = rows(&daemon).await;
    assert_eq!(rows.len(), names.len(), "no stub was taken twice");
    assert!(rows.iter().all(|row| row["state"] == "completed"));
}
