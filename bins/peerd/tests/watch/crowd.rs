//! Many stubs at once, and peers that are away.

use scripted_peer::{Answer, Gate, ScriptedPeer, assert_same_bytes};
use serde_json::json;

use super::support::{offer, offer_as};
use super::{drop_file, drop_stub, gone, questions, rows, stub, watching};

#[tokio::test]
async fn a_thousand_stubs_are_in_the_queue_while_the_first_file_is_still_fetched() {
    let bob = ScriptedPeer::start().await;
    let gate = Gate::closed();
    for n in 0..1000 {
        let path = offer(&bob, &format!("m{n}"), 7, 100);
        bob.always(&path, Answer::hold_head(&gate));
    }
    let home = watching(&bob);
    let daemon = home.start().await;
    for n in 0..1000 {
        drop_stub(&home, &format!("m{n}"));
    }
    let all = super::eventually(async || (rows(&daemon).await.len() == 1000).then_some(())).await;
    assert!(all.is_some(), "{} rows; {}", rows(&daemon).await.len(), daemon.log.tail());
    assert_eq!(home.names("watch").len(), 1000, "nothing is published yet");
    assert!(home.names("completed").is_empty());
}

#[tokio::test]
async fn a_silent_peer_is_asked_little_its_stubs_are_queued_and_nobody_else_waits() {
    let (away, bob) = (ScriptedPeer::start().await, ScriptedPeer::start().await);
    let home = watching(&bob).knowing("away", away.url("/"));
    let home = home.with(json!({ "peers": { "away": { "max_concurrent": 1 } } }));
    for n in 0..300 {
        away.always(&format!("/peer/items/m{n}"), Answer::stall_before_head());
        drop_file(&home, &format!("m{n}.torrent"), stub("away", &format!("m{n}")));
    }
    offer_as(&bob, "z", "film.bin", 7, 1000);
    let daemon = home.start().await;
    away.wait_until("/peer/items/m0", "is asked about", |requests| !requests.is_empty()).await;
    gone(&drop_stub(&home, "z"), &daemon).await;
    assert_same_bytes(home.completed("film.bin"), 7, 1000);
    let all = super::eventually(async || (rows(&daemon).await.len() == 301).then_some(())).await;
    assert!(all.is_some(), "{} rows; {}", rows(&daemon).await.len(), daemon.log.tail());
    let asked = (0..300).filter(|n| questions(&away, &format!("m{n}")) > 0).count();
    assert!(asked <= 20, "asked about {asked} of 300 items");
    assert_eq!(home.names("watch").len(), 300, "every stub of the silent peer stays");
}

#[tokio::test]
async fn a_stub_of_a_peer_that_is_away_waits_in_the_queue_and_arrives_when_it_comes_back() {
    let bob = ScriptedPeer::start().await;
    offer(&bob, "m", 7, 1000);
    bob.go_away().await;
    let home = watching(&bob)
        .with(json!({ "downloads": { "retry_base": "100ms", "retry_max": "1s", "max_attempts": 100 } }));
    let daemon = home.start().await;
    let stub = drop_stub(&home, "m");
    let id = super::taken(&daemon).await;
    assert_eq!(daemon.row(id).await["filename"], serde_json::Value::Null);
    bob.come_back().await;
    gone(&stub, &daemon).await;
    assert_same_bytes(home.completed("m.bin"), 7, 1000);
}
