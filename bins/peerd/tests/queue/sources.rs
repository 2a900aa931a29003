//! What the registry knows about the address the bytes come from.

use std::time::{Duration, SystemTime};

use download_registry::{DownloadId, Source};
use retry_kit::{Clock, TokioClock};
use scripted_peer::{Answer, ScriptedPeer};
use serde_json::json;

use super::home_with;
use crate::support::{Home, MIB, offer, with_registry};

/// The only source of a row of a daemon that does not run.
async fn source(home: &Home, id: u64) -> Source {
    let id = DownloadId::new(i64::try_from(id).expect("a small id"));
    let sources = with_registry(home, async |registry| registry.sources(id).await.expect("a registry")).await;
    let [source] = <[Source; 1]>::try_from(sources).expect("one source");
    source
}

#[tokio::test]
async fn what_a_peer_showed_of_itself_is_on_record() {
    let peer = ScriptedPeer::start().await;
    let resumed = offer(&peer, "resumed", 1, MIB);
    peer.script(&resumed, [Answer::truncate_at(MIB / 2)]);
    let ignored = offer(&peer, "ignored", 2, MIB);
    peer.script(&ignored, [Answer::truncate_at(MIB / 2), Answer::ignore_range()]);
    offer(&peer, "once", 3, MIB);
    let home = home_with(&peer, json!({}));
    let daemon = home.start().await;
    let mut ids = Vec::new();
    for item in ["resumed", "ignored", "once"] {
        let id = daemon.add("bob", item).await;
        daemon.until_state(id, "completed").await;
        ids.push(id);
    }
    daemon.terminate().await;
    for (id, ranges, validator) in
        [(ids[0], Some(true), "resumed-1"), (ids[1], Some(false), "ignored-2"), (ids[2], None, "once-3")]
    {
        let source = source(&home, id).await;
        assert_eq!(source.supports_ranges, ranges, "{validator}");
        assert_eq!(source.validator, Some(format!("\"{validator}\"")));
        assert_eq!(source.disabled, None);
    }
}

#[tokio::test]
async fn until_when_a_peer_wants_to_be_left_alone_is_on_record_and_forgotten_with_its_next_answer() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 1, 1000);
    peer.script(&path, [Answer::status(429).header("Retry-After", "120")]);
    let home = home_with(&peer, json!({}));
    let daemon = home.start().await;
    let asked_at = TokioClock.wall();
    let id = daemon.add("bob", "m").await;
    daemon.until_state(id, "waiting").await;
    daemon.kill().await;
    let (until, reason) = source(&home, id).await.disabled.expect("a rest");
    let rest = SystemTime::from(until).duration_since(asked_at).expect("a time to come");
    assert!(rest >= Duration::from_secs(119) && rest < Duration::from_secs(190), "{rest:?}");
    assert_eq!(reason, "deferred");
    let daemon = home.start().await;
    daemon.obeyed(id, "retry").await;
    daemon.until_state(id, "completed").await;
    daemon.terminate().await;
    assert_eq!(source(&home, id).await.disabled, None);
}

#[tokio::test]
async fn when_a_peer_moves_the_record_follows_and_the_bytes_stay() {
    let old = ScriptedPeer::start().await;
    let path = offer(&old, "m", 1, MIB);
    old.script(&path, [Answer::truncate_at(MIB / 2), Answer::status(503).header("Retry-After", "120")]);
    let home = home_with(&old, json!({}));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    daemon
        .until(id, "waited with half of it", |row| row["state"] == "waiting" && row["durable"] == MIB / 2)
        .await;
    daemon.kill().await;
    let new = ScriptedPeer::start().await;
    offer(&new, "m", 1, MIB);
    let home = home.knowing("bob", new.url("/"));
    let daemon = home.start().await;
    daemon.obeyed(id, "retry").await;
    let row = daemon.until_state(id, "completed").await;
    assert_eq!(row["url"], new.url(&path));
    assert_eq!(new.requests(&path)[0].asked(), Some((MIB / 2, None)));
    daemon.terminate().await;
    assert_eq!(source(&home, id).await.url, new.url(&path));
}
