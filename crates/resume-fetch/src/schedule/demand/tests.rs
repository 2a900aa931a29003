//! Who comes first, and what is wanted of whom.

use retry_kit::{Clock, ManualClock};

use super::*;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const TOTAL: u64 = 1 << 30;

fn start() -> Instant {
    ManualClock::new().now()
}

fn on_demand(now: Instant) -> Demand {
    Demand::new(Wanted::OnDemand, now)
}

/// Class and range of every claim, in order.
fn claims(demand: &Demand, now: Instant) -> Vec<(Priority, Range<u64>)> {
    let claims = demand.claims(TOTAL, now).into_iter();
    claims.map(|claim| (claim.priority, claim.range)).collect()
}

// C10, P31.
#[test]
fn classes_come_in_order_and_inside_a_class_whoever_came_first() {
    use Priority::{Critical, High, Low, Normal};
    for seed in 0..500 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut now = start();
        let mut demand = on_demand(now);
        let mut asked: Vec<(Priority, Range<u64>)> = Vec::new();
        for at in 0..40 {
            // Several in the same instant have an order as well.
            now += Duration::from_millis(rng.u64(0..2));
            let priority = [Critical, High, Normal, Low][rng.usize(0..4)];
            demand.request(at..at + 1, priority, now);
            asked.push((priority, at..at + 1));
        }
        asked.sort_by_key(|(priority, _)| *priority);
        assert_eq!(claims(&demand, now), asked, "seed {seed}");
    }
}

// C46.
#[test]
fn a_reader_that_begins_wants_its_first_bytes_now_the_next_soon_and_the_rest_in_time() {
    let now = start();
    let mut demand = Demand::new(Wanted::Whole, now);
    let reader = demand.read(100 * MIB..TOTAL);
    let soon = |bytes| (Priority::High, 100 * MIB..100 * MIB + bytes);
    assert_eq!(claims(&demand, now), [soon(4 * MIB), (Priority::Low, 0..TOTAL)]);
    demand.block(reader);
    let critical = (Priority::Critical, 100 * MIB..100 * MIB + 256 * KIB);
    assert_eq!(claims(&demand, now), [critical.clone(), soon(4 * MIB), (Priority::Low, 0..TOTAL)]);
    demand.read_ahead(reader, MIB);
    assert_eq!(claims(&demand, now), [critical, soon(MIB), (Priority::Low, 0..TOTAL)]);
}

// C46: how far is configurable, and nothing in the background is an answer too.
#[test]
fn a_window_grows_with_what_was_read_in_one_go_up_to_its_bound_and_starts_anew_after_a_seek() {
    let now = start();
    let mut demand = on_demand(now);
    let mut reader = demand.read(0..TOTAL);
    for (at, ahead) in [(0, 4), (1, 5), (20, 24), (28, 32), (500, 32)] {
        demand.read_on(reader, at * MIB);
        assert_eq!(claims(&demand, now), [(Priority::High, at * MIB..(at + ahead) * MIB)]);
    }
    reader = demand.seek(reader, 200 * MIB);
    assert_eq!(claims(&demand, now), [(Priority::High, 200 * MIB..204 * MIB)]);
    demand.read_ahead(reader, 0);
    assert_eq!(claims(&demand, now), []);
}

// C01, P22: the end of a file is no multiple of anything.
#[test]
fn every_claim_is_clipped_to_the_file_and_nothing_is_wanted_behind_it() {
    let (now, total) = (start(), 10 * MIB + 7);
    for (asked, expected) in [
        (0..1, Some(0..1)),
        (0..total, Some(0..total)),
        (total - 1..total, Some(total - 1..total)),
        (total - 1..u64::MAX, Some(total - 1..total)),
        (total..u64::MAX, None),
        (u64::MAX - 1..u64::MAX, None),
        (5..5, None),
    ] {
        let mut demand = on_demand(now);
        demand.request(asked.clone(), Priority::Normal, now);
        let reader = demand.read(asked.clone());
        demand.block(reader);
        let claims = demand.claims(total, now);
        assert_eq!(claims.len(), if expected.is_some() { 3 } else { 0 }, "{asked:?}: {claims:?}");
        for claim in claims {
            assert!(claim.range.end <= total && claim.reach <= total, "{claim:?}");
            assert_eq!(Some(claim.range.start), expected.as_ref().map(|range| range.start));
            assert_eq!(Some(claim.reach), expected.as_ref().map(|range| range.end));
        }
    }
}

