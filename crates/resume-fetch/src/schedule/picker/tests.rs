//! What an idle slot does, scene by scene.

use std::time::{Duration, Instant};

use retry_kit::{Clock, ManualClock};

use super::super::Demand;
use super::*;
use crate::request::Wanted;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// A download as far as the picker sees it; leases do what picks say.
struct Stage {
    now: Instant,
    total: u64,
    demand: Demand,
    written: RangeSet,
    parked: RangeSet,
    running: Vec<Running>,
    slots: usize,
    parallel: bool,
    lag: f64,
    age: f64,
    next: u64,
}

impl Stage {
    fn of(total: u64, wanted: Wanted, slots: usize) -> Self {
        let now = ManualClock::new().now();
        Self {
            now,
            total,
            demand: Demand::new(wanted, now),
            written: RangeSet::new(),
            parked: RangeSet::new(),
            running: Vec::new(),
            slots,
            parallel: false,
            lag: 0.0,
            age: 0.0,
            next: 0,
        }
    }

    fn request(&mut self, range: Range<u64>, priority: Priority) -> Claimant {
        self.demand.request(range, priority, self.now)
    }

    /// A reader that stands still at the start of `range`.
    fn stuck(&mut self, range: Range<u64>) -> Claimant {
        let reader = self.demand.read(range);
        self.demand.block(reader);
        reader
    }

    /// A lease under way on `span`, of which nothing has come in yet.
    fn lease(&mut self, span: Range<u64>) -> LeaseId {
        self.next += 1;
        let (id, at) = (LeaseId(self.next), span.start);
        self.running.push(Running {
            id,
            span,
            at,
            priority: None,
            rate: 0.0,
            pace: f64::MAX,
            answered: true,
        });
        id
    }

    fn get(&mut self, id: LeaseId) -> &mut Running {
        self.running.iter_mut().find(|running| running.id == id).unwrap()
    }

    fn look(&mut self) -> Option<Pick> {
        for running in &mut self.running {
            running.priority = self.demand.priority_of(running.at);
        }
        pick(&Scene {
            written: &self.written,
            running: &self.running,
            parked: &self.parked,
            claims: &self.demand.claims(self.total, self.now),
            slots: self.slots,
            most: self.slots,
            rate: 0.0,
            lag: self.lag,
            age: self.age,
            parallel: self.parallel,
        })
    }

    /// Looks, and does it.
    fn act(&mut self) -> Option<Pick> {
        let pick = self.look()?;
        match pick.clone() {
            Pick::Place { range, claimant, .. } => {
                self.lease(range);
                self.demand.served(claimant, self.now);
            }
            Pick::Split { victim, range, claimant, .. } => {
                self.get(victim).span.end = range.start;
                self.lease(range);
                self.demand.served(claimant, self.now);
            }
            Pick::Preempt { victim } => self.running.retain(|running| running.id != victim),
        }
        assert!(self.running.len() <= self.slots);
        Some(pick)
    }

    /// Acts until there is nothing to do. Returns the ranges that leases were placed on.
    fn settle(&mut self) -> Vec<Range<u64>> {
        let mut placed = Vec::new();
        for _ in 0..100 {
            match self.act() {
                Some(Pick::Place { range, .. } | Pick::Split { range, .. }) => placed.push(range),
                Some(Pick::Preempt { .. }) => {}
                None => return placed,
            }
        }
        panic!("it never ends: {placed:?}");
    }

    /// Every lease brings up to `bytes` more.
    fn bring(&mut self, bytes: u64) {
        for running in &mut self.running {
            let to = running.span.end.min(running.at + bytes);
            self.written.insert(running.span.start..to);
            (running.span.start, running.at) = (to, to);
        }
        self.running.retain(|running| !running.span.is_empty());
    }
}

fn placed(pick: Option<Pick>) -> Range<u64> {
    match pick {
        Some(Pick::Place { range, .. }) => range,
        other => panic!("{other:?}"),
    }
}

