//! Where a reader goes, and what it wants there.

use super::*;

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
