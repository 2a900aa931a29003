//! The lookout: somebody who is missed is looked for, and whoever waits for them is told when they are back.
//!
//! What is heard of a peer comes from the requests rows make anyway. Only while a peer is missed, and rows want
//! something of it, it is asked one thing more: `GET /ping`, without a key, in growing intervals. Any answer is a sign
//! of life. When it is back, rows that wait because nobody was there go on at once.
//!
//! Nobody waits longer for it than its own back-off would make it: a row is held once, for the time a failure would
//! cost it, instead of failing with the others; what comes after that is its own try.

use std::sync::Arc;
use std::time::Duration;

use download_registry::{DownloadState, ListError, ListQuery, Problem};
use resume_fetch::{AttemptError, FetchErrorKind};
use tokio::sync::Notify;

use super::peers::{Change, News, PeerError};
use super::{Peer, Shared};
use crate::events::{Event, Reach};
use crate::failure::Failure;

impl Shared {
    /// Takes in what a request showed of a peer, and tells those whom it concerns.
    pub(super) async fn heard_of(self: &Arc<Self>, peer: &Peer, news: News, reason: &str) {
        let Some(heard) = self.peers.heard_of(peer, news, reason) else { return };
        let name = peer.name();
        match heard.change {
            Some(Change::Down) => {
                self.events.record(&Event::Peer { peer: name, reach: Reach::Down { reason } });
            }
            Some(Change::Up) => {
                self.events.record(&Event::Peer { peer: name, reach: Reach::Up });
                self.hurry_rows_of(name).await;
            }
            None => {}
        }
        if !self.settings().enabled {
            self.peers.rest(name, true);
        } else if let Some(watch) = heard.to_be_watched {
            self.send_for(name, watch);
        }
    }

    fn send_for(self: &Arc<Self>, peer: &str, watch: Arc<Notify>) {
        self.tasks.spawn(look_for(Arc::clone(self), peer.to_owned(), watch));
    }

    /// Lets rows go on that wait because nobody was there.
    async fn hurry_rows_of(&self, peer: &str) {
        let hurried = self.registry.hurry_waiting(peer, Failure::Unreachable.as_str(), self.now()).await;
        match hurried {
            Ok(rows) => tracing::debug!(peer, rows, "rows go on"),
            // They go on when their own time comes.
            Err(error) => tracing::warn!(peer, %error, "rows cannot be woken"),
        }
        self.wake.notify_one();
    }

    /// What holds a row back that would only meet the failure others have met already.
    pub(super) fn absent(&self, peer: &str) -> Option<Problem> {
        let reason = self.peers.absent(peer)?;
        Some(Problem::new(Failure::Unreachable.as_str(), format!("{peer} is away: {reason}")))
    }

    /// How long to wait before the look of this number, from 1.
    fn pause_before(&self, look: u32) -> Duration {
        self.settings().retry.backoff.delay(look, &mut self.rng()).max(SHORTEST)
    }

    async fn wait_out(&self, pause: Duration, watch: &Notify) -> Waited {
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => Waited::Stopped,
            () = watch.notified() => Waited::Woken,
            () = self.clock.sleep(pause) => Waited::Out,
        }
    }

    async fn wants_something_of(&self, peer: &str) -> Result<bool, ListError> {
        let live = DownloadState::ALL
            .into_iter()
            .filter(|state| state.is_live() && *state != DownloadState::Paused)
            .collect();
        let query = ListQuery { states: live, peer: Some(peer.to_owned()), limit: 1, ..ListQuery::default() };
        Ok(!self.registry.list(&query).await?.items.is_empty())
    }
}

/// How a pause ended.
enum Waited {
    Out,
    /// Before its time: the peer has moved, or is gone from the directory.
    Woken,
    Stopped,
}