// C01, P22: any bounds; a total that is no multiple of anything.
#[test]
fn a_request_of_any_bounds_gets_a_lease_on_exactly_its_bytes() {
    let total = 10 * MIB + 7;
    for (asked, expected) in [
        (0..1, 0..1),
        (0..total, 0..total),
        (3 * MIB + 1..3 * MIB + 2, 3 * MIB + 1..3 * MIB + 2),
        (total - 1..total, total - 1..total),
        (10 * MIB..11 * MIB, 10 * MIB..total),
        (total - 3..u64::MAX, total - 3..total),
    ] {
        let mut stage = Stage::of(total, Wanted::OnDemand, 1);
        stage.request(asked.clone(), Priority::Normal);
        assert_eq!(stage.settle(), [expected], "{asked:?}");
        stage.bring(u64::MAX / 2);
        assert_eq!(stage.settle(), [], "{asked:?}: and that is all");
    }
}

// C12.
#[test]
fn what_is_written_leased_or_parked_is_not_fetched_again() {
    let mut stage = Stage::of(100, Wanted::Whole, 4);
    stage.written.extend([0..10, 40..50]);
    stage.parked.insert(60..70);
    stage.lease(20..30);
    assert_eq!(stage.settle(), [10..20, 30..40, 50..60]);
    stage.bring(100);
    assert_eq!(stage.settle(), [70..100]);
    stage.bring(100);
    assert_eq!(stage.look(), None, "the rest waits for its next try");
    stage.parked.clear();
    assert_eq!(stage.settle(), [60..70]);
}

#[test]
fn nobody_who_wants_anything_means_nothing_to_do() {
    let mut stage = Stage::of(100 * MIB, Wanted::OnDemand, 4);
    assert_eq!(stage.look(), None);
    let request = stage.request(0..10, Priority::Critical);
    stage.demand.withdraw(request);
    assert_eq!(stage.look(), None);
}

// C46.
#[test]
fn bytes_under_a_blocked_reader_come_first_then_windows_then_requests_then_the_rest() {
    let mut stage = Stage::of(1000 * MIB, Wanted::Whole, 4);
    stage.request(100 * MIB..101 * MIB, Priority::Normal);
    stage.demand.read(200 * MIB..220 * MIB);
    stage.stuck(300 * MIB..320 * MIB);
    let placed = [300 * MIB..320 * MIB, 200 * MIB..220 * MIB, 100 * MIB..101 * MIB, 0..100 * MIB];
    assert_eq!(stage.settle(), placed);
}

// P20, P21, P31.
#[test]
fn many_more_ranges_than_slots_are_all_served_in_order_and_never_more_than_slots_at_once() {
    let mut stage = Stage::of(1000 * MIB, Wanted::OnDemand, 3);
    let asked: Vec<_> = (0..10).map(|n| (97 * n % 10) * 50 * MIB).map(|at| at..at + MIB).collect();
    for range in &asked {
        stage.request(range.clone(), Priority::Normal);
    }
    let mut served = Vec::new();
    for _ in 0..4 {
        served.extend(stage.settle());
        assert!(stage.running.len() <= 3);
        stage.bring(MIB);
    }
    assert_eq!(served, asked);
    assert_eq!(stage.look(), None);
}

// P32.
#[test]
fn a_queued_low_range_asked_again_as_critical_is_served_once_and_first() {
    let mut stage = Stage::of(100 * MIB, Wanted::OnDemand, 1);
    stage.request(0..MIB, Priority::High);
    let low = stage.request(50 * MIB..51 * MIB, Priority::Low);
    stage.demand.reprioritise(low, Priority::Critical);
    assert_eq!(stage.settle(), [50 * MIB..51 * MIB]);
    stage.bring(MIB);
    assert_eq!(stage.settle(), [0..MIB]);
    stage.bring(MIB);
    assert_eq!(stage.look(), None);
}

// P32.
#[test]
fn a_running_low_lease_gives_up_what_becomes_critical_far_ahead() {
    let mut stage = Stage::of(100 * MIB, Wanted::Whole, 2);
    stage.slots = 1;
    stage.settle();
    stage.bring(5 * MIB);
    stage.slots = 2;
    let reader = stage.stuck(60 * MIB + 1..70 * MIB);
    let split = Pick::Split {
        victim: LeaseId(1),
        range: 60 * MIB + 1..70 * MIB,
        claimant: reader,
        priority: Priority::Critical,
    };
    assert_eq!(stage.act(), Some(split));
    assert_eq!(stage.get(LeaseId(1)).span, 5 * MIB..60 * MIB + 1);
}

