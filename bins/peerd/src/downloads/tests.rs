//! The service on a clock that moves only when told to, with a real registry and a real peer on loopback.

mod lookout;
mod recovery;
mod upkeep;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use download_registry::{
    Claim, ClaimRequest, Digests, Download, DownloadState, Identity, NewDownload, Options, Priority, Total,
    TotalSource,
};
use retry_kit::{Clock, ManualClock, TokioClock};
use scripted_peer::{Answer, Gate, Representation, ScriptedPeer, seeded_bytes};

use super::*;
use crate::config::{Config, Overrides, Sources};
use crate::metrics::Metrics;

/// A service that knows one peer, `bob`, and has nothing to do yet.
pub(super) struct Service {
    pub(super) downloads: Downloads,
    pub(super) clock: ManualClock,
    pub(super) bob: ScriptedPeer,
    pub(super) dir: tempfile::TempDir,
    /// Bytes the disk says are free.
    free: Arc<AtomicU64>,
}

impl Service {
    pub(super) async fn start() -> Self {
        Self::start_with_min_free(0).await
    }

    async fn start_with_min_free(min_free: u64) -> Self {
        Self::start_with(&format!("min_free = {min_free}")).await
    }

    /// With this in `[downloads]`.
    async fn start_with(downloads: &str) -> Self {
        let bob = ScriptedPeer::start().await;
        let dir = tempfile::tempdir().unwrap();
        let config = format!("[peers.bob]\nurl = {:?}\n[downloads]\n{downloads}\n", bob.url("/"));
        std::fs::write(dir.path().join("peerd.toml"), config).unwrap();
        let sources = Sources {
            file: Some(dir.path().join("peerd.toml")),
            overrides: Overrides { state_dir: Some(dir.path().join("state")), ..Overrides::default() },
            ..Sources::default()
        };
        let loaded = Config::load(&sources).unwrap();
        for dir in [&loaded.paths.state, &loaded.paths.downloads, &loaded.paths.incomplete] {
            std::fs::create_dir_all(dir).unwrap();
        }
        let clock = ManualClock::new();
        let shared_clock: SharedClock = Arc::new(clock.clone());
        let ways = crate::outbound::Ways::new(Duration::from_secs(10)).unwrap();
        let registry = Registry::open(&loaded.paths.registry, &Options::default()).await.unwrap();
        let events = Events::open(&registry, Arc::new(Metrics::new()), &shared_clock).await.unwrap();
        let free = Arc::new(AtomicU64::new(1 << 40));
        let disk = Disk::new({
            let free = Arc::clone(&free);
            move |_: &Path| Some(free.load(Ordering::Relaxed))
        });
        let downloads = Downloads::on(
            disk,
            registry,
            Settings::new(&loaded.config, &loaded.paths).unwrap(),
            Peers::new(&loaded.config.peers, ways.clone(), Arc::clone(&shared_clock)).unwrap(),
            Fetcher::new(ways.common(), Arc::clone(&shared_clock), fastrand::Rng::with_seed(1)),
            shared_clock,
            events,
            fastrand::Rng::with_seed(2),
        );
        downloads.start().await.unwrap();
        Self { downloads, clock, bob, dir, free }
    }

    /// Puts a row in line that fetches `/m` of bob, without a word to the scheduler.
    pub(super) async fn enqueue(&self) -> DownloadId {
        self.enqueue_for(None).await
    }

    /// The same, to be imported by this one.
    async fn enqueue_for(&self, import: Option<&str>) -> DownloadId {
        self.bob.serve("/m", Representation::seeded(7, 5000).etag("\"m\""));
        let path = |name: &str| Some(self.dir.path().join("state").join(name).to_str().unwrap().to_owned());
        let new = NewDownload {
            peer: None,
            item: None,
            url: self.bob.url("/m"),
            filename: Some("m".into()),
            target: path("completed/m"),
            part: path("incomplete/m.part"),
            priority: Priority::default(),
            paused: false,
            identity: Identity::default(),
            digests: Digests::default(),
            limit_down: None,
            import: import.map(str::to_owned),
        };
        self.downloads.registry().enqueue(&new, self.downloads.shared.now()).await.unwrap().id
    }

