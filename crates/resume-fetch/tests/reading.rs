//! Reading while downloading: what is waited for comes first, what is returned is right, and who leaves is forgotten.

#![allow(clippy::single_range_in_vec_init, reason = "a set of one byte range is what is meant")]

mod common;

use std::io::SeekFrom;
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use common::{FILE, Lab, MIB, OTHER, SEED, drive, file, once, other_file};
use futures_util::FutureExt;
use resume_fetch::{
    Connections, Download, Event, FetchErrorKind, FetchRequest, Phase, Priority, RangeSet, Reader, WaitError,
    Wanted,
};
use retry_kit::{Clock as _, ManualClock, TokioClock};
use scripted_peer::{Answer, Gate, RecordedRequest, Representation, assert_same_bytes, seeded_bytes};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

const KIB: u64 = common::KIB;
/// Large enough that the middle is far from both ends.
const LONG: u64 = 8 * MIB;

fn long_file() -> Representation {
    Representation::seeded(SEED, LONG).etag("\"long\"")
}

/// Brings what is asked for and nothing else.
fn on_demand(request: FetchRequest) -> FetchRequest {
    request.want(Wanted::OnDemand)
}

/// Each way to use connections.
fn any_connections() -> [Connections; 3] {
    [Connections::SEQUENTIAL, Connections::adaptive(4), Connections::fixed(4)]
}

/// The next bytes of a reader, compared with those of the source.
async fn reads(reader: &mut Reader, range: Range<u64>) {
    assert_eq!(reader.stream_position().await.expect("no seek is under way"), range.start);
    let mut bytes = vec![0; (range.end - range.start) as usize];
    reader.read_exact(&mut bytes).await.expect("readable bytes");
    assert!(bytes == seeded_bytes(SEED, range.clone()), "{range:?} is not what the peer has there");
}

/// All that is left of a reader.
async fn rest(reader: &mut Reader) -> Vec<u8> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).await.expect("readable bytes");
    bytes
}

/// The reason of a read that fails.
async fn refused(reader: &mut Reader) -> WaitError {
    let error = reader.read_u8().await.expect_err("it was to fail");
    error.downcast().expect("an error that says why")
}

/// First bytes of the requests, in order.
fn starts(requests: &[RecordedRequest]) -> Vec<u64> {
    requests.iter().map(|request| request.asked().map_or(0, |(from, _)| from)).collect()
}

/// Everything the peer was asked for came from living demand, and ends with it.
async fn stop(download: Download) -> RangeSet {
    let content = download.content();
    download.stopper().cancel();
    let error = download.await.expect_err("nothing else ends it");
    assert!(matches!(error.kind, FetchErrorKind::Stopped), "{error}");
    content.held()
}

// ---- order ----

/// C21, C28, C38
#[tokio::test]
async fn a_slow_download_read_in_order_from_its_start_returns_the_source() {
    for connections in any_connections() {
        let lab = Lab::new(Representation::seeded(SEED, 3 * MIB).etag("\"a\"")).await;
        lab.peer.limit_rate(24 * MIB);
        let download = lab.start(lab.request().connections(connections));
        let mut reader = download.reader(0..u64::MAX);
        assert!(rest(&mut reader).await == seeded_bytes(SEED, 0..3 * MIB), "{connections:?}");
        drive(download).await.done();
        lab.published(SEED, 3 * MIB);
    }
}

/// C16, C46: no time is asserted; the rest cannot come before the gate opens.
#[tokio::test]
async fn head_tail_and_middle_are_there_long_before_the_rest() {
    for connections in any_connections() {
        let lab = Lab::new(long_file()).await;
        let gate = Gate::closed();
        lab.peer.always(FILE, Answer::hold_at(64 * KIB, &gate));
        let download = lab.start(lab.request().connections(connections));
        download.wait_for(0..16).await.unwrap();
        download.wait_for(LONG - 16..LONG).await.unwrap();
        download.wait_for(LONG / 2..LONG / 2 + 16).await.unwrap();
        let content = download.content();
        assert_eq!(content.known().await, Ok(LONG));
        assert!(content.held().len() < MIB, "{:?}", content.held());
        assert_eq!(content.available_from(LONG - 16), LONG);
        let mut tail = content.reader(LONG - 16..LONG);
        assert!(rest(&mut tail).await == seeded_bytes(SEED, LONG - 16..LONG));
        gate.release();
        drive(download).await.done();
        lab.published(SEED, LONG);
    }
}