// P32.
#[test]
fn a_running_low_lease_ends_at_its_byte_for_what_is_critical_and_its_rest_comes_later() {
    let mut stage = Stage::of(100 * MIB, Wanted::Whole, 1);
    stage.settle();
    stage.bring(5 * MIB + 3);
    stage.stuck(60 * MIB..61 * MIB);
    assert_eq!(stage.act(), Some(Pick::Preempt { victim: LeaseId(1) }));
    assert_eq!(placed(stage.act()), 60 * MIB..61 * MIB);
    assert_eq!(stage.look(), None);
    stage.bring(MIB);
    assert_eq!(placed(stage.act()), 5 * MIB + 3..60 * MIB, "from the byte it had come to");
}

#[test]
fn the_least_urgent_lease_makes_room_and_of_several_the_one_with_most_left() {
    let mut stage = Stage::of(1000 * MIB, Wanted::Whole, 3);
    stage.request(0..10 * MIB, Priority::Normal);
    stage.lease(0..10 * MIB);
    stage.lease(20 * MIB..30 * MIB);
    stage.lease(40 * MIB..60 * MIB);
    stage.stuck(500 * MIB..501 * MIB);
    assert_eq!(stage.look(), Some(Pick::Preempt { victim: LeaseId(3) }));
    stage.get(LeaseId(3)).at = 59 * MIB;
    assert_eq!(stage.look(), Some(Pick::Preempt { victim: LeaseId(2) }));
    stage.get(LeaseId(2)).span.end = 20 * MIB;
    assert_eq!(stage.look(), None, "one that has got its last byte leaves by itself");
}

#[test]
fn equals_do_not_drive_each_other_out() {
    for priority in [Priority::Critical, Priority::High, Priority::Normal, Priority::Low] {
        let mut stage = Stage::of(1000 * MIB, Wanted::OnDemand, 1);
        stage.request(0..MIB, priority);
        stage.request(500 * MIB..501 * MIB, priority);
        assert_eq!(stage.settle(), [0..MIB], "{priority:?}");
        stage.bring(MIB / 2);
        assert_eq!(stage.look(), None, "{priority:?}");
    }
}

#[test]
fn a_lease_that_is_close_brings_the_byte_sooner_than_another_request() {
    for (ahead, rate, splits, because) in [
        (MIB, 0.0, false, "at the bound"),
        (MIB + 1, 0.0, true, "past the bound"),
        (5 * MIB, 20.0 * MIB as f64, false, "a quarter of a second away"),
        (5 * MIB + 1, 20.0 * MIB as f64, true, "more than that"),
        (MIB + 1, f64::NAN, true, "a rate nobody knows"),
    ] {
        let mut stage = Stage::of(100 * MIB, Wanted::Whole, 2);
        let id = stage.lease(0..100 * MIB);
        stage.get(id).rate = rate;
        stage.get(id).answered = false;
        stage.stuck(ahead..100 * MIB);
        let pick = stage.look();
        assert_eq!(matches!(pick, Some(Pick::Split { .. })), splits, "{because}: {pick:?}");
    }
}

// P50, P51: the lease is as urgent as the reader at its head, and still the other one is not to wait for all of it.
#[test]
fn a_second_blocked_reader_far_ahead_in_the_lease_of_the_first_gets_its_own() {
    let mut stage = Stage::of(1000 * MIB, Wanted::OnDemand, 2);
    stage.stuck(0..1000 * MIB);
    stage.settle();
    stage.running.truncate(1);
    stage.get(LeaseId(1)).span.end = 1000 * MIB;
    stage.stuck(500 * MIB..600 * MIB);
    assert!(matches!(
        stage.act(),
        Some(Pick::Split { range, priority: Priority::Critical, .. }) if range == (500 * MIB..600 * MIB)
    ));
}

#[test]
fn nobody_keeps_several_leases_while_somebody_stands_still_without_any() {
    let mut stage = Stage::of(1000 * MIB, Wanted::OnDemand, 4);
    stage.request(0..900 * MIB, Priority::Critical);
    assert_eq!(stage.settle().len(), 4, "its own while nobody else is there");
    stage.stuck(950 * MIB..951 * MIB);
    assert_eq!(stage.settle(), [950 * MIB..951 * MIB]);
    assert!(stage.running.iter().any(|running| running.span.start == 0), "the first keeps its first");
}