#[test]
fn nothing_overflows_at_the_far_end_of_what_can_be_counted() {
    let now = start();
    let mut demand = Demand::new(Wanted::Ranges([u64::MAX - 10..u64::MAX].into_iter().collect()), now);
    let reader = demand.read(u64::MAX - 5..u64::MAX);
    demand.block(reader);
    assert!(demand.claims(u64::MAX, now).iter().all(|claim| claim.range.end == u64::MAX));
    demand.read_on(reader, u64::MAX);
    demand.block(reader);
    assert_eq!(demand.claims(u64::MAX, now).len(), 1);
    assert_eq!(demand.priority_of(u64::MAX - 1), Some(Priority::Low));
    assert_eq!(demand.priority_of(u64::MAX), None);
    assert_eq!(demand.wanted_until(0..u64::MAX), u64::MAX);
}

// C14, C23.
#[test]
fn withdrawing_takes_back_the_claims_of_that_one_alone() {
    let now = start();
    let mut demand = on_demand(now);
    let first = demand.request(0..10, Priority::Normal, now);
    let second = demand.request(0..10, Priority::Normal, now);
    let reader = demand.read(50..60);
    demand.block(reader);
    demand.withdraw(first);
    assert!(demand.claims(TOTAL, now).iter().all(|claim| claim.claimant != first));
    assert_eq!(claims(&demand, now).last(), Some(&(Priority::Normal, 0..10)));
    demand.withdraw(reader);
    assert_eq!(claims(&demand, now), [(Priority::Normal, 0..10)]);
    demand.withdraw(second);
    assert_eq!(claims(&demand, now), []);
}

// C30: the last seek wins.
#[test]
fn a_reader_that_seeks_wants_nothing_of_its_old_place() {
    let now = start();
    let mut demand = on_demand(now);
    let mut reader = demand.read(0..TOTAL);
    for at in [700, 30, 900, 400] {
        let before = reader;
        demand.block(reader);
        reader = demand.seek(reader, at * MIB);
        assert!(demand.claims(TOTAL, now).iter().all(|claim| claim.claimant != before));
        assert_eq!(claims(&demand, now), [(Priority::High, at * MIB..(at + 4) * MIB)]);
    }
    assert_eq!(demand.priority_of(0), None);
    assert_eq!(demand.priority_of(400 * MIB), Some(Priority::High));
    demand.seek(reader, u64::MAX);
    assert_eq!(claims(&demand, now), [], "there is nothing to read");
}

// P32.
#[test]
fn a_low_request_asked_again_as_critical_is_one_claim_and_the_first() {
    let now = start();
    let mut demand = on_demand(now);
    let low = demand.request(10..20, Priority::Low, now);
    demand.request(0..10, Priority::High, now);
    demand.reprioritise(low, Priority::Critical);
    assert_eq!(claims(&demand, now), [(Priority::Critical, 10..20), (Priority::High, 0..10)]);
    demand.reprioritise(low, Priority::Low);
    assert_eq!(claims(&demand, now), [(Priority::High, 0..10), (Priority::Low, 10..20)]);
}

#[test]
fn who_stands_still_keeps_its_piece_until_it_has_read_it_all() {
    let now = start();
    let mut demand = on_demand(now);
    let reader = demand.read(0..TOTAL);
    demand.block(reader);
    demand.read_on(reader, 100 * KIB);
    demand.block(reader);
    assert_eq!(claims(&demand, now)[0], (Priority::Critical, 100 * KIB..256 * KIB), "no new piece yet");
    demand.read_on(reader, 256 * KIB);
    assert_eq!(claims(&demand, now)[0].0, Priority::High);
    for (at, piece) in [(256, 256), (512, 512), (1024, 1024), (5000, 1024)] {
        demand.read_on(reader, at * KIB);
        demand.block(reader);
        let expected = (Priority::Critical, at * KIB..(at + piece) * KIB);
        assert_eq!(claims(&demand, now)[0], expected, "pieces grow with what is read in one go");
        demand.read_on(reader, (at + piece) * KIB);
    }
}

#[test]
fn two_readers_that_stand_still_take_turns() {
    let now = start();
    let mut demand = on_demand(now);
    let (one, two) = (demand.read(0..100 * MIB), demand.read(500 * MIB..TOTAL));
    let first = |demand: &Demand| demand.claims(TOTAL, now)[0].claimant;
    demand.block(one);
    demand.block(two);
    assert_eq!(first(&demand), one);
    demand.read_on(one, 256 * KIB);
    demand.block(one);
    assert_eq!(first(&demand), two, "the other has waited longer");
    demand.read_on(two, 500 * MIB + 256 * KIB);
    demand.block(two);
    assert_eq!(first(&demand), one);
}

