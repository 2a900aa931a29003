//! Who stands still before which row.
//!
//! A row that somebody reads does not wait for its turn: the scheduler claims it before all others and, where every
//! permit is taken, in the place of a row that nobody reads. Limits hold all the same, and so does the time at which a
//! waiting row may be tried again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use download_registry::{DownloadId, DownloadState, Priority, StorageError};

use super::{Intent, Running, Shared};

/// How many stand still before each row.
#[derive(Default)]
pub(super) struct Readers(Mutex<HashMap<DownloadId, usize>>);

/// Somebody who stands still before a row, or did; dropping it ends that.
pub(super) struct Reading {
    shared: Arc<Shared>,
    id: DownloadId,
}

/// What becomes of the rows that are read and not running.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// This one may run now, as far as permits go.
    Claim(DownloadId),
    /// This one has to make room.
    Yield(DownloadId),
    /// None of them can run now.
    Nothing,
}

impl Readers {
    fn counts(&self) -> MutexGuard<'_, HashMap<DownloadId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Somebody stands still before a row until the guard is dropped.
    pub(super) fn reading(self: &Arc<Self>, id: DownloadId) -> Reading {
        *self.readers.counts().entry(id).or_default() += 1;
        self.wake.notify_one();
        Reading { shared: Arc::clone(self), id }
    }

    /// What the rows that are read need, `permits` being free.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub(super) async fn wanted_by_readers(&self, permits: usize) -> Result<Next, StorageError> {
        let read: Vec<_> = self.readers.counts().keys().copied().collect();
        if read.is_empty() {
            return Ok(Next::Nothing);
        }
        let (now, mut waiting) = (self.now(), Vec::new());
        for id in read.iter().filter(|id| !self.running().contains_key(id)) {
            let row = self.registry.get(*id).await?;
            let due = |state, retry_at: Option<_>| match state {
                DownloadState::Queued => true,
                DownloadState::Waiting => retry_at.is_none_or(|at| at <= now),
                _ => false,
            };
            if let Some(row) = row.filter(|row| due(row.state, row.retry_at)) {
                let failing = row.state == DownloadState::Waiting && row.progress_since_failure() == 0;
                waiting.push(Waiting { id: row.id, peer: row.peer, priority: row.priority, failing });
            }
        }
        let running: Vec<_> = self.running().iter().map(|(id, running)| Busy::of(*id, running)).collect();
        Ok(next(waiting, &running, &read, &self.busy_peers(), permits))
    }

    /// Has a row go back in line, for one that somebody reads.
    pub(super) fn make_way(&self, id: DownloadId) {
        if let Some(running) = self.running().get(&id) {
            let mut intent = running.intent.lock().unwrap_or_else(PoisonError::into_inner);
            // An order of the operator that came first holds.
            if !running.stop.is_cancelled() {
                *intent = Intent::Yield;
                running.stop.cancel();
            }
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut counts = self.shared.readers.counts();
        if let Some(count) = counts.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.id);
            }
        }
    }
}

/// A row in line that somebody reads.
struct Waiting {
    id: DownloadId,
    peer: Option<String>,
    priority: Priority,
    /// Its last try has failed and brought nothing: it has a turn where there is room, and nobody loses theirs for it.
    failing: bool,
}

/// A row that runs.
struct Busy {
    id: DownloadId,
    peer: Option<String>,
    priority: Priority,
    /// It was told to stop and has not yet.
    leaving: bool,
    finalizing: bool,
}

impl Busy {
    fn of(id: DownloadId, running: &Running) -> Self {
        let (leaving, finalizing) = (running.stop.is_cancelled(), running.is_finalizing());
        Self { id, peer: running.peer.clone(), priority: running.priority, leaving, finalizing }
    }
}

