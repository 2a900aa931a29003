//! The process is killed, at named points and at random ones: what is on record is on the disk, nothing gets its name
//! early, and the next run finishes the file.
//!
//! Killing a process leaves what it wrote in the page cache. A power cut does not, so between two runs everything that
//! was not on record is overwritten with garbage.

#![cfg(feature = "reqwest")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod common;

use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{FILE, KIB, Lab, MIB, OTHER, SEED, file};
use resume_fetch::{
    BoxFuture, Connections, FetchRequest, Identity, Ledger, LedgerError, Record, Restart, SidecarLedger,
};
use scripted_peer::{Representation, assert_same_bytes};

/// A checkpoint of the child's downloads, small enough for many of them.
const CHECKPOINT: u64 = 256 * KIB;

/// Every step of the order, in the order they come. The data is synced right before `record`; the file is renamed and
/// its directory synced between `seal` and `finish`.
const POINTS: [Point; 8] = [
    Point { call: "begin", after: false, published: false },
    Point { call: "begin", after: true, published: false },
    Point { call: "record", after: false, published: false },
    Point { call: "record", after: true, published: false },
    Point { call: "seal", after: false, published: false },
    Point { call: "seal", after: true, published: false },
    Point { call: "finish", after: false, published: true },
    Point { call: "finish", after: true, published: true },
];

/// A place in the order of steps at which a process can die.
#[derive(Clone, Copy, Debug)]
struct Point {
    call: &'static str,
    after: bool,
    /// Whether the file has its final name by then.
    published: bool,
}

#[tokio::test]
async fn a_process_that_dies_at_any_step_leaves_a_true_record_and_no_early_name() {
    for point in POINTS {
        for nth in 1..=2 {
            let lab = Lab::new(file()).await;
            let died = run(&lab, Some((point, nth))).await;
            if nth > 1 && point.call != "record" {
                assert!(died.success(), "{point:?} comes once");
                continue;
            }
            assert!(!died.success(), "{point:?}, time {nth}: it lives");
            assert_eq!(lab.target().exists(), point.published, "{point:?}, time {nth}");
            if point.published {
                assert_same_bytes(lab.target(), SEED, MIB);
            } else {
                lab.record_is_true(SEED).await;
                power_cut(&lab).await;
            }
            let requests = lab.asked().len();
            if point.published && point.after {
                // Nothing is left to be done, and nothing remembers it.
            } else {
                assert!(run(&lab, None).await.success(), "{point:?}, time {nth}");
            }
            lab.published(SEED, MIB);
            let more = lab.asked().len() - requests;
            assert_eq!(more, usize::from(matches!(point.call, "begin" | "record")), "{point:?}, time {nth}");
        }
    }
}

#[tokio::test]
async fn a_process_that_dies_while_starting_over_never_mixes_the_two_files() {
    for after in [false, true] {
        let lab = Lab::holding(MIB / 2).await;
        lab.peer.replace(FILE, Representation::seeded(OTHER, MIB).etag("\"b\""));
        let point = Point { call: "begin", after, published: false };
        assert!(!run(&lab, Some((point, 1))).await.success());
        lab.record_is_true(SEED).await;
        let kept = lab.record().await.map_or(0, |record| record.durable.len());
        assert_eq!(kept, if after { 0 } else { MIB / 2 }, "on record first, then cut");
        assert_eq!(
            lab.part_len(),
            Some(MIB / 2),
            "the bytes are still there: nothing is destroyed off the record"
        );
        assert!(run(&lab, None).await.success());
        lab.published(OTHER, MIB);
    }
}

