//! An engine for unit tests, with real parts around it.

use std::sync::Arc;
use std::time::Duration;

use retry_kit::{Clock, TokioClock};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::Engine;
use crate::board::Board;
use crate::event::Progress;
use crate::lease::Shared;
use crate::ledger::{Ledger, MemoryLedger};
use crate::part_file::PartFile;
use crate::request::{FetchRequest, Wanted};
use crate::reqwest_transport::ReqwestTransport;
use crate::schedule::Demand;

/// An engine that is about to download `request` into `part`.
#[expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]
pub(super) fn engine(request: FetchRequest, part: PartFile, ledger: &Arc<MemoryLedger>) -> Engine {
    let shared = Shared {
        transport: Arc::new(ReqwestTransport::new(Duration::from_secs(10)).unwrap()),
        clock: Arc::new(TokioClock),
        request,
        part,
        stop: CancellationToken::new(),
    };
    let board = Arc::new(Board::new(Demand::new(Wanted::Whole, TokioClock.now())));
    let progress = watch::channel(Progress::default()).0;
    let events = mpsc::unbounded_channel().0;
    let rng = fastrand::Rng::with_seed(1);
    Engine::new(Arc::new(shared), Arc::clone(ledger) as Arc<dyn Ledger>, board, events, progress, rng)
}
