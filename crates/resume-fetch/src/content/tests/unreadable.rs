//! Bytes that were written and do not come back.

use super::*;

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
