//! HTTP/1.1 on a connection: one answer after the other.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use http::Response;
use http::header::{CONNECTION, HeaderValue, TRANSFER_ENCODING};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::{ConnectionInfo, MAX_HEAD, answer, report};
use crate::http::body::Body;
use crate::http::framing::FramingGuard;
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
    H: Fn(Request<Incoming>, Arc<ConnectionInfo>) -> F + Clone,
    F: Future<Output = Response<Body>>,
{
    let peer = info.peer;
    let service = service_fn(|request: Request<Incoming>| {
        let closing = request.headers().contains_key(TRANSFER_ENCODING);
        // Boxed, because hyper keeps the room of one answer for as long as the connection lives.
        let answer = Box::pin(answer(request, handler.clone(), Arc::clone(&info)));
        async move {
            let mut response = answer.await;
            if closing {
                // The framing guard does not follow chunks, so nothing may come after them.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_timeout)
        .max_buf_size(MAX_HEAD)
        // Bodies are handed on as they are and never read: a part of a file may be an address without content.
        .writev(true)
        .serve_connection(TokioIo::new(FramingGuard::new(stream)), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    report(peer, ended);
}
