//! What a worker learns about the address its bytes come from, and writes down.
//!
//! It is for people and for what comes later: nothing a download does depends on it, so what cannot be written is told
//! in the log and forgotten.

use std::time::Duration;

use download_registry::{SourceReport, WorkerError};
use resume_fetch::{Event as Heard, RestartReason};

use super::Worker;
use crate::failure::Failure;

impl Worker {
    /// The peer may have moved since the row was queued: the record follows today's configuration.
    pub(super) async fn follow_the_peer(&mut self) {
        let (Some(peer), Some(item)) = (&self.peer, &self.row.item) else { return };
        let url = peer.file_url(item);
        if url == self.row.url {
            return;
        }
        let (id, now) = (self.row.id, self.shared.now());
        match self.shared.registry.replace_sources(id, &[url], now).await {
            Ok(row) => self.row = row,
            Err(error) => {
                let error = resume_fetch::describe(&error);
                tracing::warn!(
                    download_id = id.get(),
                    error,
                    "the new address of the peer is not on record yet"
                );
            }
        }
    }

    /// What an event of the engine says about the source.
    pub(super) async fn learn(&self, event: &Heard) {
        if let Some(report) = lesson(event) {
            self.report(&report).await;
        }
    }

    /// The peer wants to be left alone for `rest`. Before the lease is given back: later nobody may write.
    pub(super) async fn source_rests(&self, rest: Duration) {
        let until = self.shared.now().saturating_add(rest);
        self.report(&SourceReport::Disabled { until, reason: Failure::Deferred.as_str().to_owned() }).await;
    }

    async fn report(&self, report: &SourceReport) {
        let now = self.shared.now();
        match self.shared.registry.report_source(&self.fence, &self.row.url, report, now).await {
            // A row that was taken away is told of elsewhere.
            Ok(_) | Err(WorkerError::Fenced { .. }) => {}
            Err(error) => {
                tracing::debug!(download_id = self.row.id.get(), %error, "what the source showed is not on record");
            }
        }
    }
}

fn lesson(event: &Heard) -> Option<SourceReport> {
    match event {
        Heard::Started { from, validator, .. } => Some(SourceReport::Answered {
            validator: validator.clone(),
            // A body that begins at the first byte says nothing about ranges.
            supports_ranges: (*from > 0).then_some(true),
        }),
        Heard::Restarted { reason: RestartReason::RangeIgnored, .. } => {
            Some(SourceReport::Answered { validator: None, supports_ranges: Some(false) })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_an_answer_showed_is_learnt_from_it() {
        let validator = Some("\"a\"".to_owned());
        let started = |from| Heard::Started { from, total: Some(9), validator: validator.clone() };
        let answered =
            |validator, supports_ranges| Some(SourceReport::Answered { validator, supports_ranges });
        assert_eq!(lesson(&started(0)), answered(validator.clone(), None), "any server sends a whole file");
        assert_eq!(lesson(&started(5)), answered(validator.clone(), Some(true)));
        let restarted = |reason| Heard::Restarted { reason, discarded: 5 };
        assert_eq!(lesson(&restarted(RestartReason::RangeIgnored)), answered(None, Some(false)));
        assert_eq!(
            lesson(&restarted(RestartReason::ValidatorChanged)),
            None,
            "the file changed, not the server"
        );
        assert_eq!(lesson(&Heard::Verifying), None);
    }
}
