//! A body is exactly what its head promised, or it ends with an error.

#![cfg(feature = "body")]

mod support;

use std::convert::Infallible;
use std::error::Error;
use std::future::{Future, pending, ready};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response};
use http_body::Body;
use http_body_util::BodyExt;
use range_http::{BodyError, Limits, MemSource, Policy, RangeBody, Reason, Source, respond};
use support::{content, representation, write_body};

fn ask<S: Source>(method: &Method, range: &'static str, len: u64, source: S) -> Response<RangeBody<S>> {
    let fields = HeaderMap::from_iter([(http::header::RANGE, HeaderValue::from_static(range))]);
    let policy = Policy::new().with_limits(Limits { coalesce_gap: 0, ..Limits::new() });
    respond(method, &fields, &representation(len), &policy, source)
}

fn get<S: Source>(range: &'static str, len: u64, source: S) -> RangeBody<S> {
    ask(&Method::GET, range, len, source).into_body()
}

/// Polls once. The sources here are ready at once or never.
fn poll<S: Source>(body: &mut RangeBody<S>) -> Poll<Option<Result<Bytes, BodyError>>> {
    let data = |frame: http_body::Frame<Bytes>| frame.into_data().expect("a body of data");
    let mut cx = Context::from_waker(Waker::noop());
    std::pin::Pin::new(body).poll_frame(&mut cx).map(|frame| frame.map(|frame| frame.map(data)))
}

fn drain<S: Source>(mut body: RangeBody<S>) -> Result<Vec<u8>, BodyError> {
    let mut bytes = Vec::new();
    while let Poll::Ready(Some(data)) = poll(&mut body) {
        bytes.extend_from_slice(&data?);
        assert_eq!(body.is_end_stream(), body.size_hint().exact() == Some(0));
    }
    Ok(bytes)
}

/// Reads at most `most` bytes at a time of `bytes`, whatever was asked.
struct Piecemeal {
    bytes: Vec<u8>,
    most: u64,
}

impl Source for Piecemeal {
    type Error = Infallible;

    fn read_at(&self, at: u64, max: u64) -> impl Future<Output = Result<Bytes, Infallible>> + Send {
        let start = (at as usize).min(self.bytes.len());
        let end = ((at + max.min(self.most)) as usize).min(self.bytes.len());
        ready(Ok(Bytes::copy_from_slice(&self.bytes[start..end])))
    }
}

#[test]
fn a_body_holds_exactly_the_bytes_of_its_plan() {
    let bytes = content(5_000);
    for range in
        ["bytes=0-", "bytes=0-0", "bytes=-1", "bytes=17-4000", "bytes=4000-4099,0-9,2000-2255", "lines=1-2"]
    {
        let planned = support::get_with(
            &[("range", range)],
            &representation(5_000),
            &Policy::new().with_limits(Limits { coalesce_gap: 0, ..Limits::new() }),
        );
        let expected = write_body(planned.body(), &bytes);
        for most in [1, 7, 256, 10_000] {
            let response = ask(&Method::GET, range, 5_000, Piecemeal { bytes: bytes.clone(), most });
            let length = response.headers()["content-length"].to_str().unwrap().parse().ok();
            assert_eq!(response.body().size_hint().exact(), length, "{range}");
            assert_eq!(length, Some(expected.len() as u64), "{range}");
            assert_eq!(drain(response.into_body()).unwrap(), expected, "{range}, {most} bytes at a time");
        }
        assert_eq!(
            drain(get(range, 5_000, MemSource::new(bytes.clone()))).unwrap(),
            expected,
            "{range} from memory"
        );
    }
}

#[test]
fn the_reason_travels_with_the_response() {
    let response = ask(&Method::GET, "bytes=9-1", 10, MemSource::default());
    assert_eq!((response.status().as_u16(), response.extensions().get()), (416, Some(&Reason::Inverted)));
}

/// http-serve 0.3.6: a file that had been truncated was read for ever.
#[test]
fn a_source_that_ends_early_ends_the_body_with_an_error() {
    let short = Piecemeal { bytes: content(60), most: 50 };
    let mut body = get("bytes=10-99", 100, short);
    assert_eq!(poll(&mut body).map(|data| data.unwrap().unwrap().len()), Poll::Ready(50));
    let Poll::Ready(Some(Err(error))) = poll(&mut body) else { panic!("40 bytes are missing") };
    assert!(matches!(error, BodyError::UnexpectedEnd { at: 60, missing: 40 }), "{error:?}");
    assert_eq!(error.to_string(), "representation ended at byte 60, 40 bytes before the end of its range");
    assert!(matches!(poll(&mut body), Poll::Ready(None)), "once");
}

#[test]
fn a_source_that_ends_early_inside_a_part_ends_the_body_too() {
    let short = MemSource::new(content(900));
    let error = drain(get("bytes=0-9,850-999", 1_000, short)).unwrap_err();
    assert!(matches!(error, BodyError::UnexpectedEnd { at: 900, missing: 100 }), "{error:?}");
}

