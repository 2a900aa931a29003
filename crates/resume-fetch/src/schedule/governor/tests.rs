//! Measured like this, how many connections: every row of time is handed in.

use retry_kit::{Clock, ManualClock};

use super::*;

const MIB: u64 = 1 << 20;
const PLENTY: u64 = 1 << 40;

/// A peer, and the readings that it leads to.
struct Peer {
    now: Instant,
    received: u64,
    missing: u64,
    limit: Option<u64>,
}

impl Peer {
    fn new() -> Self {
        Self { now: ManualClock::new().now(), received: 0, missing: PLENTY, limit: None }
    }

    /// One tick, with `flowing` connections that bring `rate` bytes per second together.
    fn tick(&mut self, governor: &mut Governor, flowing: usize, rate: u64) {
        let reading = Reading {
            now: self.now,
            received: self.received,
            flowing,
            missing: self.missing,
            limit: self.limit,
        };
        governor.read(reading);
        self.now += Governor::TICK;
        self.received += rate * Governor::TICK.as_millis() as u64 / 1000;
    }

    /// `time` with as many connections as the governor wants, of which all together bring `rate`.
    fn run(&mut self, governor: &mut Governor, time: Duration, rate: impl Fn(usize) -> u64) {
        let end = self.now + time;
        while self.now < end {
            let flowing = governor.target();
            self.tick(governor, flowing, rate(flowing));
        }
    }
}

