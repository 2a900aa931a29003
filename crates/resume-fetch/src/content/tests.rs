//! The reading side without an engine: a real file, and the test in the engine's place.

use std::fs::File;
use std::io::SeekFrom;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use retry_kit::{Clock, ManualClock};
use scripted_peer::seeded_bytes;
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

mod mapping;
mod reading;
mod seeking;
mod unreadable;
mod waiting;

use super::*;
use crate::board::End;
use crate::request::Wanted;
use crate::schedule::{Claim, Demand};

const SEED: u64 = 7;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// A board, the file behind it, and everything an engine would do to the two.
struct Stage {
    board: Arc<Board>,
    clock: ManualClock,
    file: NamedTempFile,
    content: Content,
}

impl Stage {
    /// Nothing is known yet, and nothing is fetched that nobody asks for.
    fn empty() -> Self {
        let clock = ManualClock::new();
        let board = Arc::new(Board::new(Demand::new(Wanted::OnDemand, clock.now())));
        let content = Content::new(Arc::clone(&board), Arc::new(clock.clone()));
        Self { board, clock, file: NamedTempFile::new().unwrap(), content }
    }

    /// The first generation, of `total` bytes.
    fn of(total: u64) -> Self {
        let stage = Self::empty();
        stage.begin(1, Some(total));
        stage
    }

    /// Begins a generation with nothing held.
    fn begin(&self, generation: u64, total: Option<u64>) {
        let file = Arc::new(self.file.reopen().unwrap());
        self.board.tell(|notes| {
            (notes.generation, notes.total, notes.file) = (generation, total, Some(file));
            notes.written.clear();
        });
        self.file.as_file().set_len(0).unwrap();
    }

    /// Writes the right bytes, and tells.
    fn write(&self, range: Range<u64>) {
        self.file.as_file().write_all_at(&seeded_bytes(SEED, range.clone()), range.start).unwrap();
        self.board.tell(|notes| notes.written.insert(range));
    }

    /// What an engine does with bytes that were found unreadable: they are missing from now on.
    fn take_unreadable(&self) -> Vec<(u64, Range<u64>)> {
        self.board.tell(|notes| {
            let unreadable = std::mem::take(&mut notes.unreadable);
            for (_, range) in &unreadable {
                notes.written.remove(range);
            }
            unreadable
        })
    }

    fn claims(&self) -> Vec<Claim> {
        self.board.notes().demand.claims(u64::MAX, self.clock.now())
    }

    /// Priority and first byte of the most urgent claim.
    fn first_claim(&self) -> Option<(Priority, u64)> {
        self.claims().first().map(|claim| (claim.priority, claim.range.start))
    }

    fn waiting(&self) -> usize {
        self.board.notes().waiting()
    }

    fn fail(&self) -> WaitError {
        let error = WaitError::Failed { reason: "404".to_owned(), retryable: false, retry_in: None };
        self.board.end(End::Failed(error.clone()));
        error
    }
}

/// A task that counts how often it is woken.
#[derive(Default)]
struct Task(AtomicUsize);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Polls `future` once, as a task whose wakes are counted.
fn poll<F: Future>(future: Pin<&mut F>) -> (Poll<F::Output>, Arc<Task>) {
    let task = Arc::new(Task::default());
    let waker = Waker::from(Arc::clone(&task));
    (future.poll(&mut Context::from_waker(&waker)), task)
}

impl Task {
    fn woken(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// Lets `reader` begin to read from the file, has `meanwhile` done before the file is looked at, and lets it go on.
async fn read_meanwhile(reader: &mut Reader, meanwhile: impl FnOnce()) -> std::io::Result<u8> {
    let mut reading = pin!(reader.read_u8());
    let (release, released) = std::sync::mpsc::channel::<()>();
    let busy = tokio::task::spawn_blocking(move || released.recv());
    assert!(poll(reading.as_mut()).0.is_pending(), "the only thread that reads is busy");
    meanwhile();
    drop(release);
    assert!(busy.await.unwrap().is_err());
    reading.await
}

/// Runs a test on a runtime where only one thread reads files.
fn with_one_reading_thread(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.max_blocking_threads(1).enable_all().build().unwrap().block_on(test);
}

/// The next `length` bytes of a reader, which have to come.
async fn next(reader: &mut Reader, length: u64) -> Vec<u8> {
    let mut bytes = vec![0; length as usize];
    reader.read_exact(&mut bytes).await.unwrap();
    bytes
}

/// A read that finds nothing, and so only says what it waits for.
fn finds_nothing(reader: &mut Reader) {
    let outcome = reader.read_u8().now_or_never();
    assert!(outcome.is_none(), "{outcome:?}");
}

/// The reason of a read that fails.
async fn refused(reader: &mut Reader) -> WaitError {
    let error = reader.read_u8().await.unwrap_err();
    assert_ne!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    error.downcast().unwrap()
}

/// A file that can be opened and not be read.
fn unreadable() -> Arc<File> {
    let file = NamedTempFile::new().unwrap();
    Arc::new(File::options().write(true).open(file.path()).unwrap())
}

/// Polls until the read on the blocking thread has ended and the reader waits for bytes.
async fn until_waiting<F: Future>(stage: &Stage, mut future: Pin<&mut F>) -> Arc<Task> {
    loop {
        let (outcome, task) = poll(future.as_mut());
        assert!(outcome.is_pending(), "it was to wait");
        if stage.waiting() > 0 {
            return task;
        }
        tokio::task::yield_now().await;
    }
}
