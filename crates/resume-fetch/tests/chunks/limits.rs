//! Rate limits hold for all leases together, under a clock that the test moves.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, Instant};

use resume_fetch::{Connections, Download, Event, Fetcher, LowSpeed, MemoryLedger, Wanted};
use retry_kit::{Clock, Layers, ManualClock, Rate, RateLimiter, SharedClock};
use scripted_peer::{Representation, ScriptedPeer, seeded_bytes};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

use crate::common::{KIB, MIB, SEED, request};
use crate::meter::Meter;
use crate::stage::{COUNT, PIECE, in_pieces, pieces};

/// What a limit has let through may never be more than this.
struct Bound {
    limiter: RateLimiter,
    meters: Vec<Meter>,
    /// Bytes allowed before `since`, and the rate from then on.
    before: f64,
    since: Instant,
}

impl Bound {
    fn new(limiter: &RateLimiter, meters: &[&Meter], now: Instant) -> Self {
        let meters = meters.iter().map(|&meter| meter.clone()).collect();
        Self { limiter: limiter.clone(), meters, before: burst(limiter), since: now }
    }

    fn rate(&self) -> f64 {
        self.limiter.rate().bytes_per_second().unwrap().get() as f64
    }

    fn allowed(&self, now: Instant) -> f64 {
        self.before + self.rate() * now.duration_since(self.since).as_secs_f64()
    }

    /// Another rate from now on. What was allowed until now stays so, with a new burst at most.
    fn set_rate(&mut self, bytes: u64, now: Instant) {
        self.before = self.allowed(now);
        self.since = now;
        self.limiter.set_rate(rate(bytes));
        self.before += burst(&self.limiter);
    }

    fn check(&self, now: Instant) {
        let passed: u64 = self.meters.iter().map(|meter| meter.counts().passed).sum();
        assert!(passed as f64 <= self.allowed(now) + 1.0, "{passed} bytes, {} allowed", self.allowed(now));
    }
}

fn rate(bytes: u64) -> Rate {
    Rate::per_second(NonZeroU64::new(bytes).unwrap())
}

/// A quarter of a second, and 64 KiB at least.
fn burst(limiter: &RateLimiter) -> f64 {
    limiter.rate().bytes_per_second().map_or(0, |rate| (rate.get() / 4).max(64 * KIB)) as f64
}

/// A download of all pieces over three connections, and what counts its bytes.
fn start(
    peer: &ScriptedPeer,
    dir: &TempDir,
    name: &str,
    clock: &ManualClock,
    limits: Layers,
) -> (Meter, Download) {
    let meter = Meter::new();
    let clock: SharedClock = Arc::new(clock.clone());
    let fetcher = Fetcher::new(meter.clone(), clock, fastrand::Rng::with_seed(1));
    let request = request(&peer.url("/file"), &dir.path().join(name)).limits(limits);
    let request = request.want(Wanted::Ranges(pieces(COUNT))).connections(Connections::fixed(3));
    // Each lease is silent for much longer than that while it waits for its turn.
    let floor = LowSpeed { floor: 64 * KIB, window: Duration::from_secs(1) };
    let request = request.idle_timeout(Duration::from_secs(1)).low_speed(Some(floor));
    (meter, fetcher.start(request, MemoryLedger::new()))
}

async fn peer() -> ScriptedPeer {
    let peer = ScriptedPeer::start().await;
    peer.serve("/file", in_pieces(COUNT));
    peer
}

/// Moves time in small steps, and looks at every bound at each of them, until all downloads have brought everything.
async fn run(
    clock: &ManualClock,
    downloads: Vec<Download>,
    limiters: &[RateLimiter],
    mut at_each: impl FnMut(Instant),
) -> Duration {
    let begin = clock.now();
    let open = |download: &Download| download.progress().borrow().connections;
    let mut events = Vec::new();
    let mut downloads: Vec<_> = downloads
        .into_iter()
        .map(|mut download| {
            events.push(download.take_events());
            download
        })
        .collect();
    while downloads.iter().any(|download| download.content().held() != pieces(COUNT)) {
        at_each(clock.now());
        // Time passes while everybody at work waits for a limit, and stands still while anybody waits for the peer.
        let waiting: usize = limiters.iter().map(RateLimiter::waiting).sum();
        let at_work: usize = downloads.iter().map(open).sum();
        if waiting > 0 && waiting >= at_work {
            clock.advance(Duration::from_millis(5));
        }
        tokio::task::yield_now().await;
    }
    // What came last is readable already, and still has to be paid for.
    for download in &mut downloads {
        loop {
            tokio::select! {
                biased;
                done = &mut *download => {
                    done.unwrap();
                    break;
                }
                () = tokio::task::yield_now() => clock.advance(Duration::from_millis(5)),
            }
        }
    }
    let took = clock.now() - begin;
    for mut events in events {
        while let Some(event) = events.next().await {
            assert!(
                matches!(event, Event::Started { .. }),
                "waiting for our own limit is no failure: {event:?}"
            );
        }
    }
    took
}

