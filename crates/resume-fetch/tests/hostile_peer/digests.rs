//! Wrong bytes under right validators.

use resume_fetch::{Digest, FetchErrorKind, RestartReason, Verified};
use scripted_peer::{Answer, Representation, seeded_bytes};

use crate::HALF;
use crate::common::{FILE, Lab, MIB, OTHER, SEED, file, other_file};

#[tokio::test]
async fn wrong_bytes_under_the_right_validators_are_found_by_the_digest_and_fetched_once_more() {
    let lab = Lab::holding(HALF).await;
    lab.peer.script(FILE, [Answer::flip_at(1000)]);
    let fetched = lab.fetch(lab.request().expect_digest(Some(sha256(SEED)))).await;
    assert_eq!(fetched.restarts(), [(RestartReason::Corruption, MIB)]);
    assert_eq!(fetched.done().verified, Verified::Digest);
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn a_splice_within_one_run_is_fetched_once_more_too() {
    let lab = Lab::new(file()).await;
    lab.peer.script(FILE, [Answer::flip_at(5).and(Answer::truncate_at(HALF)), Answer::honest()]);
    let fetched = lab.fetch(lab.request().expect_digest(Some(sha256(SEED)))).await;
    assert_eq!(fetched.restarts(), [(RestartReason::Corruption, MIB)]);
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn bytes_of_the_wrong_digest_are_never_resumed_into() {
    let lab = Lab::new(other_file()).await;
    let error = lab.fetch(lab.request().expect_digest(Some(sha256(SEED)))).await.failed();
    let FetchErrorKind::DigestMismatch { algorithm: "sha256", expected, actual } = &error.kind else {
        panic!("{error}")
    };
    assert_eq!((expected, actual), (&sha256(SEED).to_hex(), &sha256(OTHER).to_hex()));
    assert_eq!(
        (lab.asked().len(), error.bytes_kept),
        (1, 0),
        "a file that came whole would only come so again"
    );
    lab.peer.replace(FILE, file());
    let fetched = lab.fetch(lab.request().expect_digest(Some(sha256(SEED)))).await;
    assert_eq!(lab.asked(), [None, None], "from the beginning");
    fetched.done();
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn a_digest_the_peer_itself_announces_has_to_be_right() {
    let announced = |seed| file().header("Repr-Digest", repr_digest(seed));
    let lab = Lab::new(announced(SEED)).await;
    assert_eq!(lab.run().await.done().verified, Verified::PeerDigest);
    assert_eq!(lab.peer.requests(FILE)[0].header("want-repr-digest"), Some("sha-256=10"));
    lab.published(SEED, MIB);

    let lab = Lab::new(announced(OTHER)).await;
    let error = lab.run().await.failed();
    assert!(matches!(error.kind, FetchErrorKind::DigestMismatch { .. }), "{error}");
    assert!(!lab.target().exists());
}

#[tokio::test]
async fn a_file_changed_under_the_same_tag_is_noticed_by_the_digest_the_peer_announces() {
    let lab = Lab::holding(HALF).await;
    let changed = Representation::seeded(OTHER, MIB).etag("\"a\"").header("Repr-Digest", repr_digest(OTHER));
    lab.peer.replace(FILE, changed);
    let fetched = lab.run().await;
    assert_eq!(fetched.restarts(), [(RestartReason::Corruption, MIB)]);
    lab.published(OTHER, MIB);
}

fn sha256(seed: u64) -> Digest {
    use sha2::Digest as _;
    Digest::Sha256(sha2::Sha256::digest(seeded_bytes(seed, 0..MIB)).into())
}

/// `Repr-Digest` of the first MiB of `seed`.
fn repr_digest(seed: u64) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let Digest::Sha256(bytes) = sha256(seed) else { unreachable!() };
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits =
            group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        let digits = (0..=group.len()).map(|n| ALPHABET[(bits >> (18 - 6 * n)) as usize & 63] as char);
        text.extend(digits);
    }
    format!("sha-256=:{text}=:")
}
