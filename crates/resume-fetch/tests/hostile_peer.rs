//! Whatever a peer does, the file under the final name is the right one, the record tells the truth, and the download
//! ends.

#![cfg(feature = "reqwest")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::{FILE, KIB, Lab, MIB, OTHER, SEED, drive, file, once, other_file, policy};
use http::{HeaderName, HeaderValue};
use resume_fetch::{
    AnswerError, AttemptError, BodyStream, BoxFuture, Digest, Event, Events, FetchErrorKind, Fetcher,
    LowSpeed, MemoryLedger, RestartReason, Transport, TransportError, Verified,
};
use retry_kit::{Layers, ManualClock, Rate, RateLimiter};
use scripted_peer::{Answer, Gate, Representation, ScriptedPeer, seeded_bytes};

const HALF: u64 = MIB / 2;

#[tokio::test]
async fn a_body_cut_anywhere_in_any_way_is_continued_at_the_byte_where_it_was_cut() {
    let cuts: [fn(u64) -> Answer; 3] =
        [Answer::truncate_at, Answer::reset_at, |at| Answer::chunked().and(Answer::truncate_at(at))];
    for cut in cuts {
        for at in [0, 1, 4095, HALF, MIB - 1] {
            let lab = Lab::new(file()).await;
            lab.peer.script(FILE, [cut(at)]);
            let fetched = lab.run().await;
            assert_eq!((fetched.retries(), fetched.restarts().len()), (1, 0), "cut at {at}");
            assert_eq!(lab.asked()[1], Some(at).filter(|at| *at > 0), "cut at {at}");
            lab.published(SEED, MIB);
        }
    }
}

#[tokio::test]
async fn a_connection_that_ends_before_the_head_is_a_failed_attempt_and_nothing_more() {
    for answer in [Answer::close_before_head(), Answer::reset_before_head()] {
        let lab = Lab::holding(HALF).await;
        lab.peer.script(FILE, [answer]);
        let fetched = lab.run().await;
        assert_eq!((fetched.retries(), fetched.restarts().len()), (1, 0));
        lab.published(SEED, MIB);
    }
}

/// A lab whose time stands still, with limits of an hour: nothing times out unless the test moves the clock.
async fn frozen(answers: impl IntoIterator<Item = Answer>) -> (Lab, ManualClock) {
    let clock = ManualClock::new();
    let mut lab = Lab::new(file()).await;
    lab.clock = Arc::new(clock.clone());
    lab.peer.script(FILE, answers);
    (lab, clock)
}

fn patient(lab: &Lab) -> resume_fetch::FetchRequest {
    lab.request().response_timeout(HOUR).idle_timeout(HOUR).low_speed(None)
}

/// The next event; time passes in milliseconds meanwhile.
async fn next_event(clock: &ManualClock, events: &mut Events) -> Event {
    loop {
        tokio::select! {
            biased;
            event = events.next() => return event.expect("the download goes on"),
            () = tokio::task::yield_now() => clock.advance(Duration::from_millis(1)),
        }
    }
}

