//! Which bytes a reader returns, and when it returns none.

use super::*;

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
