//! Whether a peer can be reached: what is heard of it, what follows, and how soon to look again.
//!
//! ```text
//!            answered                 unreachable
//!  Unknown ───────────► Up ◄──────────────────────► Down
//!     │                 ▲ │ silent        answered    ▲
//!     │          answered │                           │ silent, unreachable
//!     └────────────► Doubtful ────────────────────────┘
//! ```
//! Silence alone says little, a busy peer is silent as well: it makes a peer doubtful, which nobody is told, and a look
//! decides. What was heard at one address says nothing about another: a peer that moves is unknown again, and one that
//! was down is looked for at once.

use std::time::{Duration, Instant};

/// What is known of a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::downloads) enum Health {
    /// Nobody has asked it anything yet.
    #[default]
    Unknown,
    /// It answered last.
    Up {
        /// Looks it took the last time it had been down.
        looks: u32,
        /// Since when.
        since: Instant,
    },
    /// It did not answer a request in time; nobody was told.
    Doubtful,
    /// Nobody is there.
    Down {
        /// Looks since it went down, counted on from the last time if that was a moment ago.
        looks: u32,
    },
    /// It was down, as others were told, and has another address now that nobody has asked yet.
    Moved,
}

/// What somebody who asked a peer can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::downloads) enum News {
    /// It answered, whatever it said: 404 and 503 are signs of life.
    Answered,
    /// There was no connection at all.
    Unreachable,
    /// There was no answer in time.
    Silent,
}

/// What others are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::downloads) enum Change {
    Up,
    Down,
}

impl Health {
    /// What is known after news of a request.
    pub(in crate::downloads) fn after(self, news: News, now: Instant) -> (Self, Option<Change>) {
        match (self, news) {
            (Self::Unknown | Self::Doubtful, News::Answered) => (Self::Up { looks: 0, since: now }, None),
            (Self::Up { .. }, News::Answered) => (self, None),
            (Self::Down { looks }, News::Answered) => (Self::Up { looks, since: now }, Some(Change::Up)),
            (Self::Moved, News::Answered) => (Self::Up { looks: 0, since: now }, Some(Change::Up)),
            // Down as before, and not for the same reason.
            (Self::Moved, News::Unreachable | News::Silent) => (Self::Down { looks: 0 }, Some(Change::Down)),
            (Self::Unknown | Self::Up { .. }, News::Silent) => (Self::Doubtful, None),
            (Self::Up { looks, since }, News::Unreachable) => {
                // One that comes and goes is looked for ever more seldom, so that it wakes nobody in vain.
                let steady = now.saturating_duration_since(since) >= STEADY;
                (Self::Down { looks: if steady { 0 } else { looks } }, Some(Change::Down))
            }
            (Self::Unknown, News::Unreachable) | (Self::Doubtful, News::Unreachable | News::Silent) => {
                (Self::Down { looks: 0 }, Some(Change::Down))
            }
            // The looks set the pace, not the rows that try all the same.
            (Self::Down { .. }, News::Unreachable | News::Silent) => (self, None),
        }
    }

    /// The same, with one look more: its number sets the wait before it.
    pub(in crate::downloads) fn looking(self) -> Self {
        match self {
            Self::Down { looks } => Self::Down { looks: looks.saturating_add(1) },
            other => other,
        }
    }

    /// What is known of a peer at another address.
    pub(in crate::downloads) fn moved(self) -> Self {
        match self {
            Self::Down { .. } | Self::Moved => Self::Moved,
            Self::Unknown | Self::Up { .. } | Self::Doubtful => Self::Unknown,
        }
    }

    /// Whether somebody should look: it is missed, or might be.
    pub(in crate::downloads) fn is_missed(self) -> bool {
        matches!(self, Self::Down { .. } | Self::Doubtful | Self::Moved)
    }

    /// What monitoring is told; `None` as long as nobody knows.
    pub(in crate::downloads) fn is_up(self) -> Option<bool> {
        match self {
            Self::Unknown | Self::Moved => None,
            Self::Up { .. } | Self::Doubtful => Some(true),
            Self::Down { .. } => Some(false),
        }
    }
}

/// A peer that was up for so long begins anew when it goes down.
const STEADY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [News; 3] = [News::Answered, News::Unreachable, News::Silent];

    #[test]
    fn news_change_what_is_known_and_a_change_is_told_once() {
        let now = Instant::now();
        let up = Health::Up { looks: 0, since: now };
        let down = Health::Down { looks: 0 };
        let [answered, unreachable, silent] = ALL;
        for (health, news, expected, told, because) in [
            (Health::Unknown, answered, up, None, "that a peer is there is no news"),
            (Health::Unknown, unreachable, down, Some(Change::Down), "refused, unknown name, no route"),
            (Health::Unknown, silent, Health::Doubtful, None, "it may only be busy"),
            (up, answered, up, None, "nothing new"),
            (up, unreachable, down, Some(Change::Down), "it went away"),
            (up, silent, Health::Doubtful, None, "it may only be busy"),
            (Health::Doubtful, answered, up, None, "it was only busy"),
            (Health::Doubtful, silent, down, Some(Change::Down), "the look found nobody either"),
            (Health::Doubtful, unreachable, down, Some(Change::Down), "it went away"),
            (down, unreachable, down, None, "known already"),
            (down, silent, down, None, "known already"),
            (down, answered, up, Some(Change::Up), "it is back"),
            (down.moved(), answered, up, Some(Change::Up), "it is back, elsewhere"),
            (down.moved(), unreachable, down, Some(Change::Down), "nor is it there"),
            (down.moved(), silent, down, Some(Change::Down), "nor is it there"),
            (up.moved(), answered, up, None, "it was never missed"),
        ] {
            assert_eq!(health.after(news, now), (expected, told), "{health:?}, {news:?}: {because}");
        }
    }

    #[test]
    fn a_peer_that_comes_and_goes_is_looked_for_ever_more_seldom() {
        let start = Instant::now();
        let mut health = Health::Unknown.after(News::Unreachable, start).0.looking().looking();
        let soon = start + STEADY / 2;
        health = health.after(News::Answered, start).0.after(News::Unreachable, soon).0;
        assert_eq!(health, Health::Down { looks: 2 });
        health = health.after(News::Answered, soon).0.after(News::Unreachable, soon + STEADY).0;
        assert_eq!(health, Health::Down { looks: 0 }, "after a good while it is forgiven");
    }

    #[test]
    fn whatever_is_heard_only_one_who_is_missed_is_looked_for_and_monitoring_is_told_of_no_doubts() {
        let now = Instant::now();
        for (health, missed, shown) in [
            (Health::Unknown, false, None),
            (Health::Up { looks: 3, since: now }, false, Some(true)),
            (Health::Doubtful, true, Some(true)),
            (Health::Down { looks: 3 }, true, Some(false)),
            (Health::Moved, true, None),
        ] {
            assert_eq!((health.is_missed(), health.is_up()), (missed, shown), "{health:?}");
        }
    }
}
