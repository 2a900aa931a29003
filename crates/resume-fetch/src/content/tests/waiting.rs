//! What is there, what is waited for, and who is woken.

use super::*;

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
