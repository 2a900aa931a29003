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

// ---- what is there ----

/// C11, C17, P22
#[test]
fn bytes_are_there_when_a_run_covers_them_and_never_across_a_gap() {
    let stage = Stage::of(1000);
    stage.write(0..100);
    stage.write(100..200);
    stage.write(300..1000);
    let there = |range| stage.content.wait_for(range).now_or_never() == Some(Ok(()));
    for (range, expected, because) in [
        (0..200, true, "two pieces that touch are one"),
        (50..150, true, "a part of what was merged"),
        (0..201, false, "one byte of the gap"),
        (150..350, false, "across the gap"),
        (250..260, false, "inside the gap"),
        (300..5000, true, "up to the end of the file"),
        (250..250, true, "nothing is always there"),
    ] {
        assert_eq!(there(range.clone()), expected, "{range:?}: {because}");
    }
    assert_eq!(stage.content.available_from(50), 200);
    assert_eq!(stage.content.available_from(200), 200);
    assert_eq!(stage.content.held(), RangeSet::from_iter([0..200, 300..1000]));
    assert_eq!(stage.content.total(), Some(1000));
}

/// C12
#[test]
fn waiting_for_what_is_there_asks_for_nothing() {
    let stage = Stage::of(1000);
    stage.write(0..1000);
    assert_eq!(stage.content.wait_for(10..20).now_or_never(), Some(Ok(())));
    assert_eq!(stage.claims(), []);
    assert!(stage.board.asked.notified().now_or_never().is_none(), "the engine was not even told");
}

// ---- waiting ----

/// C13, P28
#[test]
fn a_change_wakes_those_whose_bytes_came_and_nobody_else() {
    let stage = Stage::of(1000);
    let (mut first, mut second) =
        (pin!(stage.content.wait_for(0..100)), pin!(stage.content.wait_for(150..300)));
    let ((_, first_task), (_, second_task)) = (poll(first.as_mut()), poll(second.as_mut()));
    assert_eq!(stage.waiting(), 2);
    stage.write(0..50);
    stage.write(150..200);
    assert_eq!((first_task.woken(), second_task.woken()), (0, 0), "half of it is not enough");
    stage.write(50..100);
    assert_eq!((first_task.woken(), second_task.woken()), (1, 0));
    assert_eq!(poll(first.as_mut()).0, Poll::Ready(Ok(())));
    stage.write(200..300);
    assert_eq!(second_task.woken(), 1);
    assert_eq!(poll(second.as_mut()).0, Poll::Ready(Ok(())));
    assert_eq!(stage.waiting(), 0);
}

/// P28: each writer tells between a look and a wait of each waiter, sooner or later.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_wake_up_is_lost_between_a_look_and_a_wait() {
    let stage = Stage::of(500);
    let waiters: Vec<_> = (0..500)
        .map(|byte| {
            let content = stage.content.clone();
            tokio::spawn(async move { content.wait_for(byte..byte + 1).await })
        })
        .collect();
    for half in [0, 1] {
        for byte in (0..250).map(|byte| byte * 2 + half) {
            stage.board.tell(|notes| notes.written.insert(byte..byte + 1));
        }
    }
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap(), Ok(()));
    }
    assert_eq!((stage.waiting(), stage.claims().len()), (0, 0));
}

/// P29
#[test]
fn the_end_of_a_download_wakes_everybody_with_its_reason() {
    let stage = Stage::of(1000);
    let mut reader = stage.content.reader(0..1000);
    let mut request = stage.content.request(500..600, Priority::Low);
    let (mut waiting, mut reading) = (pin!(stage.content.wait_for(0..10)), pin!(reader.read_u8()));
    let (mut done, mut known) = (pin!(request.done()), pin!(stage.content.known()));
    assert_eq!(poll(known.as_mut()).0, Poll::Ready(Ok(1000)), "known before, known after");
    let tasks = [poll(waiting.as_mut()).1, poll(reading.as_mut()).1, poll(done.as_mut()).1];
    let error = stage.fail();
    assert!(tasks.iter().all(|task| task.woken() == 1));
    assert_eq!(poll(waiting.as_mut()).0, Poll::Ready(Err(error.clone())));
    assert_eq!(poll(done.as_mut()).0, Poll::Ready(Err(error.clone())));
    let Poll::Ready(Err(read)) = poll(reading.as_mut()).0 else { panic!("it can only fail") };
    assert_eq!(read.downcast::<WaitError>().unwrap(), error);
    // The first word counts.
    stage.board.end(End::Failed(WaitError::Stopped));
    assert_eq!(stage.content.wait_for(0..10).now_or_never(), Some(Err(error)));
}

