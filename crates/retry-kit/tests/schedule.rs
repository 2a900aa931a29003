//! The schedules: what is slept after which failure, for each jitter, and the same again for the same seed.

use std::time::Duration;

use retry_kit::{Backoff, Jitter};

const SECOND: Duration = Duration::from_secs(1);

fn schedule(backoff: Backoff, seed: u64, count: usize) -> Vec<Duration> {
    backoff.delays(fastrand::Rng::with_seed(seed)).take(count).collect()
}

#[test]
fn without_jitter_the_schedule_is_the_ceiling_itself() {
    let ms = Duration::from_millis;
    for (base, cap, expected) in [
        (SECOND, 60 * SECOND, [1, 2, 4, 8, 16, 32, 60, 60].map(|seconds| seconds * SECOND)),
        (ms(250), 2 * SECOND, [250, 500, 1000, 2000, 2000, 2000, 2000, 2000].map(ms)),
        (ms(700), ms(1500), [700, 1400, 1500, 1500, 1500, 1500, 1500, 1500].map(ms)),
        (Duration::ZERO, SECOND, [Duration::ZERO; 8]),
    ] {
        assert_eq!(schedule(Backoff::new(base, cap).jitter(Jitter::None), 0, 8), expected);
    }
}

#[test]
fn the_same_seed_gives_the_same_schedule_and_another_seed_another() {
    for jitter in [Jitter::Full, Jitter::Equal, Jitter::Decorrelated] {
        let backoff = Backoff::default().jitter(jitter);
        for seed in 0..50 {
            let delays = schedule(backoff, seed, 12);
            assert_eq!(delays, schedule(backoff, seed, 12), "{jitter:?}, seed {seed}");
            assert_ne!(delays, schedule(backoff, seed + 1, 12), "{jitter:?}, seed {seed}");
        }
    }
}

#[test]
fn the_iterator_draws_what_delay_draws() {
    for jitter in [Jitter::Full, Jitter::Equal, Jitter::None] {
        let backoff = Backoff::default().jitter(jitter);
        let mut rng = fastrand::Rng::with_seed(11);
        let one_by_one: Vec<Duration> = (1..=12).map(|n| backoff.delay(n, &mut rng)).collect();
        assert_eq!(schedule(backoff, 11, 12), one_by_one, "{jitter:?}");
    }
}

#[test]
fn full_jitter_uses_the_whole_range_evenly() {
    let backoff = Backoff::default();
    let mut rng = fastrand::Rng::with_seed(12);
    let mut quarters = [0_u32; 4];
    for _ in 0..8000 {
        // The third ceiling is four seconds: one second a quarter.
        let delay = backoff.delay(3, &mut rng);
        quarters[(delay.as_secs() as usize).min(3)] += 1;
    }
    assert!(quarters.iter().all(|count| (1800..2200).contains(count)), "{quarters:?}");
}

#[test]
fn equal_jitter_waits_half_the_ceiling_at_least() {
    let mut rng = fastrand::Rng::with_seed(13);
    let delays = (0..1000).map(|_| Backoff::default().jitter(Jitter::Equal).delay(3, &mut rng));
    let (short, long): (Vec<_>, Vec<_>) = delays.partition(|delay| *delay < 3 * SECOND);
    assert!(short.iter().all(|delay| *delay >= 2 * SECOND) && long.iter().all(|delay| *delay <= 4 * SECOND));
    assert!(short.len() > 400 && long.len() > 400, "{} and {}", short.len(), long.len());
}

#[test]
fn decorrelated_jitter_stays_within_three_times_the_delay_before() {
    for seed in 0..200 {
        let backoff = Backoff::new(SECOND, 60 * SECOND).jitter(Jitter::Decorrelated);
        let mut previous = SECOND;
        for delay in schedule(backoff, seed, 40) {
            assert!(
                SECOND <= delay && delay <= (3 * previous).min(60 * SECOND),
                "{previous:?} then {delay:?}"
            );
            previous = delay;
        }
    }
}

#[test]
fn a_crowd_that_failed_together_does_not_return_together() {
    let backoff = Backoff::default();
    let mut returns: Vec<Duration> =
        (0..1000).map(|client| backoff.delay(7, &mut fastrand::Rng::with_seed(client))).collect();
    returns.sort_unstable();
    let crowded = returns.windows(50).filter(|window| window[49] - window[0] < SECOND).count();
    assert_eq!(crowded, 0, "50 of 1000 within one second of sixty");
}
