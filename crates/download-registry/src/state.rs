//! The states of a download, and the one function that moves between them.
//!
//! ```text
//!             claimed               sealed             published             import_queued
//!  queued ───────────────► downloading ───► finalizing ─────────► completed ──────────────► import_queued
//!    ▲  ▲                  │   ▲  │  ▲          │                     ▲                       │    │
//!    │  └──────────────────┘   │  │  └──────────┘                     └───── import_failed ───┘    │ imported
//!    │    released, recovered, │  │    restarted,                                                  ▼
//!    │    lease_expired        │  │    reopened                                                imported
//!    │                 claimed │  │ retry_scheduled (from finalizing as well)
//!    │                         │  ▼
//!    ├──────────────────────── waiting         downloading stays so on attempt_failed and restarted
//!    │    retry_requested
//!    │
//!    ├── paused ◄── paused ─── queued, downloading, waiting
//!    │     resumed
//!    └── failed ◄── failed ─── every live state: queued, downloading, waiting, paused, finalizing
//!          retry_requested, revived
//!
//!        cancelled ◄── cancelled ── every live state, and failed
//! ```

use std::{fmt, str::FromStr};

use thiserror::Error;

use crate::Event;

/// What a download is doing, as far as anything that must survive a crash is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DownloadState {
    /// In line for a worker.
    Queued,
    /// A worker holds its lease and fetches bytes.
    Downloading,
    /// In line again once `retry_at` has come.
    Waiting,
    /// Set aside until someone resumes it.
    Paused,
    /// Every byte is durable; a worker holds the lease to check and publish the file.
    Finalizing,
    /// The file is whole under its final name.
    Completed,
    /// An importer was asked to take the file.
    ImportQueued,
    /// The importer has it.
    Imported,
    /// Given up, for now or for good (`retryable` tells which).
    Failed,
    /// Someone called it off.
    Cancelled,
}

/// An event that makes no sense in the state it met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a download that is {from} cannot be {event}")]
pub struct IllegalTransition {
    /// The state the row is in.
    pub from: DownloadState,
    /// The event that was refused.
    pub event: Event,
}

impl DownloadState {
    /// Every state, in the order of a download's life.
    pub const ALL: [Self; 10] = [
        Self::Queued,
        Self::Downloading,
        Self::Waiting,
        Self::Paused,
        Self::Finalizing,
        Self::Completed,
        Self::ImportQueued,
        Self::Imported,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Returns the state after `event`; the only door between two states.
    ///
    /// # Errors
    /// [`IllegalTransition`] if the event makes no sense here; nothing changes then.
    pub fn after(self, event: &Event) -> Result<Self, IllegalTransition> {
        use Event as E;
        match (self, *event) {
            (Self::Queued | Self::Waiting, E::Claimed) => Ok(Self::Downloading),

            (Self::Downloading, E::AttemptFailed) => Ok(Self::Downloading),
            (Self::Downloading | Self::Finalizing, E::RetryScheduled) => Ok(Self::Waiting),
            (Self::Downloading | Self::Finalizing, E::Restarted) => Ok(Self::Downloading),
            (Self::Downloading, E::Released | E::LeaseExpired | E::Recovered) => Ok(Self::Queued),

            (Self::Downloading, E::Sealed) => Ok(Self::Finalizing),
            // Still whole on disk: whoever takes over finishes it instead of fetching it again.
            (Self::Finalizing, E::LeaseExpired | E::Recovered) => Ok(Self::Finalizing),
            (Self::Finalizing, E::Reopened) => Ok(Self::Downloading),
            (Self::Finalizing, E::Published) => Ok(Self::Completed),

            (Self::Completed, E::ImportQueued) => Ok(Self::ImportQueued),
            (Self::ImportQueued, E::Imported) => Ok(Self::Imported),
            (Self::ImportQueued, E::ImportFailed) => Ok(Self::Completed),

            (Self::Queued | Self::Waiting | Self::Downloading, E::Paused) => Ok(Self::Paused),
            (Self::Paused, E::Resumed) => Ok(Self::Queued),
            (Self::Waiting | Self::Failed, E::RetryRequested) => Ok(Self::Queued),
            (Self::Failed, E::Revived) => Ok(Self::Queued),

            (live, E::Failed) if live.is_live() => Ok(Self::Failed),
            // A failed row still owns a part file; calling it off is how to let go of it.
            (Self::Failed, E::Cancelled) => Ok(Self::Cancelled),
            (live, E::Cancelled) if live.is_live() => Ok(Self::Cancelled),

            (from, event) => Err(IllegalTransition { from, event }),
        }
    }

    /// Tells whether the download owns its destination: it is in line, running, or set aside.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Queued | Self::Downloading | Self::Waiting | Self::Paused | Self::Finalizing)
    }

