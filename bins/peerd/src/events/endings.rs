//! Who wants to know when a download has come to an end hears its number here.

use download_registry::DownloadId;
use tokio::sync::broadcast;

use super::event::{Event, Step};
use super::{Heard, Listener};

/// Numbers of downloads whose row has changed for good, or is gone: published, failed, cancelled, deleted. What
/// became of each stands in the registry. A reader that is too slow is told so, and looks at all it cares about.
pub type Endings = broadcast::Receiver<DownloadId>;

/// Tells the numbers on.
pub(super) struct Teller {
    ended: broadcast::Sender<DownloadId>,
}

impl Teller {
    pub(super) fn new() -> Self {
        Self { ended: broadcast::Sender::new(CAPACITY) }
    }

    pub(super) fn subscribe(&self) -> Endings {
        self.ended.subscribe()
    }
}

impl Listener for Teller {
    fn hear(&self, heard: &Heard<'_>) {
        if let Event::Download(
            of,
            Step::Completed { .. } | Step::Failed { .. } | Step::Cancelled | Step::Deleted { .. },
        ) = heard.event
        {
            // Nobody may be listening any more.
            let _ = self.ended.send(of.id);
        }
    }
}

/// Numbers kept for a reader that is busy.
const CAPACITY: usize = 1024;

#[cfg(test)]
mod tests {
    use tokio::sync::broadcast::error::TryRecvError;

    use super::*;
    use crate::events::{Subject, Why};

    #[test]
    fn only_what_is_over_is_told() {
        let teller = Teller::new();
        let mut endings = teller.subscribe();
        for (id, step) in [
            (1, Step::Queued(Why::Added)),
            (2, Step::Cancelled),
            (3, Step::Paused { durable: 0 }),
            (4, Step::Deleted { data: false }),
        ] {
            let event = Event::Download(Subject::from(DownloadId::new(id)), step);
            teller.hear(&Heard { event: &event, told: None });
        }
        assert_eq!(endings.try_recv(), Ok(DownloadId::new(2)));
        assert_eq!(endings.try_recv(), Ok(DownloadId::new(4)));
        assert_eq!(endings.try_recv(), Err(TryRecvError::Empty));
    }
}
