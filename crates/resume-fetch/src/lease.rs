//! One worker, one lease: ask for a range, have the answer judged, bring the body to disk.
//!
//! A worker owns no state of the download. It reports to the engine and waits for its word before it writes, so that
//! a restart is on record before anything is destroyed.

mod ask;
mod bounds;
mod receive;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use retry_kit::SharedClock;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use self::ask::Answered;
pub(crate) use self::bounds::Bounds;
use self::receive::Receiver;
pub(crate) use self::receive::piece;
use crate::decide::{Decision, Take};
use crate::digest::Digest;
use crate::error::{AttemptError, LocalError};
use crate::identity::Identity;
use crate::part_file::PartFile;
use crate::redirect::RedirectError;
use crate::request::FetchRequest;
use crate::restart_reason::RestartReason;
use crate::schedule::LeaseId;
use crate::transport::Transport;

/// What every worker of a download shares.
pub(crate) struct Shared {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) clock: SharedClock,
    pub(crate) request: FetchRequest,
    pub(crate) part: PartFile,
    pub(crate) stop: CancellationToken,
}

/// The bytes a worker is to bring, and what is known when it sets out.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub(crate) id: LeaseId,
    /// What is still this worker's to bring; the engine may cut it short.
    pub(crate) bounds: Bounds,
    pub(crate) identity: Identity,
    /// First offset wanted.
    pub(crate) from: u64,
    /// One past the last offset wanted; `None` up to the end of the representation.
    pub(crate) until: Option<u64>,
    /// Where the run of held bytes that ends at `from` begins.
    pub(crate) held_from: u64,
    /// Ask for the whole representation: a restart is due and needs a body.
    pub(crate) whole: bool,
    /// Nothing is held and nothing is known: whatever comes begins the generation.
    pub(crate) fresh: bool,
    /// A validator is not enough: the answer has to overlap what is held.
    pub(crate) compare: bool,
    /// Send the request over a connection that has carried no other.
    pub(crate) reconnect: bool,
    /// The peer has ignored a range before.
    pub(crate) ignores_ranges: bool,
    /// What the peer said about the digest of the whole.
    pub(crate) repr_digest: Option<Digest>,
}

/// What a worker tells the engine.
#[derive(Debug)]
pub(crate) enum Report {
    /// An answer that can be written, and whose overlap is equal; nothing is written before `go` says in which
    /// generation. When `go` is dropped the answer is of no use and the worker ends.
    Answered {
        lease: LeaseId,
        take: Take,
        restart: Option<RestartReason>,
        repr_digest: Option<Digest>,
        go: oneshot::Sender<u64>,
    },
    /// Bytes reached the part file.
    Written { lease: LeaseId, generation: u64, range: Range<u64> },
}

/// How a lease ended.
#[derive(Debug)]
pub(crate) enum LeaseEnd {
    /// Everything the answer promised, or the lease was cut down to, is written.
    Filled,
    /// A body of unknown length ended cleanly at this offset.
    EndOfBody(u64),
    /// The peer confirmed that nothing is missing.
    Complete(u64),
    /// Held bytes are worthless, and this answer has none to start over with.
    Restart(RestartReason),
    /// Held bytes that the answer overlaps could not be read back.
    Unreadable(Range<u64>, LocalError),
    /// The attempt failed.
    Failed {
        error: AttemptError,
        /// The peer's Retry-After.
        hint: Option<Duration>,
        /// Whether it failed at an address the peer had sent us on to.
        redirected: bool,
    },
    /// Asked to end; what was received is written.
    Stopped,
    /// Silent for this long while somebody stands still for its bytes; what was received is written.
    Quiet(Duration),
}

/// Works on `lease` to its end. Every report of it is on its way when this returns.
pub(crate) async fn work(
    shared: Arc<Shared>,
    lease: Lease,
    reports: mpsc::Sender<Report>,
) -> (LeaseId, LeaseEnd) {
    let end = match (Worker { shared, reports }).attempt(&lease).await {
        Ok(end) => end,
        Err(Failure { error, hint, redirected }) => LeaseEnd::Failed { error, hint, redirected },
    };
    (lease.id, end)
}

struct Worker {
    shared: Arc<Shared>,
    reports: mpsc::Sender<Report>,
}

struct Failure {
    error: AttemptError,
    hint: Option<Duration>,
    redirected: bool,
}

impl<E: Into<AttemptError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { error: error.into(), hint: None, redirected: false }
    }
}

impl Worker {
    async fn attempt(&self, lease: &Lease) -> Result<LeaseEnd, Failure> {
        let answered = tokio::select! {
            answered = self.ask(lease) => answered?,
            () = lease.bounds.ended() => return Ok(LeaseEnd::Stopped),
        };
        let Answered { head, decision, body, hint, redirected } = answered;
        let (take, restart) = match decision {
            Decision::Take(take) => (take, None),
            Decision::Restart(reason, Some(take)) => (take, Some(reason)),
            Decision::Restart(reason, None) => return Ok(LeaseEnd::Restart(reason)),
            Decision::Complete { total } => return Ok(LeaseEnd::Complete(total)),
            Decision::Refuse(error) => return Err(Failure { error: error.into(), hint, redirected }),
            Decision::Redirect => return Err(RedirectError::BadLocation.into()),
        };
        Receiver::new(self, lease, take, restart, &head, body).run().await
    }
}

/// Runs blocking work on the part file.
pub(crate) fn blocking<T, F>(
    part: &PartFile,
    work: F,
) -> impl Future<Output = Result<T, LocalError>> + Send + use<T, F>
where
    T: Send + 'static,
    F: FnOnce(&PartFile) -> Result<T, LocalError> + Send + 'static,
{
    let part = part.clone();
    async move {
        let path = part.path().to_path_buf();
        let outcome = crate::disk::blocking(move || Ok(work(&part))).await;
        outcome.unwrap_or_else(|error| Err(LocalError::io("work on", path)(error)))
    }
}
