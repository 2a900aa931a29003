//! A peer on loopback, a directory, and a fetcher between them.

#![allow(dead_code, reason = "every test file uses its own part of this")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use resume_fetch::{
    Completed, Download, Event, FetchError, FetchRequest, Fetcher, Ledger, Record, ReqwestTransport,
    RestartReason, SidecarLedger,
};
use retry_kit::{RetryPolicy, SharedClock, TokioClock};
use scripted_peer::{Answer, Representation, ScriptedPeer, assert_same_bytes, seeded_bytes};
use tempfile::TempDir;

pub(crate) const KIB: u64 = 1 << 10;
pub(crate) const MIB: u64 = 1 << 20;
/// The seed of the representation served first; another file has another seed.
pub(crate) const SEED: u64 = 7;
pub(crate) const OTHER: u64 = 8;
/// Where everything is served.
pub(crate) const FILE: &str = "/file";

/// What most tests download: 1 MiB under the strong tag `"a"`.
pub(crate) fn file() -> Representation {
    Representation::seeded(SEED, MIB).etag("\"a\"")
}

/// The same length, other bytes, another tag.
pub(crate) fn other_file() -> Representation {
    Representation::seeded(OTHER, MIB).etag("\"b\"")
}

/// One peer, one target.
pub(crate) struct Lab {
    pub(crate) peer: ScriptedPeer,
    pub(crate) clock: SharedClock,
    dir: TempDir,
}

/// How a download went.
pub(crate) struct Fetched {
    pub(crate) result: Result<Completed, FetchError>,
    pub(crate) events: Vec<Event>,
}

impl Lab {
    /// A peer that serves `representation`, and nothing downloaded yet.
    pub(crate) async fn new(representation: Representation) -> Self {
        let peer = ScriptedPeer::start().await;
        peer.serve(FILE, representation);
        let dir = tempfile::tempdir().expect("a temporary directory");
        Self { peer, clock: Arc::new(TokioClock), dir }
    }

    /// A peer with [`file`], of which `held` bytes were downloaded in an earlier run. The request log is empty of it
    /// as far as [`Lab::asked`] is concerned.
    pub(crate) async fn holding(held: u64) -> Self {
        let lab = Self::new(file()).await;
        lab.cut_short(held).await;
        lab
    }