/// Decides about the rows that are read and wait: the highest priority first, then the oldest.
fn next(
    mut waiting: Vec<Waiting>,
    running: &[Busy],
    read: &[DownloadId],
    busy_peers: &[String],
    permits: usize,
) -> Next {
    waiting.sort_by_key(|row| (std::cmp::Reverse(row.priority), row.id));
    for row in waiting {
        let peer_is_busy = row.peer.as_ref().is_some_and(|peer| busy_peers.contains(peer));
        if permits > 0 && !peer_is_busy {
            return Next::Claim(row.id);
        }
        let in_the_way = || running.iter().filter(|other| !peer_is_busy || other.peer == row.peer);
        if in_the_way().any(|other| other.leaving) {
            // A place is free in a moment.
            continue;
        }
        if row.failing {
            continue;
        }
        let victims = in_the_way().filter(|other| !other.finalizing && !read.contains(&other.id));
        if let Some(victim) = victims.min_by_key(|other| (other.priority, std::cmp::Reverse(other.id))) {
            return Next::Yield(victim.id);
        }
    }
    Next::Nothing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(id: i64, peer: &str) -> Waiting {
        let (id, peer, priority) = (DownloadId::new(id), Some(peer.to_owned()), Priority::default());
        Waiting { id, peer, priority, failing: false }
    }

    fn busy(id: i64, peer: &str) -> Busy {
        let (id, peer, priority) = (DownloadId::new(id), Some(peer.to_owned()), Priority::default());
        Busy { id, peer, priority, leaving: false, finalizing: false }
    }

    fn decide(
        wanted: &[(i64, &str)],
        running: &[Busy],
        read: &[i64],
        busy_peers: &[&str],
        permits: usize,
    ) -> Next {
        let wanted = wanted.iter().map(|(id, peer)| waiting(*id, peer)).collect();
        let read: Vec<_> = read.iter().map(|id| DownloadId::new(*id)).collect();
        let busy_peers: Vec<_> = busy_peers.iter().map(|&peer| peer.to_owned()).collect();
        next(wanted, running, &read, &busy_peers, permits)
    }

    #[test]
    fn a_row_that_is_read_runs_next_and_if_need_be_in_the_place_of_one_that_is_not() {
        let (claim, give_way) =
            (|id| Next::Claim(DownloadId::new(id)), |id| Next::Yield(DownloadId::new(id)));
        let low = Busy { priority: Priority::new(-1).unwrap(), ..busy(1, "bob") };
        for (wanted, running, read, busy_peers, permits, expected, because) in [
            (vec![], vec![busy(1, "bob")], vec![], vec![], 1, Next::Nothing, "nobody reads"),
            (vec![(9, "bob")], vec![busy(1, "bob")], vec![9], vec![], 1, claim(9), "a permit is free"),
            (vec![(9, "bob"), (8, "bob")], vec![], vec![8, 9], vec![], 1, claim(8), "the older one first"),
            (
                vec![(9, "bob")],
                vec![busy(1, "eve"), busy(2, "eve")],
                vec![9],
                vec![],
                0,
                give_way(2),
                "the younger one",
            ),
            (
                vec![(9, "bob")],
                vec![low, busy(2, "eve")],
                vec![9],
                vec![],
                0,
                give_way(1),
                "the less eager one",
            ),
            (vec![(9, "bob")], vec![busy(1, "eve")], vec![1, 9], vec![], 0, Next::Nothing, "it is read, too"),
            (
                vec![(9, "bob")],
                vec![busy(1, "bob"), busy(2, "eve")],
                vec![9],
                vec!["bob"],
                1,
                give_way(1),
                "its peer has enough to do",
            ),
            (
                vec![(9, "bob"), (10, "eve")],
                vec![busy(1, "bob")],
                vec![1, 9, 10],
                vec!["bob"],
                1,
                claim(10),
                "another one can run",
            ),
            (
                vec![(9, "bob")],
                vec![Busy { leaving: true, ..busy(1, "eve") }, busy(2, "eve")],
                vec![9],
                vec![],
                0,
                Next::Nothing,
                "a place is about to be free",
            ),
            (
                vec![(9, "bob"), (10, "eve")],
                vec![Busy { leaving: true, ..busy(1, "bob") }],
                vec![9, 10],
                vec!["bob"],
                1,
                claim(10),
                "who waits for a place with bob keeps nobody from eve's",
            ),
            (
                vec![(9, "bob")],
                vec![Busy { finalizing: true, ..busy(1, "eve") }],
                vec![9],
                vec![],
                0,
                Next::Nothing,
                "it is all but done",
            ),
        ] {
            assert_eq!(decide(&wanted, &running, &read, &busy_peers, permits), expected, "{because}");
        }
    }

    #[test]
    fn nobody_makes_way_for_a_row_that_has_just_failed_to_bring_anything() {
        let id = DownloadId::new(9);
        let next = |failing, permits| {
            let waiting = Waiting { failing, ..waiting(9, "bob") };
            next(vec![waiting], &[busy(1, "eve")], &[id], &[], permits)
        };
        assert_eq!(next(false, 0), Next::Yield(DownloadId::new(1)));
        assert_eq!(next(true, 0), Next::Nothing);
        assert_eq!(next(true, 1), Next::Claim(id));
    }
}