/// P13
#[test]
fn each_way_to_end_has_its_own_error() {
    let later = WaitError::Failed {
        reason: "503".to_owned(),
        retryable: true,
        retry_in: Some(Duration::from_secs(600)),
    };
    for (end, expected) in [
        (End::Failed(WaitError::Stopped), WaitError::Stopped),
        (End::Failed(later.clone()), later),
        (End::Done, WaitError::Finished),
    ] {
        let stage = Stage::of(1000);
        stage.board.end(end);
        assert_eq!(stage.content.wait_for(0..10).now_or_never(), Some(Err(expected)));
        assert_eq!(
            stage.content.wait_for(1000..1001).now_or_never(),
            Some(Err(WaitError::PastTheEnd { total: 1000 })),
            "that would not have come anyway"
        );
    }
}

#[test]
fn a_range_past_the_end_fails_as_soon_as_the_end_is_known() {
    let stage = Stage::empty();
    let mut waiting = pin!(stage.content.wait_for(2000..3000));
    let (outcome, task) = poll(waiting.as_mut());
    assert!(outcome.is_pending());
    stage.begin(1, Some(1000));
    assert_eq!(task.woken(), 1);
    assert_eq!(poll(waiting.as_mut()).0, Poll::Ready(Err(WaitError::PastTheEnd { total: 1000 })));
}

/// C49, C57: somebody has to want a byte, or nobody asks the peer for anything.
#[test]
fn whoever_waits_for_the_length_wants_the_first_byte_for_as_long_as_it_waits() {
    let stage = Stage::empty();
    let mut known = Box::pin(stage.content.known());
    let (outcome, task) = poll(known.as_mut());
    assert!(outcome.is_pending());
    assert_eq!(stage.first_claim(), Some((Priority::Critical, 0)));
    stage.begin(1, None);
    assert_eq!(task.woken(), 0, "a representation of unknown length");
    stage.board.tell(|notes| notes.total = Some(5));
    assert_eq!(task.woken(), 1);
    assert_eq!(poll(known.as_mut()).0, Poll::Ready(Ok(5)));
    drop(known);
    assert_eq!(stage.claims(), []);
}

/// P30, C14, C23
#[test]
fn whoever_is_dropped_wants_and_waits_for_nothing() {
    let stage = Stage::of(10 * MIB);
    let mut waiting = Box::pin(stage.content.wait_for(0..10));
    let request = stage.content.request(MIB..2 * MIB, Priority::Low);
    let mut reader = stage.content.reader(5 * MIB..6 * MIB);
    assert!(poll(waiting.as_mut()).0.is_pending());
    finds_nothing(&mut reader);
    let wanted: Vec<_> = stage.claims().iter().map(|claim| (claim.priority, claim.range.start)).collect();
    let expected = [
        (Priority::Critical, 0),
        (Priority::Critical, 5 * MIB),
        (Priority::High, 5 * MIB),
        (Priority::Low, MIB),
    ];
    assert!(expected.iter().all(|claim| wanted.contains(claim)) && wanted.len() == 4, "{wanted:?}");
    assert_eq!(stage.waiting(), 2);
    drop(waiting);
    assert!(!stage.claims().iter().any(|claim| claim.range.start == 0));
    drop(request);
    assert!(!stage.claims().iter().any(|claim| claim.range.start == MIB));
    drop(reader);
    assert_eq!(stage.claims(), []);
    assert_eq!(stage.waiting(), 0);
    assert!(stage.board.asked.notified().now_or_never().is_some(), "the engine is told to look");
}

#[test]
fn a_request_can_be_made_more_urgent_and_waited_for_more_than_once() {
    let stage = Stage::of(1000);
    let mut request = stage.content.request(100..200, Priority::Low);
    assert_eq!(stage.first_claim(), Some((Priority::Low, 100)));
    request.set_priority(Priority::High);
    assert_eq!(stage.first_claim(), Some((Priority::High, 100)));
    assert!(request.done().now_or_never().is_none(), "dropped half-way");
    assert_eq!(stage.waiting(), 0);
    stage.write(100..200);
    assert_eq!(request.done().now_or_never(), Some(Ok(())));
    assert_eq!(request.done().now_or_never(), Some(Ok(())));
    assert_eq!(request.range(), 100..200);
}

