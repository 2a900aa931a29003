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
        let (mut peer, mut governor) = (Peer::new(), Governor::new(Connections::adaptive(2)));
        let rate = |connections| if connections == 1 { 1_000_000 } else { with_two };
        while governor.target() < 2 {
            peer.run(&mut governor, Governor::TICK, rate);
        }
        peer.run(&mut governor, seconds(2), rate);
        assert_eq!(governor.target(), expected, "{because}");
    }
}

#[test]
fn a_trial_that_failed_is_repeated_after_a_pause_that_doubles_up_to_a_bound() {
    let (mut peer, mut governor) = (Peer::new(), Governor::new(Connections::adaptive(4)));
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
fn a_filled_rate_limit_is_no_reason_for_another_connection() {
    for (limit, expected) in
        [(Some(8 * MIB), 1), (Some(4 * MIB), 1), (Some(80 * MIB), 2), (Some(0), 1), (None, 2)]
    {
        let (mut peer, mut governor) = (Peer::new(), Governor::new(Connections::adaptive(2)));
        peer.limit = limit;
        peer.run(&mut governor, seconds(2), shared);
        assert_eq!(governor.target(), expected, "limit {limit:?}");
    }
}

#[test]
fn few_missing_bytes_are_not_worth_a_trial() {
    for (missing, expected) in [(0, 1), (4 * MIB - 1, 1), (4 * MIB, 2)] {
        let (mut peer, mut governor) = (Peer::new(), Governor::new(Connections::adaptive(4)));
        peer.missing = missing;
        peer.run(&mut governor, seconds(2), each);
        assert_eq!(governor.target(), expected, "{missing} bytes");
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
    let (mut peer, mut governor) = (Peer::new(), Governor::new(Connections::adaptive(2)));
    while governor.target() < 2 {
        peer.tick(&mut governor, 1, 8 * MIB);
    }
    // There is nothing to split for a while, and the line has become slower.
    for _ in 0..40 {
        peer.tick(&mut governor, 1, MIB);
    }
    for _ in 0..40 {
        peer.tick(&mut governor, 2, 2 * MIB);
    }
    assert_eq!(governor.target(), 2, "it doubles the rate");
}

#[test]
fn connections_that_come_and_go_are_not_measured() {
    let (mut peer, mut governor) = (Peer::new(), Governor::new(Connections::adaptive(4)));
    for tick in 0..200 {
        peer.tick(&mut governor, 1 + tick % 2, MIB);
    }
    assert_eq!(governor.target(), 1);
}
