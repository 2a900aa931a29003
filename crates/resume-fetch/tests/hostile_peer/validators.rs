//! Peers that say little about what they serve.

use resume_fetch::{RestartReason, Verified};
use scripted_peer::{Answer, Representation};

use crate::HALF;
use crate::common::{FILE, KIB, Lab, MIB, OTHER, SEED};

#[tokio::test]
async fn without_a_strong_validator_the_overlap_is_compared_before_anything_is_believed() {
    for tag in [None, Some("W/\"w\"")] {
        let version = |seed| {
            let plain = Representation::seeded(seed, MIB);
            tag.map_or(plain.clone(), |tag| plain.etag(tag))
        };
        let lab = Lab::new(version(SEED)).await;
        lab.cut_short(HALF).await;
        let fetched = lab.run().await;
        assert_eq!(lab.asked()[1], Some(HALF - 64 * KIB));
        assert_eq!(lab.peer.requests(FILE)[1].header("if-range"), None, "a weak tag guards no splice");
        assert_eq!((fetched.restarts().len(), fetched.done().verified), (0, Verified::Overlap));
        lab.published(SEED, MIB);

        let lab = Lab::new(version(SEED)).await;
        lab.cut_short(HALF).await;
        lab.peer.replace(FILE, version(OTHER));
        let fetched = lab.run().await;
        assert_eq!(fetched.restarts(), [(RestartReason::OverlapMismatch, HALF)]);
        lab.published(OTHER, MIB);
    }
}

#[tokio::test]
async fn a_last_modified_guards_a_splice_only_when_it_had_settled() {
    let old = "Wed, 01 Jan 2020 00:00:00 GMT";
    let lab = Lab::new(Representation::seeded(SEED, MIB).last_modified(old)).await;
    lab.cut_short(HALF).await;
    lab.run().await.done();
    let request = &lab.peer.requests(FILE)[1];
    assert_eq!((request.header("if-range"), request.asked()), (Some(old), Some((HALF, None))));

    let lab = Lab::new(Representation::seeded(SEED, MIB).last_modified(old)).await;
    lab.peer.script(FILE, [Answer::truncate_at(HALF).header("Date", "Wed, 01 Jan 2020 00:00:30 GMT")]);
    lab.run().await.done();
    let request = &lab.peer.requests(FILE)[1];
    assert_eq!((request.header("if-range"), request.asked()), (None, Some((HALF - 64 * KIB, None))));
}

#[tokio::test]
async fn a_file_without_any_validator_is_evidence_and_says_so() {
    let lab = Lab::new(Representation::seeded(SEED, MIB)).await;
    assert_eq!(
        lab.run().await.done().verified,
        Verified::Validator,
        "in one piece there is nothing to splice"
    );
}

#[tokio::test]
async fn a_tag_longer_than_a_record_holds_is_no_validator_and_no_obstacle() {
    let lab = Lab::new(Representation::seeded(SEED, MIB).etag(format!("\"{}\"", "x".repeat(100_000)))).await;
    lab.cut_short(HALF).await;
    lab.run().await.done();
    assert_eq!(lab.peer.requests(FILE)[1].header("if-range"), None);
    lab.published(SEED, MIB);
}