struct Generous;

impl Source for Generous {
    type Error = Infallible;

    fn read_at(&self, _: u64, max: u64) -> impl Future<Output = Result<Bytes, Infallible>> + Send {
        ready(Ok(Bytes::from(vec![0; max as usize + 1])))
    }
}

#[test]
fn more_than_asked_for_is_an_error_not_a_longer_body() {
    let error = drain(get("bytes=0-9", 100, Generous)).unwrap_err();
    assert!(matches!(error, BodyError::TooMuch { at: 0, asked: 10 }), "{error:?}");
}

struct Failing;

impl Source for Failing {
    type Error = io::Error;

    fn read_at(&self, _: u64, _: u64) -> impl Future<Output = Result<Bytes, io::Error>> + Send {
        ready(Err(io::Error::other("the disk is gone")))
    }
}

#[test]
fn a_failed_read_is_told_with_its_cause() {
    let error = drain(get("bytes=5-9", 100, Failing)).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the representation at byte 5");
    assert_eq!(error.source().unwrap().to_string(), "the disk is gone");
}

/// Counts the reads that are under way, and never finishes one after the first.
#[derive(Default)]
struct Counting {
    started: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

struct OnDrop(Arc<AtomicUsize>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Source for Counting {
    type Error = Infallible;

    async fn read_at(&self, _: u64, max: u64) -> Result<Bytes, Infallible> {
        let read = self.started.fetch_add(1, Ordering::Relaxed);
        let _guard = OnDrop(Arc::clone(&self.dropped));
        if read > 0 {
            pending::<()>().await;
        }
        Ok(Bytes::from(vec![0; max.min(10) as usize]))
    }
}

#[test]
fn one_read_runs_ahead_and_dropping_the_body_drops_it() {
    let source = Counting::default();
    let (started, dropped) = (Arc::clone(&source.started), Arc::clone(&source.dropped));
    let mut body = get("bytes=0-99", 100, source);
    assert_eq!(started.load(Ordering::Relaxed), 0, "nothing is read before it is asked for");
    assert!(matches!(poll(&mut body), Poll::Ready(Some(Ok(_)))));
    assert_eq!((started.load(Ordering::Relaxed), dropped.load(Ordering::Relaxed)), (2, 1));
    for _ in 0..3 {
        assert!(poll(&mut body).is_pending());
    }
    assert_eq!(started.load(Ordering::Relaxed), 2, "no second one ahead");
    drop(body);
    assert_eq!(dropped.load(Ordering::Relaxed), 2);
}

/// Makes up at most a hundred bytes for each read, and counts the reads.
struct Endless {
    reads: Arc<AtomicUsize>,
}

impl Source for Endless {
    type Error = Infallible;

    fn read_at(&self, at: u64, max: u64) -> impl Future<Output = Result<Bytes, Infallible>> + Send {
        self.reads.fetch_add(1, Ordering::Relaxed);
        ready(Ok(Bytes::from(vec![at as u8; max.min(100) as usize])))
    }
}

/// cpp-httplib#1766: every part was gathered in memory before the first byte went out.
#[test]
fn parts_of_any_size_are_streamed_with_one_read_ahead() {
    const TIB: u64 = 1 << 40;
    let reads = Arc::new(AtomicUsize::new(0));
    let source = Endless { reads: Arc::clone(&reads) };
    let mut body = get("bytes=0-1099511627775,2199023255552-3298534883327", 4 * TIB, source);
    assert!(body.size_hint().exact().is_some_and(|length| length > 2 * TIB), "known before it is read");
    for frames in 1..20 {
        let Poll::Ready(Some(Ok(frame))) = poll(&mut body) else { panic!("frame {frames} is ready") };
        assert!(frame.len() <= 200, "{} bytes at once", frame.len());
        assert!(reads.load(Ordering::Relaxed) <= frames + 1, "one read ahead");
    }
}

#[test]
fn an_answer_without_a_body_lets_go_of_its_source_at_once() {
    let held = Arc::new(AtomicUsize::new(0));
    struct Held(#[allow(dead_code, reason = "dropped, not read")] OnDrop);
    impl Source for Held {
        type Error = Infallible;

        fn read_at(&self, _: u64, _: u64) -> impl Future<Output = Result<Bytes, Infallible>> + Send {
            ready(Ok(Bytes::new()))
        }
    }
    let response = ask(&Method::HEAD, "bytes=0-4", 10, Held(OnDrop(Arc::clone(&held))));
    assert_eq!(held.load(Ordering::Relaxed), 1);
    assert_eq!(response.headers()["content-length"], "10");
    assert!(response.body().is_end_stream());
}

#[tokio::test]
async fn a_body_collects_like_any_other() {
    let body = get("bytes=2-5", 10, MemSource::new(content(10)));
    assert_eq!(body.collect().await.unwrap().to_bytes(), content(10)[2..6]);
}
