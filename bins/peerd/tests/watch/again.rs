//! A stub that is dropped again: after success, after a failure, after it was called off.

use scripted_peer::{Answer, ScriptedPeer, assert_same_bytes};

use super::support::offer;
use super::{drop_stub, fetches, gone, looked_again, questions, rows, said, taken, watching};

#[tokio::test]
async fn dropped_again_while_its_file_is_there_it_goes_and_nothing_is_fetched() {
    let bob = ScriptedPeer::start().await;
    offer(&bob, "m", 7, 1000);
    let home = watching(&bob);
    let daemon = home.start().await;
    for _ in 0..2 {
        gone(&drop_stub(&home, "m"), &daemon).await;
        assert_same_bytes(home.completed("m.bin"), 7, 1000);
    }
    assert_eq!((rows(&daemon).await.len(), fetches(&bob, "m"), questions(&bob, "m")), (1, 1, 1));
}

#[tokio::test]
async fn dropped_again_after_its_file_was_moved_on_it_is_fetched_once_more() {
    let bob = ScriptedPeer::start().await;
    offer(&bob, "m", 7, 1000);
    let home = watching(&bob);
    let daemon = home.start().await;
    gone(&drop_stub(&home, "m"), &daemon).await;
    std::fs::rename(home.completed("m.bin"), home.path("library.bin")).unwrap();
    gone(&drop_stub(&home, "m"), &daemon).await;
    assert_same_bytes(home.completed("m.bin"), 7, 1000);
    assert_eq!((rows(&daemon).await.len(), fetches(&bob, "m")), (2, 2));
}

#[tokio::test]
async fn a_stub_whose_download_failed_stays_and_is_not_driven() {
    let bob = ScriptedPeer::start().await;
    let path = offer(&bob, "m", 7, 1000);
    bob.always(&path, Answer::status(404));
    let home = watching(&bob);
    let daemon = home.start().await;
    let stub = drop_stub(&home, "m");
    said(&daemon, "the stub stays", "m.torrent").await;
    for _ in 0..3 {
        looked_again(&home, &daemon).await;
    }
    assert!(stub.exists());
    assert_eq!(daemon.row(taken(&daemon).await).await["state"], "failed");
    assert_eq!((fetches(&bob, "m"), rows(&daemon).await.len()), (1, 1));
}

#[tokio::test]
async fn dropped_again_after_a_failure_the_same_row_is_tried_again() {
    let bob = ScriptedPeer::start().await;
    let path = offer(&bob, "m", 7, 1000);
    bob.script(&path, [Answer::status(404), Answer::status(404)]);
    let home = watching(&bob);
    let daemon = home.start().await;
    let stub = drop_stub(&home, "m");
    let id = taken(&daemon).await;
    daemon.until_state(id, "failed").await;
    said(&daemon, "the stub stays", "m.torrent").await;
    // By a touch, which is as good as a copy.
    let file = std::fs::File::options().write(true).open(&stub).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let again = super::eventually(async || {
        (super::times_said(&daemon, "the stub stays", "m.torrent") == 2).then_some(())
    });
    assert!(again.await.is_some(), "{}", daemon.log.tail());
    assert!(stub.exists());
    drop_stub(&home, "m");
    gone(&stub, &daemon).await;
    let rows = rows(&daemon).await;
    assert_eq!(
        (rows.len(), rows[0]["id"].as_u64(), rows[0]["state"].as_str()),
        (1, Some(id), Some("completed"))
    );
    assert_eq!(fetches(&bob, "m"), 3);
}

#[tokio::test]
async fn a_stub_whose_item_the_peer_does_not_have_stays_and_asks_once_more_when_it_is_dropped_again() {
    let bob = ScriptedPeer::start().await;
    let home = watching(&bob);
    let daemon = home.start().await;
    let stub = drop_stub(&home, "m");
    said(&daemon, "refused", "m.torrent").await;
    for _ in 0..3 {
        looked_again(&home, &daemon).await;
    }
    assert!(stub.exists() && rows(&daemon).await.is_empty());
    assert_eq!(questions(&bob, "m"), 1);
    offer(&bob, "m", 7, 1000);
    drop_stub(&home, "m");
    gone(&stub, &daemon).await;
    assert_same_bytes(home.completed("m.bin"), 7, 1000);
}

#[tokio::test]
async fn a_download_that_was_called_off_comes_back_only_when_its_stub_is_dropped_again() {
    let bob = ScriptedPeer::start().await;
    let path = offer(&bob, "m", 7, 1000);
    let stall = || Answer::stall_at(10);
    bob.script(&path, [stall(), stall()]);
    let home = watching(&bob);
    let daemon = home.start().await;
    let stub = drop_stub(&home, "m");
    for (verb, id) in [("cancel", 1), ("rm", 2)] {
        bob.wait_for_requests(&path, id).await;
        let id = id as u64;
        match verb {
            "cancel" => drop(daemon.obeyed(id, "cancel").await),
            _ => assert_eq!(daemon.delete(id, "").await.status, 204),
        }
        let told =
            async || (super::times_said(&daemon, "called off", "m.torrent") as u64 == id).then_some(());
        assert!(super::eventually(told).await.is_some(), "{verb}: {}", daemon.log.tail());
        looked_again(&home, &daemon).await;
        assert!(stub.exists());
        assert_eq!(fetches(&bob, "m") as u64, id, "{verb}: nothing is begun anew");
        drop_stub(&home, "m");
    }
    gone(&stub, &daemon).await;
    assert_same_bytes(home.completed("m.bin"), 7, 1000);
}
