//! HTTP/2 on a connection (RFC 9113): answers side by side, each on a stream of its own.
//!
//! What guards HTTP/1.1 by ending the connection guards here by ending the stream. A connection on which nothing goes
//! on for as long as a head may take is told to go, and ended when it does not; so is one that never begins. As long
//! as there are bytes for the socket, readers have the time of readers. What a client may make us keep is bounded:
//! streams, heads, and bytes on their way out.

mod pace;
mod streams;

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH};
use http::{Method, Response};
use http_body::Body as _;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use self::pace::{Pace, Paced};
use self::streams::Streams;
use super::{ConnectionInfo, answer, report};
use crate::http::activity::Activity;
use crate::http::body::{self, Body};
use crate::http::problem::Problem;
use crate::http::server::ServerOptions;

/// Serves a stream whose writes are guarded against readers that stop, and told to `activity`.
pub(super) async fn serve<S, H, F>(
    stream: S,
    activity: Activity,
    info: Arc<ConnectionInfo>,
    handler: H,
    options: &ServerOptions,
    further: Arc<Semaphore>,
    shutdown: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Fn(Request<Incoming>, Arc<ConnectionInfo>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let (peer, stall) = (info.peer, options.write_stall_timeout);
    let streams = Streams::new(peer, stall, activity.clone());
    // Streams are tasks of their own; none outlives its connection.
    let _end = streams.ends_with_this();
    let own = Arc::new(Semaphore::new(1));
    let service = service_fn(|request: Request<Incoming>| {
        let is_head = request.method() == Method::HEAD;
        let room =
            Arc::clone(&own).try_acquire_owned().or_else(|_| Arc::clone(&further).try_acquire_owned()).ok();
        let answer = answer(request, handler.clone(), Arc::clone(&info));
        async move {
            let response = match room {
                Some(_) => answer.await,
                None => no_room().into_response(),
            };
            Ok::<_, Infallible>(fit(response, is_head, room))
        }
    });
    let mut builder = http2::Builder::new(streams.clone());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_LIST)
        .max_send_buf_size(SEND_BUFFER)
        // No request has a body worth speaking of.
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = shutdown.cancelled() => None,
        () = activity.none_for(options.header_timeout) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            // What a slow reader has not got yet may lie in the system: closing could take it away.
            activity.farewell();
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => ended,
                // Whoever is still there has answered by then; nobody waits for one who is not.
                () = activity.none_for(FAREWELL) => Ok(()),
            }
        }
    };
    report(peer, ended);
}

/// Makes an answer one of HTTP/2: no fields about the connection (RFC 9113 §8.2.2), no content to HEAD, and a body
/// that notices when its reader stops, and takes up `room` until it ends.
fn fit(
    mut response: Response<Body>,
    is_head: bool,
    room: Option<OwnedSemaphorePermit>,
) -> Response<Paced<Body>> {
    response.headers_mut().remove(CONNECTION);
    let pace = Pace::of_this_stream();
    if !is_head {
        return response.map(|body| pace.kept_by(body).within(room));
    }
    if let Some(length) = response.body().size_hint().exact().filter(|length| *length > 0) {
        response.headers_mut().entry(CONTENT_LENGTH).or_insert(length.into());
    }
    response.map(|_| pace.kept_by(body::empty()).within(room))
}

fn no_room() -> Problem {
    Problem::unavailable(ROOM_WAIT).with_detail("too many answers are under way")
}

/// Requests answered at once on a connection; more wait with the client.
const MAX_STREAMS: u32 = 8;

const ROOM_WAIT: Duration = Duration::from_secs(5);

/// The largest request head, as RFC 9113 §6.5.2 counts it; answered with 431 beyond.
const MAX_HEAD_LIST: u32 = 16 * 1024;

/// Bytes of one stream that wait to be sent.
const SEND_BUFFER: usize = 64 * 1024;

/// Bytes of requests that are taken before anybody asks for them: the least there is.
const WINDOW: u32 = 65_535;

/// From the last that went on to the end of a connection that was told to go.
const FAREWELL: Duration = Duration::from_secs(1);
