//! Several limits above one another.

use std::pin::pin;
use std::task::{Context, Waker};

use retry_kit::{Clock, Layers, ManualClock, Permits, Rate, RateLimiter};

use crate::{KIB, MIB, SECOND, drained, limiter, poll, rate};

#[test]
fn layers_together_are_as_slow_as_the_slowest() {
    let clock = ManualClock::new();
    let (everything, peer, download) =
        (limiter(&clock, 8 * MIB), limiter(&clock, 256 * KIB), limiter(&clock, MIB));
    let layers = Layers::new([everything, peer]).with(download);
    assert_eq!(layers.rate(), rate(256 * KIB));
    let start = clock.now();
    clock.run(async {
        for _ in 0..17 {
            layers.acquire(64 * KIB).await;
        }
    });
    assert_eq!(clock.now() - start, 4 * SECOND, "one burst and 16 times 64 KiB");
}

#[test]
fn two_peers_share_what_is_above_them_both() {
    let clock = ManualClock::new();
    let everything = limiter(&clock, 256 * KIB);
    let peers = [(); 2].map(|()| Layers::new([everything.clone(), limiter(&clock, MIB)]));
    let start = clock.now();
    let read = async |layers: &Layers| {
        for _ in 0..16 {
            layers.acquire(16 * KIB).await;
        }
    };
    clock.run(async { tokio::join!(read(&peers[0]), read(&peers[1])) });
    assert_eq!(clock.now() - start, SECOND * 7 / 4, "512 KiB less a burst of 64 KiB at 256 KiB/s");
}

#[test]
fn a_download_that_waits_for_its_own_limit_sits_on_nobody_elses_bytes() {
    let clock = ManualClock::new();
    let everything = limiter(&clock, 256 * KIB);
    let slow = Layers::new([everything.clone(), limiter(&clock, 1)]);
    let mut context = Context::from_waker(Waker::noop());
    let mut blocked = pin!(slow.acquire(65 * KIB));
    assert!(blocked.as_mut().poll(&mut context).is_pending());
    assert!(poll(&mut everything.acquire(64 * KIB)).is_ready());
}

#[test]
fn cancelled_half_way_every_layer_gets_its_bytes_back() {
    let clock = ManualClock::new();
    let (everything, peer, download) = (drained(&clock), limiter(&clock, MIB), limiter(&clock, MIB));
    let layers: Layers = [everything.clone(), peer.clone(), download.clone()].into_iter().collect();
    let mut context = Context::from_waker(Waker::noop());
    {
        let mut blocked = pin!(layers.acquire(256 * KIB));
        assert!(blocked.as_mut().poll(&mut context).is_pending());
        assert!(poll(&mut peer.acquire(1)).is_pending(), "granted here, waiting above");
    }
    assert_eq!(everything.waiting(), 0);
    for layer in [peer, download] {
        assert!(poll(&mut layer.acquire(256 * KIB)).is_ready());
    }
}

#[test]
fn no_layers_are_no_limit() {
    let clock = ManualClock::new();
    clock.run(Layers::default().acquire(u64::MAX));
    assert_eq!(Layers::default().rate(), Rate::unlimited());
    assert_eq!(clock.waiters(), 0);
}

#[test]
fn everything_can_be_sent_and_shared() {
    fn check<T: Send + Sync + 'static>() {}
    fn sent<T: Send + 'static>(_: &T) {}
    check::<RateLimiter>();
    check::<Layers>();
    check::<Permits>();
    let clock = ManualClock::new();
    sent(&limiter(&clock, 1).acquire(1));
    let layers = Layers::default();
    sent(&async move { layers.acquire(1).await });
}