// ---- reading ----

/// P04, P53: the file is as long as can be, and full of zeros.
#[tokio::test]
async fn a_reader_returns_no_byte_of_a_hole() {
    let stage = Stage::of(3 * KIB);
    stage.file.as_file().set_len(3 * KIB).unwrap();
    stage.write(0..KIB);
    stage.write(2 * KIB..3 * KIB);
    let mut reader = stage.content.reader(0..u64::MAX);
    assert_eq!(next(&mut reader, KIB).await, seeded_bytes(SEED, 0..KIB));
    finds_nothing(&mut reader);
    assert_eq!(stage.first_claim(), Some((Priority::Critical, KIB)));
    stage.write(KIB..2 * KIB);
    assert_eq!(next(&mut reader, 2 * KIB).await, seeded_bytes(SEED, KIB..3 * KIB));
    assert_eq!(reader.read(&mut [0; 10]).await.unwrap(), 0);
}

/// C21, C38: whatever the order in which it arrives.
#[tokio::test]
async fn many_readers_of_a_file_that_arrives_in_pieces_all_read_the_file() {
    let stage = Stage::of(2 * MIB);
    let readers: Vec<_> = (0..32)
        .map(|n| {
            let mut reader = stage.content.reader(n * 50_000..u64::MAX);
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                reader.read_to_end(&mut bytes).await.unwrap();
                assert!(bytes == seeded_bytes(SEED, n * 50_000..2 * MIB), "reader {n}");
            })
        })
        .collect();
    let mut rng = fastrand::Rng::with_seed(3);
    let mut pieces: Vec<_> = (0..128).map(|n| n * 16 * KIB..(n + 1) * 16 * KIB).collect();
    rng.shuffle(&mut pieces);
    for piece in pieces {
        stage.write(piece);
        tokio::task::yield_now().await;
    }
    for reader in readers {
        reader.await.unwrap();
    }
    assert_eq!((stage.waiting(), stage.claims().len()), (0, 0));
}

/// C28: as it reads on, it looks further ahead.
#[tokio::test]
async fn what_a_reader_wants_moves_on_with_it() {
    let stage = Stage::of(100 * MIB);
    stage.write(0..MIB);
    let mut reader = stage.content.reader(0..50 * MIB).read_ahead(6 * MIB);
    let ahead = || stage.claims().last().map(|claim| claim.range.clone()).unwrap();
    assert_eq!(ahead(), 0..4 * MIB, "before it has read a byte");
    assert_eq!(next(&mut reader, MIB).await, seeded_bytes(SEED, 0..MIB));
    assert_eq!(ahead(), MIB..6 * MIB, "what it read in one go comes on top");
    stage.write(MIB..4 * MIB);
    next(&mut reader, 3 * MIB).await;
    assert_eq!(ahead(), 4 * MIB..10 * MIB, "and no more than it may");
}

#[tokio::test]
async fn a_reader_blocks_once_and_then_waits_without_troubling_the_engine() {
    let stage = Stage::of(1000);
    let mut reader = stage.content.reader(0..1000);
    let told = || stage.board.asked.notified().now_or_never().is_some();
    assert!(told(), "of the reader");
    finds_nothing(&mut reader);
    assert!(told(), "that it stands still");
    finds_nothing(&mut reader);
    assert!(!told(), "which is nothing new");
    assert_eq!(stage.waiting(), 1, "one place, however often it is polled");
}

/// P04, P27: whatever the disk gave meanwhile.
#[test]
fn bytes_read_while_the_download_starts_over_are_thrown_away() {
    with_one_reading_thread(async {
        let stage = Stage::of(1000);
        stage.write(0..1000);
        let mut reader = stage.content.reader(0..1000);
        let outcome = read_meanwhile(&mut reader, || {
            stage.begin(2, Some(1000));
            stage.write(0..1000);
        });
        assert_eq!(outcome.await.unwrap_err().downcast::<WaitError>().unwrap(), WaitError::Changed);
        assert_eq!(reader.total(), None);
        assert_eq!(
            refused(&mut reader).await,
            WaitError::Changed,
            "it does not become another file's reader"
        );
        assert_eq!(next(&mut stage.content.reader(0..1000), 1000).await, seeded_bytes(SEED, 0..1000));
    });
}

