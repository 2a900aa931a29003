//! Rows 43 to 47: what is found on the disk before anything is asked.

use std::path::Path;

use resume_fetch::{FetchErrorKind, Identity, Ledger, LocalError, RestartReason, SidecarLedger, Verified};
use scripted_peer::{Answer, Representation, seeded_bytes};

use crate::common::{self, FILE, KIB, Lab, MIB, OTHER, SEED, file, other_file};
use crate::{HALF, blake3};

#[tokio::test]
async fn row_43_a_part_that_is_not_an_ordinary_file_of_ours_is_not_touched_and_nothing_is_asked() {
    let make: [fn(&Lab); 5] = [
        |lab| std::os::unix::fs::symlink(lab.path("victim"), lab.part()).unwrap(),
        |lab| std::fs::hard_link(lab.path("victim"), lab.part()).unwrap(),
        |lab| std::fs::create_dir(lab.part()).unwrap(),
        |lab| fifo(&lab.part()),
        |lab| std::os::unix::fs::symlink(lab.path("nowhere"), lab.part()).unwrap(),
    ];
    for make in make {
        let lab = Lab::new(file()).await;
        std::fs::write(lab.path("victim"), b"precious").unwrap();
        make(&lab);
        let error = lab.run().await.failed();
        let local = matches!(error.kind, FetchErrorKind::Local(LocalError::UnsafePart { .. }));
        assert!(local, "{error}");
        assert!(lab.asked().is_empty());
        assert_eq!(std::fs::read(lab.path("victim")).unwrap(), b"precious");
        assert!(!lab.path("nowhere").exists());
    }
}