/// A governor that is over its first hurry, with one connection.
fn at_ease(limit: usize) -> Governor {
    Governor { hurry: None, ..Governor::new(Connections::adaptive(limit)) }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A peer that gives every connection the same.
fn each(connections: usize) -> u64 {
    connections as u64 * MIB
}

/// A peer that one connection exhausts.
fn shared(_: usize) -> u64 {
    8 * MIB
}

#[test]
fn one_connection_comes_first_and_a_second_within_two_seconds_of_the_first_byte() {
    let (mut peer, mut governor) = (Peer::new(), Governor::new(Connections::adaptive(4)));
    assert_eq!(governor.target(), 1);
    let first_byte = peer.now;
    while governor.target() < 2 {
        peer.tick(&mut governor, 1, MIB);
    }
    assert!(peer.now - first_byte <= seconds(2), "{:?}", peer.now - first_byte);
}

#[test]
fn before_the_first_byte_nothing_is_measured() {
    let (mut peer, mut governor) = (Peer::new(), Governor::new(Connections::adaptive(4)));
    for flowing in [0, 1] {
        for _ in 0..100 {
            peer.tick(&mut governor, flowing, 0);
        }
        assert_eq!(governor.target(), 1);
    }
}

#[test]
fn connections_are_added_while_each_helps_and_never_more_than_the_limit() {
    for limit in [1, 2, 4, 8] {
        let (mut peer, mut governor) = (Peer::new(), Governor::new(Connections::adaptive(limit)));
        let mut most = 0;
        for _ in 0..240 {
            peer.run(&mut governor, Governor::TICK, each);
            most = most.max(governor.target());
        }
        assert_eq!((governor.target(), most), (limit, limit));
    }
}

#[test]
fn a_connection_stays_when_the_whole_is_a_tenth_faster_and_goes_when_it_is_not() {
    for (with_two, expected, because) in [
        (1_100_000, 2, "exactly a tenth more is worth it"),
        (1_096_000, 1, "less than a tenth is not"),
        (1_000_000, 1, "the peer is exhausted"),
        (600_000, 1, "two are slower than one"),
    ] {
        let rate = |connections| if connections == 1 { 1_000_000 } else { with_two };
        let (mut peer, mut governor) = (Peer::new(), Governor::new(Connections::adaptive(2)));
        peer.run(&mut governor, seconds(5), rate);
        assert_eq!(governor.target(), expected, "in a hurry: {because}");
        let (mut peer, mut governor) = (Peer::new(), at_ease(2));
        while governor.target() < 2 {
            peer.run(&mut governor, Governor::TICK, rate);
        }
        peer.run(&mut governor, seconds(2), rate);
        assert_eq!(governor.target(), expected, "on trial: {because}");
    }
}

#[test]
fn a_trial_that_failed_is_repeated_after_a_pause_that_doubles_up_to_a_bound() {
    let (mut peer, mut governor) = (Peer::new(), at_ease(4));
    let mut trials = Vec::new();
    let (start, mut before) = (peer.now, 1);
    while peer.now - start < seconds(1000) {
        peer.run(&mut governor, Governor::TICK, shared);
        assert!(governor.target() <= 2);
        if governor.target() > before {
            trials.push(peer.now);
        }
        before = governor.target();
    }
    assert_eq!(trials.len(), 10);
    let pauses: Vec<_> = trials.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
    for (pause, at_least) in pauses.iter().zip([10, 20, 40, 80, 160, 160, 160, 160, 160]) {
        assert!((at_least..at_least + 4).contains(pause), "{pauses:?}");
    }
}

#[test]
fn while_the_rate_rises_the_number_grows_with_it_and_stops_at_the_limit() {
    for (limit, expected) in [(2, vec![2, 2]), (4, vec![4, 4]), (8, vec![4, 8]), (16, vec![4, 16])] {
        let (mut peer, mut governor) = (Peer::new(), Governor::new(Connections::adaptive(limit)));
        let mut seen = Vec::new();
        for rate in [MIB, 2 * MIB, 4 * MIB, 8 * MIB] {
            let (before, flowing) = (governor.target(), 1);
            peer.tick(&mut governor, flowing, rate);
            if governor.target() != before || governor.target() == limit {
                seen.push(governor.target());
            }
        }
        seen.truncate(2);
        assert_eq!(seen, expected, "at most {limit}");
    }
}

#[test]
fn a_rate_that_has_not_risen_for_half_a_second_ends_the_hurry() {
    let (mut peer, mut governor) = (Peer::new(), Governor::new(Connections::adaptive(16)));
    peer.run(&mut governor, Duration::from_millis(200), shared);
    assert_eq!(governor.target(), 4, "nobody knew better at the first glance");
    peer.run(&mut governor, Duration::from_millis(600), shared);
    peer.run(&mut governor, Duration::from_millis(200), |_| 16 * MIB);
    assert_eq!(governor.target(), 4, "what comes later is for a trial to find out");
}

#[test]
fn the_hurry_is_not_over_before_those_who_were_called_have_come() {
    let (mut peer, mut governor) = (Peer::new(), Governor::new(Connections::adaptive(16)));
    for _ in 0..40 {
        peer.tick(&mut governor, 1, MIB);
    }
    assert_eq!(governor.target(), 4, "three are under way to a peer that is far away");
    for _ in 0..4 {
        peer.tick(&mut governor, 4, 4 * MIB);
    }
    assert_eq!(governor.target(), 16);
}

#[test]
fn what_comes_in_a_hurry_and_is_not_missed_goes_again_by_halves() {
    let (mut peer, mut governor) = (Peer::new(), Governor::new(Connections::adaptive(16)));
    let mut seen = vec![governor.target()];
    for _ in 0..160 {
        // A line that takes a moment to be filled, by however many.
        peer.received += u64::from(seen.len() < 3) * peer.received;
        peer.run(&mut governor, Governor::TICK, shared);
        if seen.last() != Some(&governor.target()) {
            seen.push(governor.target());
        }
    }
    assert_eq!(seen[seen.len() - 1], 1, "{seen:?}");
    assert!(seen.windows(2).skip(2).all(|pair| pair[1] == pair[0] / 2), "{seen:?}");
}

#[test]
fn what_comes_in_a_hurry_and_is_missed_comes_back_and_stays() {
    for limit in [2, 4, 8, 16] {
        let (mut peer, mut governor) = (Peer::new(), Governor::new(Connections::adaptive(limit)));
        let (mut least, mut low) = (limit, Duration::ZERO);
        for tick in 0..2000 {
            peer.run(&mut governor, Governor::TICK, each);
            if tick > 100 {
                least = least.min(governor.target());
                low += if governor.target() < limit { Governor::TICK } else { Duration::ZERO };
            }
        }
        assert_eq!((governor.target(), least), (limit, limit), "low for {low:?}");
    }
}

#[test]
fn what_is_done_in_a_moment_is_not_hurried_and_what_is_done_soon_proves_nothing() {
    for (missing, expected, because) in [
        (7 * MIB, 1, "less than a second"),
        (9 * MIB, 4, "a second"),
        (15 * MIB, 4, "less than two: no time to find out whether fewer do as well"),
        (17 * MIB, 1, "more than that"),
    ] {
        let (mut peer, mut governor) = (Peer::new(), Governor::new(Connections::adaptive(4)));
        peer.missing = missing;
        peer.run(&mut governor, seconds(8), shared);
        assert_eq!(governor.target(), expected, "{because}");
    }
}

#[test]
fn who_has_to_go_may_bring_what_it_is_at_unless_the_peer_said_no() {
    let (mut peer, mut governor) = (Peer::new(), Governor::new(Connections::adaptive(4)));
    peer.run(&mut governor, seconds(10), shared);
    assert_eq!((governor.target(), governor.most()), (1, 4));
    governor.refused(peer.now, 2, None);
    assert_eq!((governor.target(), governor.most()), (2, 2));
    governor.one_only();
    assert_eq!((governor.target(), governor.most()), (1, 1));
}

#[test]
fn a_filled_rate_limit_is_no_reason_for_another_connection() {
    for (limit, expected) in
        [(Some(8 * MIB), 1), (Some(4 * MIB), 1), (Some(80 * MIB), 2), (Some(0), 1), (None, 2)]
    {
        for governor in [Governor::new(Connections::adaptive(2)), at_ease(2)] {
            let (mut peer, mut governor, mut most) = (Peer::new(), governor, 1);
            peer.limit = limit;
            for _ in 0..40 {
                peer.run(&mut governor, Governor::TICK, shared);
                most = most.max(governor.target());
            }
            assert_eq!(most, expected, "limit {limit:?}");
        }
    }
}

#[test]
fn few_missing_bytes_are_not_worth_a_trial() {
    for (missing, expected) in [(0, 1), (4 * MIB - 1, 1), (4 * MIB, 2)] {
        for governor in [Governor::new(Connections::adaptive(2)), at_ease(2)] {
            let (mut peer, mut governor) = (Peer::new(), governor);
            peer.missing = missing;
            peer.run(&mut governor, seconds(2), |connections| each(connections) * 2);
            assert_eq!(governor.target(), expected, "{missing} bytes");
        }
    }
}

#[test]
fn a_refused_connection_leaves_what_was_there_and_none_is_added_before_the_hint_or_the_pause() {
    for (hint, at_least) in [(None, 10), (Some(3), 10), (Some(45), 45)] {
        let (mut peer, mut governor) = (Peer::new(), Governor::new(Connections::adaptive(8)));
        peer.run(&mut governor, seconds(60), each);
        assert_eq!(governor.target(), 8);
        governor.refused(peer.now, 3, hint.map(seconds));
        let refused_at = peer.now;
        assert_eq!(governor.target(), 3);
        while governor.target() == 3 {
            peer.run(&mut governor, Governor::TICK, each);
        }
        let waited = peer.now - refused_at;
        assert!((seconds(at_least)..seconds(at_least + 2)).contains(&waited), "{hint:?}: {waited:?}");
    }
}

#[test]
fn a_refusal_never_leaves_less_than_one_nor_more_than_the_limit() {
    let now = ManualClock::new().now();
    for connections in [Connections::adaptive(4), Connections::fixed(4)] {
        for (others, expected) in [(0, 1), (1, 1), (4, 4), (9, 4)] {
            let mut governor = Governor::new(connections);
            governor.refused(now, others, None);
            assert_eq!(governor.target(), expected);
        }
    }
}

#[test]
fn a_shorter_hint_does_not_take_back_a_longer_one_and_an_endless_one_does_not_overflow() {
    let (mut peer, mut governor) = (Peer::new(), Governor::new(Connections::adaptive(4)));
    governor.refused(peer.now, 1, Some(Duration::MAX));
    governor.refused(peer.now, 1, Some(seconds(1)));
    peer.run(&mut governor, seconds(3600), each);
    assert_eq!(governor.target(), 1);
}

#[test]
fn every_further_refusal_doubles_the_pause_but_a_volley_counts_once() {
    let (mut peer, mut governor) = (Peer::new(), Governor::new(Connections::adaptive(4)));
    peer.run(&mut governor, seconds(30), each);
    for at_least in [10, 20, 40] {
        for others in [3, 2, 1] {
            governor.refused(peer.now, others, None);
        }
        let refused_at = peer.now;
        while governor.target() == 1 {
            peer.run(&mut governor, Governor::TICK, each);
        }
        let waited = peer.now - refused_at;
        assert!((seconds(at_least)..seconds(at_least + 2)).contains(&waited), "{waited:?}");
    }
}

#[test]
fn a_fixed_number_is_there_from_the_start_and_comes_back_one_by_one_after_a_refusal() {
    let (mut peer, mut governor) = (Peer::new(), Governor::new(Connections::fixed(4)));
    assert_eq!(governor.target(), 4);
    peer.run(&mut governor, seconds(60), shared);
    assert_eq!(governor.target(), 4, "nothing is tried, nothing is judged");
    governor.refused(peer.now, 2, None);
    peer.run(&mut governor, seconds(9), shared);
    assert_eq!(governor.target(), 2);
    peer.run(&mut governor, seconds(2), shared);
    assert_eq!(governor.target(), 3);
    peer.run(&mut governor, seconds(60), shared);
    assert_eq!(governor.target(), 4);
}

#[test]
fn a_peer_without_ranges_gets_one_connection_for_good() {
    for connections in [Connections::adaptive(4), Connections::fixed(4)] {
        let (mut peer, mut governor) = (Peer::new(), Governor::new(connections));
        peer.run(&mut governor, seconds(10), each);
        governor.one_only();
        assert_eq!(governor.target(), 1);
        governor.refused(peer.now, 3, None);
        peer.run(&mut governor, seconds(600), each);
        assert_eq!(governor.target(), 1);
    }
}

#[test]
fn a_newcomer_that_comes_late_is_compared_with_the_rate_just_before_it() {
    let (mut peer, mut governor) = (Peer::new(), at_ease(2));
    while governor.target() < 2 {
        peer.tick(&mut governor, 1, 8 * MIB);
    }
    // There is nothing to split for a while, and the line has become slower.
    for _ in 0..200 {
        peer.tick(&mut governor, 1, MIB);
    }
    for _ in 0..200 {
        peer.tick(&mut governor, 2, 2 * MIB);
    }
    assert_eq!(governor.target(), 2, "it doubles the rate");
}

#[test]
fn connections_that_come_and_go_are_not_measured() {
    let (mut peer, mut governor) = (Peer::new(), at_ease(4));
    for tick in 0..200 {
        peer.tick(&mut governor, 1 + tick % 2, MIB);
    }
    assert_eq!(governor.target(), 1);
}