/// What was taken from the file before is not returned afterwards: the caller would only learn later.
#[tokio::test]
async fn a_reader_stops_at_once_when_the_download_starts_over() {
    let stage = Stage::of(1000);
    stage.write(0..1000);
    let mut reader = stage.content.reader(0..1000);
    next(&mut reader, 10).await;
    stage.begin(2, Some(1000));
    assert_eq!(refused(&mut reader).await, WaitError::Changed);
}

#[tokio::test]
async fn a_blocked_reader_is_woken_when_the_download_starts_over() {
    let stage = Stage::of(1000);
    let mut reader = stage.content.reader(0..1000);
    let mut reading = pin!(reader.read_u8());
    let (_, task) = poll(reading.as_mut());
    stage.begin(2, Some(1000));
    assert_eq!(task.woken(), 1);
    assert_eq!(reading.await.unwrap_err().downcast::<WaitError>().unwrap(), WaitError::Changed);
}

/// C49: made before anything is known, it takes the first representation there is.
#[tokio::test]
async fn a_reader_that_comes_first_reads_the_first_representation() {
    let stage = Stage::empty();
    let mut reader = stage.content.reader(0..u64::MAX);
    finds_nothing(&mut reader);
    assert_eq!(reader.total(), None);
    stage.begin(1, None);
    stage.write(0..500);
    assert_eq!(next(&mut reader, 500).await, seeded_bytes(SEED, 0..500));
    finds_nothing(&mut reader);
    stage.board.tell(|notes| notes.total = Some(500));
    assert_eq!(reader.read(&mut [0; 10]).await.unwrap(), 0, "the body has ended");
    assert_eq!(reader.total(), Some(500));
}

/// Bytes that left `written` for another reason, such as a failed sync, are not believed even when they were read.
#[test]
fn bytes_that_are_given_up_while_they_are_read_are_waited_for_again() {
    with_one_reading_thread(async {
        let stage = Stage::of(1000);
        stage.write(0..1000);
        let mut reader = stage.content.reader(0..1000);
        let mut reading =
            pin!(read_meanwhile(&mut reader, || stage.board.tell(|notes| notes.written.remove(&(0..1000)))));
        until_waiting(&stage, reading.as_mut()).await;
        stage.write(0..1000);
        assert_eq!(reading.await.unwrap(), seeded_bytes(SEED, 0..1)[0]);
    });
}

/// The next download of the same target may be writing there.
#[test]
fn a_download_that_failed_hands_out_nothing_any_more() {
    with_one_reading_thread(async {
        let stage = Stage::of(1000);
        stage.write(0..500);
        let (mut before, mut during) = (stage.content.reader(0..500), stage.content.reader(0..500));
        next(&mut before, 10).await;
        let outcome = read_meanwhile(&mut during, || {
            stage.fail();
        });
        let error = outcome.await.unwrap_err().downcast::<WaitError>().unwrap();
        assert!(matches!(error, WaitError::Failed { .. }), "{error}");
        for mut reader in [before, during, stage.content.reader(0..500)] {
            assert_eq!(refused(&mut reader).await, error);
        }
        assert!(stage.board.notes().file.is_none());
    });
}

#[tokio::test]
async fn a_download_that_is_done_can_be_read_on() {
    let stage = Stage::of(1000);
    stage.write(0..500);
    let mut reader = stage.content.reader(0..1000);
    next(&mut reader, 10).await;
    stage.board.end(End::Done);
    stage.file.close().unwrap();
    assert_eq!(next(&mut reader, 490).await, seeded_bytes(SEED, 10..500), "whatever became of its name");
    assert_eq!(refused(&mut reader).await, WaitError::Finished);
}

/// C15, P22
#[tokio::test]
async fn a_reader_ends_at_the_end_of_its_range_or_of_the_file() {
    let stage = Stage::of(1000);
    stage.write(0..1000);
    for (range, expected) in [
        (0..1000, 0..1000),
        (0..1, 0..1),
        (999..1000, 999..1000),
        (990..u64::MAX, 990..1000),
        (0..0, 0..0),
        (1000..2000, 1000..1000),
        (5000..6000, 1000..1000),
    ] {
        let mut bytes = Vec::new();
        stage.content.reader(range.clone()).read_to_end(&mut bytes).await.unwrap();
        assert!(bytes == seeded_bytes(SEED, expected), "{range:?}");
    }
    let empty = Stage::of(0);
    assert_eq!(empty.content.reader(0..u64::MAX).read(&mut [0; 1]).await.unwrap(), 0);
}

// ---- seeking ----