#[tokio::test]
async fn row_44_a_part_without_a_record_is_given_up_when_a_body_is_there_and_not_before() {
    let lab = Lab::holding(HALF).await;
    std::fs::remove_file(lab.ledger_path()).unwrap();
    lab.peer.script(FILE, [Answer::status(404)]);
    lab.run().await.failed();
    assert_eq!(lab.part_len(), Some(HALF), "a wrong address does not cost the bytes");
    let fetched = lab.run().await;
    assert_eq!(fetched.restarts(), [(RestartReason::Orphan, HALF)]);
    assert_eq!(lab.asked(), [None, None, None]);
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn row_44_a_damaged_record_is_no_record() {
    for damage in [&b""[..], &[0; 300_000], b"peerd-ledger 1\n"] {
        let lab = Lab::holding(HALF).await;
        std::fs::write(lab.ledger_path(), damage).unwrap();
        let fetched = lab.run().await;
        assert_eq!(fetched.restarts(), [(RestartReason::Orphan, HALF)]);
        lab.published(SEED, MIB);
    }
}

#[tokio::test]
async fn row_44_a_digest_or_tag_and_size_adopt_a_part_without_a_record() {
    let digest = Some(blake3(SEED, MIB));
    let tag = "\"a\"".parse().ok();
    let half = seeded_bytes(SEED, 0..HALF);

    let lab = Lab::new(file()).await;
    std::fs::write(lab.part(), &half).unwrap();
    let fetched = lab.fetch(lab.request().expect_digest(digest)).await;
    assert_eq!(fetched.restarts(), []);
    assert_eq!(lab.asked(), [Some(HALF - 64 * KIB)], "no tag is known: the end is compared");
    lab.published(SEED, MIB);

    let lab = Lab::new(file()).await;
    std::fs::write(lab.part(), seeded_bytes(SEED, 0..MIB)).unwrap();
    lab.fetch(lab.request().expect_digest(digest).expect_size(Some(MIB))).await.done();
    assert!(lab.asked().is_empty(), "a whole part of the size asked for is verified without a request");
    lab.published(SEED, MIB);

    let lab = Lab::new(file()).await;
    std::fs::write(lab.part(), seeded_bytes(SEED, 0..MIB)).unwrap();
    lab.fetch(lab.request().expect_digest(digest)).await.done();
    assert_eq!(lab.asked(), [Some(MIB - 64 * KIB)], "else only its end is asked for");
    lab.published(SEED, MIB);

    let lab = Lab::new(file()).await;
    std::fs::write(lab.part(), &half).unwrap();
    let fetched = lab.fetch(lab.request().known_tag(tag.clone()).expect_size(Some(MIB))).await;
    assert_eq!(fetched.restarts(), []);
    let asked = lab.peer.requests(FILE);
    assert_eq!(asked[0].header("if-range"), Some("\"a\""));
    assert!(asked[0].asked().is_some_and(|(from, _)| (HALF / 2..HALF).contains(&from)), "{asked:?}");
    assert_eq!(fetched.done().verified, Verified::Overlap);
    lab.published(SEED, MIB);

    let lab = Lab::new(file()).await;
    std::fs::write(lab.part(), vec![0; MIB as usize]).unwrap();
    let fetched = lab.fetch(lab.request().known_tag(tag).expect_size(Some(MIB))).await;
    assert_eq!(fetched.restarts()[0].0, RestartReason::OverlapMismatch, "the right length proves nothing");
    lab.published(SEED, MIB);

    let lab = Lab::new(file()).await;
    std::fs::write(lab.part(), vec![0; 2 * MIB as usize]).unwrap();
    let fetched = lab.fetch(lab.request().expect_digest(digest).expect_size(Some(MIB))).await;
    assert_eq!(fetched.restarts(), [(RestartReason::PartOversize, 2 * MIB)]);
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn row_45_a_record_of_another_url_lends_it_no_bytes() {
    let lab = Lab::holding(HALF).await;
    lab.peer.serve("/other", other_file());
    let url = lab.peer.url("/other");
    let request = common::request(&url, &lab.target());
    let ledger = SidecarLedger::new(lab.ledger_path(), &url);
    let fetched = common::drive(lab.fetcher().start(request, ledger)).await;
    assert_eq!(fetched.restarts(), [(RestartReason::Orphan, HALF)]);
    lab.published(OTHER, MIB);
}

#[tokio::test]
async fn row_45_a_record_of_another_size_or_tag_than_the_caller_wants_now_is_not_continued() {
    let lab = Lab::holding(HALF).await;
    lab.peer.replace(FILE, Representation::seeded(OTHER, 2 * MIB).etag("\"b\""));
    let fetched = lab.fetch(lab.request().expect_size(Some(2 * MIB))).await;
    assert_eq!(fetched.restarts(), [(RestartReason::ContentRangeMismatch, HALF)]);
    assert_eq!(lab.asked(), [None, None]);
    lab.published(OTHER, 2 * MIB);

    let lab = Lab::holding(HALF).await;
    lab.peer.replace(FILE, other_file());
    let fetched = lab.fetch(lab.request().known_tag("\"b\"".parse().ok())).await;
    assert_eq!(fetched.restarts(), [(RestartReason::ValidatorChanged, HALF)]);
    lab.published(OTHER, MIB);
}

#[tokio::test]
async fn row_46_a_whole_recorded_part_is_published_without_a_request() {
    let lab = Lab::new(file()).await;
    std::fs::write(lab.part(), seeded_bytes(SEED, 0..MIB)).unwrap();
    let ledger = lab.ledger();
    let identity = Identity { total: Some(MIB), ..Identity::default() };
    ledger.begin(1, &identity, None).await.unwrap();
    ledger.record(1, &[0..MIB]).await.unwrap();
    drop(ledger);
    let done = lab.run().await.done();
    assert_eq!((done.received, done.resumed_from), (0, MIB));
    assert!(lab.asked().is_empty());
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn row_47_an_existing_target_is_not_touched_and_nothing_is_asked() {
    let lab = Lab::new(file()).await;
    std::fs::write(lab.target(), b"precious").unwrap();
    let error = lab.run().await.failed();
    assert!(matches!(error.kind, FetchErrorKind::AlreadyExists(_)), "{error}");
    assert_eq!(std::fs::read(lab.target()).unwrap(), b"precious");
    assert!(lab.asked().is_empty());
    assert_eq!(lab.part_len(), None, "and nothing is left beside it");
    lab.fetch(lab.request().replace(true)).await.done();
    lab.published(SEED, MIB);
}

/// Whoever opens one waits for a writer, unless he looks first.
fn fifo(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}
