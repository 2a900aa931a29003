//! The test's own ledger: it survives every kill, takes its time, and fails when it likes.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use resume_fetch::{BoxFuture, Ledger, LedgerError, MemoryLedger, RangeSet, Record};
use retry_kit::Clock;

use crate::source::{Version, number_of};
use crate::world::{WatchedClock, World, lock};

/// What is durable about one download.
pub(crate) struct Books {
    pub(crate) memory: MemoryLedger,
    pub(crate) world: Arc<World>,
    clock: WatchedClock,
    pub(crate) target: PathBuf,
    pub(crate) part: PathBuf,
    versions: Arc<Mutex<Vec<Version>>>,
    rng: Mutex<fastrand::Rng>,
    pub(crate) desk: Mutex<Desk>,
    /// Calls that are being answered.
    busy: AtomicU64,
}

/// What the books have to remember beside the record.
#[derive(Default)]
pub(crate) struct Desk {
    /// Of a hundred calls so many fail.
    failures: u32,
    /// Of a hundred calls so many take their time.
    slow: u32,
    failed: bool,
    /// The test took bytes off the disk that are on record, so the next generation may begin without a restart.
    pub(crate) damaged: bool,
    /// The layout was declared by this process, in this generation.
    pub(crate) scattered: Option<u64>,
    /// The last version that was sealed.
    pub(crate) sealed: Option<Version>,
}

pub(crate) type Answer<'a> = BoxFuture<'a, Result<(), LedgerError>>;

impl Books {
    pub(crate) fn new(
        world: &Arc<World>,
        target: PathBuf,
        part: PathBuf,
        versions: Arc<Mutex<Vec<Version>>>,
        rng: fastrand::Rng,
    ) -> Arc<Self> {
        Arc::new(Self {
            memory: MemoryLedger::new(),
            world: Arc::clone(world),
            clock: WatchedClock(Arc::clone(world)),
            target,
            part,
            versions,
            rng: Mutex::new(rng),
            desk: Mutex::default(),
            busy: AtomicU64::new(0),
        })
    }

    /// How the next calls go.
    pub(crate) fn behave(&self, failures: u32, slow: u32) {
        let mut desk = lock(&self.desk);
        (desk.failures, desk.slow) = (failures, slow);
    }

    /// Another process takes over; whether a call failed in the one before.
    pub(crate) fn new_process(&self) {
        let mut desk = lock(&self.desk);
        desk.scattered = None;
        desk.failed = false;
    }

    /// Whether a call failed in this process.
    pub(crate) fn failed(&self) -> bool {
        lock(&self.desk).failed
    }

    /// Bytes on record are gone from the disk.
    pub(crate) fn damage(&self) {
        lock(&self.desk).damaged = true;
    }

    pub(crate) fn is_damaged(&self) -> bool {
        lock(&self.desk).damaged
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed) > 0
    }

    /// What is on record.
    pub(crate) fn record(&self) -> Option<Record> {
        let loaded = futures_util::FutureExt::now_or_never(self.memory.load());
        loaded.and_then(Result::ok).flatten()
    }

    /// The version whose bytes the record is about.
    pub(crate) fn version(&self) -> Option<Version> {
        number_of(&self.record()?.identity).map(|number| lock(&self.versions)[number])
    }

    /// The version that was last sealed.
    pub(crate) fn sealed(&self) -> Option<Version> {
        lock(&self.desk).sealed
    }

    /// The bytes of the part file in `range`; fewer where it ends before.
    pub(crate) fn on_disk(&self, range: Range<u64>) -> Vec<u8> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        let mut filled = 0;
        if let Ok(file) = File::open(&self.part).or_else(|_| File::open(&self.target)) {
            while let Ok(read @ 1..) = file.read_at(&mut bytes[filled..], range.start + filled as u64) {
                filled += read;
            }
        }
        bytes.truncate(filled);
        bytes
    }

    /// Whether the disk holds exactly the bytes of `version` in `range`.
    pub(crate) fn holds(&self, version: Version, range: Range<u64>) -> bool {
        let length = range.end - range.start;
        let bytes = self.on_disk(range.clone());
        bytes.len() as u64 == length && version.has(range.start, &bytes)
    }

    /// One call: checked, and then done, unless it fails; all that takes as long as it likes.
    pub(crate) fn call<'a>(
        &'a self,
        what: String,
        check: impl FnOnce(&Self) + Send + 'a,
        effect: impl FnOnce(&'a MemoryLedger) -> Answer<'a> + Send + 'a,
    ) -> Answer<'a> {
        Box::pin(async move {
            let busy = Busy::new(&self.busy);
            self.world.stir();
            self.world.note(|| format!("ledger: {what}"));
            // The last word may be said by two: the next process finds the file, and does not wait for the one before.
            self.world.expect(!busy.others || what == "finish", || {
                format!("{what}: the call before was not answered yet")
            });
            self.take_time().await;
            let fails = self.fails();
            if fails && lock(&self.rng).bool() {
                return Err(refused(&what));
            }
            check(self);
            effect(&self.memory).await?;
            self.take_time().await;
            self.world.stir();
            // Done, and nobody is told: whoever asked must not count on either.
            if fails { Err(refused(&what)) } else { Ok(()) }
        })
    }

    async fn take_time(&self) {
        let slow = lock(&self.desk).slow;
        let pause = {
            let mut rng = lock(&self.rng);
            (rng.u32(0..100) < slow).then(|| Duration::from_millis(rng.u64(1..100)))
        };
        if let Some(pause) = pause {
            self.clock.sleep(pause).await;
        }
    }

    fn fails(&self) -> bool {
        let mut desk = lock(&self.desk);
        let fails = lock(&self.rng).u32(0..100) < desk.failures;
        desk.failed |= fails;
        fails
    }

    /// The record of `generation`, which a call is about.
    pub(crate) fn current(&self, generation: u64, what: &str) -> Option<Record> {
        let record = self.record().filter(|record| record.generation == generation);
        self.world.expect(record.is_some(), || format!("{what} of a generation that is not on record"));
        record
    }

    /// Whether the file, whatever its name is now, is `version` and nothing else.
    pub(crate) fn is_whole(&self, version: Version) -> bool {
        let bytes = self.on_disk(0..version.size + 1);
        bytes.len() as u64 == version.size && version.has(0, &bytes)
    }
}

/// A call that is being answered.
struct Busy<'a> {
    count: &'a AtomicU64,
    others: bool,
}

impl<'a> Busy<'a> {
    fn new(count: &'a AtomicU64) -> Self {
        let others = count.fetch_add(1, Ordering::Relaxed) > 0;
        Self { count, others }
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether there is no hole before any byte of it.
pub(crate) fn is_prefix(held: &RangeSet) -> bool {
    held.available_from(0) == held.len()
}

fn refused(what: &str) -> LedgerError {
    LedgerError { message: format!("no luck with {what}"), damaged: false, source: None }
}