#[test]
fn whoever_waits_rises_a_class_every_fifteen_seconds_but_never_to_critical() {
    use Priority::{Critical, High, Low, Normal};
    for (asked, after) in [
        (Low, [Low, Low, Normal, Normal, High, High]),
        (Normal, [Normal, Normal, High, High, High, High]),
        (High, [High; 6]),
        (Critical, [Critical; 6]),
    ] {
        let now = start();
        let mut demand = on_demand(now);
        demand.request(0..10, asked, now);
        for (seconds, expected) in [0, 14, 15, 29, 30, 86_400].into_iter().zip(after) {
            assert_eq!(claims(&demand, now + Duration::from_secs(seconds))[0].0, expected, "{seconds} s");
        }
    }
}

#[test]
fn an_aged_claim_stands_before_what_is_only_read_ahead_and_keeps_its_class_for_a_turn() {
    let now = start();
    let mut demand = Demand::new(Wanted::Whole, now);
    demand.read(500 * MIB..TOTAL);
    let background = (Priority::High, 0..TOTAL);
    let after = |seconds| now + Duration::from_secs(seconds);
    assert_eq!(claims(&demand, after(29))[1], (Priority::Normal, 0..TOTAL));
    assert_eq!(claims(&demand, after(30))[0], background);
    demand.served(Claimant::BACKGROUND, after(30));
    demand.served(Claimant::BACKGROUND, after(34));
    assert!(claims(&demand, after(34)).contains(&background), "what it waited for is not taken away");
    assert_eq!(claims(&demand, after(35))[1], (Priority::Low, 0..TOTAL), "nor does it keep it by using it");
    assert_eq!(claims(&demand, after(64))[0], background);
}

#[test]
fn what_was_asked_for_as_low_comes_before_the_rest_of_the_file() {
    let now = start();
    let mut demand = Demand::new(Wanted::Whole, now);
    demand.request(50..60, Priority::Low, now + Duration::from_secs(1));
    let later = now + Duration::from_secs(2);
    assert_eq!(claims(&demand, later), [(Priority::Low, 50..60), (Priority::Low, 0..TOTAL)]);
}

// C12, P22, P23.
#[test]
fn a_download_is_done_when_its_own_wish_and_every_request_are_covered() {
    let now = start();
    let set = |ranges: &[Range<u64>]| -> RangeSet { ranges.iter().cloned().collect() };
    let (total, ranges) = (1000, Wanted::Ranges(set(&[0..10, 990..2000])));
    for (wanted, asked, written, expected, because) in [
        (Wanted::Whole, 0..0, set(&[0..1000]), true, "every byte is there"),
        (Wanted::Whole, 0..0, set(&[0..500, 501..1000]), false, "one is missing"),
        (ranges.clone(), 0..0, set(&[0..10, 990..1000]), true, "as far as the file has them"),
        (ranges.clone(), 0..0, set(&[0..10, 991..1000]), false, "one is missing"),
        (ranges.clone(), 20..30, set(&[0..10, 990..1000]), false, "a request is open"),
        (ranges, 1000..3000, set(&[0..10, 990..1000]), true, "nobody gets what does not exist"),
        (Wanted::OnDemand, 0..0, set(&[0..1000]), false, "somebody may still come"),
    ] {
        let mut demand = Demand::new(wanted, now);
        demand.request(asked, Priority::Low, now);
        demand.read(100..200);
        assert_eq!(demand.is_met(total, &written), expected, "{because}");
    }
}

#[test]
fn a_byte_is_as_urgent_as_the_most_urgent_who_wants_it() {
    let now = start();
    let mut demand = Demand::new(Wanted::Ranges([0..100].into_iter().collect()), now);
    demand.request(50..200, Priority::Normal, now);
    let reader = demand.read(150..160);
    for (offset, expected) in [
        (0, Some(Priority::Low)),
        (50, Some(Priority::Normal)),
        (149, Some(Priority::Normal)),
        (150, Some(Priority::High)),
        (160, Some(Priority::Normal)),
        (200, None),
    ] {
        assert_eq!(demand.priority_of(offset), expected, "byte {offset}");
    }
    demand.block(reader);
    assert_eq!(demand.priority_of(159), Some(Priority::Critical));
}

#[test]
fn a_stretch_is_wanted_as_far_as_anybody_may_come_to_it() {
    let now = start();
    let mut demand = on_demand(now);
    assert_eq!(demand.wanted_until(5..100), 5, "by nobody");
    let reader = demand.read(20..60);
    demand.request(0..10, Priority::Low, now);
    assert_eq!(demand.wanted_until(5..100), 60);
    assert_eq!(demand.wanted_until(5..30), 30);
    demand.read_on(reader, 60);
    assert_eq!(demand.wanted_until(5..100), 10);
    assert_eq!(Demand::new(Wanted::Whole, now).wanted_until(5..100), 100);
}