/// C29
#[tokio::test]
async fn a_seek_forward_is_the_next_range_requested() {
    let lab = Lab::new(long_file()).await;
    let gate = Gate::closed();
    lab.peer.script(FILE, [Answer::hold_at(64 * KIB, &gate)]);
    let download = lab.start(on_demand(lab.request()).connections(Connections::SEQUENTIAL));
    let mut reader = download.reader(0..LONG);
    reads(&mut reader, 0..64 * KIB).await;
    reader.seek(SeekFrom::Start(6 * MIB)).await.unwrap();
    reads(&mut reader, 6 * MIB..6 * MIB + 16).await;
    assert_eq!(starts(&lab.peer.requests(FILE)), [0, 6 * MIB]);
    drop(reader);
    stop(download).await;
    lab.record_is_true(SEED).await;
}

#[tokio::test]
async fn a_map_shows_what_is_held_what_is_on_its_way_and_what_a_reader_waits_for() {
    let lab = Lab::new(long_file()).await;
    let (first, second) = (Gate::closed(), Gate::closed());
    lab.peer.script(FILE, [Answer::hold_at(64 * KIB, &first), Answer::hold_at(64 * KIB, &second)]);
    let download = lab.start(lab.request().connections(Connections::SEQUENTIAL));
    let content = download.content();
    let set = |ranges: &[Range<u64>]| ranges.iter().cloned().collect::<RangeSet>();
    content.wait_for(0..64 * KIB).await.unwrap();
    let coverage = content.coverage();
    assert_eq!((coverage.generation, coverage.total), (Some(1), Some(LONG)));
    assert_eq!(coverage.held, set(&[0..64 * KIB]));
    assert_eq!((coverage.arriving, coverage.wanted), (set(&[64 * KIB..LONG]), RangeSet::new()));
    let mut reader = content.reader(6 * MIB..7 * MIB);
    reads(&mut reader, 6 * MIB..6 * MIB + 64 * KIB).await;
    let (there, missing) = (6 * MIB + 64 * KIB, 7 * MIB);
    let coverage = content.coverage();
    assert_eq!(coverage.held, set(&[0..64 * KIB, 6 * MIB..there]));
    assert_eq!(coverage.wanted, set(&[there..missing]));
    assert!(coverage.arriving.covers(&(there..missing)), "{coverage:?}");
    drop(reader);
    first.release();
    second.release();
    drive(download).await.done();
    let whole = content.coverage();
    assert_eq!((whole.held, whole.arriving, whole.wanted), (set(&[0..LONG]), set(&[]), set(&[])));
    lab.published(SEED, LONG);
}

/// C29: a download of the whole file does not queue the seek behind the rest of it either.
#[tokio::test]
async fn a_seek_in_a_whole_download_goes_before_the_rest_of_the_file() {
    for connections in any_connections() {
        let lab = Lab::new(long_file()).await;
        let gate = Gate::closed();
        lab.peer.always(FILE, Answer::hold_at(64 * KIB, &gate));
        let download = lab.start(lab.request().connections(connections));
        let mut reader = download.reader(0..LONG);
        reads(&mut reader, 0..16).await;
        let place = LONG - 20;
        reader.seek(SeekFrom::Start(place)).await.unwrap();
        reads(&mut reader, place..place + 16).await;
        assert!(starts(&lab.peer.requests(FILE)).contains(&place), "{connections:?}");
        gate.release();
        assert!(rest(&mut reader).await == seeded_bytes(SEED, place + 16..LONG));
        drive(download).await.done();
        lab.published(SEED, LONG);
    }
}