    /// A row of bob's whose bytes are all on record, claimed by nobody who works on it. There is no file of it yet.
    pub(super) async fn sealed_claim(&self) -> Claim {
        let (shared, registry) = (&self.downloads.shared, self.downloads.registry());
        self.enqueue().await;
        let request = ClaimRequest { owner: OWNER, now: shared.now(), lease_for: LEASE, exclude_peers: &[] };
        let claim = registry.claim_next(&request).await.unwrap().unwrap();
        let total = Total { bytes: 5000, source: TotalSource::ContentRange };
        let identity = Identity { total: Some(total), validator: Some("\"m\"".to_owned()) };
        registry.begin_generation(&claim.fence, &identity, None, shared.now()).await.unwrap();
        registry.record_durable(&claim.fence, 1, &[0..5000; 1], shared.now()).await.unwrap();
        registry.seal(&claim.fence, shared.now()).await.unwrap();
        claim
    }

    /// Such a row whose worker was lost before the file got its name.
    async fn sealed(&self) -> DownloadId {
        let id = self.sealed_claim().await.download.id;
        std::fs::write(self.dir.path().join("state/incomplete/m.part"), seeded_bytes(7, 0..5000)).unwrap();
        id
    }

    /// A row that is being fetched: bob has sent 100 bytes of it and holds the rest back.
    pub(super) async fn running(&self) -> (DownloadId, Gate) {
        let gate = Gate::closed();
        self.bob.script("/m", [Answer::hold_at(100, &gate)]);
        let id = self.enqueue().await;
        self.downloads.shared.wake.notify_one();
        gate.parked(1).await;
        (id, gate)
    }

    /// Lets the time go by until the row is as it should be.
    async fn moving_until(&self, id: DownloadId, enough: impl Fn(&Download) -> bool) -> Download {
        let mut last = None;
        for _ in 0..1200 {
            last = self.downloads.registry().get(id).await.unwrap();
            if let Some(row) = last.take_if(|row| enough(row)) {
                return row;
            }
            self.clock.advance(Duration::from_millis(250));
            TokioClock.sleep(Duration::from_millis(10)).await;
        }
        panic!("{id} stays {last:#?}");
    }

    pub(super) async fn until(&self, id: DownloadId, state: DownloadState) -> Download {
        let mut last = None;
        for _ in 0..1200 {
            last = self.downloads.registry().get(id).await.unwrap();
            if let Some(row) = last.take_if(|row| row.state == state) {
                return row;
            }
            TokioClock.sleep(Duration::from_millis(25)).await;
        }
        panic!("{id} never became {state}; it is {last:#?}");
    }
}

#[tokio::test]
async fn an_order_is_carried_out_though_nobody_waits_for_it() {
    let service = Service::start().await;
    let (id, _gate) = service.running().await;
    let mut order = Box::pin(service.downloads.pause(id));
    assert!(futures_util::poll!(order.as_mut()).is_pending(), "the transfer has to be stopped first");
    drop(order);
    service.until(id, DownloadState::Paused).await;
    assert!(service.bob.wait_for_finished("/m", 1).await[0].hung_up);
    let mut order = Box::pin(service.downloads.cancel(id));
    let _ = futures_util::poll!(order.as_mut());
    drop(order);
    service.until(id, DownloadState::Cancelled).await;
}

#[tokio::test]
async fn a_row_whose_worker_was_lost_comes_back_when_its_lease_is_over() {
    let service = Service::start().await;
    // The scheduler, the watch over leases and the upkeep rest; nobody tells them of the row.
    service.clock.wait_for_sleepers(3).await;
    let id = service.enqueue().await;
    let now = service.downloads.shared.now();
    let request = ClaimRequest { owner: OWNER, now, lease_for: LEASE, exclude_peers: &[] };
    let claim = service.downloads.registry().claim_next(&request).await.unwrap().unwrap();
    assert_eq!(claim.download.id, id);
    drop(claim);
    service.clock.advance(LEASE);
    service.until(id, DownloadState::Completed).await;
}