// C08, P35
#[tokio::test]
async fn every_limit_holds_for_everything_under_it_at_every_moment() {
    let clock = ManualClock::new();
    let shared: SharedClock = Arc::new(clock.clone());
    let (dir, one, two) = (tempfile::tempdir().unwrap(), peer().await, peer().await);
    let limiter = |bytes| RateLimiter::new(Arc::clone(&shared), rate(bytes));
    let everything = limiter(512 * KIB);
    let (of_one, of_two) = (limiter(384 * KIB), limiter(256 * KIB));
    let own: Vec<_> = (0..4).map(|n| limiter((n + 1) * 96 * KIB)).collect();
    let layers =
        |peer: &RateLimiter, n: usize| Layers::new([everything.clone(), peer.clone(), own[n].clone()]);
    let (meters, downloads): (Vec<_>, Vec<_>) = [
        start(&one, &dir, "a", &clock, layers(&of_one, 0)),
        start(&one, &dir, "b", &clock, layers(&of_one, 1)),
        start(&two, &dir, "c", &clock, layers(&of_two, 2)),
        start(&two, &dir, "d", &clock, layers(&of_two, 3)),
    ]
    .into_iter()
    .unzip();
    let now = clock.now();
    let mut bounds = vec![
        Bound::new(&everything, &meters.iter().collect::<Vec<_>>(), now),
        Bound::new(&of_one, &[&meters[0], &meters[1]], now),
        Bound::new(&of_two, &[&meters[2], &meters[3]], now),
    ];
    bounds.extend(own.iter().zip(&meters).map(|(limiter, meter)| Bound::new(limiter, &[meter], now)));
    let limiters: Vec<_> = bounds.iter().map(|bound| bound.limiter.clone()).collect();
    let took =
        run(&clock, downloads, &limiters, |now| bounds.iter().for_each(|bound| bound.check(now))).await;
    let least = (COUNT * PIECE) as f64 / (96 * KIB) as f64 - 1.0;
    assert!(took.as_secs_f64() > least, "the slowest limit decides: {took:?}");
    assert!(meters.iter().all(|meter| meter.counts().most == 3), "over several connections each");
}

// C08, C55
#[tokio::test]
async fn a_limit_that_is_changed_holds_from_then_on_for_those_who_wait_too() {
    let clock = ManualClock::new();
    let shared: SharedClock = Arc::new(clock.clone());
    let (dir, peer) = (tempfile::tempdir().unwrap(), peer().await);
    let everything = RateLimiter::new(shared, rate(32 * KIB));
    let layers = || Layers::new([everything.clone()]);
    let (first, one) = start(&peer, &dir, "a", &clock, layers());
    let (second, two) = start(&peer, &dir, "b", &clock, layers());
    let mut bound = Bound::new(&everything, &[&first, &second], clock.now());
    let begin = clock.now();
    // Slow, ten times as fast, slower than at first.
    let mut changes = vec![(6, 16 * KIB), (4, 320 * KIB)];
    let took = run(&clock, vec![one, two], std::slice::from_ref(&everything), |now| {
        bound.check(now);
        let due = changes.last().is_some_and(|(at, _)| now.duration_since(begin).as_secs() >= *at);
        if let Some((_, bytes)) = changes.pop_if(|_| due) {
            bound.set_rate(bytes, now);
        }
    })
    .await;
    assert!(changes.is_empty(), "it went through all of them in {took:?}");
}

// C08, C10
#[tokio::test]
async fn what_somebody_stands_still_for_does_not_wait_behind_the_rest_at_a_limit() {
    let clock = ManualClock::new();
    let shared: SharedClock = Arc::new(clock.clone());
    let (dir, peer) = (tempfile::tempdir().unwrap(), ScriptedPeer::start().await);
    let total = 32 * MIB;
    peer.serve("/file", Representation::seeded(SEED, total).etag("\"a\""));
    let everything = RateLimiter::new(Arc::clone(&shared), rate(MIB));
    let fetcher = Fetcher::new(Meter::new(), shared, fastrand::Rng::with_seed(1));
    let request =
        request(&peer.url("/file"), &dir.path().join("a")).limits(Layers::new([everything.clone()]));
    let download = fetcher.start(request.connections(Connections::fixed(4)), MemoryLedger::new());
    let content = download.content();
    let pass = async || {
        // As above: time stands still while anybody waits for the peer.
        let at_work = download.progress().borrow().connections;
        if everything.waiting() > 0 && everything.waiting() >= at_work {
            clock.advance(Duration::from_millis(5));
        }
        tokio::task::yield_now().await;
    };
    // Four connections stand in line for the limit.
    while everything.waiting() < 4 || content.held().len() < MIB {
        pass().await;
    }
    let tail = total - MIB..total;
    let mut reader = content.reader(tail.clone());
    let read = tokio::spawn(async move {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).await.map(|_| bytes)
    });
    let begin = clock.now();
    while !content.held().covers(&tail) {
        pass().await;
    }
    let took = clock.now() - begin;
    assert!(read.await.unwrap().unwrap() == seeded_bytes(SEED, tail));
    // A quarter of the rate would take four seconds.
    assert!(took < Duration::from_millis(1600), "{took:?} for the bytes of one second");
    assert!(content.held().len() < total / 4, "and the rest is not there");
}
