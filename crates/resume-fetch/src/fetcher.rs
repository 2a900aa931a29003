//! Starting downloads, and the handle that owns one.

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use retry_kit::SharedClock;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::board::{Board, End, WaitError};
use crate::completed::{Completed, Verified};
use crate::content::{Content, Reader, RequestHandle};
use crate::disk;
use crate::engine::Engine;
use crate::error::{FetchError, FetchErrorKind, LocalError};
use crate::event::{Event, Progress};
use crate::lease::Shared;
use crate::ledger::Ledger;
use crate::open::{Opened, open};
use crate::priority::Priority;
use crate::request::FetchRequest;
use crate::schedule::Demand;
use crate::transport::Transport;

/// What all downloads of a process share: the way to peers, the time, and chance.
pub struct Fetcher {
    transport: Arc<dyn Transport>,
    clock: SharedClock,
    rng: Mutex<fastrand::Rng>,
}

impl Fetcher {
    /// A fetcher over `transport`. Waits are measured by `clock` and jittered by `rng`.
    pub fn new(transport: impl Transport, clock: SharedClock, rng: fastrand::Rng) -> Self {
        Self { transport: Arc::new(transport), clock, rng: Mutex::new(rng) }
    }

    /// Starts a download on the current tokio runtime.
    ///
    /// What `ledger` remembers is continued; a [`SidecarLedger`](crate::SidecarLedger) beside the part is the usual
    /// choice without a database.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(&self, request: FetchRequest, ledger: impl Ledger) -> Download {
        self.start_over(Arc::clone(&self.transport), request, ledger)
    }

    /// As [`Fetcher::start`], over a way of its own: to a peer that has to be met with certificates or a proxy no other
    /// one needs.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start_over(
        &self,
        transport: Arc<dyn Transport>,
        request: FetchRequest,
        ledger: impl Ledger,
    ) -> Download {
        let stop = CancellationToken::new();
        let (events, inbox) = mpsc::unbounded_channel();
        let (progress, snapshot) = watch::channel(Progress::default());
        let rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner).fork();
        let board = Arc::new(Board::new(Demand::new(request.wanted.clone(), self.clock.now())));
        let content = Content::new(Arc::clone(&board), Arc::clone(&self.clock));
        let call = Call {
            transport,
            clock: Arc::clone(&self.clock),
            ledger: Arc::new(ledger),
            request,
            stop: stop.clone(),
            board: Arc::clone(&board),
        };
        let task = tokio::spawn(call.run(EndsTheBoard(board), events, progress, rng));
        Download { task, stop, events: inbox, progress: snapshot, content }
    }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher").finish_non_exhaustive()
    }
}

/// A running download: a future of its end, and a window on the way there.
///
/// Dropping it ends the download at its next await. The part file and its record stay, nothing is leaked, and the
/// next download of the same target continues; only what was not checkpointed is fetched again.
#[derive(Debug)]
#[must_use = "a download ends when its handle is dropped"]
pub struct Download {
    task: JoinHandle<Result<Completed, FetchError>>,
    stop: CancellationToken,
    events: mpsc::UnboundedReceiver<Event>,
    progress: watch::Receiver<Progress>,
    content: Content,
}