/// C18, C29
#[tokio::test]
async fn a_seek_back_into_held_bytes_sends_no_request() {
    let lab = Lab::new(long_file()).await;
    let (first, second) = (Gate::closed(), Gate::closed());
    lab.peer.script(FILE, [Answer::hold_at(64 * KIB, &first), Answer::hold_at(64 * KIB, &second)]);
    let download = lab.start(on_demand(lab.request()).connections(Connections::SEQUENTIAL));
    // Without looking ahead: else it would want what follows the held bytes, and rightly so.
    let mut reader = download.reader(0..LONG).read_ahead(0);
    reads(&mut reader, 0..64 * KIB).await;
    reader.seek(SeekFrom::Start(6 * MIB)).await.unwrap();
    reads(&mut reader, 6 * MIB..6 * MIB + 64 * KIB).await;
    for _ in 0..2 {
        reader.rewind().await.unwrap();
        reads(&mut reader, 0..64 * KIB).await;
        reader.seek(SeekFrom::Start(6 * MIB)).await.unwrap();
        reads(&mut reader, 6 * MIB..6 * MIB + 64 * KIB).await;
    }
    assert_eq!(starts(&lab.peer.requests(FILE)), [0, 6 * MIB]);
}

/// C30
#[tokio::test]
async fn of_several_seeks_the_last_one_wins() {
    let lab = Lab::new(long_file()).await;
    let (gate, stale) = (Gate::closed(), Gate::closed());
    lab.peer.script(FILE, [Answer::hold_at(64 * KIB, &gate), Answer::hold_head(&stale)]);
    let download = lab.start(on_demand(lab.request()).connections(Connections::SEQUENTIAL));
    let mut reader = download.reader(0..LONG);
    reads(&mut reader, 0..64 * KIB).await;
    // Nobody gets to act on the first two.
    for place in [3 * MIB, 5 * MIB, 2 * MIB] {
        reader.seek(SeekFrom::Start(place)).await.unwrap();
    }
    assert!(reader.read_u8().now_or_never().is_none());
    stale.parked(1).await;
    // The third was acted on, and is left all the same.
    reader.seek(SeekFrom::Start(6 * MIB)).await.unwrap();
    reads(&mut reader, 6 * MIB..6 * MIB + 16).await;
    let left = |requests: &[RecordedRequest]| requests.get(1).is_some_and(|stale| stale.hung_up);
    let requests = lab.peer.wait_until(FILE, "the stale request to be left", left).await;
    assert_eq!(starts(&requests), [0, 2 * MIB, 6 * MIB]);
}

/// C10: what somebody waits for drives out what nobody waits for, and nothing is fetched twice.
#[tokio::test]
async fn a_request_that_becomes_urgent_is_served_before_others() {
    let lab = Lab::new(long_file()).await;
    let gate = Gate::closed();
    lab.peer.script(FILE, [Answer::hold_at(64 * KIB, &gate)]);
    let download = lab.start(on_demand(lab.request()).connections(Connections::SEQUENTIAL));
    let mut first = download.request(0..2 * MIB, Priority::Normal);
    download.wait_for(0..64 * KIB).await.unwrap();
    let mut second = download.request(3 * MIB..4 * MIB, Priority::Low);
    let mut third = download.request(6 * MIB..7 * MIB, Priority::Low);
    third.set_priority(Priority::Critical);
    third.done().await.unwrap();
    first.done().await.unwrap();
    second.done().await.unwrap();
    assert_eq!(starts(&lab.peer.requests(FILE)), [0, 6 * MIB, 64 * KIB, 3 * MIB]);
    let held = stop(download).await;
    assert_eq!(held, RangeSet::from_iter([0..2 * MIB, 3 * MIB..4 * MIB, 6 * MIB..7 * MIB]));
    lab.record_is_true(SEED).await;
}

// ---- many ----

