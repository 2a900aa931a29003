//! The schedule by itself, against thousands of random histories: an engine without network, disk or clock carries out
//! every pick to the letter, and what must always hold is looked at after each step.
//!
//! `PEERD_SEEDS` sets how many histories; a failure names its seed.

use std::ops::Range;
use std::time::{Duration, Instant};

use retry_kit::{Clock, ManualClock};

use super::*;
use crate::priority::Priority;
use crate::range_set::RangeSet;
use crate::request::Wanted;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// A lease this close to a byte is as good as one of its own. Rates stay so low that no other bound applies.
const NEAR: u64 = MIB;

struct Lease {
    id: LeaseId,
    /// Everything before is written.
    start: u64,
    /// Everything before is received.
    at: u64,
    end: u64,
    rate: f64,
    answered: bool,
}

struct Reader {
    claimant: Claimant,
    at: u64,
    end: u64,
    blocked: bool,
}

/// One engine, without what it is made of.
struct Model {
    seed: u64,
    rng: fastrand::Rng,
    now: Instant,
    total: u64,
    demand: Demand,
    written: RangeSet,
    parked: RangeSet,
    leases: Vec<Lease>,
    readers: Vec<Reader>,
    requests: Vec<(Claimant, Range<u64>)>,
    slots: usize,
    next: u64,
    parallel: bool,
    /// A preempted lease first writes what it has received; otherwise it is gone at once.
    lingers: bool,
}

