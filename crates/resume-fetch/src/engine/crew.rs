//! The workers there are, and what each is at.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use retry_kit::Attempts;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::pace::Pace;
use crate::board::Board;
use crate::event::RateMeter;
use crate::lease::{Bounds, Lease, LeaseEnd, Report, Shared, work};
use crate::schedule::{Demand, LeaseId, Running};

/// Every worker of a download. A lease is in here exactly as long as its worker lives, whatever ends it.
#[derive(Debug)]
pub(super) struct Crew {
    /// Where everybody can see what is on its way.
    board: Arc<Board>,
    next: u64,
    members: BTreeMap<LeaseId, Member>,
    workers: JoinSet<(LeaseId, LeaseEnd)>,
    reports: mpsc::Sender<Report>,
    inbox: mpsc::Receiver<Report>,
    /// A worker that has ended, while its last reports are taken.
    ended: Option<(LeaseId, LeaseEnd)>,
}

/// One worker's lease, as the engine knows it.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: LeaseId,
    pub(super) bounds: Bounds,
    /// When its worker set out.
    pub(super) since: Instant,
    /// First byte of the lease.
    pub(super) from: u64,
    /// The first byte that is not on disk yet.
    pub(super) written_to: u64,
    /// One past the last byte the answer brings, once it is accepted and says so.
    pub(super) promised: Option<u64>,
    pub(super) answered: bool,
    /// Told to end.
    pub(super) leaving: bool,
    /// Nothing was held right in front of it when it was placed.
    pub(super) apart: bool,
    /// Failures on these bytes before.
    pub(super) attempts: Attempts,
    /// How often these bytes were one transfer too many for the peer.
    pub(super) refusals: u32,
    pub(super) meter: RateMeter,
    pub(super) pace: Pace,
}

/// What happened among the workers.
pub(super) enum News {
    Report(Report),
    Ended(Member, LeaseEnd),
}

impl Crew {
    pub(super) fn new(board: Arc<Board>) -> Self {
        // A short queue: what waits in it is not yet on its way to the record.
        let (reports, inbox) = mpsc::channel(1);
        Self {
            board,
            next: 0,
            members: BTreeMap::new(),
            workers: JoinSet::new(),
            reports,
            inbox,
            ended: None,
        }
    }

    /// The name of the next lease.
    pub(super) fn next_id(&mut self) -> LeaseId {
        self.next += 1;
        LeaseId(self.next)
    }

    /// The name the next lease will have: whoever is at work now has a smaller one.
    pub(super) fn upcoming(&self) -> LeaseId {
        LeaseId(self.next + 1)
    }

    /// Puts a worker on `lease`.
    pub(super) fn add(&mut self, shared: &Arc<Shared>, lease: Lease, member: Member) {
        self.board.notes().leases.insert(lease.id, lease.bounds.clone());
        self.members.insert(lease.id, member);
        self.workers.spawn(work(Arc::clone(shared), lease, self.reports.clone()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether nobody but `id` is at work.
    pub(super) fn is_alone(&self, id: LeaseId) -> bool {
        self.members.keys().all(|other| *other == id)
    }

    pub(super) fn get(&self, id: LeaseId) -> Option<&Member> {
        self.members.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: LeaseId) -> Option<&mut Member> {
        self.members.get_mut(&id)
    }

    pub(super) fn members(&self) -> impl Iterator<Item = (LeaseId, &Member)> {
        self.members.iter().map(|(id, member)| (*id, member))
    }

    /// Workers whose body is coming in.
    pub(super) fn flowing(&self) -> usize {
        self.members.values().filter(|member| member.answered && !member.leaving).count()
    }

    /// Bytes that are in and not on disk yet.
    pub(super) fn under_way(&self) -> u64 {
        self.members.values().map(|member| member.bounds.left().start.saturating_sub(member.written_to)).sum()
    }

    /// Ends a lease at the byte it has come to. Its worker brings to disk what it has, and goes.
    pub(super) fn end(&mut self, id: LeaseId) {
        if let Some(member) = self.members.get_mut(&id) {
            member.leaving = true;
            member.bounds.end();
        }
    }

    pub(super) fn end_all_but(&mut self, kept: Option<LeaseId>) {
        let ids: Vec<_> = self.members.keys().copied().filter(|id| Some(*id) != kept).collect();
        ids.into_iter().for_each(|id| self.end(id));
    }

    /// The next thing that happens. The reports of a worker that has ended come before its end. Workers have to wait
    /// while nobody asks.
    ///
    /// # Cancel safety
    /// Safe. Nothing is lost.
    pub(super) async fn news(&mut self) -> News {
        loop {
            if self.ended.is_some() {
                if let Ok(report) = self.inbox.try_recv() {
                    return News::Report(report);
                }
                if let Some((id, end)) = self.ended.take()
                    && let Some(member) = self.members.remove(&id)
                {
                    self.board.notes().leases.remove(&id);
                    return News::Ended(member, end);
                }
            }
            tokio::select! {
                biased;
                Some(report) = self.inbox.recv() => return News::Report(report),
                Some(ended) = self.workers.join_next() => match ended {
                    Ok(ended) => self.ended = Some(ended),
                    Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                    // Only the runtime can have cancelled it, and it will not run us any further either.
                    Err(_) => std::future::pending().await,
                },
                else => std::future::pending().await,
            }
        }
    }

    /// Lets every worker know how soon what it is about to bring is needed. Where one transfer brings everything in
    /// order, whatever lies ahead is what it is about to bring.
    pub(super) fn hurry(&self, demand: &Demand, in_order: bool) {
        for (_, member) in self.members() {
            let left = member.bounds.left();
            let end = if in_order { u64::MAX } else { left.end.min(left.start.saturating_add(AHEAD)) };
            member.bounds.hurry(demand.urgency_of(&(left.start..end)));
        }
    }

    /// The leases as the picker sees them.
    pub(super) fn running(&self, demand: &Demand, now: Instant) -> Vec<Running> {
        let running = |(id, member): (LeaseId, &Member)| {
            let left = member.bounds.left();
            Running {
                id,
                span: member.written_to..left.end.max(left.start),
                at: left.start,
                priority: demand.priority_of(left.start).filter(|_| !member.leaving),
                rate: member.meter.rate(),
                pace: member.pace.at(now),
                answered: member.answered,
            }
        };
        self.members().map(running).collect()
    }
}

impl Member {
    pub(super) fn new(id: LeaseId, bounds: Bounds, from: u64, now: Instant) -> Self {
        Self {
            id,
            bounds,
            since: now,
            from,
            written_to: from,
            promised: None,
            answered: false,
            leaving: false,
            apart: false,
            attempts: Attempts::default(),
            refusals: 0,
            meter: RateMeter::new(now),
            pace: Pace::new(now),
        }
    }

    /// Bytes it has brought to disk.
    pub(super) fn brought(&self) -> u64 {
        self.written_to - self.from
    }
}

/// What a lease brings next: as far ahead as the picker leaves a byte to it.
const AHEAD: u64 = (1 << 20) + 1;