/// C31
#[tokio::test]
async fn many_readers_of_one_download_all_read_the_source() {
    for connections in any_connections() {
        let lab = Lab::new(long_file()).await;
        let download = lab.start(on_demand(lab.request()).connections(connections));
        let content = download.content();
        let mut readers = tokio::task::JoinSet::new();
        for n in 0..6 {
            let content = content.clone();
            readers.spawn(async move {
                let range = n * MIB + 1..(n + 3) * MIB;
                let bytes = rest(&mut content.reader(range.clone())).await;
                assert!(bytes == seeded_bytes(SEED, range), "reader {n}");
            });
        }
        while let Some(outcome) = readers.join_next().await {
            outcome.unwrap();
        }
        stop(download).await;
        lab.record_is_true(SEED).await;
    }
}

// ---- leaving ----

/// C14, C23, C39
#[tokio::test]
async fn the_requests_of_a_reader_that_is_dropped_stop() {
    let lab = Lab::new(long_file()).await;
    let gate = Gate::closed();
    lab.peer.script(FILE, [Answer::hold_at(64 * KIB, &gate)]);
    // One connection: a second one would bring what the first holds back.
    let download = lab.start(on_demand(lab.request()).connections(Connections::SEQUENTIAL));
    let mut reader = download.reader(0..LONG);
    reads(&mut reader, 0..64 * KIB).await;
    drop(reader);
    let left = |requests: &[RecordedRequest]| requests.iter().all(|request| request.hung_up);
    lab.peer.wait_until(FILE, "the request to be left", left).await;
    // Whoever comes next is served, and nothing is fetched for the one who left.
    download.wait_for(5 * MIB..5 * MIB + 16).await.unwrap();
    assert_eq!(starts(&lab.peer.requests(FILE)), [0, 5 * MIB]);
    let held = stop(download).await;
    assert_eq!(held, RangeSet::from_iter([0..64 * KIB, 5 * MIB..5 * MIB + 16]));
    lab.record_is_true(SEED).await;
}

/// C12: nobody wants anything.
#[tokio::test]
async fn an_on_demand_download_without_demand_asks_the_peer_for_nothing() {
    let lab = Lab::new(long_file()).await;
    let download = lab.start(on_demand(lab.request()));
    tokio::task::yield_now().await;
    stop(download).await;
    assert_eq!(lab.peer.connections(), 0);
}

/// P09, C57
#[tokio::test]
async fn whoever_only_wants_to_know_the_length_learns_it_for_a_byte() {
    let lab = Lab::new(long_file()).await;
    let download = lab.start(on_demand(lab.request()));
    assert_eq!(download.content().known().await, Ok(LONG));
    let held = stop(download).await;
    assert!(held.len() <= 1, "{held:?}");
}

/// C18, C35
#[tokio::test]
async fn what_an_earlier_run_brought_is_read_without_a_request() {
    let lab = Lab::holding(300 * KIB).await;
    let before = lab.peer.connections();
    let download = lab.start(on_demand(lab.request()));
    let mut reader = download.reader(0..300 * KIB);
    reads(&mut reader, 0..300 * KIB).await;
    assert_eq!(reader.total(), Some(MIB));
    stop(download).await;
    assert_eq!(lab.peer.connections(), before);
}

// ---- the end ----

/// C54: the file is read where it is, whatever it is called.
#[tokio::test]
async fn a_reader_survives_the_publish_and_reads_on() {
    let lab = Lab::new(long_file()).await;
    let mut download = lab.start(lab.request());
    let (content, mut reader) = (download.content(), download.reader(0..u64::MAX));
    reads(&mut reader, 0..KIB).await;
    (&mut download).await.unwrap();
    drop(download);
    assert_same_bytes(lab.target(), SEED, LONG);
    std::fs::remove_file(lab.target()).unwrap();
    assert!(rest(&mut reader).await == seeded_bytes(SEED, KIB..LONG));
    let mut late = content.reader(LONG - KIB..LONG);
    assert!(rest(&mut late).await == seeded_bytes(SEED, LONG - KIB..LONG));
}