impl Model {
    fn new(seed: u64, now: Instant) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let total = match rng.u8(0..4) {
            0 => rng.u64(1..MIB),
            1 => rng.u64(1..16) * MIB,
            _ => rng.u64(1..96 * MIB),
        };
        let wanted = match rng.u8(0..4) {
            0 => Wanted::OnDemand,
            1 => Wanted::Ranges((0..3).map(|_| some_range(&mut rng, total)).collect()),
            _ => Wanted::Whole,
        };
        let (slots, lingers) = (rng.usize(1..=4), rng.bool());
        Self {
            seed,
            rng,
            now,
            total,
            demand: Demand::new(wanted, now),
            written: RangeSet::new(),
            parked: RangeSet::new(),
            leases: Vec::new(),
            readers: Vec::new(),
            requests: Vec::new(),
            slots,
            next: 0,
            parallel: false,
            lingers,
        }
    }

    fn running(&self) -> Vec<Running> {
        let running = self.leases.iter().map(|lease| Running {
            id: lease.id,
            span: lease.start..lease.end,
            at: lease.at,
            priority: self.demand.priority_of(lease.at),
            rate: lease.rate,
            pace: lease.rate,
            answered: lease.answered,
        });
        running.collect()
    }

    /// Picks and carries out until there is nothing more to do, which has to come soon.
    fn settle(&mut self) {
        let bound = 8 * (self.leases.len() + self.slots + self.readers.len() + self.requests.len() + 4);
        for _ in 0..bound {
            let claims = self.demand.claims(self.total, self.now);
            let picked = pick(&Scene {
                written: &self.written,
                running: &self.running(),
                parked: &self.parked,
                claims: &claims,
                slots: self.slots,
                most: self.slots,
                rate: self.leases.iter().map(|lease| lease.rate).sum(),
                lag: 0.0,
                age: 0.0,
                parallel: self.parallel,
            });
            let Some(picked) = picked else { return };
            self.carry_out(picked, &claims);
            self.check();
        }
        panic!("seed {}: picking does not come to an end", self.seed);
    }

    fn carry_out(&mut self, picked: Pick, claims: &[Claim]) {
        let seed = self.seed;
        match picked {
            Pick::Place { range, claimant, .. } => {
                let mut claims = claims.iter().filter(|claim| claim.claimant == claimant);
                assert!(
                    claims.any(|claim| claim.range.contains(&range.start) && range.end <= claim.reach),
                    "seed {seed}: {range:?} was asked for by nobody"
                );
                self.place(range, claimant);
            }
            Pick::Split { victim, range, claimant, .. } => {
                assert!(self.total >= MIB, "seed {seed}: a small file is one request");
                let victim = self.leases.iter_mut().find(|lease| lease.id == victim).unwrap();
                assert!(victim.at < range.start, "seed {seed}: {range:?} is on its way already");
                assert!(range.end <= victim.end, "seed {seed}: {range:?} reaches beyond the victim");
                victim.end = range.start;
                self.place(range, claimant);
            }
            Pick::Preempt { victim } => {
                let index = self.leases.iter().position(|lease| lease.id == victim).unwrap();
                let lease = &mut self.leases[index];
                assert!(lease.at < lease.end, "seed {seed}: it ends by itself");
                lease.end = lease.at;
                if !self.lingers || lease.start == lease.at {
                    self.end(index);
                }
            }
        }
    }

    fn place(&mut self, range: Range<u64>, claimant: Claimant) {
        let seed = self.seed;
        assert!(!range.is_empty(), "seed {seed}: nothing to fetch");
        assert!(range.end <= self.total, "seed {seed}: {range:?} lies past {}", self.total);
        assert!(self.leases.len() < self.slots, "seed {seed}: more leases than slots");
        assert!(!touches(&self.parked, &range), "seed {seed}: {range:?} waits for its next try");
        self.next += 1;
        let (start, end, rate) = (range.start, range.end, self.rng.u64(0..2 * MIB) as f64);
        self.leases.push(Lease { id: LeaseId(self.next), start, at: start, end, rate, answered: false });
        self.parallel |= self.leases.len() > 1;
        self.demand.served(claimant, self.now);
    }

    /// A lease ends after what it has received is written.
    fn end(&mut self, index: usize) {
        let lease = self.leases.swap_remove(index);
        self.written.insert(lease.start..lease.at);
    }

    /// What holds after every single pick.
    fn check(&self) {
        let mut taken = self.written.clone();
        for lease in &self.leases {
            assert!(
                lease.start <= lease.at && lease.at <= lease.end && lease.end <= self.total,
                "seed {}: {}..{}..{}",
                self.seed,
                lease.start,
                lease.at,
                lease.end
            );
            let span = lease.start..lease.end;
            assert!(!touches(&taken, &span), "seed {}: {span:?} is fetched twice", self.seed);
            taken.insert(span);
        }
    }

    /// What holds whenever there is nothing more to pick. P50 and P51: nobody waits for what nobody is about to bring.
    fn check_settled(&self) {
        let seed = self.seed;
        let staying = self.leases.iter().filter(|lease| lease.at < lease.end).count();
        assert!(staying <= self.slots, "seed {seed}: {staying} leases in {} slots", self.slots);
        let leaves = staying < self.leases.len();
        let mut served: RangeSet = self.leases.iter().map(|lease| lease.start..lease.end).collect();
        served.extend(self.written.iter().chain(self.parked.iter()));
        let claims = self.demand.claims(self.total, self.now);
        if self.leases.len() < self.slots {
            for claim in &claims {
                assert!(served.covers(&claim.range), "seed {seed}: a free slot, and {claim:?} waits");
            }
        }
        let critical = |lease: &Lease| {
            let soon = lease.at..lease.end.min(lease.at + NEAR + 1);
            let mut claims = claims.iter().filter(|claim| claim.priority == Priority::Critical);
            claims.any(|claim| soon.start < claim.range.end && claim.range.start < soon.end)
        };
        for reader in self.readers.iter().filter(|reader| reader.blocked && reader.at < self.total) {
            let at = reader.at;
            let near = |lease: &Lease| (lease.start..lease.end).contains(&at) && at <= lease.at + NEAR;
            assert!(
                leaves
                    || self.written.available_from(at) > at
                    || self.parked.available_from(at) > at
                    || self.leases.iter().any(near)
                    || self.leases.iter().all(critical),
                "seed {seed}: a reader stands still at {at} and nothing critical is in its way"
            );
        }
    }

    /// Something happens.
    fn step(&mut self) {
        self.now += Duration::from_millis(self.rng.u64(0..4000));
        let priority =
            [Priority::Critical, Priority::High, Priority::Normal, Priority::Low][self.rng.usize(0..4)];
        // Some ask for more than there is.
        let range = some_range(&mut self.rng, self.total + self.total / 8 + 2);
        match self.rng.u8(0..20) {
            0 if self.requests.len() < 6 => {
                let claimant = self.demand.request(range.clone(), priority, self.now);
                self.requests.push((claimant, range));
            }
            1 if !self.requests.is_empty() => {
                let (claimant, _) = self.requests.swap_remove(self.rng.usize(0..self.requests.len()));
                self.demand.withdraw(claimant);
            }
            2 if !self.requests.is_empty() => {
                let index = self.rng.usize(0..self.requests.len());
                self.demand.reprioritise(self.requests[index].0, priority);
            }
            3 if self.readers.len() < 4 => {
                let claimant = self.demand.read(range.clone());
                self.demand.read_ahead(claimant, self.rng.u64(0..48 * MIB));
                self.readers.push(Reader { claimant, at: range.start, end: range.end, blocked: false });
            }
            4 if !self.readers.is_empty() => {
                let reader = self.readers.swap_remove(self.rng.usize(0..self.readers.len()));
                self.demand.withdraw(reader.claimant);
            }
            5 if !self.readers.is_empty() => {
                let index = self.rng.usize(0..self.readers.len());
                let reader = &mut self.readers[index];
                reader.at = self.rng.u64(0..=reader.end);
                reader.blocked = false;
                reader.claimant = self.demand.seek(reader.claimant, reader.at);
            }
            6..=9 => self.read(),
            10 => self.slots = self.rng.usize(1..=4),
            11 => self.parked.clear(),
            12 if !self.leases.is_empty() => self.fail(),
            13 => {
                let lost = some_range(&mut self.rng, self.total);
                self.written.remove(&lost);
            }
            _ => self.receive(4 * MIB),
        }
    }

    /// Every reader reads what there is, and stands still where there is nothing.
    fn read(&mut self) {
        for reader in &mut self.readers {
            let there = self.written.available_from(reader.at).min(reader.end);
            if there > reader.at {
                reader.at = self.rng.u64(reader.at..there) + 1;
                reader.blocked = false;
                self.demand.read_on(reader.claimant, reader.at);
            } else if reader.at < reader.end {
                reader.blocked = true;
                self.demand.block(reader.claimant);
            }
        }
    }

    /// Bytes come in everywhere, at most `most` on each lease.
    fn receive(&mut self, most: u64) {
        for index in (0..self.leases.len()).rev() {
            let lease = &mut self.leases[index];
            lease.answered = true;
            lease.at = self.rng.u64(lease.at..=lease.end.min(lease.at + most));
            let start = self.rng.u64(lease.start..=lease.at);
            self.written.insert(lease.start..start);
            lease.start = start;
            if lease.at == lease.end && self.rng.bool() {
                self.end(index);
            }
        }
    }

    /// A lease fails. What it has written stays, the rest waits for another try.
    fn fail(&mut self) {
        let index = self.rng.usize(0..self.leases.len());
        let lease = self.leases.swap_remove(index);
        if self.rng.bool() {
            self.parked.insert(lease.start..lease.end);
        }
    }

    /// No more failures: everything that is wanted comes in the end, whoever else wants whatever.
    fn finish(&mut self) {
        self.parked.clear();
        let steps = 400 + 20 * self.total / MIB;
        for _ in 0..steps {
            self.now += Duration::from_millis(500);
            self.read();
            self.settle();
            self.check_settled();
            let read = self.readers.iter().all(|reader| reader.at >= reader.end.min(self.total));
            let asked = self.requests.iter().all(|(_, range)| {
                self.written.covers(&(range.start.min(self.total)..range.end.min(self.total)))
            });
            let claims = self.demand.claims(self.total, self.now);
            let there = claims.iter().all(|claim| self.written.covers(&claim.range));
            if read && asked && there {
                return;
            }
            assert!(
                there || !self.leases.is_empty(),
                "seed {}: bytes are wanted, and nobody goes",
                self.seed
            );
            self.receive(8 * MIB);
        }
        panic!("seed {}: not everything that is wanted comes", self.seed);
    }
}

fn touches(set: &RangeSet, range: &Range<u64>) -> bool {
    set.gaps(range.clone()).map(|gap| gap.end - gap.start).sum::<u64>() < range.end - range.start
}

fn some_range(rng: &mut fastrand::Rng, total: u64) -> Range<u64> {
    let start = rng.u64(0..total);
    let end = if rng.bool() { rng.u64(start..total) + 1 } else { total.min(start + rng.u64(1..64 * KIB)) };
    start..end
}

// C01, C05, C12, C14, P20, P21, P32, P50, P51, P57.
#[test]
fn whatever_happens_nothing_is_fetched_twice_nobody_is_forgotten_and_picking_ends() {
    let seeds = std::env::var("PEERD_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(2_000);
    let start = ManualClock::new().now();
    for seed in 0..seeds {
        let mut model = Model::new(seed, start);
        for _ in 0..model.rng.usize(10..80) {
            model.step();
            model.check();
            model.settle();
            model.check_settled();
        }
        model.finish();
    }
}