#[tokio::test]
async fn a_process_killed_at_twenty_random_moments_costs_at_most_a_checkpoint_each() {
    const SIZE: u64 = 16 * MIB;
    let lab = Lab::new(Representation::seeded(SEED, SIZE).etag("\"a\"")).await;
    lab.peer.limit_rate(16 * MIB);
    let mut rng = fastrand::Rng::with_seed(20);
    let mut durable = 0;
    for kill in 1..=20 {
        let before = lab.asked().len();
        let moment = (durable + rng.u64(1..3 * CHECKPOINT)).min(SIZE - MIB);
        let mut child = spawn(&lab, None);
        lab.peer.wait_for_requests(FILE, before + 1).await;
        while lab.part_len().unwrap_or(0) < moment {
            assert!(child.try_wait().unwrap().is_none(), "kill {kill}: it died by itself");
            tokio::task::yield_now().await;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!lab.target().exists(), "kill {kill}");
        lab.record_is_true(SEED).await;
        assert_eq!(
            lab.asked()[before].unwrap_or(0),
            durable,
            "kill {kill}: it went on where the record ended"
        );
        let written = lab.part_len().unwrap_or(0);
        durable = lab.record().await.map_or(0, |record| record.durable.available_from(0));
        assert!(written - durable <= CHECKPOINT, "kill {kill}: {written} written, {durable} on record");
        power_cut(&lab).await;
    }
    assert!(durable >= 20 * CHECKPOINT / 4, "the moments were spread over the file");
    lab.peer.limit_rate(0);
    assert!(run(&lab, None).await.success());
    lab.published(SEED, SIZE);
}

#[tokio::test]
async fn a_rename_that_was_cut_in_two_is_finished_by_the_next_run() {
    let lab = Lab::new(file()).await;
    let point = Point { call: "seal", after: true, published: false };
    assert!(!run(&lab, Some((point, 1))).await.success());
    // Where a rename cannot be told not to replace, the file gets its second name before it loses the first.
    std::fs::hard_link(lab.part(), lab.target()).unwrap();
    assert!(run(&lab, None).await.success());
    lab.published(SEED, MIB);
    assert_eq!(lab.asked().len(), 1);
}

