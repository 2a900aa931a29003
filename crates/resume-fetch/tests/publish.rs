//! The final name: never early, never over somebody else's file, never twice.

#![cfg(feature = "reqwest")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod common;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;
use std::time::Duration;

use common::{FILE, Lab, MIB, SEED, file, once};
use resume_fetch::{Download, FetchError, FetchErrorKind, LocalError, Verified};
use retry_kit::ManualClock;
use scripted_peer::{Answer, Gate, Representation};

#[tokio::test]
async fn the_final_name_does_not_exist_while_a_single_byte_is_missing() {
    let lab = Lab::new(file()).await;
    let gate = Gate::closed();
    lab.peer.script(FILE, [Answer::hold_at(MIB - 1, &gate)]);
    let download = lab.start(lab.request());
    let mut progress = download.progress();
    progress.wait_for(|progress| progress.written == MIB - 1).await.unwrap();
    assert!(!lab.target().exists());
    gate.release();
    download.await.unwrap();
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn a_target_that_appears_during_the_download_is_left_alone_and_the_part_kept() {
    let lab = Lab::new(file()).await;
    let gate = Gate::closed();
    lab.peer.script(FILE, [Answer::hold_at(MIB / 2, &gate)]);
    let download = lab.start(lab.request());
    gate.parked(1).await;
    std::fs::write(lab.target(), b"precious").unwrap();
    gate.release();
    let error = download.await.unwrap_err();
    assert!(matches!(error.kind, FetchErrorKind::AlreadyExists(_)), "{error}");
    assert_eq!(std::fs::read(lab.target()).unwrap(), b"precious");
    assert_eq!(error.bytes_kept, MIB);
    std::fs::remove_file(lab.target()).unwrap();
    assert_eq!(lab.run().await.done().received, 0, "the whole part had only waited for its name");
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn a_link_under_the_final_name_is_replaced_itself_or_not_at_all() {
    let lab = Lab::new(file()).await;
    std::fs::write(lab.path("victim"), b"precious").unwrap();
    symlink(lab.path("victim"), lab.target()).unwrap();
    let error = lab.run().await.failed();
    assert!(matches!(error.kind, FetchErrorKind::AlreadyExists(_)), "{error}");
    lab.fetch(lab.request().replace(true)).await.done();
    assert!(!lab.target().is_symlink());
    assert_eq!(std::fs::read(lab.path("victim")).unwrap(), b"precious");
    lab.published(SEED, MIB);

    let lab = Lab::new(file()).await;
    symlink(lab.path("nowhere"), lab.target()).unwrap();
    let error = lab.run().await.failed();
    assert!(matches!(error.kind, FetchErrorKind::AlreadyExists(_)), "a dangling link is a name too: {error}");
}

#[tokio::test]
async fn an_old_file_stays_until_the_new_one_is_whole() {
    let lab = Lab::new(file()).await;
    std::fs::write(lab.target(), b"old").unwrap();
    lab.peer.script(FILE, [Answer::truncate_at(MIB - 1)]);
    lab.fetch(once(lab.request().replace(true))).await.failed();
    assert_eq!(std::fs::read(lab.target()).unwrap(), b"old");
    lab.fetch(lab.request().replace(true)).await.done();
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn a_target_no_rename_can_reach_is_refused_before_anything_is_asked() {
    let lab = Lab::new(file()).await;
    std::fs::create_dir(lab.target()).unwrap();
    let error = lab.fetch(lab.request().replace(true)).await.failed();
    assert!(matches!(error.kind, FetchErrorKind::Local(_)), "a directory: {error}");
    let error = lab.run().await.failed();
    assert!(matches!(error.kind, FetchErrorKind::AlreadyExists(_)), "{error}");
    std::fs::remove_dir(lab.target()).unwrap();

    let nowhere = lab.path("nowhere").join("file.bin");
    let request = common::request(&lab.peer.url(FILE), &nowhere).part(lab.part());
    let error = lab.fetch(request).await.failed();
    assert!(matches!(error.kind, FetchErrorKind::Local(LocalError::Io { .. })), "{error}");

    let elsewhere = std::path::Path::new("/proc/file.bin");
    let request = common::request(&lab.peer.url(FILE), elsewhere).part(lab.part());
    let error = lab.fetch(request).await.failed();
    assert!(matches!(error.kind, FetchErrorKind::Local(LocalError::CrossDevice { .. })), "{error}");
    assert!(lab.asked().is_empty());
    assert_eq!(lab.part_len(), None);
}

#[tokio::test]
async fn the_part_is_private_and_the_file_is_as_public_as_any_new_one() {
    let lab = Lab::new(file()).await;
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    lab.cut_short(1000).await;
    assert_eq!((mode(lab.part()), mode(lab.ledger_path())), (0o600, 0o600));
    lab.run().await.done();
    std::fs::write(lab.path("plain"), b"").unwrap();
    assert_eq!(mode(lab.target()), mode(lab.path("plain")));
}

#[tokio::test]
async fn an_empty_file_is_a_file() {
    for answer in [Answer::honest(), Answer::chunked()] {
        let lab = Lab::new(Representation::bytes("").etag("\"a\"")).await;
        lab.peer.always(FILE, answer);
        let done = lab.run().await.done();
        assert_eq!((done.total, done.received, done.verified), (0, 0, Verified::Validator));
        lab.published(SEED, 0);
    }
}

/// A download of the file that stands still in the middle, and the clock that everybody's patience is measured by.
async fn half_way() -> (Lab, ManualClock, Gate, Download) {
    let clock = ManualClock::new();
    let mut lab = Lab::new(file()).await;
    lab.clock = Arc::new(clock.clone());
    let gate = Gate::closed();
    lab.peer.script(FILE, [Answer::hold_at(MIB / 2, &gate)]);
    let first = lab.start(lab.request());
    gate.parked(1).await;
    (lab, clock, gate, first)
}

/// Lets time pass until `download` has ended.
async fn in_time(clock: &ManualClock, mut download: Download) -> FetchError {
    loop {
        tokio::select! {
            biased;
            result = &mut download => return result.unwrap_err(),
            () = tokio::task::yield_now() => clock.advance(Duration::from_millis(1)),
        }
    }
}

#[tokio::test]
async fn two_downloads_of_one_target_never_write_at_once() {
    let (lab, clock, gate, first) = half_way().await;
    let error = in_time(&clock, lab.start(lab.request())).await;
    assert!(matches!(error.kind, FetchErrorKind::Local(LocalError::Busy(_))), "{error}");
    assert!(error.kind.is_retryable());
    assert_eq!(lab.asked().len(), 1, "the second asked for nothing");
    gate.release();
    first.await.unwrap();
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn the_loser_of_a_race_for_one_target_finds_it_finished_and_starts_nothing() {
    let (lab, clock, gate, first) = half_way().await;
    let second = lab.start(lab.request());
    gate.release();
    first.await.unwrap();
    let error = in_time(&clock, second).await;
    assert!(matches!(error.kind, FetchErrorKind::AlreadyExists(_)), "{error}");
    assert_eq!(lab.asked().len(), 1);
    lab.published(SEED, MIB);
}