fn reason(event: &Event) -> &str {
    match event {
        Event::Retrying { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_head_that_never_comes_is_given_up_at_the_response_timeout() {
    for answer in [Answer::stall_before_head(), Answer::drip_head(1, HOUR)] {
        let (lab, clock) = frozen([answer]).await;
        let mut download = lab.start(patient(&lab));
        let mut events = download.take_events();
        lab.peer.wait_for_requests(FILE, 1).await;
        clock.advance(HOUR);
        assert_eq!(reason(&next_event(&clock, &mut events).await), "no answer within 3600 s");
        assert!(matches!(next_event(&clock, &mut events).await, Event::Started { from: 0, .. }));
        download.await.unwrap();
        lab.published(SEED, MIB);
    }
}

#[tokio::test]
async fn a_silent_body_is_given_up_at_the_idle_timeout_and_continued() {
    let (lab, clock) = frozen([Answer::stall_at(HALF)]).await;
    let mut download = lab.start(patient(&lab));
    let mut events = download.take_events();
    assert!(matches!(next_event(&clock, &mut events).await, Event::Started { .. }));
    let mut progress = download.progress();
    while progress.borrow_and_update().written < HALF {
        clock.advance(Duration::from_millis(100));
        tokio::task::yield_now().await;
    }
    clock.advance(HOUR);
    assert_eq!(reason(&next_event(&clock, &mut events).await), "nothing received for 3600 s");
    assert!(matches!(next_event(&clock, &mut events).await, Event::Started { from: HALF, .. }));
    download.await.unwrap();
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn a_drip_is_given_up_although_it_is_never_silent() {
    let (lab, clock) = frozen([Answer::drip(10, Duration::from_millis(5))]).await;
    let floor = LowSpeed { floor: 100_000, window: Duration::from_secs(30) };
    let mut download = lab.start(patient(&lab).low_speed(Some(floor)));
    let mut events = download.take_events();
    assert!(matches!(next_event(&clock, &mut events).await, Event::Started { .. }));
    clock.advance(Duration::from_secs(31));
    assert_eq!(reason(&next_event(&clock, &mut events).await), "less than 100000 B/s over 30 s");
    assert!(matches!(next_event(&clock, &mut events).await, Event::Started { .. }));
    download.await.unwrap();
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn waiting_for_our_own_rate_limit_is_never_a_stall() {
    let (lab, clock) = frozen([]).await;
    let gate = Gate::closed();
    lab.peer.script(FILE, [Answer::hold_at(HALF, &gate)]);
    let limiter = RateLimiter::new(lab.clock.clone(), Rate::from(std::num::NonZeroU64::new(8)));
    let floor = LowSpeed { floor: MIB, window: HOUR };
    let request = patient(&lab).low_speed(Some(floor)).limits(Layers::new([limiter.clone()]));
    let download = lab.start(request);
    let mut progress = download.progress();
    let mut ended = Box::pin(drive(download));
    let fetched = loop {
        tokio::select! {
            biased;
            fetched = &mut ended => break fetched,
            // Hours pass while the download waits for its limit, and moments while it waits for the peer. Half-way the
            // peer falls silent: then the watch has to look at all those hours and find them ours.
            () = tokio::task::yield_now() => match limiter.waiting() {
                0 => clock.advance(Duration::from_millis(1)),
                _ => clock.advance(Duration::from_secs(100)),
            },
        }
        if progress.borrow_and_update().written == HALF {
            gate.release();
        }
    };
    assert_eq!(fetched.retries(), 0, "{:?}", fetched.events);
    fetched.done();
    lab.published(SEED, MIB);
}

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
    assert_eq!(requests, 101, "a hundred, and one for each MiB");
    assert_eq!(lab.asked().len(), 101);
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

#[tokio::test]
async fn bytes_after_the_end_of_a_message_belong_to_nothing() {
    let lab = Lab::new(file()).await;
    let forged = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    lab.peer.script(FILE, [Answer::garbage_after(forged).and(Answer::at_most(HALF)), Answer::honest()]);
    lab.run().await.done();
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_a_fault_of_the_protocol() {
    let lab = Lab::new(file()).await;
    let huge =
        (0..2000).fold(Answer::honest(), |answer, n| answer.add_header(format!("X-{n}"), "x".repeat(500)));
    lab.peer.always(FILE, huge);
    let error = lab.run().await.failed();
    let FetchErrorKind::Permanent(last) = &error.kind else { panic!("{error}") };
    assert!(last.is_protocol_fault(), "{last}");
    assert_eq!(lab.asked().len(), 3);
}

#[tokio::test]
async fn an_error_body_is_not_read() {
    let lab = Lab::new(file()).await;
    let gate = Gate::closed();
    lab.peer.always(FILE, Answer::relabel(404).and(Answer::hold_at(64 * KIB, &gate)));
    lab.run().await.failed();
    let request = &lab.peer.wait_until(FILE, "the client leaves", |all| all[0].hung_up).await[0];
    assert!(request.body_bytes <= 64 * KIB);
}

fn secret() -> (HeaderName, HeaderValue) {
    (HeaderName::from_static("x-api-key"), HeaderValue::from_static("s3cret"))
}

#[tokio::test]
async fn the_callers_headers_stay_at_the_origin_they_were_meant_for() {
    let lab = Lab::new(file()).await;
    let stranger = ScriptedPeer::start().await;
    stranger.serve("/x", file());
    lab.peer.serve("/near", file());
    lab.peer.always("/near", Answer::redirect(stranger.url("/x")));
    lab.peer.always(FILE, Answer::redirect("/near"));
    let (name, value) = secret();
    let request =
        lab.request().header(name, value).header(http::header::COOKIE, HeaderValue::from_static("c=1"));
    lab.fetch(request).await.done();
    lab.published(SEED, MIB);
    for path in [FILE, "/near"] {
        assert_eq!(lab.peer.requests(path)[0].header("x-api-key"), Some("s3cret"), "{path} is home");
    }
    let away = &stranger.requests("/x")[0];
    assert_eq!((away.header("x-api-key"), away.header("cookie")), (None, None));
    assert_eq!(away.header("accept-encoding"), Some("identity"), "what the engine itself needs goes along");
    assert_eq!(away.header("referer"), None);
}

#[tokio::test]
async fn headers_dropped_on_the_way_out_do_not_come_back_with_the_way_home() {
    let lab = Lab::new(file()).await;
    let stranger = ScriptedPeer::start().await;
    stranger.always("/x", Answer::redirect(lab.peer.url("/back")));
    lab.peer.serve("/back", file());
    lab.peer.always(FILE, Answer::redirect(stranger.url("/x")));
    let (name, value) = secret();
    lab.fetch(lab.request().header(name, value)).await.done();
    assert_eq!(lab.peer.requests("/back")[0].header("x-api-key"), None, "a stranger chose this address");
}

#[tokio::test]
async fn bytes_from_another_origin_are_compared_however_equal_their_tag_is() {
    let lab = Lab::holding(HALF).await;
    let stranger = ScriptedPeer::start().await;
    stranger.serve("/x", Representation::seeded(OTHER, MIB).etag("\"a\""));
    lab.peer.script(FILE, [Answer::redirect(stranger.url("/x"))]);
    let fetched = lab.run().await;
    assert_eq!(fetched.restarts(), [(RestartReason::OverlapMismatch, HALF)]);
    assert_eq!(stranger.requests("/x")[0].asked(), Some((HALF - 64 * KIB, None)));
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn the_same_bytes_from_another_origin_continue_the_part() {
    let lab = Lab::holding(HALF).await;
    let mirror = ScriptedPeer::start().await;
    mirror.serve("/x", file());
    lab.peer.always(FILE, Answer::redirect(mirror.url("/x")));
    let fetched = lab.run().await;
    assert_eq!(fetched.restarts(), []);
    assert_eq!(mirror.requests("/x")[0].header("if-range"), Some("\"a\""));
    assert_eq!(fetched.done().received, MIB - HALF);
    lab.published(SEED, MIB);
}

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

#[tokio::test]
async fn a_tag_longer_than_a_record_holds_is_no_validator_and_no_obstacle() {
    let lab = Lab::new(Representation::seeded(SEED, MIB).etag(format!("\"{}\"", "x".repeat(100_000)))).await;
    lab.cut_short(HALF).await;
    lab.run().await.done();
    assert_eq!(lab.peer.requests(FILE)[1].header("if-range"), None);
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn a_peer_that_goes_away_and_comes_back_is_waited_for() {
    let lab = Lab::new(file()).await;
    let gate = Gate::closed();
    lab.peer.script(FILE, [Answer::hold_at(HALF, &gate)]);
    let mut download = lab.start(lab.request().retry(policy(1000)));
    let mut events = download.take_events();
    gate.parked(1).await;
    lab.peer.go_away().await;
    while !matches!(events.next().await, Some(Event::Retrying { attempt: 2.., .. })) {}
    lab.peer.come_back().await;
    download.await.unwrap();
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn nobody_there_is_said_as_such() {
    let lab = Lab::new(file()).await;
    lab.peer.go_away().await;
    let error = lab.fetch(once(lab.request())).await.failed();
    let FetchErrorKind::Exhausted { last: AttemptError::Transport(last), .. } = &error.kind else {
        panic!("{error}")
    };
    assert!(last.is_unreachable(), "{last}");
    assert!(error.kind.is_retryable());
    assert_eq!(lab.part_len(), None, "an empty part is not left lying about");
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

const HOUR: Duration = Duration::from_secs(3600);