/// C54: what was wanted of it stays readable after the download is over, and nothing else comes.
#[tokio::test]
async fn a_download_of_some_ranges_can_be_read_after_it_is_done() {
    let lab = Lab::new(long_file()).await;
    let ranges = RangeSet::from_iter([0..KIB, LONG - KIB..LONG]);
    let download = lab.start(lab.request().want(Wanted::Ranges(ranges.clone())));
    let content = download.content();
    let done = drive(download).await.done();
    assert!(!done.published && !lab.target().exists());
    assert_eq!(content.held(), ranges);
    for range in ranges.iter() {
        assert!(rest(&mut content.reader(range.clone())).await == seeded_bytes(SEED, range));
    }
    assert_eq!(content.wait_for(MIB..2 * MIB).await, Err(WaitError::Finished));
    assert_eq!(refused(&mut content.reader(MIB..2 * MIB)).await, WaitError::Finished);
}

/// P13, P29, C06
#[tokio::test]
async fn a_failure_reaches_everybody_who_waits_and_says_whether_to_come_back() {
    for (status, expected) in [(404, false), (503, true)] {
        let lab = Lab::new(long_file()).await;
        let gate = Gate::closed();
        lab.peer.always(FILE, Answer::status(status).and(Answer::hold_head(&gate)));
        let download = lab.start(once(lab.request()));
        let content = download.content();
        let (waiting, mut reader) = (download.wait_for(5 * MIB..6 * MIB), download.reader(0..LONG));
        let mut request = download.request(MIB..2 * MIB, Priority::Low);
        let release = async {
            gate.parked(1).await;
            gate.release();
        };
        let (waited, read, done, known, ()) =
            tokio::join!(waiting, refused(&mut reader), request.done(), content.known(), release);
        for error in [waited.unwrap_err(), read, done.unwrap_err(), known.unwrap_err()] {
            let WaitError::Failed { retryable, .. } = &error else { panic!("{status}: {error:?}") };
            assert_eq!(*retryable, expected, "{status}: {error}");
        }
        drive(download).await.failed();
    }
}

/// P13, P29: told apart from a failure.
#[tokio::test]
async fn a_download_that_is_stopped_or_dropped_tells_those_who_wait() {
    for is_dropped in [true, false] {
        let lab = Lab::new(long_file()).await;
        lab.peer.script(FILE, [Answer::stall_at(64 * KIB)]);
        let download = lab.start(lab.request().connections(Connections::SEQUENTIAL));
        let content = download.content();
        content.wait_for(0..64 * KIB).await.unwrap();
        let mut reader = content.reader(64 * KIB..LONG);
        assert!(reader.read_u8().now_or_never().is_none());
        if is_dropped {
            drop(download);
        } else {
            stop(download).await;
        }
        assert_eq!(refused(&mut reader).await, WaitError::Stopped);
        assert_eq!(content.wait_for(MIB..2 * MIB).await, Err(WaitError::Stopped));
        assert_eq!(
            refused(&mut content.reader(0..KIB)).await,
            WaitError::Stopped,
            "the next download may write there"
        );
    }
}

/// P13: the deadline is the caller's, and two looks say what the download is doing.
#[tokio::test]
async fn a_download_that_has_not_begun_says_so() {
    let lab = Lab::new(long_file()).await;
    let gate = Gate::closed();
    lab.peer.script(FILE, [Answer::hold_head(&gate)]);
    let download = lab.start(lab.request());
    let mut waiting = pin!(download.wait_for(0..16));
    assert!((&mut waiting).now_or_never().is_none());
    gate.parked(1).await;
    assert_eq!(download.content().total(), None);
    assert_eq!(download.progress().borrow().phase, Phase::Connecting);
    gate.release();
    waiting.await.unwrap();
    assert_eq!(download.content().total(), Some(LONG));
}

/// P22, C15
#[tokio::test]
async fn waiting_for_what_lies_past_the_end_fails() {
    let lab = Lab::new(file()).await;
    let download = lab.start(lab.request());
    let past = Err(WaitError::PastTheEnd { total: MIB });
    assert_eq!(download.wait_for(2 * MIB..3 * MIB).await, past, "before anybody knows where the file ends");
    assert_eq!(download.wait_for(MIB..MIB + 1).await, past, "and after");
    assert_eq!(download.wait_for(MIB - 1..u64::MAX).await, Ok(()), "up to the end");
    assert_eq!(download.reader(5 * MIB..6 * MIB).read(&mut [0; 1]).await.unwrap(), 0);
    drive(download).await.done();
}