#[tokio::test]
async fn a_worker_whose_lease_was_taken_away_stops_by_itself() {
    let service = Service::start().await;
    let (id, _gate) = service.running().await;
    // The scheduler, the watch over leases, the upkeep, and what the transfer waits for.
    service.clock.wait_for_sleepers(4).await;
    service.downloads.registry().pause(id, service.downloads.shared.now()).await.unwrap();
    while !service.bob.requests("/m")[0].hung_up {
        service.clock.advance_to_next();
        TokioClock.sleep(Duration::from_millis(5)).await;
    }
    service.until(id, DownloadState::Paused).await;
}

#[tokio::test]
async fn a_stop_puts_rows_back_in_line_with_what_they_have() {
    let service = Service::start().await;
    let (id, _gate) = service.running().await;
    while written(&service, id).await < 100 {
        service.clock.advance(Duration::from_millis(20));
        TokioClock.sleep(Duration::from_millis(5)).await;
    }
    service.downloads.stop(Duration::from_secs(3600)).await;
    let row = service.until(id, DownloadState::Queued).await;
    assert_eq!((row.durable, row.attempts), (100, 0));
}

async fn written(service: &Service, id: DownloadId) -> u64 {
    let view = service.downloads.view(id).await.unwrap().unwrap();
    serde_json::to_value(view).unwrap()["written"].as_u64().unwrap()
}

#[tokio::test]
async fn a_transfer_is_set_aside_while_the_disk_is_nearly_full_and_goes_on_by_itself() {
    let service = Service::start_with_min_free(1000).await;
    let before = service.downloads.shared.events.last();
    let (id, gate) = service.running().await;
    while written(&service, id).await < 100 {
        service.clock.advance(Duration::from_millis(20));
        TokioClock.sleep(Duration::from_millis(5)).await;
    }
    service.free.store(999, Ordering::Relaxed);
    let row = service.moving_until(id, |row| row.state == DownloadState::Waiting).await;
    assert_eq!((row.durable, row.attempts), (100, 0), "its bytes are kept, and it is nobody's failure");
    assert_eq!(row.error.map(|error| error.kind).as_deref(), Some("disk-full"));
    assert!(service.downloads.disk_is_low());
    service.free.store(1999, Ordering::Relaxed);
    for _ in 0..20 {
        service.clock.advance(Duration::from_secs(1));
        TokioClock.sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(service.bob.requests("/m").len(), 1, "nothing is started before twice as much is free");
    gate.release();
    service.free.store(6000, Ordering::Relaxed);
    let row = service.moving_until(id, |row| row.state == DownloadState::Completed).await;
    assert_eq!((row.durable, row.restarts), (5000, 0));
    assert!(!service.downloads.disk_is_low());
    let events = &service.downloads.shared.events;
    let mut told = events.after(before).unwrap();
    // The row comes first, the word of it a moment later.
    while !told.text.contains("download.completed") {
        events.beyond(told.seen).await;
        told = events.after(before).unwrap();
    }
    let names: Vec<_> = told.text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    let place = |wanted| {
        names.iter().position(|name| *name == wanted).unwrap_or_else(|| panic!("{wanted}: {names:?}"))
    };
    assert!(place("disk.low") < place("download.retrying"), "{names:?}");
    assert!(place("download.retrying") < place("disk.ok"), "{names:?}");
    assert!(place("disk.ok") < place("download.completed"), "{names:?}");
}

#[tokio::test]
async fn a_task_the_queue_cannot_do_without_is_missed_when_it_ends() {
    let service = Service::start().await;
    let shared = &service.downloads.shared;
    assert!(!shared.broken.is_cancelled());
    shared.spawn_vital(async { panic!("as a bug would") });
    service.downloads.broken().await;

    let service = Service::start().await;
    service.downloads.stop(Duration::from_secs(60)).await;
    assert!(!service.downloads.shared.broken.is_cancelled(), "a stop is no loss");
}
