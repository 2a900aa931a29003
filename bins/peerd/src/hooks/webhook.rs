//! An address that is told of an event: a POST with the event as JSON, signed if there is a secret.

use std::time::{Duration, SystemTime};

use anyhow::Context;
use hmac::{Hmac, Mac};
use http::header::{CONTENT_TYPE, DATE, HeaderName, HeaderValue, RETRY_AFTER};
use retry_kit::{Backoff, Clock};
use sha2::Sha256;
use url::Url;

use super::delivery::Delivery;
use super::{Outcome, Shared};
use crate::config::Secret;
use crate::outbound::root_cause;

/// Where and how an event is told.
pub(super) struct Webhook {
    http: reqwest::Client,
    url: Url,
    secret: Option<Secret>,
    timeout: Duration,
}

/// How a delivery that failed is tried again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) base: Duration,
    pub(super) cap: Duration,
}

/// What an attempt came to.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Taken,
    /// Trying again may help.
    NotNow {
        said: String,
        wait: Option<Duration>,
    },
    /// It will not.
    No(String),
}

impl Webhook {
    pub(super) fn new(
        http: reqwest::Client,
        url: &Secret,
        secret: Option<&Secret>,
        timeout: Duration,
    ) -> anyhow::Result<Self> {
        let url = Url::parse(url.expose()).context("not a URL")?;
        Ok(Self { http, url, secret: secret.cloned(), timeout })
    }

    async fn post(&self, event: &str, body: String) -> Answer {
        let mut request = self
            .http
            .post(self.url.clone())
            .timeout(self.timeout)
            .header(CONTENT_TYPE, "application/json")
            .header(EVENT, event);
        if let Some(secret) = &self.secret {
            request = request.header(SIGNATURE, signature(secret.expose().as_bytes(), body.as_bytes()));
        }
        match request.body(body).send().await {
            Ok(response) => {
                let headers = response.headers();
                let date = headers.get(DATE).map(HeaderValue::as_bytes);
                let wait = retry_kit::retry_after(headers.get_all(RETRY_AFTER), date, SystemTime::now());
                judge(response.status(), wait)
            }
            Err(error) => {
                let error = error.without_url();
                let said = match error.is_timeout() {
                    true => format!("no answer within {} ms", self.timeout.as_millis()),
                    false => root_cause(&error),
                };
                Answer::NotNow { said, wait: None }
            }
        }
    }
}

/// Tells an address of an event, again and again while that may help.
///
/// # Cancel safety
/// Safe; the address may have been told all the same.
pub(super) async fn send(shared: &Shared, hook: &str, webhook: &Webhook, delivery: &Delivery) -> Outcome {
    let (event, download_id) = (delivery.event.as_str(), delivery.download);
    let backoff = Backoff::new(shared.patience.base, shared.patience.cap);
    for attempt in 1..=MAX_ATTEMPTS {
        let permit = shared.calls.acquire().await;
        let answer = webhook.post(event, delivery.text()).await;
        drop(permit);
        let (said, wait) = match answer {
            Answer::Taken => {
                tracing::debug!(hook, event, download_id, "hook");
                return Outcome::Delivered;
            }
            Answer::No(said) => {
                tracing::warn!(hook, event, download_id, said, "the hook's address refused the event");
                return Outcome::Failed;
            }
            Answer::NotNow { said, wait } => (said, wait),
        };
        if attempt == MAX_ATTEMPTS {
            tracing::warn!(
                hook,
                event,
                download_id,
                said,
                attempt,
                "the hook's address was not told; given up"
            );
            return Outcome::Failed;
        }
        let delay = backoff.delay(attempt, &mut shared.rng());
        let delay = wait.map_or(delay, |wait| wait.clamp(delay, LONGEST_WAIT.max(delay)));
        let delay_ms = delay.as_millis() as u64;
        tracing::warn!(hook, event, download_id, said, attempt, delay_ms, "the hook's address is told again");
        shared.count(hook, "retried");
        shared.clock.sleep(delay).await;
    }
    Outcome::Failed
}

fn judge(status: http::StatusCode, wait: Option<Duration>) -> Answer {
    let said = format!("answered {status}");
    match status.as_u16() {
        200..=299 => Answer::Taken,
        408 | 425 | 429 | 500.. => Answer::NotNow { said, wait },
        // No redirect is followed: a signed body goes to the configured address and nowhere else.
        _ => Answer::No(said),
    }
}

/// HMAC-SHA256 of the body (RFC 2104), in lower-case hex.
fn signature(secret: &[u8], body: &[u8]) -> String {
    // A key of any length will do.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return String::new() };
    mac.update(body);
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

const SIGNATURE: HeaderName = HeaderName::from_static("x-peerd-signature");
const EVENT: HeaderName = HeaderName::from_static("x-peerd-event");
/// With the default delays, some four minutes: longer than what listens there takes to restart.
const MAX_ATTEMPTS: u32 = 10;
/// Longest `Retry-After` that is waited for; the other events of this hook wait as well.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn a_body_is_signed_as_the_rfc_says() {
        // RFC 4231 §4.3, test case 2.
        assert_eq!(
            signature(b"Jefe", b"what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        let long = signature(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(long, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54", "case 6");
    }

    #[test]
    fn a_refusal_is_taken_at_its_word_and_trouble_passes() {
        for (status, again) in [
            (429, true),
            (500, true),
            (503, true),
            (408, true),
            (400, false),
            (404, false),
            (410, false),
            (302, false),
        ] {
            let answer = judge(StatusCode::from_u16(status).unwrap(), None);
            assert_eq!(matches!(answer, Answer::NotNow { .. }), again, "{status}");
        }
        assert_eq!(judge(StatusCode::NO_CONTENT, None), Answer::Taken);
    }
}
