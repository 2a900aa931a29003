//! The handle of a running download: what it tells, and what becomes of the work when it stops or is dropped.

#![cfg(feature = "reqwest")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{FILE, Lab, MIB, SEED, file};
use futures_util::StreamExt;
use resume_fetch::{
    Download, Event, Events, FetchError, FetchErrorKind, FetchRequest, Fetcher, Ledger, MemoryLedger, Phase,
    ReqwestTransport, SidecarLedger, Transport,
};
use scripted_peer::{Answer, Gate, Representation};

#[tokio::test]
async fn stopping_keeps_every_byte_that_was_received() {
    let lab = Lab::new(file()).await;
    let gate = Gate::closed();
    lab.peer.script(FILE, [Answer::hold_at(MIB / 3, &gate)]);
    let download = lab.start(lab.request());
    let mut progress = download.progress();
    progress.wait_for(|progress| progress.written == MIB / 3).await.unwrap();
    download.stopper().cancel();
    let error = download.await.unwrap_err();
    assert!(matches!(error.kind, FetchErrorKind::Stopped), "{error}");
    assert!(error.kind.is_retryable());
    assert_eq!((error.bytes_kept, lab.part_len()), (MIB / 3, Some(MIB / 3)));
    lab.unpublished(SEED).await;
    lab.run().await.done();
    assert_eq!(lab.asked(), [None, Some(MIB / 3)]);
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn stopping_before_anything_came_is_as_good() {
    let lab = Lab::new(file()).await;
    let gate = Gate::closed();
    lab.peer.script(FILE, [Answer::hold_head(&gate)]);
    let download = lab.start(lab.request());
    gate.parked(1).await;
    download.stopper().cancel();
    let error = download.await.unwrap_err();
    assert!(matches!(error.kind, FetchErrorKind::Stopped), "{error}");
    assert_eq!(lab.part_len(), None);
}

#[tokio::test]
async fn dropping_the_handle_ends_the_transfer_and_keeps_what_is_on_record() {
    let lab = Lab::new(file()).await;
    let gate = Gate::closed();
    lab.peer.script(FILE, [Answer::hold_at(MIB / 2, &gate)]);
    let download = lab.start(lab.request().checkpoint(1, Duration::from_millis(1)));
    let mut progress = download.progress();
    progress.wait_for(|progress| progress.durable == MIB / 2).await.unwrap();
    drop(download);
    lab.peer.wait_until(FILE, "the connection is closed", |all| all[0].hung_up).await;
    lab.run().await.done();
    assert_eq!(lab.asked(), [None, Some(MIB / 2)]);
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn events_come_in_order_and_end_with_the_download() {
    let lab = Lab::new(file()).await;
    lab.peer.script(FILE, [Answer::truncate_at(MIB / 2)]);
    let mut download = lab.start(lab.request());
    let events: Vec<Event> = download.take_events().collect().await;
    assert!(
        matches!(
            &events[..],
            [Event::Started { from: 0, .. }, Event::Retrying { attempt: 1, .. }, Event::Started { from, .. }]
                if *from == MIB / 2
        ),
        "{events:?}"
    );
    assert_eq!(download.next_event().await, None, "they were taken out");
    download.await.unwrap();
}

#[tokio::test]
async fn progress_never_goes_back_without_a_new_generation_and_ends_at_the_total() {
    let lab = Lab::new(Representation::seeded(SEED, 4 * MIB).etag("\"a\"")).await;
    let next = Representation::seeded(SEED, 4 * MIB).etag("\"b\"");
    lab.peer
        .script(FILE, [Answer::truncate_at(3 * MIB).and(Answer::then_serve(next)), Answer::truncate_at(MIB)]);
    let download = lab.start(lab.request());
    let mut progress = download.progress();
    let watcher = tokio::spawn(async move {
        let mut seen = vec![*progress.borrow_and_update()];
        while progress.changed().await.is_ok() {
            seen.push(*progress.borrow_and_update());
        }
        seen
    });
    download.await.unwrap();
    let seen = watcher.await.unwrap();
    for pair in seen.windows(2) {
        let [before, after] = pair else { unreachable!() };
        assert!(after.generation >= before.generation);
        let back = after.written < before.written || after.durable < before.durable;
        assert!(!back || after.generation > before.generation, "{before:?} {after:?}");
        assert!(after.durable <= after.written && after.written <= after.total.unwrap_or(u64::MAX));
    }
    let last = seen.last().unwrap();
    assert_eq!((last.written, last.durable, last.total), (4 * MIB, 4 * MIB, Some(4 * MIB)));
    assert_eq!((last.phase, last.generation), (Phase::Finalizing, 2));
}

#[tokio::test]
async fn an_error_tells_what_happened_once_and_hides_what_is_secret() {
    let lab = Lab::new(file()).await;
    lab.peer.go_away().await;
    let url = lab.peer.url("/file?token=s3cret");
    let request = common::once(common::request(&url, &lab.target()))
        .header(http::header::AUTHORIZATION, "Bearer s3cret".parse().unwrap());
    let shown = format!("{request:?}");
    let error = lab.fetch(request).await.failed();
    let told = format!("{shown} {error} {error:?} {} {:?}", common::describe(&error), error.history);
    assert!(!told.contains("s3cret"), "{told}");
    let text = common::describe(&error);
    assert_eq!(text.matches("cannot connect to the peer").count(), 1, "{text}");
    assert!(text.contains("refused"), "the cause is told as well: {text}");
}

#[tokio::test]
async fn one_fetcher_serves_many_downloads_at_once() {
    let lab = Lab::new(file()).await;
    let fetcher = lab.fetcher();
    let downloads: Vec<_> = (0..8)
        .map(|n| {
            let target = lab.path(&format!("copy-{n}"));
            fetcher.start(common::request(&lab.peer.url(FILE), &target), MemoryLedger::new())
        })
        .collect();
    for (n, download) in downloads.into_iter().enumerate() {
        download.await.unwrap();
        scripted_peer::assert_same_bytes(lab.path(&format!("copy-{n}")), SEED, MIB);
    }
}

#[test]
fn everything_can_be_sent_and_shared() {
    fn shareable<T: Send + Sync + 'static>() {}
    fn sendable<T: Send + 'static>() {}
    shareable::<Fetcher>();
    shareable::<FetchRequest>();
    shareable::<FetchError>();
    shareable::<SidecarLedger>();
    shareable::<ReqwestTransport>();
    shareable::<Arc<dyn Ledger>>();
    shareable::<Arc<dyn Transport>>();
    sendable::<Download>();
    sendable::<Events>();
}
