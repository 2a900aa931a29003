//! What a crash leaves behind, made on purpose: a row in the registry of a daemon that does not run.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use download_registry::{
    ClaimRequest, Digests, Download, DownloadId, FailedTry, Identity, NewDownload, Next, Options, Priority,
    Problem, Registry, Timestamp, Total, TotalSource,
};

use super::Home;

/// A row in the middle of its life, for the item that [`offer`](super::offer) puts on the peer `bob`.
pub(crate) struct Stage<'a> {
    pub(crate) item: &'a str,
    pub(crate) seed: u64,
    pub(crate) total: u64,
    pub(crate) durable: u64,
    pub(crate) left: Left,
    /// What the whole must hash to, if anybody said so.
    pub(crate) blake3: Option<[u8; 32]>,
}

/// The state a row was in when the process died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    Queued,
    /// For a time far ahead.
    Waiting,
    Paused,
    Downloading,
    Finalizing,
    Completed,
    Failed,
    Cancelled,
}

/// The row, and the files that belong to it; none of them exists yet.
pub(crate) struct Staged {
    pub(crate) id: u64,
    pub(crate) target: PathBuf,
    pub(crate) part: PathBuf,
}

impl Stage<'_> {
    /// Writes the row.
    pub(crate) async fn set(&self, home: &Home) -> Staged {
        let filename = format!("{}.bin", self.item);
        let target = home.completed(&filename);
        let part = home.path("incomplete").join(format!("{filename}.0badcafe.part"));
        for dir in ["completed", "incomplete"] {
            std::fs::create_dir_all(home.path(dir)).expect("a directory");
        }
        let text = |path: &PathBuf| path.to_str().expect("a readable path").to_owned();
        let identity = Identity {
            total: Some(Total { bytes: self.total, source: TotalSource::ContentLength }),
            validator: Some(format!("\"{}-{}\"", self.item, self.seed)),
        };
        let new = NewDownload {
            peer: Some("bob".into()),
            item: Some(self.item.into()),
            url: format!("http://bob.invalid/peer/items/{}/file", self.item),
            filename: Some(filename),
            target: Some(text(&target)),
            part: Some(text(&part)),
            priority: Priority::default(),
            paused: false,
            identity: identity.clone(),
            digests: Digests { sha256: None, blake3: self.blake3 },
            limit_down: None,
            import: None,
        };
        let id = with_registry(home, async |registry| {
            let id = registry.enqueue(&new, now()).await.expect("a row").id;
            self.advance(registry, &identity).await;
            id
        });
        Staged { id: id.await.get().unsigned_abs(), target, part }
    }

    /// Takes the row just queued to where it is left, by the steps a worker takes.
    async fn advance(&self, registry: &Registry, identity: &Identity) {
        let lease_for = Duration::from_secs(60);
        let request = ClaimRequest { owner: "peerd", now: now(), lease_for, exclude_peers: &[] };
        let claim = registry.claim_next(&request).await.expect("a registry").expect("the row");
        let (fence, id) = (&claim.fence, claim.download.id);
        let generation = registry.begin_generation(fence, identity, None, now()).await.expect("a generation");
        if self.durable > 0 {
            let ranges = std::slice::from_ref(&(0..self.durable)).to_vec();
            registry.record_durable(fence, generation, &ranges, now()).await.expect("a record");
        }
        let row = match self.left {
            Left::Downloading => return,
            Left::Finalizing => registry.seal(fence, now()).await.expect("a sealed row"),
            Left::Completed => {
                registry.seal(fence, now()).await.expect("a sealed row");
                registry.finish(fence, now()).await.expect("a finished row")
            }
            Left::Queued => registry.release(fence, now()).await.expect("a released row"),
            Left::Waiting => {
                let until = SystemTime::UNIX_EPOCH.checked_add(FAR_AHEAD).expect("a time").into();
                registry.wait(fence, until, &problem(), now()).await.expect("a waiting row")
            }
            Left::Failed => {
                let next = Next::GiveUp { retryable: true, retry_at: None };
                let failed = FailedTry { problem: problem(), reset_bytes: 0, next };
                registry.record_failure(fence, &failed, now()).await.expect("a failed row")
            }
            Left::Paused => registry.pause(id, now()).await.expect("a paused row"),
            Left::Cancelled => registry.cancel(id, now()).await.expect("a cancelled row"),
        };
        assert_eq!(row.id, id);
    }
}

/// Opens the registry of a daemon that does not run, for as long as `work` takes.
pub(crate) async fn with_registry<T>(home: &Home, work: impl AsyncFnOnce(&Registry) -> T) -> T {
    std::fs::create_dir_all(home.state()).expect("a state directory");
    let registry =
        Registry::open(home.state().join("peerd.db"), &Options::default()).await.expect("a registry");
    let done = work(&registry).await;
    registry.close().await;
    done
}

/// A row of a daemon that does not run.
pub(crate) async fn on_record(home: &Home, id: u64) -> Download {
    let id = DownloadId::new(i64::try_from(id).expect("a small id"));
    with_registry(home, async |registry| registry.get(id).await.expect("a registry").expect("the row")).await
}

/// Its durable length.
pub(crate) async fn durable_on_record(home: &Home, id: u64) -> u64 {
    on_record(home, id).await.durable
}

/// What stood in the way of a row that waits or has failed.
fn problem() -> Problem {
    Problem::new("retrying", "the peer answered 503")
}

/// Long ago: every lease of such a row has run out.
fn now() -> Timestamp {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(1_700_000_000)).expect("a time").into()
}

/// Since 1970: the year 2096.
const FAR_AHEAD: Duration = Duration::from_secs(4_000_000_000);
