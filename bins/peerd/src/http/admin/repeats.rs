//! `Idempotency-Key`: a request that is sent twice, because its first answer got lost, does its work once.
//!
//! The first answer to a key is kept, for a day and until the daemon ends, and given again. An answer that says no is
//! not kept: nothing was done, and the next try may go better.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt;
use retry_kit::SharedClock;
use tokio::sync::watch;

use crate::http::body::{self, Body};
use crate::http::problem::Problem;

/// The first answers to keyed requests.
pub(super) struct Repeats {
    clock: SharedClock,
    answers: Arc<Mutex<HashMap<String, Slot>>>,
}

#[derive(Clone)]
struct Slot {
    /// Of what was asked for.
    fingerprint: blake3::Hash,
    begun: Instant,
    answer: watch::Receiver<Option<Result<Recorded, Problem>>>,
}

#[derive(Clone)]
struct Recorded {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Repeats {
    pub(super) fn new(clock: SharedClock) -> Self {
        Self { clock, answers: Arc::default() }
    }

    /// Answers with what comes of `work`, or with the first answer to the key in `headers`.
    ///
    /// # Cancel safety
    /// Keyed work is done to its end, so that whoever asks again gets its answer.
    pub(super) async fn once(
        &self,
        headers: &HeaderMap,
        fingerprint: blake3::Hash,
        work: impl Future<Output = Result<Response<Body>, Problem>> + Send + 'static,
    ) -> Result<Response<Body>, Problem> {
        let Some(key) = key(headers)? else { return work.await };
        let mut answer = self.begin(&key, fingerprint, work)?;
        let answered = answer.wait_for(Option::is_some).await.map(|answer| (*answer).clone());
        match answered {
            Ok(Some(answer)) => answer.map(Recorded::replay),
            _ => {
                self.answers().remove(&key);
                Err(Problem::internal())
            }
        }
    }

    fn begin(
        &self,
        key: &str,
        fingerprint: blake3::Hash,
        work: impl Future<Output = Result<Response<Body>, Problem>> + Send + 'static,
    ) -> Result<watch::Receiver<Option<Result<Recorded, Problem>>>, Problem> {
        let now = self.clock.now();
        let mut answers = self.answers();
        answers.retain(|_, slot| now.saturating_duration_since(slot.begun) < KEPT_FOR);
        if let Some(slot) = answers.get(key) {
            return if slot.fingerprint == fingerprint { Ok(slot.answer.clone()) } else { Err(reused()) };
        }
        if answers.len() >= MAX_KEPT {
            let oldest = answers.iter().min_by_key(|(_, slot)| slot.begun).map(|(key, _)| key.clone());
            oldest.map(|oldest| answers.remove(&oldest));
        }
        let (tell, answer) = watch::channel(None);
        answers.insert(key.to_owned(), Slot { fingerprint, begun: now, answer: answer.clone() });
        let (kept, key) = (Arc::clone(&self.answers), key.to_owned());
        tokio::spawn(async move {
            let outcome = match work.await {
                Ok(response) => Recorded::of(response).await,
                Err(problem) => Err(problem),
            };
            if outcome.is_err() {
                kept.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
            }
            tell.send_replace(Some(outcome));
        });
        Ok(answer)
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<String, Slot>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorded {
    async fn of(response: Response<Body>) -> Result<Self, Problem> {
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|_| Problem::internal())?.to_bytes();
        Ok(Self { status: head.status, headers: head.headers, body })
    }

    fn replay(self) -> Response<Body> {
        let mut response = Response::new(body::full(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut keys = headers.get_all("idempotency-key").iter();
    let (Some(key), None) = (keys.next(), keys.next()) else {
        return match headers.contains_key("idempotency-key") {
            true => Err(Problem::bad_request("one Idempotency-Key is enough")),
            false => Ok(None),
        };
    };
    match key.to_str() {
        Ok(key) if (1..=MAX_KEY).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(Problem::bad_request(format!("an Idempotency-Key has 1 to {MAX_KEY} visible characters"))),
    }
}

fn reused() -> Problem {
    let title = "The Idempotency-Key was used for another request";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", title)
}

/// How long a first answer is kept, and how many are.
const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);
const MAX_KEPT: usize = 1000;
const MAX_KEY: usize = 255;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::HeaderValue;
    use retry_kit::ManualClock;

    use super::*;

    struct Bench {
        repeats: Repeats,
        clock: ManualClock,
        done: Arc<AtomicUsize>,
    }

    impl Bench {
        fn new() -> Self {
            let clock = ManualClock::new();
            Self { repeats: Repeats::new(Arc::new(clock.clone())), clock, done: Arc::default() }
        }

        async fn ask(&self, key: &str, asked: &str, fails: bool) -> (u16, String) {
            let mut headers = HeaderMap::new();
            if !key.is_empty() {
                headers.insert("idempotency-key", HeaderValue::from_str(key).unwrap());
            }
            let done = Arc::clone(&self.done);
            let work = async move {
                let count = done.fetch_add(1, Ordering::Relaxed);
                if fails { Err(Problem::not_found()) } else { Ok(body::json(StatusCode::CREATED, &count)) }
            };
            match self.repeats.once(&headers, blake3::hash(asked.as_bytes()), work).await {
                Ok(response) => {
                    let status = response.status().as_u16();
                    let body = response.into_body().collect().await.unwrap().to_bytes();
                    (status, String::from_utf8(body.to_vec()).unwrap())
                }
                Err(problem) => (problem.status().as_u16(), problem.name().to_owned()),
            }
        }
    }

    #[tokio::test]
    async fn the_same_key_gets_the_first_answer_for_a_day() {
        let bench = Bench::new();
        assert_eq!(bench.ask("k", "a", false).await, (201, "0".into()));
        assert_eq!(bench.ask("k", "a", false).await, (201, "0".into()));
        assert_eq!(bench.ask("other", "a", false).await, (201, "1".into()));
        assert_eq!(bench.ask("", "a", false).await, (201, "2".into()), "without a key nothing is kept");
        assert_eq!(bench.ask("k", "b", false).await, (422, "idempotency-key-reused".into()));
        bench.clock.advance(KEPT_FOR);
        assert_eq!(bench.ask("k", "b", false).await, (201, "3".into()));
    }

    #[tokio::test]
    async fn a_refusal_is_not_kept_and_memory_is_bounded() {
        let bench = Bench::new();
        assert_eq!(bench.ask("k", "a", true).await, (404, "not-found".into()));
        assert_eq!(bench.ask("k", "a", false).await, (201, "1".into()));
        for n in 0..2 * MAX_KEPT {
            bench.ask(&format!("key {n}"), "a", false).await;
        }
        assert_eq!(bench.repeats.answers().len(), MAX_KEPT);
        for key in ["x".repeat(256), "é".into()] {
            let mut headers = HeaderMap::new();
            headers.insert("idempotency-key", HeaderValue::from_bytes(key.as_bytes()).unwrap());
            assert!(super::key(&headers).is_err());
        }
    }

    #[tokio::test]
    async fn two_at_once_do_the_work_once() {
        let bench = Bench::new();
        let (first, second) = tokio::join!(bench.ask("k", "a", false), bench.ask("k", "a", false));
        assert_eq!((first, bench.done.load(Ordering::Relaxed)), (second, 1));
    }
}