/// P22, P52: one wrong guess takes nothing from anybody else.
#[tokio::test]
async fn whoever_asks_past_the_end_does_not_end_the_download() {
    let lab = Lab::new(file()).await;
    let download = lab.start(on_demand(lab.request()));
    let past = Err(WaitError::PastTheEnd { total: MIB });
    assert_eq!(download.wait_for(2 * MIB..3 * MIB).await, past);
    assert_eq!(download.reader(5 * MIB..6 * MIB).read(&mut [0; 1]).await.unwrap(), 0);
    assert_eq!(download.wait_for(MIB - 16..u64::MAX).await, Ok(()));
    let held = stop(download).await;
    assert!(held.covers(&(MIB - 16..MIB)));
}

// ---- what goes wrong ----

/// P27, P29
#[tokio::test]
async fn a_reader_of_a_file_that_changes_is_told_and_a_new_one_reads_the_new_file() {
    let lab = Lab::new(file()).await;
    lab.peer.script(FILE, [Answer::truncate_at(100 * KIB).and(Answer::then_serve(other_file()))]);
    let download = lab.start(lab.request());
    let content = download.content();
    let mut reader = content.reader(0..u64::MAX);
    reads(&mut reader, 0..KIB).await;
    let mut bytes = Vec::new();
    let error = reader.read_to_end(&mut bytes).await.unwrap_err();
    assert_eq!(error.downcast::<WaitError>().unwrap(), WaitError::Changed);
    assert!(bytes == seeded_bytes(SEED, KIB..KIB + bytes.len() as u64), "all of it of the first");
    assert!(rest(&mut content.reader(0..u64::MAX)).await == seeded_bytes(OTHER, 0..MIB));
    let fetched = drive(download).await;
    assert_eq!(fetched.restarts().len(), 1);
    lab.published(OTHER, MIB);
}

/// C32: nobody has to notice.
#[tokio::test]
async fn a_reader_reads_on_over_connections_that_die() {
    for connections in any_connections() {
        let lab = Lab::new(Representation::seeded(SEED, 3 * MIB).etag("\"a\"")).await;
        lab.peer.script(FILE, (1..=3).map(|n| Answer::reset_at(n * 200 * KIB)));
        let download = lab.start(lab.request().connections(connections));
        assert!(rest(&mut download.reader(0..u64::MAX)).await == seeded_bytes(SEED, 0..3 * MIB));
        drive(download).await.done();
        lab.published(SEED, 3 * MIB);
    }
}