#[test]
fn two_blocked_readers_on_one_slot_take_turns_by_pieces_and_not_by_bytes() {
    let mut stage = Stage::of(1000 * MIB, Wanted::OnDemand, 1);
    let mut readers = [(stage.stuck(0..100 * MIB), 0), (stage.stuck(500 * MIB..600 * MIB), 500 * MIB)];
    let mut requests = 0;
    for _ in 0..1600 {
        requests += stage.settle().len() as u64;
        stage.bring(16 * KIB);
        for (reader, at) in &mut readers {
            let there = stage.written.available_from(*at);
            if there > *at {
                stage.demand.read_on(*reader, there);
                *at = there;
            }
            stage.demand.block(*reader);
        }
    }
    let [one, two] = [readers[0].1, readers[1].1 - 500 * MIB];
    assert_eq!(one + two, 25 * MIB);
    assert!(one.abs_diff(two) <= MIB, "{one} and {two}");
    assert!(requests <= 32, "{requests} requests for {} bytes", one + two);
}

#[test]
fn a_window_that_was_full_is_not_refilled_byte_by_byte_at_the_cost_of_others() {
    let mut stage = Stage::of(1000 * MIB, Wanted::OnDemand, 1);
    let reader = stage.demand.read(0..500 * MIB);
    stage.written.insert(0..4 * MIB);
    stage.request(600 * MIB..900 * MIB, Priority::Normal);
    let mut requests = 0;
    let mut at = 0;
    for _ in 0..1000 {
        requests += stage.settle().len();
        stage.bring(128 * KIB);
        if stage.written.available_from(at) > at {
            at += 64 * KIB;
            stage.demand.read_on(reader, at);
        }
    }
    assert_eq!(at, 1000 * 64 * KIB, "the reader never stands still");
    assert!(requests <= 30, "{requests} requests");
}

// Ageing.
#[test]
fn low_is_served_within_a_bound_although_high_requests_never_end() {
    let mut stage = Stage::of(10_000 * MIB, Wanted::Whole, 1);
    let mut served = None;
    for pick in 0..100 {
        for at in [2 * pick, 2 * pick + 1] {
            let at = (5000 + 2 * at) * MIB;
            stage.request(at..at + MIB, Priority::High);
        }
        if stage.settle().contains(&(0..5000 * MIB)) {
            served = Some(pick);
            break;
        }
        stage.bring(MIB);
        stage.now += Duration::from_secs(1);
    }
    assert_eq!(served, Some(30));
    assert_eq!(stage.look(), None, "and keeps its slot for a turn");
    stage.bring(MIB);
    stage.now += Duration::from_secs(5);
    assert_ne!(stage.settle(), [], "then it makes room again");
}

// Ageing: a lease that reads ahead for ever is never over.
#[test]
fn whoever_has_waited_long_takes_the_place_of_what_only_reads_ahead() {
    let mut stage = Stage::of(10_000 * MIB, Wanted::OnDemand, 1);
    stage.request(0..4000 * MIB, Priority::Low);
    let reader = stage.demand.read(5000 * MIB..10_000 * MIB);
    let mut low = 0;
    for second in 0..120 {
        stage.settle();
        stage.bring(MIB);
        let read = stage.written.available_from(5000 * MIB).saturating_sub(MIB).max(5000 * MIB);
        stage.demand.read_on(reader, read);
        stage.now += Duration::from_secs(1);
        low += u64::from(stage.running[0].at < 5000 * MIB);
        assert!(second < 60 || low > 0);
    }
    assert!((10..60).contains(&low), "{low} s of 120");
}

#[test]
fn an_aged_request_and_a_window_do_not_drive_each_other_out_in_the_same_instant() {
    for waits in [0, 15, 20, 40] {
        let mut stage = Stage::of(1000 * MIB, Wanted::OnDemand, 1);
        stage.request(0..500 * MIB, Priority::Normal);
        stage.now += Duration::from_secs(waits);
        stage.demand.read(600 * MIB..900 * MIB);
        for _ in 0..100 {
            stage.settle();
            stage.bring(MIB);
            stage.now += Duration::from_secs(1);
        }
    }
}