/// Looks for a peer until it is back, or gone from the directory.
async fn look_for(shared: Arc<Shared>, name: String, watch: Arc<Notify>) {
    while let Some(look) = shared.peers.next_look(&name, &watch) {
        let pause = match look {
            // Only a doubt: a look settles it.
            0 => Duration::ZERO,
            look => shared.pause_before(look),
        };
        match shared.wait_out(pause, &watch).await {
            Waited::Out => {}
            Waited::Woken => continue,
            Waited::Stopped => return,
        }
        if look > 0 && !shared.wants_something_of(&name).await.unwrap_or(true) {
            // Nobody asked for it. Whoever adds a row asks by themselves.
            shared.peers.rest(&name, true);
            match shared.wait_out(NOBODY_ASKS, &watch).await {
                Waited::Out | Waited::Woken => continue,
                Waited::Stopped => return,
            }
        }
        // As it is now: its key or limits may have changed meanwhile.
        let Some(peer) = shared.peers.get(&name) else { return };
        let found = shared.shutdown.run_until_cancelled(shared.peers.look(&peer)).await;
        match found {
            None => return,
            Some(Ok(())) => shared.heard_of(&peer, News::Answered, "").await,
            Some(Err(error)) => {
                let reason = resume_fetch::describe(&error);
                shared.heard_of(&peer, of_question(&error), &reason).await;
            }
        }
    }
}

/// What the answer to a question, or its absence, says about the peer.
pub(super) fn of_question(error: &PeerError) -> News {
    match error {
        PeerError::Transport(error) if error.is_unreachable() => News::Unreachable,
        PeerError::Timeout | PeerError::Transport(_) => News::Silent,
        PeerError::Status { .. } | PeerError::Malformed => News::Answered,
    }
}

/// What the end of a transfer says about the peer, if anything.
pub(super) fn of_transfer(error: &FetchErrorKind) -> Option<News> {
    let (FetchErrorKind::Permanent(last)
    | FetchErrorKind::Exhausted { last, .. }
    | FetchErrorKind::Deferred { last, .. }) = error
    else {
        return None;
    };
    match last {
        AttemptError::Transport(error) => error.is_unreachable().then_some(News::Unreachable),
        AttemptError::ResponseTimeout(_) => Some(News::Silent),
        AttemptError::Answer(_) => Some(News::Answered),
        _ => None,
    }
}

/// Least time between two looks.
const SHORTEST: Duration = Duration::from_millis(200);
/// How long to rest when no row wants anything of the peer.
const NOBODY_ASKS: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use resume_fetch::{NetworkFailure, TransportError};

    use super::*;

    #[test]
    fn only_who_cannot_be_connected_to_is_away_and_any_answer_is_a_sign_of_life() {
        let network = |failure| PeerError::Transport(TransportError::new(failure));
        let status = |status| PeerError::Status { status, retry_after: None };
        for (error, news) in [
            (network(NetworkFailure::Connect), News::Unreachable),
            (network(NetworkFailure::Dns), News::Unreachable),
            (network(NetworkFailure::ConnectTimeout(Duration::from_secs(1))), News::Unreachable),
            (network(NetworkFailure::CertificateDates), News::Unreachable),
            (network(NetworkFailure::Broken), News::Silent),
            (PeerError::Timeout, News::Silent),
            (status(StatusCode::NOT_FOUND), News::Answered),
            (status(StatusCode::SERVICE_UNAVAILABLE), News::Answered),
            (PeerError::Malformed, News::Answered),
        ] {
            assert_eq!(of_question(&error), news, "{error:?}");
        }
        let ended = |last| of_transfer(&FetchErrorKind::Permanent(last));
        assert_eq!(ended(AttemptError::Idle(Duration::ZERO)), None, "a transfer that stalls says little");
        assert_eq!(ended(AttemptError::ResponseTimeout(Duration::ZERO)), Some(News::Silent));
        assert_eq!(of_transfer(&FetchErrorKind::Stopped), None);
    }
}
