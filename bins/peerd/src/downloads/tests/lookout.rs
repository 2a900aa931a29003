//! Who is looked for, and how often.

use super::*;

impl Service {
    /// A row that wants something of bob, who has just gone away.
    async fn missing_bob(&self) -> DownloadId {
        self.bob.go_away().await;
        let request = AddRequest {
            source: Source::Item { peer: "bob".into(), item: "m".into() },
            filename: None,
            priority: Priority::default(),
            paused: true,
            digests: Digests::default(),
            limit_down: None,
            import: None,
        };
        let row = self.downloads.add(request).await.unwrap();
        let peers = self.downloads.peers();
        assert_eq!((peers.is_up("bob"), peers.is_up_as_asked("bob")), (Some(false), Some(false)));
        row.id
    }

    /// Lets the time go by in steps, each when so many sleep that nobody is left to do anything.
    async fn pings_within(&self, minutes: u32, sleepers: usize) -> usize {
        for _ in 0..minutes * 12 {
            self.clock.wait_for_sleepers(sleepers).await;
            self.clock.advance(Duration::from_secs(5));
        }
        self.clock.wait_for_sleepers(sleepers).await;
        self.bob.requests("/ping").len()
    }
}

#[tokio::test]
async fn a_peer_is_looked_for_only_while_a_row_wants_something_of_it() {
    let service = Service::start().await;
    let id = service.missing_bob().await;
    service.bob.come_back().await;
    // The scheduler, the watch over leases, the upkeep, and who looks for bob.
    assert_eq!(service.pings_within(10, 4).await, 0, "a row that was set aside wants nothing");
    let shown = || service.downloads.peers().is_up_as_asked("bob");
    assert_eq!(shown(), None, "nobody would notice that it is back");
    service.downloads.resume(id).await.unwrap();
    for _ in 0..1200 {
        if service.downloads.peers().is_up("bob") == Some(true) {
            break;
        }
        service.clock.advance(Duration::from_secs(5));
        TokioClock.sleep(Duration::from_millis(5)).await;
    }
    assert_eq!((service.downloads.peers().is_up("bob"), shown()), (Some(true), Some(true)));
}

#[tokio::test]
async fn a_peer_that_was_removed_is_not_looked_for_any_more() {
    let service = Service::start().await;
    let id = service.missing_bob().await;
    service.downloads.peers().remove("bob");
    service.downloads.resume(id).await.unwrap();
    service.bob.come_back().await;
    assert_eq!(service.pings_within(5, 3).await, 0);
    assert_eq!(service.downloads.peers().is_up("bob"), None);
}

#[tokio::test]
async fn a_peer_that_was_away_is_looked_for_at_its_new_address_at_once() {
    let service = Service::start().await;
    let before = service.downloads.shared.events.last();
    service.missing_bob().await;
    let elsewhere = ScriptedPeer::start().await;
    let config = serde_json::from_value(serde_json::json!({ "url": elsewhere.url("/") })).unwrap();
    // The time stands still.
    assert!(service.downloads.peers().replace("bob", config).unwrap());
    elsewhere.wait_for_finished("/ping", 1).await;
    let events = &service.downloads.shared.events;
    let mut told = events.after(before).unwrap();
    while !told.text.contains("event: peer.up") {
        events.beyond(told.seen).await;
        told = events.after(before).unwrap();
    }
    assert_eq!(service.downloads.peers().is_up("bob"), Some(true));
}