// C15, P57.
#[test]
fn splitting_begins_with_four_mebibytes_and_goes_on_down_to_two() {
    for (left, parallel, expected) in [
        (4 * MIB - 1, false, None),
        (4 * MIB, false, Some(3 * MIB..4 * MIB)),
        (2 * MIB - 1, true, None),
        (2 * MIB, true, Some(MIB..2 * MIB)),
        (2 * MIB + 1, true, Some(MIB + 1..2 * MIB + 1)),
        (8 * MIB, true, Some(7 * MIB..8 * MIB)),
    ] {
        let mut stage = Stage::of(left, Wanted::Whole, 2);
        stage.parallel = parallel;
        stage.lease(0..left);
        let range = stage.look().map(|pick| match pick {
            Pick::Split { range, .. } => range,
            other => panic!("{other:?}"),
        });
        assert_eq!(range, expected, "{left} bytes");
    }
}

#[test]
fn whoever_has_not_been_answered_makes_room_before_those_who_bring_something() {
    let mut stage = Stage::of(100 * MIB, Wanted::Whole, 1);
    stage.lease(0..98 * MIB);
    let called = [stage.lease(98 * MIB..99 * MIB), stage.lease(99 * MIB..100 * MIB)];
    called.iter().for_each(|id| stage.get(*id).answered = false);
    for _ in called {
        let Some(Pick::Preempt { victim }) = stage.look() else { panic!("there is one place") };
        assert!(called.contains(&victim));
        stage.running.retain(|running| running.id != victim);
    }
    assert_eq!(stage.look(), None);
}

#[test]
fn a_piece_lasts_a_quarter_of_the_time_so_far_and_is_never_more_than_a_fair_share() {
    for (slots, age, lag, expected, because) in [
        (3, 0.0, 0.01, MIB, "who has just come gets the least"),
        (3, 8.0, 0.01, 20 * MIB, "two seconds at 10 MiB/s"),
        (3, 8.0, 1.0, 40 * MIB, "four times as long as an answer takes"),
        (3, 800.0, 0.01, 1000 * MIB / 6, "half of a third of what is left"),
        (16, 800.0, 0.01, 1000 * MIB / 32, "half of a sixteenth"),
    ] {
        let mut stage = Stage::of(1100 * MIB, Wanted::Whole, slots);
        (stage.age, stage.lag) = (age, lag);
        let (large, small) = (stage.lease(0..1000 * MIB), stage.lease(1000 * MIB..1100 * MIB));
        stage.get(large).rate = 99.0 * MIB as f64;
        stage.get(small).rate = 10.0 * MIB as f64;
        let Some(Pick::Split { victim, range, .. }) = stage.look() else { panic!("{because}") };
        assert_eq!((victim, range.end), (large, 1000 * MIB), "{because}");
        assert_eq!(range.end - range.start, expected, "{because}");
    }
}

#[test]
fn of_several_leases_the_one_with_most_left_gives_pieces_until_every_slot_is_at_work() {
    let mut stage = Stage::of(100 * MIB, Wanted::Whole, 4);
    let pieces = [0..100 * MIB, 99 * MIB..100 * MIB, 98 * MIB..99 * MIB, 97 * MIB..98 * MIB];
    assert_eq!(stage.settle(), pieces);
    stage.bring(MIB / 2);
    assert_eq!(stage.look(), None, "every slot is at work");
    stage.bring(MIB / 2);
    assert_eq!(stage.settle(), [96 * MIB..97 * MIB, 95 * MIB..96 * MIB, 94 * MIB..95 * MIB]);
}

#[test]
fn nothing_is_split_before_its_answer_nor_when_nobody_wants_it() {
    let mut stage = Stage::of(100 * MIB, Wanted::Whole, 2);
    let id = stage.lease(0..100 * MIB);
    stage.get(id).answered = false;
    assert_eq!(stage.look(), None);
    let mut stage = Stage::of(100 * MIB, Wanted::OnDemand, 2);
    stage.lease(0..100 * MIB);
    assert_eq!(stage.look(), None);
}

// P57: reading ahead is as wide as its window.
#[test]
fn a_lease_for_a_reader_is_split_inside_the_window_and_not_in_the_middle_of_the_file() {
    let mut stage = Stage::of(1000 * MIB, Wanted::OnDemand, 2);
    stage.demand.read(0..1000 * MIB);
    stage.lease(0..1000 * MIB);
    let pick = stage.look();
    assert!(matches!(&pick, Some(Pick::Split { range, .. }) if range.start == 3 * MIB), "{pick:?}");
}

