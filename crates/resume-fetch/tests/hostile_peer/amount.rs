//! Too little at a time, too much altogether, or never the same.

use std::sync::Arc;

use bytes::Bytes;
use resume_fetch::{
    AnswerError, AttemptError, BodyStream, BoxFuture, FetchErrorKind, Fetcher, MemoryLedger, RestartReason,
    Transport, TransportError,
};
use scripted_peer::{Answer, Representation, seeded_bytes};

use crate::HALF;
use crate::common::{self, FILE, Lab, MIB, SEED, drive, file};

#[tokio::test]
async fn a_peer_that_hands_out_crumbs_is_not_asked_for_ever() {
    let lab = Lab::new(file()).await;
    lab.peer.script(FILE, [Answer::truncate_at(1)]);
    lab.peer.always(FILE, Answer::at_most(10));
    let error = lab.run().await.failed();
    let FetchErrorKind::Permanent(AttemptError::Answer(AnswerError::Trickle { requests })) = error.kind
    else {
        panic!("{error}")
    };
    assert_eq!(requests, 100);
    assert_eq!(lab.asked().len(), 101, "the first was cut, which is a failure and no crumb");
    assert_eq!(error.bytes_kept, 1 + 99 * 10 + 10, "what they brought is kept all the same");
    lab.unpublished(SEED).await;
}

#[tokio::test]
async fn bytes_a_crumb_at_a_time_do_not_reset_the_count_of_failures() {
    let lab = Lab::new(file()).await;
    lab.peer.always(FILE, Answer::truncate_at(1000));
    let error = lab.run().await.failed();
    assert!(matches!(error.kind, FetchErrorKind::Exhausted { attempts: 5, .. }), "{error}");
    assert_eq!(error.bytes_kept, 5000);
}

#[tokio::test]
async fn a_file_that_never_stays_the_same_is_given_up_after_two_restarts() {
    let lab = Lab::new(file()).await;
    for version in 1..=6 {
        let next = Representation::seeded(SEED + version, MIB + version).etag(format!("\"v{version}\""));
        lab.peer.script(FILE, [Answer::truncate_at(HALF).and(Answer::then_serve(next))]);
    }
    let error = lab.run().await.failed();
    let FetchErrorKind::RestartLoop { restarts: 2, reason: RestartReason::ValidatorChanged } = error.kind
    else {
        panic!("{error}")
    };
    assert_eq!(lab.asked().len(), 4);
    assert_eq!(error.bytes_kept, HALF, "the third version's half is kept");
    lab.unpublished(SEED + 2).await;
}

#[tokio::test]
async fn a_lying_total_on_every_part_still_ends_with_the_file_when_the_whole_is_honest() {
    let lab = Lab::holding(HALF).await;
    lab.peer.once(FILE, |request| request.range().map(|_| Answer::claim_total(9 * MIB)));
    lab.run().await.done();
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn more_bytes_than_the_size_asked_for_are_never_published_not_even_by_the_next_run() {
    for framing in [Answer::chunked(), Answer::without_length()] {
        let lab = Lab::new(file()).await;
        lab.peer.always(FILE, framing.and(Answer::extra("one too many")));
        let expecting = || lab.request().expect_size(Some(MIB));
        let error = lab.fetch(expecting()).await.failed();
        let FetchErrorKind::Permanent(AttemptError::Answer(AnswerError::SizeMismatch { .. })) = error.kind
        else {
            panic!("{error}")
        };
        assert!(error.bytes_kept < MIB, "the file must not look whole");
        lab.unpublished(SEED).await;
        lab.peer.always(FILE, Answer::ignore_range().and(Answer::chunked()).and(Answer::extra("x")));
        lab.fetch(expecting()).await.failed();
        assert!(!lab.target().exists());
    }
}

/// Answers every request with these frames under `Transfer-Encoding: chunked`.
struct Frames(Vec<Bytes>);

impl Transport for Frames {
    fn get(
        &self,
        _request: http::Request<()>,
    ) -> BoxFuture<'_, Result<http::Response<BodyStream>, TransportError>> {
        let body: BodyStream = Box::pin(futures_util::stream::iter(self.0.clone().into_iter().map(Ok)));
        let response = http::Response::builder().header("transfer-encoding", "chunked").body(body).unwrap();
        Box::pin(std::future::ready(Ok(response)))
    }
}

#[tokio::test]
async fn one_byte_more_than_the_size_asked_for_is_noticed_however_the_frames_fall() {
    let bytes = Bytes::from(seeded_bytes(SEED, 0..1000));
    let cuts = |at: &[usize]| {
        let mut rest = bytes.clone();
        let mut frames: Vec<_> = at.iter().map(|at| rest.split_to(*at)).collect();
        frames.push(rest);
        frames
    };
    for frames in [cuts(&[]), cuts(&[999]), cuts(&[998]), cuts(&[999, 0])] {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("x");
        let fetcher =
            Fetcher::new(Frames(frames), Arc::new(retry_kit::TokioClock), fastrand::Rng::with_seed(1));
        let request = |size| common::request("http://peer/x", &target).expect_size(Some(size));
        let error = drive(fetcher.start(request(999), MemoryLedger::new())).await.failed();
        let FetchErrorKind::Permanent(AttemptError::Answer(AnswerError::SizeMismatch { .. })) = error.kind
        else {
            panic!("{error}")
        };
        assert!(!target.exists());
        drive(fetcher.start(request(1000), MemoryLedger::new())).await.done();
        scripted_peer::assert_same_bytes(&target, SEED, 1000);
    }
}

#[tokio::test]
async fn a_file_larger_than_the_disk_is_refused_before_a_byte_is_written() {
    let lab = Lab::new(Representation::seeded(SEED, 1 << 60).etag("\"a\"")).await;
    let error = lab.run().await.failed();
    assert!(matches!(&error.kind, FetchErrorKind::Local(local) if local.is_full()), "{error}");
    assert_eq!((lab.asked().len(), lab.part_len()), (1, Some(0)));
}