    /// Tells whether a worker holds the row under a lease.
    #[must_use]
    pub const fn is_leased(self) -> bool {
        matches!(self, Self::Downloading | Self::Finalizing)
    }

    /// Tells whether the file was published.
    #[must_use]
    pub const fn is_published(self) -> bool {
        matches!(self, Self::Completed | Self::ImportQueued | Self::Imported)
    }

    /// Returns the word the table stores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Downloading => "downloading",
            Self::Waiting => "waiting",
            Self::Paused => "paused",
            Self::Finalizing => "finalizing",
            Self::Completed => "completed",
            Self::ImportQueued => "import_queued",
            Self::Imported => "imported",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for DownloadState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that names none of the values it should be one of.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{word:?} is not a {what}")]
pub struct UnknownWord {
    /// What was expected, such as `download state`.
    pub what: &'static str,
    /// What was found.
    pub word: String,
}

impl FromStr for DownloadState {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == word);
        found.ok_or_else(|| UnknownWord { what: "download state", word: word.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::{DownloadState as S, Event as E, *};

    #[test]
    fn every_state_answers_every_event() {
        // For each event: the states it is legal in, and where it leads.
        let legal: [(E, &[(S, S)]); 19] = [
            (E::Claimed, &[(S::Queued, S::Downloading), (S::Waiting, S::Downloading)]),
            (E::AttemptFailed, &[(S::Downloading, S::Downloading)]),
            (E::RetryScheduled, &[(S::Downloading, S::Waiting), (S::Finalizing, S::Waiting)]),
            (E::Released, &[(S::Downloading, S::Queued)]),
            (E::LeaseExpired, &[(S::Downloading, S::Queued), (S::Finalizing, S::Finalizing)]),
            (E::Recovered, &[(S::Downloading, S::Queued), (S::Finalizing, S::Finalizing)]),
            (E::Restarted, &[(S::Downloading, S::Downloading), (S::Finalizing, S::Downloading)]),
            (E::Reopened, &[(S::Finalizing, S::Downloading)]),
            (E::Sealed, &[(S::Downloading, S::Finalizing)]),
            (E::Published, &[(S::Finalizing, S::Completed)]),
            (
                E::Failed,
                &[
                    (S::Queued, S::Failed),
                    (S::Downloading, S::Failed),
                    (S::Waiting, S::Failed),
                    (S::Paused, S::Failed),
                    (S::Finalizing, S::Failed),
                ],
            ),
            (E::Paused, &[(S::Queued, S::Paused), (S::Downloading, S::Paused), (S::Waiting, S::Paused)]),
            (E::Resumed, &[(S::Paused, S::Queued)]),
            (E::RetryRequested, &[(S::Waiting, S::Queued), (S::Failed, S::Queued)]),
            (E::Revived, &[(S::Failed, S::Queued)]),
            (
                E::Cancelled,
                &[
                    (S::Queued, S::Cancelled),
                    (S::Downloading, S::Cancelled),
                    (S::Waiting, S::Cancelled),
                    (S::Paused, S::Cancelled),
                    (S::Finalizing, S::Cancelled),
                    (S::Failed, S::Cancelled),
                ],
            ),
            (E::ImportQueued, &[(S::Completed, S::ImportQueued)]),
            (E::Imported, &[(S::ImportQueued, S::Imported)]),
            (E::ImportFailed, &[(S::ImportQueued, S::Completed)]),
        ];
        for (event, pairs) in legal {
            for from in S::ALL {
                let expected = pairs.iter().find(|(legal, _)| *legal == from).map(|(_, to)| *to);
                assert_eq!(from.after(&event).ok(), expected, "{from} + {event}");
            }
        }
        assert_eq!(legal.map(|(event, _)| event), E::ALL);
    }

    #[test]
    fn a_refusal_names_the_state_and_the_event() {
        let refused = S::Completed.after(&E::Paused).unwrap_err();
        assert_eq!(refused, IllegalTransition { from: S::Completed, event: E::Paused });
        assert_eq!(refused.to_string(), "a download that is completed cannot be paused");
    }

    #[test]
    fn a_state_is_its_word() {
        for state in S::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        assert_eq!("active".parse::<S>().unwrap_err().to_string(), "\"active\" is not a download state");
    }

    #[test]
    fn only_live_rows_are_ever_claimed_or_published() {
        for state in S::ALL {
            assert!(!state.is_leased() || state.is_live(), "{state}");
            assert!(!state.is_published() || !state.is_live(), "{state}");
        }
    }
}
