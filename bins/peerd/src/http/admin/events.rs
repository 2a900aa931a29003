//! `/api/v1/events`: what happens, as it happens (server-sent events of the HTML standard).
//!
//! A reader first gets a `snapshot`, unless `Last-Event-ID` names an event after which all are still at hand. It then
//! gets the events one after the other, by their number. One that is too slow for the ring of events gets a fresh
//! snapshot in place of what it missed; one that stops reading altogether is ended by the connection.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::json;

use super::session::Session;
use crate::downloads::Downloads;
use crate::events::{Batch, Behind, Events, frame};
use crate::http::body::Body;

/// An answer that goes on until either side ends it, or the session that let it in is over.
pub(super) fn follow(
    events: &Arc<Events>,
    downloads: &Downloads,
    headers: &HeaderMap,
    session: Option<Session>,
) -> Response<Body> {
    let reader = Reader {
        events: Arc::clone(events),
        downloads: downloads.clone(),
        seen: headers.get("last-event-id").and_then(number),
        greeted: false,
        session,
    };
    let frames = stream::unfold(reader, |mut reader| async move {
        let text = reader.next_in_session().await?;
        Some((Ok::<_, Infallible>(Frame::data(Bytes::from(text).into())), reader))
    });
    let body = StreamBody::new(frames).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    for (name, value) in [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-store"),
        // A proxy that gathers an answer before it passes it on would hold back every event.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// One who follows. It holds a number and no events: those wait in the ring until it asks.
struct Reader {
    events: Arc<Events>,
    downloads: Downloads,
    /// The last event it has; `None` when it needs a snapshot.
    seen: Option<u64>,
    greeted: bool,
    session: Option<Session>,
}

impl Reader {
    async fn next_in_session(&mut self) -> Option<String> {
        let Some(session) = self.session.take() else { return self.next().await };
        let text = tokio::select! {
            biased;
            () = session.over() => None,
            text = self.next() => text,
        };
        self.session = Some(session);
        text
    }

    /// What to send next; `None` at the end.
    async fn next(&mut self) -> Option<String> {
        if !std::mem::replace(&mut self.greeted, true) {
            return Some(GREETING.to_owned());
        }
        let Some(seen) = self.seen else { return self.snapshot().await };
        match news(&self.events, seen).await {
            News::Batch(batch) => {
                self.seen = Some(batch.seen);
                Some(batch.text)
            }
            News::Gap => self.snapshot().await,
            News::Silence => Some(COMMENT.to_owned()),
            News::End => None,
        }
    }

    /// How everything stands. Its number is that of the last event before: what comes after may tell again what the
    /// snapshot says already, and leaves nothing out.
    async fn snapshot(&mut self) -> Option<String> {
        let last = self.events.last();
        match self.downloads.snapshot().await {
            Ok((downloads, more)) => {
                self.seen = Some(last);
                let disk = if self.downloads.disk_is_low() { "low" } else { "ok" };
                let data = json!({ "downloads": downloads, "more": more, "disk": disk });
                Some(frame(last, "snapshot", &data))
            }
            Err(error) => {
                // It comes back by itself and asks again.
                tracing::error!(error = %resume_fetch::describe(&error), "no snapshot: the registry failed");
                None
            }
        }
    }
}

/// What there is to say after an event.
#[derive(Debug, PartialEq, Eq)]
enum News {
    Batch(Batch),
    /// Some of what came after it is gone.
    Gap,
    /// Nothing happened for so long that the connection needs a sign of life.
    Silence,
    /// The daemon stops.
    End,
}

async fn news(events: &Events, seen: u64) -> News {
    loop {
        match events.after(seen) {
            Err(Behind) => return News::Gap,
            Ok(batch) if !batch.text.is_empty() => return News::Batch(batch),
            Ok(_) => tokio::select! {
                biased;
                () = events.beyond(seen) => {}
                () = events.closed() => return News::End,
                () = tokio::time::sleep(KEEP_ALIVE) => return News::Silence,
            },
        }
    }
}

/// A number as we write them; anything else is unknown, and answered with a snapshot.
fn number(value: &HeaderValue) -> Option<u64> {
    let text = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    text.parse().ok()
}

/// How long a reader waits, in milliseconds, before it comes back after the stream has ended.
const GREETING: &str = "retry: 3000\n\n";
const COMMENT: &str = ": keep-alive\n\n";
const KEEP_ALIVE: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use download_registry::{DownloadId, Options, Registry};
    use retry_kit::{SharedClock, TokioClock};

    use super::*;
    use crate::events::{Event, Step};
    use crate::metrics::Metrics;

    #[tokio::test]
    async fn a_quiet_stream_gives_a_sign_of_life_and_a_closed_one_ends_after_the_last_event() {
        let dir = tempfile::tempdir().unwrap();
        let registry = Registry::open(dir.path().join("peerd.db"), &Options::default()).await.unwrap();
        let clock: SharedClock = Arc::new(TokioClock);
        let events = Events::open(&registry, Arc::new(Metrics::new()), &clock).await.unwrap();
        registry.close().await;
        tokio::time::pause();
        let begun = tokio::time::Instant::now();
        assert_eq!(news(&events, events.last()).await, News::Silence);
        assert_eq!(begun.elapsed().as_secs(), KEEP_ALIVE.as_secs());
        events.close();
        events.record(&Event::Download(DownloadId::new(1).into(), Step::Cancelled));
        assert!(matches!(news(&events, 0).await, News::Batch(Batch { seen: 1, .. })));
        assert_eq!(news(&events, 1).await, News::End);
        assert_eq!(news(&events, 2).await, News::Gap);
    }

    #[test]
    fn only_a_plain_decimal_number_is_one_of_ours() {
        for (text, expected) in [
            ("0", Some(0)),
            ("17", Some(17)),
            ("", None),
            ("-1", None),
            ("+1", None),
            (" 1", None),
            ("1.0", None),
            ("garbage", None),
            ("99999999999999999999999", None),
        ] {
            assert_eq!(number(&HeaderValue::from_static(text)), expected, "{text}");
        }
    }
}