    /// An earlier run that ended after `held` bytes.
    pub(crate) async fn cut_short(&self, held: u64) {
        self.peer.script(FILE, [Answer::truncate_at(held)]);
        let error = self.fetch(once(self.request())).await.failed();
        assert_eq!(error.bytes_kept, held, "the earlier run keeps what it got: {error}");
        assert_eq!(self.part_len(), Some(held));
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn target(&self) -> PathBuf {
        self.path("file.bin")
    }

    pub(crate) fn part(&self) -> PathBuf {
        self.path("file.bin.part")
    }

    pub(crate) fn ledger_path(&self) -> PathBuf {
        self.path("file.bin.part.ledger")
    }

    pub(crate) fn ledger(&self) -> SidecarLedger {
        SidecarLedger::new(self.ledger_path(), &self.peer.url(FILE))
    }

    /// What is on record.
    pub(crate) async fn record(&self) -> Option<Record> {
        self.ledger().load().await.expect("a readable ledger")
    }

    pub(crate) fn part_len(&self) -> Option<u64> {
        std::fs::metadata(self.part()).ok().map(|meta| meta.len())
    }

    /// A request for [`FILE`] that waits a few milliseconds between its attempts.
    pub(crate) fn request(&self) -> FetchRequest {
        request(&self.peer.url(FILE), &self.target())
    }

    pub(crate) fn fetcher(&self) -> Fetcher {
        fetcher(Arc::clone(&self.clock))
    }

    pub(crate) fn start(&self, request: FetchRequest) -> Download {
        self.fetcher().start(request, self.ledger())
    }

    pub(crate) async fn fetch(&self, request: FetchRequest) -> Fetched {
        drive(self.start(request)).await
    }

    /// Downloads with the usual request.
    pub(crate) async fn run(&self) -> Fetched {
        self.fetch(self.request()).await
    }

    /// The first offset each request asked for, in order; `None` without a range.
    pub(crate) fn asked(&self) -> Vec<Option<u64>> {
        self.peer.requests(FILE).iter().map(|request| request.asked().map(|(from, _)| from)).collect()
    }

    /// The target is exactly the first `length` bytes of `seed`, and nothing else is left.
    pub(crate) fn published(&self, seed: u64, length: u64) {
        assert_same_bytes(self.target(), seed, length);
        let left: Vec<_> = std::fs::read_dir(self.dir.path())
            .expect("a readable directory")
            .map(|entry| entry.expect("a readable entry").file_name())
            .filter(|name| name != "file.bin" && name.to_string_lossy().starts_with("file.bin"))
            .collect();
        assert!(left.is_empty(), "left beside the target: {left:?}");
    }

    /// The target does not exist, and every byte on record is the source's.
    pub(crate) async fn unpublished(&self, seed: u64) {
        assert!(!self.target().exists(), "no unfinished file gets the final name");
        self.record_is_true(seed).await;
    }

    /// What the ledger claims is on the disk, byte for byte.
    pub(crate) async fn record_is_true(&self, seed: u64) {
        let Some(record) = self.record().await else { return };
        let part = std::fs::read(self.part()).unwrap_or_default();
        for run in record.durable.iter() {
            let ours = part.get(run.start as usize..run.end as usize);
            assert!(ours == Some(&seeded_bytes(seed, run.clone())), "the record lies about {run:?}");
        }
    }
}

impl Fetched {
    #[track_caller]
    pub(crate) fn done(self) -> Completed {
        self.result.unwrap_or_else(|error| panic!("{}; events: {:?}", describe(&error), self.events))
    }

    #[track_caller]
    pub(crate) fn failed(self) -> FetchError {
        match self.result {
            Ok(completed) => panic!("it was to fail: {completed:?}, {:?}", self.events),
            Err(error) => error,
        }
    }

    /// Reasons and discarded bytes of every restart.
    pub(crate) fn restarts(&self) -> Vec<(RestartReason, u64)> {
        let restart = |event: &Event| match event {
            Event::Restarted { reason, discarded } => Some((*reason, *discarded)),
            _ => None,
        };
        self.events.iter().filter_map(restart).collect()
    }

    /// How many attempts were announced to be tried again.
    pub(crate) fn retries(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Retrying { .. })).count()
    }
}

pub(crate) fn fetcher(clock: SharedClock) -> Fetcher {
    let transport = ReqwestTransport::new(Duration::from_secs(10)).expect("a client");
    Fetcher::new(transport, clock, fastrand::Rng::with_seed(1))
}

pub(crate) fn request(url: &str, target: &Path) -> FetchRequest {
    FetchRequest::new(url, target).expect("a URL").retry(policy(5))
}

/// `attempts` in a row, a few milliseconds apart.
pub(crate) fn policy(attempts: u32) -> RetryPolicy {
    RetryPolicy::builder()
        .max_attempts(attempts)
        .base(Duration::from_millis(1))
        .cap(Duration::from_millis(4))
        .build()
        .expect("a policy")
}

/// A single attempt.
pub(crate) fn once(request: FetchRequest) -> FetchRequest {
    request.retry(policy(1))
}

/// Follows a download to its end.
pub(crate) async fn drive(mut download: Download) -> Fetched {
    let mut events = download.take_events();
    let result = (&mut download).await;
    let mut all = Vec::new();
    while let Some(event) = events.next().await {
        all.push(event);
    }
    Fetched { result, events: all }
}

pub(crate) fn describe(error: &FetchError) -> String {
    resume_fetch::describe(error)
}