/// C51, C53, P10, P24: the record is corrected before they are asked for again.
#[tokio::test]
async fn recorded_bytes_that_cannot_be_read_are_fetched_again() {
    let lab = Lab::new(long_file()).await;
    let gate = Gate::closed();
    lab.peer.script(FILE, [Answer::hold_at(MIB, &gate)]);
    let download = lab.start(lab.request().connections(Connections::SEQUENTIAL));
    download.wait_for(0..MIB).await.unwrap();
    let mut reader = download.reader(0..u64::MAX);
    reads(&mut reader, 0..16).await;
    // Somebody cuts the part behind our back.
    std::fs::File::options().write(true).open(lab.part()).unwrap().set_len(100 * KIB).unwrap();
    assert!(rest(&mut reader).await == seeded_bytes(SEED, 16..LONG));
    let fetched = drive(download).await;
    let lost: Vec<_> = fetched
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Unreadable { range } => Some(range.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(RangeSet::from_iter(lost), RangeSet::from_iter([100 * KIB..MIB]));
    assert_eq!(starts(&lab.peer.requests(FILE))[..2], [0, 100 * KIB]);
    fetched.done();
    lab.published(SEED, LONG);
}

/// P04: an error is never a short file.
#[tokio::test]
async fn a_download_that_fails_in_the_middle_fails_the_read_there() {
    let lab = Lab::new(long_file()).await;
    lab.peer.script(FILE, [Answer::truncate_at(100 * KIB)]);
    lab.peer.always(FILE, Answer::status(404));
    let download = lab.start(lab.request());
    let mut bytes = Vec::new();
    let error = download.reader(0..u64::MAX).read_to_end(&mut bytes).await.unwrap_err();
    assert!(matches!(error.downcast().unwrap(), WaitError::Failed { retryable: false, .. }));
    assert!(bytes == seeded_bytes(SEED, 0..bytes.len() as u64) && bytes.len() as u64 <= 100 * KIB);
    drive(download).await.failed();
}

/// C10: a body that has fallen silent under a reader is not waited for as if nobody stood there; one that has brought
/// nothing yet is.
#[tokio::test]
async fn a_reader_does_not_wait_for_a_body_that_has_fallen_silent() {
    let clock = ManualClock::new();
    let mut lab = Lab::new(long_file()).await;
    lab.clock = Arc::new(clock.clone());
    let request = lab.request().connections(Connections::SEQUENTIAL);
    let request = request.response_timeout(HOUR).idle_timeout(HOUR).low_speed(None);
    let (first, second) = (Gate::closed(), Gate::closed());
    lab.peer.script(FILE, [Answer::hold_at(64 * KIB, &first), Answer::hold_at(0, &second)]);
    let mut download = lab.start(request);
    let mut events = download.take_events();
    let mut reader = download.reader(0..LONG);
    first.parked(1).await;
    let read = tokio::spawn(async move {
        let mut bytes = vec![0; 128 << 10];
        reader.read_exact(&mut bytes).await.map(|_| bytes)
    });
    let asked_again = async {
        while lab.peer.requests(FILE).len() < 2 {
            clock.advance(Duration::from_millis(100));
            tokio::task::yield_now().await;
        }
    };
    asked_again.await;
    second.parked(1).await;
    for _ in 0..1000 {
        clock.advance(Duration::from_secs(1));
        tokio::task::yield_now().await;
    }
    assert_eq!(starts(&lab.peer.requests(FILE)), [0, 64 * KIB], "and that one is waited for");
    second.release();
    assert!(read.await.unwrap().unwrap() == seeded_bytes(SEED, 0..128 * KIB));
    assert!(matches!(events.next().await, Some(Event::Started { from: 0, .. })));
    assert!(
        matches!(events.next().await, Some(Event::Started { from: 65536, .. })),
        "no attempt was counted"
    );
}

/// A byte and then silence is no transfer: it is tried again as often as any other failure, and no more.
#[tokio::test]
async fn a_peer_that_sends_a_byte_and_falls_silent_is_not_asked_for_ever() {
    let clock = ManualClock::new();
    let mut lab = Lab::new(long_file()).await;
    lab.clock = Arc::new(clock.clone());
    let request = lab.request().connections(Connections::SEQUENTIAL);
    let request = request.response_timeout(HOUR).idle_timeout(HOUR).low_speed(None);
    lab.peer.always(FILE, Answer::hold_at(1, &Gate::closed()));
    let download = lab.start(request);
    let mut reader = download.reader(0..LONG);
    let read = tokio::spawn(async move {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).await.map_err(|error| error.downcast::<WaitError>().unwrap())
    });
    let time_goes_by = async {
        while !read.is_finished() {
            clock.advance(Duration::from_millis(100));
            TokioClock.sleep(Duration::from_micros(200)).await;
        }
    };
    let (fetched, ()) = tokio::join!(drive(download), time_goes_by);
    assert!(matches!(read.await.unwrap(), Err(WaitError::Failed { retryable: true, .. })));
    assert_eq!(starts(&lab.peer.requests(FILE)), [0, 1, 2, 3, 4]);
    assert!(fetched.failed().kind.is_retryable());
}

const HOUR: Duration = Duration::from_secs(3600);