impl Download {
    /// A token that, cancelled, ends the download in good order: what was received is written, synced and recorded,
    /// and the result is [`FetchErrorKind::Stopped`].
    pub fn stopper(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// The current snapshot; the newest always wins, none is queued.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Takes the events out of the handle, to be awaited beside it. Afterwards [`Download::next_event`] has none.
    pub fn take_events(&mut self) -> Events {
        Events(std::mem::replace(&mut self.events, mpsc::unbounded_channel().1))
    }

    /// What it holds and what it is asked for, to be kept beside the handle and shared.
    pub fn content(&self) -> Content {
        self.content.clone()
    }

    /// Asks for `range` (bytes of the file, half-open); see [`Content::request`].
    pub fn request(&self, range: Range<u64>, priority: Priority) -> RequestHandle {
        self.content.request(range, priority)
    }

    /// Waits until `range` is written and readable; see [`Content::wait_for`].
    ///
    /// # Errors
    /// [`WaitError`] when it will not come.
    ///
    /// # Cancel safety
    /// Safe. The wish ends with the wait.
    pub async fn wait_for(&self, range: Range<u64>) -> Result<(), WaitError> {
        self.content.wait_for(range).await
    }

    /// How far one can read from `offset` without waiting; see [`Content::available_from`].
    pub fn available_from(&self, offset: u64) -> u64 {
        self.content.available_from(offset)
    }

    /// Reads `range` while it is being downloaded; see [`Content::reader`].
    pub fn reader(&self, range: Range<u64>) -> Reader {
        self.content.reader(range)
    }

    /// The next event, or `None` when the download has ended and all were taken.
    ///
    /// # Cancel safety
    /// Safe. No event is lost.
    pub async fn next_event(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

/// The events of a [`Download`], in order; none is ever lost. A [`Stream`] as well.
#[derive(Debug)]
pub struct Events(mpsc::UnboundedReceiver<Event>);

impl Events {
    /// The next event, or `None` when the download has ended and all were taken.
    ///
    /// # Cancel safety
    /// Safe. No event is lost.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.recv().await
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.0.poll_recv(context)
    }
}

impl Future for Download {
    type Output = Result<Completed, FetchError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match ready!(Pin::new(&mut self.task).poll(context)) {
            Ok(result) => Poll::Ready(result),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => {
                let (kind, history) = (FetchErrorKind::Stopped, Vec::new());
                Poll::Ready(Err(FetchError { kind, bytes_kept: 0, attempts: 0, retry_after: None, history }))
            }
        }
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        self.task.abort();
        // Work on a blocking thread cannot be aborted; what takes long there looks at this.
        self.stop.cancel();
    }
}

struct Call {
    transport: Arc<dyn Transport>,
    clock: SharedClock,
    ledger: Arc<dyn Ledger>,
    request: FetchRequest,
    stop: CancellationToken,
    board: Arc<Board>,
}

/// However the call ends, even when it is dropped before it began: nobody is left waiting.
struct EndsTheBoard(Arc<Board>);

impl Drop for EndsTheBoard {
    fn drop(&mut self) {
        self.0.end(End::Failed(WaitError::Stopped));
    }
}

impl Call {
    async fn run(
        self,
        board: EndsTheBoard,
        events: mpsc::UnboundedSender<Event>,
        progress: watch::Sender<Progress>,
        rng: fastrand::Rng,
    ) -> Result<Completed, FetchError> {
        let result = self.fetch(events, progress, rng).await;
        board.0.end(match &result {
            Ok(_) => End::Done,
            Err(error) => End::Failed(WaitError::from(&error.kind)),
        });
        result
    }

    async fn fetch(
        self,
        events: mpsc::UnboundedSender<Event>,
        progress: watch::Sender<Progress>,
        rng: fastrand::Rng,
    ) -> Result<Completed, FetchError> {
        let Self { transport, clock, ledger, request, stop, board } = self;
        let failed = |kind| FetchError {
            kind,
            bytes_kept: 0,
            attempts: request.failures,
            retry_after: None,
            history: Vec::new(),
        };
        match open(&request, &*ledger, &clock, &stop).await {
            Ok(Opened::Published { total, generation }) => {
                let file = readable(request.target.clone()).await.map_err(failed)?;
                board.tell(|notes| {
                    (notes.generation, notes.total, notes.file) = (generation, Some(total), Some(file));
                    notes.written.insert(0..total);
                });
                Ok(Completed {
                    total,
                    published: true,
                    received: 0,
                    resumed_from: total,
                    restarts: 0,
                    verified: Verified::Validator,
                })
            }
            Ok(Opened::Part(part, record)) => {
                let file = readable(request.part.clone()).await.map_err(failed)?;
                board.tell(|notes| notes.file = Some(file));
                let shared = Arc::new(Shared { transport, clock, request, part, stop });
                Engine::new(shared, ledger, board, events, progress, rng).run(record).await
            }
            Err(kind) => Err(failed(kind)),
        }
    }
}

/// Opens `path` for those who read along. Not the engine's own descriptor: that one holds the lock, which must not
/// outlive the download.
async fn readable(path: PathBuf) -> Result<Arc<File>, FetchErrorKind> {
    let opened = path.clone();
    let file = disk::blocking(move || disk::open_to_read(&opened)).await;
    Ok(Arc::new(file.map_err(LocalError::io("open", path))?))
}
