//! The listener that counts.

use resume_fetch::RestartReason;

use super::event::{Event, Step, Subject};
use crate::metrics::{Metrics, Peer, PeerOutcome, PeerReason};

/// Counts what an event adds to the metrics.
pub(super) fn count(metrics: &Metrics, event: &Event<'_>) {
    let Event::Download(of, step) = event else { return };
    match step {
        Step::Started { from, .. } if *from > 0 => {
            metrics.download_resumes.get_or_create(&peer(of)).inc();
        }
        Step::Received(bytes) => {
            metrics.download_bytes.get_or_create(&peer(of)).inc_by(*bytes);
        }
        Step::Checkpointed { took } => metrics.checkpoint.observe(took.as_secs_f64()),
        Step::Restarted { reason, discarded } => {
            let label = PeerReason { peer: peer(of).peer, reason: reason.as_str().to_owned() };
            metrics.download_wasted.get_or_create(&label).inc_by(*discarded);
            metrics.download_restarts.get_or_create(&label).inc();
        }
        Step::Unreadable(range) => {
            let reason = RestartReason::Corruption.as_str().to_owned();
            let label = PeerReason { peer: peer(of).peer, reason };
            metrics.download_wasted.get_or_create(&label).inc_by(range.end - range.start);
        }
        Step::Retrying(retry) => {
            metrics.retry_delay.observe(retry.delay.as_secs_f64());
            ended(metrics, of, if retry.parked { "waiting" } else { "retrying" });
        }
        Step::Held(_) => ended(metrics, of, "waiting"),
        Step::Stopped | Step::TakenOver | Step::Unrecorded => ended(metrics, of, "stopped"),
        Step::Completed { .. } => ended(metrics, of, "completed"),
        Step::Failed { .. } => ended(metrics, of, "failed"),
        _ => {}
    }
}

/// Counts one attempt by how it ended.
fn ended(metrics: &Metrics, of: &Subject<'_>, outcome: &str) {
    let label = PeerOutcome { peer: peer(of).peer, outcome: outcome.to_owned() };
    metrics.download_attempts.get_or_create(&label).inc();
}

fn peer(of: &Subject<'_>) -> Peer {
    Peer { peer: of.peer.unwrap_or_default().to_owned() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use download_registry::DownloadId;
    use retry_kit::DelaySource;

    use super::*;
    use crate::events::Retry;

    #[test]
    fn a_wait_of_ours_is_no_delay_the_peer_caused() {
        let metrics = Metrics::new();
        let of = Subject { id: DownloadId::new(1), peer: Some("bob") };
        let retry = Retry {
            attempt: 1,
            max: 5,
            delay: Duration::from_secs(2),
            source: DelaySource::Backoff,
            reason: "x",
            parked: true,
        };
        count(&metrics, &Event::Download(of, Step::Held(retry)));
        count(&metrics, &Event::Download(of, Step::Retrying(retry)));
        count(&metrics, &Event::Download(of, Step::Retrying(Retry { parked: false, ..retry })));
        let text = metrics.exposition().unwrap();
        for line in [
            "peerd_retry_delay_seconds_count 2",
            "peerd_download_attempts_total{peer=\"bob\",outcome=\"waiting\"} 2",
            "peerd_download_attempts_total{peer=\"bob\",outcome=\"retrying\"} 1",
        ] {
            assert!(text.contains(line), "{line} not in:\n{text}");
        }
    }
}
