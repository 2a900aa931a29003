//! HTTP/2 on a connection (RFC 9113): answers side by side, each on a stream of its own.
//!
//! What guards HTTP/1.1 by ending the connection guards here by ending the stream. A connection on which nothing is
//! asked for as long as a head may take is told to go, and ended when it does not; so is one that never begins. What
//! a client may make us keep is bounded: streams, heads, and bytes on their way out.

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
use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use self::pace::Pace;
use self::streams::Streams;
use super::{ConnectionInfo, answer, report};
use crate::http::body::{self, Body};
use crate::http::server::ServerOptions;

/// Serves a stream whose writes are guarded against readers that stop.
pub(super) async fn serve<S, H, F>(
    stream: S,
    info: Arc<ConnectionInfo>,
    handler: H,
    options: &ServerOptions,
    shutdown: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Fn(Request<Incoming>, Arc<ConnectionInfo>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let (peer, stall) = (info.peer, options.write_stall_timeout);
    let streams = Streams::new(peer, stall);
    // Streams are tasks of their own; none outlives its connection.
    let _end = streams.ends_with_this();
    let service = service_fn(|request: Request<Incoming>| {
        let is_head = request.method() == Method::HEAD;
        let answer = answer(request, handler.clone(), Arc::clone(&info));
        async move { Ok::<_, Infallible>(fit(answer.await, is_head)) }
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
    if !stall.is_zero() {
        // Whoever is gone without a word is noticed also while we have nothing to send; whoever only reads slowly has
        // the time of a reader.
        builder.keep_alive_interval(PING_EVERY).keep_alive_timeout(stall);
    }
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = streams.idle_for(options.header_timeout) => {
            connection.as_mut().graceful_shutdown();
            let patience = if stall.is_zero() { Duration::MAX } else { stall };
            tokio::select! {
                ended = connection => ended,
                () = streams.idle_for(patience) => Ok(()),
            }
        }
    };
    report(peer, ended);
}

/// Makes an answer one of HTTP/2: no fields about the connection (RFC 9113 §8.2.2), no content to HEAD, and a body
/// that notices when its reader stops.
fn fit(mut response: Response<Body>, is_head: bool) -> Response<Body> {
    response.headers_mut().remove(CONNECTION);
    if !is_head {
        return response.map(|body| Pace::of_this_stream().kept_by(body).boxed_unsync());
    }
    if let Some(length) = response.body().size_hint().exact().filter(|length| *length > 0) {
        response.headers_mut().entry(CONTENT_LENGTH).or_insert(length.into());
    }
    response.map(|_| body::empty())
}

/// Requests answered at once on a connection; more wait with the client.
const MAX_STREAMS: u32 = 32;

/// The largest request head, as RFC 9113 §6.5.2 counts it; answered with 431 beyond.
const MAX_HEAD_LIST: u32 = 16 * 1024;

/// Bytes of one stream that wait to be sent.
const SEND_BUFFER: usize = 64 * 1024;

/// Bytes of requests that are taken before anybody asks for them: the least there is.
const WINDOW: u32 = 65_535;

const PING_EVERY: Duration = Duration::from_secs(30);