#[tokio::test]
async fn positions_are_offsets_in_the_file() {
    let stage = Stage::of(1000);
    stage.write(0..1000);
    let mut reader = stage.content.reader(100..900);
    assert_eq!(reader.stream_position().await.unwrap(), 100);
    for (position, expected) in [
        (SeekFrom::Start(500), 500),
        (SeekFrom::Current(-400), 100),
        (SeekFrom::Current(300), 400),
        (SeekFrom::End(0), 900),
        (SeekFrom::End(-1), 899),
        (SeekFrom::End(50), 950),
    ] {
        assert_eq!(reader.seek(position).await.unwrap(), expected, "{position:?}");
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).await.unwrap();
        assert!(bytes == seeded_bytes(SEED, expected.min(900)..900), "{position:?}");
        reader.seek(SeekFrom::Start(expected)).await.unwrap();
    }
    for position in
        [SeekFrom::Start(99), SeekFrom::End(-801), SeekFrom::Current(-851), SeekFrom::Current(i64::MIN)]
    {
        let error = reader.seek(position).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{position:?}");
        assert_eq!(reader.stream_position().await.unwrap(), 950, "it stays where it was");
    }
    let mut short = stage.content.reader(0..5000);
    assert_eq!(short.seek(SeekFrom::End(-10)).await.unwrap(), 990, "the file ends before the range does");
}

#[tokio::test]
async fn a_seek_from_the_end_waits_until_the_end_is_known() {
    let stage = Stage::empty();
    let mut reader = stage.content.reader(0..u64::MAX);
    let mut seeking = pin!(reader.seek(SeekFrom::End(-5)));
    let (outcome, task) = poll(seeking.as_mut());
    assert!(outcome.is_pending());
    assert!(!stage.claims().is_empty(), "it is the reader that has the peer asked");
    stage.begin(1, Some(50));
    assert_eq!(task.woken(), 1);
    assert_eq!(seeking.await.unwrap(), 45);
    stage.write(45..50);
    assert_eq!(next(&mut reader, 5).await, seeded_bytes(SEED, 45..50));
    let hopeless = Stage::empty();
    let mut reader = hopeless.content.reader(0..u64::MAX);
    let error = hopeless.fail();
    let failed = reader.seek(SeekFrom::End(0)).await.unwrap_err();
    assert_eq!(failed.downcast::<WaitError>().unwrap(), error);
}

/// C30
#[tokio::test]
async fn of_many_seeks_only_the_last_place_is_wanted() {
    let stage = Stage::of(100 * MIB);
    let mut reader = stage.content.reader(0..100 * MIB);
    for place in [50, 20, 90, 70] {
        reader.seek(SeekFrom::Start(place * MIB)).await.unwrap();
        finds_nothing(&mut reader);
        assert!(stage.claims().iter().all(|claim| claim.range.start == place * MIB), "{:?}", stage.claims());
        assert_eq!(stage.first_claim(), Some((Priority::Critical, place * MIB)));
    }
    assert_eq!(stage.waiting(), 1);
}

/// What is in hand is not read again, and whoever asks where it stands has not moved.
#[tokio::test]
async fn a_short_step_forward_and_asking_where_one_is_are_no_seeks() {
    let stage = Stage::of(100 * MIB);
    stage.write(0..MIB);
    let mut reader = stage.content.reader(0..100 * MIB);
    next(&mut reader, 10).await;
    let before = stage.claims();
    reader.seek(SeekFrom::Current(1000)).await.unwrap();
    assert_eq!(reader.stream_position().await.unwrap(), 1010);
    assert_eq!(stage.claims(), before);
    assert_eq!(next(&mut reader, 10).await, seeded_bytes(SEED, 1010..1020));
}

#[test]
fn a_seek_away_from_a_read_that_is_under_way_returns_nothing_of_it() {
    with_one_reading_thread(async {
        let stage = Stage::of(100 * KIB);
        stage.write(0..100 * KIB);
        let mut reader = stage.content.reader(0..100 * KIB);
        let (release, released) = std::sync::mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || released.recv());
        finds_nothing(&mut reader);
        reader.seek(SeekFrom::Start(50 * KIB)).await.unwrap();
        finds_nothing(&mut reader);
        drop(release);
        assert!(busy.await.unwrap().is_err());
        assert_eq!(next(&mut reader, KIB).await, seeded_bytes(SEED, 50 * KIB..51 * KIB));
        reader.seek(SeekFrom::Start(0)).await.unwrap();
        assert_eq!(next(&mut reader, KIB).await, seeded_bytes(SEED, 0..KIB));
    });
}

