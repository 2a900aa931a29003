//! The streams of one connection: tasks that are counted, and ended when their reader stops.
//!
//! A stream is over when its bytes are: those that h2 keeps for want of window or of room in the socket are waited for,
//! though nothing is read any more and the file is closed.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use tokio_util::sync::{CancellationToken, DropGuard};

use super::pace::Pace;
use crate::http::activity::Activity;

/// Runs the streams of a connection. Clones are the same connection.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    peer: SocketAddr,
    /// How long a reader may take nothing; zero is for ever.
    stall: Duration,
    activity: Activity,
    end: CancellationToken,
}

/// A stream that is being answered.
struct Open(Streams);

impl Streams {
    pub(super) fn new(peer: SocketAddr, stall: Duration, activity: Activity) -> Self {
        Self { peer, stall, activity, end: CancellationToken::new() }
    }

    /// Ends every stream when it is dropped.
    pub(super) fn ends_with_this(&self) -> DropGuard {
        self.end.clone().drop_guard()
    }

    fn open(&self) -> Open {
        self.activity.stream_opens();
        Open(self.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.activity.stream_ends();
        if std::thread::panicking() {
            tracing::error!(peer = %self.0.peer, "a stream ended by a panic");
        }
    }
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let open = self.open();
        tokio::spawn(async move {
            let Streams { peer, stall, activity, end } = &open.0;
            let pace = Pace::default();
            let answered = async {
                pace.clone().scope(stream).await;
                pace.taken().await;
            };
            tokio::select! {
                () = answered => {}
                // Dropping what answers resets the stream, and closes its file.
                () = pace.stalled(*stall, activity) => tracing::debug!(%peer, "ended a stream whose reader has stopped"),
                () = end.cancelled() => {}
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use hyper::rt::Executor;
    use tokio::sync::oneshot;
    use tokio::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    fn streams() -> Streams {
        Streams::new("127.0.0.1:1".parse().unwrap(), Duration::ZERO, Activity::new())
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_from_the_end_of_its_last_stream() {
        let (streams, start) = (streams(), Instant::now());
        let (end, ended) = oneshot::channel::<()>();
        streams.execute(async move { drop(ended.await) });
        let idle = tokio::spawn({
            let streams = streams.clone();
            async move { streams.activity.none_for(LONG).await }
        });
        tokio::time::sleep(Duration::from_secs(100)).await;
        drop(end);
        idle.await.unwrap();
        assert_eq!(start.elapsed().as_secs(), 110);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_comes_and_goes_is_enough_not_to_be_idle() {
        let (streams, start) = (streams(), Instant::now());
        let idle = tokio::spawn({
            let streams = streams.clone();
            async move { streams.activity.none_for(LONG).await }
        });
        tokio::time::sleep(Duration::from_secs(9)).await;
        streams.execute(async {});
        idle.await.unwrap();
        assert_eq!(start.elapsed().as_secs(), 19);
    }

    #[tokio::test(start_paused = true)]
    async fn no_stream_outlives_its_connection() {
        let streams = streams();
        let (alive, gone) = oneshot::channel::<()>();
        let connection = streams.ends_with_this();
        streams.execute(async move {
            let _alive = alive;
            std::future::pending::<()>().await;
        });
        drop(connection);
        gone.await.unwrap_err();
    }
}