// The tail: nothing hangs at 99 %.
#[test]
fn at_the_tail_the_lease_that_would_take_longest_is_split_and_not_the_one_with_most_bytes() {
    let rate = |mib_per_second: f64| mib_per_second * MIB as f64;
    for (slow, pace, lag, parallel, expected, because) in [
        (0.01, 9.9, 0.0, true, true, "it would take minutes"),
        (0.01, 9.9, 0.0, false, false, "one connection all along: there was a reason"),
        (0.0, 9.9, 0.0, true, false, "nobody knows its rate"),
        (4.9, 9.9, 0.0, true, true, "more than the fifth of a second that a request is worth"),
        (5.1, 9.9, 0.0, true, false, "less"),
        (1.1, 9.9, 0.25, true, false, "the answer would come too late"),
        (0.9, 9.9, 0.25, true, true, "it would come in time"),
        (9.9, 0.01, 0.25, true, true, "it was fast, and has lost its speed"),
        (9.9, 0.0, 0.25, true, true, "it stands still"),
    ] {
        let mut stage = Stage::of(100 * MIB, Wanted::Whole, 3);
        stage.written.insert(0..97 * MIB + 1);
        (stage.parallel, stage.lag) = (parallel, lag);
        let (fast, slow_one) = (stage.lease(97 * MIB + 1..99 * MIB), stage.lease(99 * MIB..100 * MIB));
        stage.get(fast).rate = rate(100.0);
        (stage.get(slow_one).rate, stage.get(slow_one).pace) = (rate(slow), rate(pace));
        let split = matches!(stage.look(), Some(Pick::Split { victim, .. }) if victim == slow_one);
        assert_eq!(split, expected, "{because}");
    }
}

#[test]
fn the_tail_is_not_split_into_crumbs() {
    for (left, splits) in [(256 * KIB, true), (256 * KIB - 1, false)] {
        let mut stage = Stage::of(100 * MIB, Wanted::Whole, 2);
        stage.parallel = true;
        stage.written.insert(0..100 * MIB - left);
        let id = stage.lease(100 * MIB - left..100 * MIB);
        stage.get(id).rate = 1.0;
        assert_eq!(stage.look().is_some(), splits, "{left} bytes");
    }
}

// C15.
#[test]
fn a_file_under_one_mebibyte_is_one_request_whatever_happens() {
    for (total, splits) in [(MIB - 1, false), (MIB, true)] {
        let mut stage = Stage::of(total, Wanted::Whole, 4);
        stage.parallel = true;
        stage.stuck(900 * KIB..MIB);
        let id = stage.lease(0..total);
        stage.get(id).rate = 1.0;
        assert_eq!(stage.look().is_some(), splits, "{total} bytes");
    }
}

#[test]
fn more_leases_than_slots_end_from_the_least_urgent_on_but_never_the_last() {
    let mut stage = Stage::of(100 * MIB, Wanted::Whole, 3);
    stage.stuck(50 * MIB..51 * MIB);
    let urgent = stage.lease(50 * MIB..51 * MIB);
    let (small, large) = (stage.lease(0..10 * MIB), stage.lease(20 * MIB..50 * MIB));
    stage.slots = 1;
    for victim in [large, small] {
        assert_eq!(stage.look(), Some(Pick::Preempt { victim }));
        stage.running.retain(|running| running.id != victim);
    }
    stage.slots = 0;
    assert_eq!(stage.look(), None);
    assert_eq!(stage.running[0].id, urgent);
}

#[test]
fn nothing_overflows_at_the_far_end_of_what_can_be_counted() {
    let total = u64::MAX;
    let mut stage = Stage::of(total, Wanted::Whole, 4);
    stage.lease(0..total);
    stage.stuck(total - 10..total);
    stage.parallel = true;
    for running in &mut stage.running {
        running.rate = f64::INFINITY;
    }
    stage.settle();
    // A worker may have run past where its lease was cut meanwhile.
    stage.running[0].at = stage.running[0].span.end + 5;
    stage.settle();
}