#[tokio::test]
async fn a_stranger_under_the_final_name_is_not_taken_for_the_sealed_file() {
    let lab = Lab::new(file()).await;
    let point = Point { call: "seal", after: true, published: false };
    assert!(!run(&lab, Some((point, 1))).await.success());
    std::fs::write(lab.target(), vec![0; MIB as usize]).unwrap();
    assert!(!run(&lab, None).await.success(), "the part is still there, so this is another file");
    assert_eq!(std::fs::read(lab.target()).unwrap(), vec![0; MIB as usize]);
    std::fs::remove_file(lab.target()).unwrap();
    assert!(run(&lab, None).await.success());
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn a_download_dropped_at_any_moment_can_be_started_again_at_once() {
    let lab = Lab::new(Representation::seeded(SEED, 4 * MIB).etag("\"a\"")).await;
    lab.peer.limit_rate(16 * MIB);
    let mut rng = fastrand::Rng::with_seed(5);
    for _ in 0..20 {
        let download = lab.start(lab.request().checkpoint(CHECKPOINT, Duration::from_millis(5)));
        let mut progress = download.progress();
        let enough = progress.borrow().written + rng.u64(1..MIB / 8);
        let reached = progress.wait_for(|progress| progress.written >= enough).await;
        assert!(reached.is_ok(), "it did not end by itself");
    }
    lab.peer.limit_rate(0);
    lab.run().await.done();
    lab.published(SEED, 4 * MIB);
}

// ---- the child ----

/// Not a test of its own: the process that gets killed. Does nothing unless it is told what.
#[tokio::test]
async fn the_child_downloads_what_its_parent_says() {
    let Ok(task) = std::env::var(TASK) else { return };
    let [url, target, point] = task.split('\n').collect::<Vec<_>>()[..] else { panic!("{task:?}") };
    let part_ledger = format!("{target}.part.ledger");
    let (call, nth) = point.rsplit_once(':').unwrap_or_default();
    let ledger = MortalLedger {
        inner: SidecarLedger::new(part_ledger, url),
        dies_at: call.to_owned(),
        countdown: AtomicUsize::new(nth.parse().unwrap_or(0)),
    };
    // One connection: the length of the part tells how far it has come.
    let request: FetchRequest = common::request(url, Path::new(target))
        .connections(Connections::SEQUENTIAL)
        .checkpoint(CHECKPOINT, Duration::from_secs(3600));
    let fetcher = common::fetcher(std::sync::Arc::new(retry_kit::TokioClock));
    fetcher.start(request, ledger).await.unwrap_or_else(|error| panic!("{}", common::describe(&error)));
}

/// Kills its process before or after the n-th call of one name.
struct MortalLedger {
    inner: SidecarLedger,
    dies_at: String,
    countdown: AtomicUsize,
}

impl MortalLedger {
    fn pass(&self, call: &str) {
        if self.dies_at == call && self.countdown.fetch_sub(1, Ordering::Relaxed) == 1 {
            let this = rustix::process::getpid();
            rustix::process::kill_process(this, rustix::process::Signal::KILL).unwrap();
            // The signal may take a moment to arrive.
            loop {
                std::thread::park();
            }
        }
    }

    fn around<'a, T: 'a>(&'a self, call: &'static str, work: BoxFuture<'a, T>) -> BoxFuture<'a, T> {
        Box::pin(async move {
            self.pass(&format!("before {call}"));
            let result = work.await;
            self.pass(&format!("after {call}"));
            result
        })
    }
}

impl Ledger for MortalLedger {
    fn load(&self) -> BoxFuture<'_, Result<Option<Record>, LedgerError>> {
        self.inner.load()
    }

    fn begin<'a>(
        &'a self,
        generation: u64,
        identity: &'a Identity,
        restart: Option<Restart>,
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        self.around("begin", self.inner.begin(generation, identity, restart))
    }

    fn adopt<'a>(
        &'a self,
        generation: u64,
        identity: &'a Identity,
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        self.around("adopt", self.inner.adopt(generation, identity))
    }

    fn record<'a>(
        &'a self,
        generation: u64,
        durable: &'a [Range<u64>],
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        self.around("record", self.inner.record(generation, durable))
    }

    fn scatter<'a>(&'a self, generation: u64) -> BoxFuture<'a, Result<(), LedgerError>> {
        self.around("scatter", self.inner.scatter(generation))
    }

    fn subtract<'a>(
        &'a self,
        generation: u64,
        lost: &'a [Range<u64>],
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        self.around("subtract", self.inner.subtract(generation, lost))
    }

    fn seal(&self, generation: u64, total: u64) -> BoxFuture<'_, Result<(), LedgerError>> {
        self.around("seal", self.inner.seal(generation, total))
    }

    fn finish(&self) -> BoxFuture<'_, Result<(), LedgerError>> {
        self.around("finish", self.inner.finish())
    }
}

fn spawn(lab: &Lab, dies: Option<(Point, usize)>) -> Child {
    let point = dies
        .map(|(point, nth)| format!("{} {}:{nth}", if point.after { "after" } else { "before" }, point.call));
    let task = [lab.peer.url(FILE), lab.target().to_str().unwrap().to_owned(), point.unwrap_or_default()];
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_child_downloads_what_its_parent_says"])
        .env(TASK, task.join("\n"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

async fn run(lab: &Lab, dies: Option<(Point, usize)>) -> ExitStatus {
    let mut child = spawn(lab, dies);
    tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap()
}

/// Overwrites every byte of the part that is not on record: no disk promised to keep it.
async fn power_cut(lab: &Lab) {
    let Some(length) = lab.part_len() else { return };
    let durable = lab.record().await.map(|record| record.durable).unwrap_or_default();
    let part = std::fs::File::options().write(true).open(lab.part()).unwrap();
    for lost in durable.gaps(0..length) {
        part.write_all_at(&vec![0xAA; (lost.end - lost.start) as usize], lost.start).unwrap();
    }
}

/// Holds the child's task: the URL, the target, and where to die.
const TASK: &str = "RESUME_FETCH_TEST_CHILD";