// ---- what the disk does not give back ----

/// C51, C53, P10, P24
#[tokio::test]
async fn bytes_that_cannot_be_read_are_fetched_again_and_only_those() {
    let stage = Stage::of(100 * KIB);
    stage.write(0..100 * KIB);
    // A file nobody may read stands for a disk that does not give its sectors back.
    let (deaf, good) = (unreadable(), stage.board.notes().file.clone());
    let mut reader = stage.content.reader(0..100 * KIB);
    next(&mut reader, 16 * KIB).await;
    stage.board.notes().file = Some(deaf);
    let mut reading = pin!(reader.read_u8());
    let task = until_waiting(&stage, reading.as_mut()).await;
    assert_eq!(
        stage.content.available_from(0),
        16 * KIB,
        "it counts as missing from the moment it is found out"
    );
    assert!(stage.content.wait_for(40 * KIB..41 * KIB).now_or_never().is_none(), "for everybody");
    stage.board.notes().file = good;
    assert_eq!(stage.take_unreadable(), [(1, 16 * KIB..48 * KIB)]);
    assert_eq!(task.woken(), 0, "not before they are there again");
    assert_eq!(stage.first_claim(), Some((Priority::Critical, 16 * KIB)));
    stage.write(16 * KIB..48 * KIB);
    assert_eq!(task.woken(), 1);
    assert_eq!(reading.await.unwrap(), seeded_bytes(SEED, 16 * KIB..16 * KIB + 1)[0]);
    assert_eq!(next(&mut reader, 80 * KIB).await, seeded_bytes(SEED, 16 * KIB + 1..96 * KIB + 1));
}

#[tokio::test]
async fn bytes_that_cannot_be_read_a_second_time_are_unreadable() {
    let stage = Stage::of(KIB);
    stage.write(0..KIB);
    stage.board.notes().file = Some(unreadable());
    let mut reader = stage.content.reader(0..KIB);
    let mut reading = Box::pin(reader.read_u8());
    until_waiting(&stage, reading.as_mut()).await;
    stage.take_unreadable();
    stage.write(0..KIB);
    let error = reading.await.unwrap_err().downcast::<WaitError>().unwrap();
    assert!(matches!(error, WaitError::Unreadable(_)), "{error}");
    assert!(stage.board.notes().unreadable.is_empty(), "nothing more to be done about it");
}

/// Somebody cut the file: everything behind its end is gone, not only what the reader wanted of it.
#[tokio::test]
async fn a_file_that_was_cut_is_missing_from_there_to_the_next_gap() {
    let stage = Stage::of(MIB);
    stage.write(0..800 * KIB);
    stage.write(900 * KIB..MIB);
    stage.file.as_file().set_len(10 * KIB).unwrap();
    let mut reader = stage.content.reader(0..MIB);
    assert_eq!(next(&mut reader, 10 * KIB).await, seeded_bytes(SEED, 0..10 * KIB), "what is left of it");
    let mut reading = pin!(reader.read_u8());
    until_waiting(&stage, reading.as_mut()).await;
    assert_eq!(stage.take_unreadable(), [(1, 10 * KIB..800 * KIB)]);
}

/// Nobody is left who could fetch them.
#[tokio::test]
async fn after_the_download_bytes_that_cannot_be_read_are_unreadable_at_once() {
    for ends_first in [true, false] {
        let stage = Stage::of(KIB);
        stage.write(0..KIB);
        stage.board.notes().file = Some(unreadable());
        let mut reader = stage.content.reader(0..KIB);
        let mut reading = Box::pin(reader.read_u8());
        if ends_first {
            stage.board.end(End::Done);
        } else {
            until_waiting(&stage, reading.as_mut()).await;
            stage.board.end(End::Done);
        }
        let error = reading.await.unwrap_err().downcast::<WaitError>().unwrap();
        assert!(matches!(error, WaitError::Unreadable(_)), "{error}");
    }
}

/// A complaint about a generation that is gone takes nothing from the next.
#[tokio::test]
async fn what_could_not_be_read_of_the_old_file_does_not_count_against_the_new_one() {
    let stage = Stage::of(KIB);
    stage.board.ask(|notes| notes.unreadable.push((1, 0..KIB)));
    stage.begin(2, Some(KIB));
    stage.write(0..KIB);
    assert_eq!(next(&mut stage.content.reader(0..KIB), KIB).await, seeded_bytes(SEED, 0..KIB));
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
