//! A worker's whole life with a pretend transfer: recover, claim, fetch, record, retry, publish.
//!
//! `cargo run --example worker -- DIRECTORY`, and again after killing it half-way: it goes on where it was.

use std::{
    path::PathBuf,
    thread,
    time::{Duration, SystemTime},
};

use download_registry::{
    Claim, ClaimRequest, FailedTry, Identity, NewDownload, Next, Options, Problem, Registry, StateLock,
    Timestamp, Total, TotalSource, WorkerError,
};

type Anything = Box<dyn std::error::Error>;

const OWNER: &str = "example";
const LEASE: Duration = Duration::from_secs(60);
const SIZE: u64 = 64 << 20;
const CHECKPOINT: u64 = 4 << 20;

#[tokio::main]
async fn main() -> Result<(), Anything> {
    let directory = PathBuf::from(std::env::args().nth(1).ok_or("usage: worker DIRECTORY")?);
    let _lock = StateLock::acquire(&directory)?;
    let registry = Registry::open(directory.join("registry.db"), &Options::default()).await?;

    let recovered = registry.recover(OWNER, now(), LEASE).await?;
    println!("{} in line again, {} to publish", recovered.requeued.len(), recovered.finalizing.len());
    for claim in recovered.finalizing {
        publish(&registry, &claim).await?;
    }

    let counts = registry.counts().await?;
    if counts.iter().all(|(state, rows)| !state.is_live() || *rows == 0) {
        let new = NewDownload { url: "https://bob.example/film.mkv".to_owned(), ..NewDownload::default() };
        println!("queued {}", registry.enqueue(&new, now()).await?.id);
    }

    let ask = ClaimRequest { owner: OWNER, now: now(), lease_for: LEASE, exclude_peers: &[] };
    while let Some(claim) = registry.claim_next(&ask).await? {
        match fetch(&registry, &claim).await {
            Ok(()) => publish(&registry, &claim).await?,
            // Paused, cancelled or overtaken: not ours any more, and not our failure.
            Err(WorkerError::Fenced { .. }) => println!("{} was taken away", claim.fence.id()),
            Err(error) => give_back(&registry, &claim, &error).await?,
        }
    }
    registry.close().await;
    Ok(())
}

async fn fetch(registry: &Registry, claim: &Claim) -> Result<(), WorkerError> {
    let point =
        registry.resume_point(claim.fence.id()).await?.unwrap_or_else(|| unreachable!("we hold its lease"));
    let mut durable = point.ranges.first().filter(|range| range.start == 0).map_or(0, |range| range.end);
    let mut generation = point.generation;
    if generation == 0 {
        let total = Some(Total { bytes: SIZE, source: TotalSource::ContentLength });
        let identity = Identity { total, validator: Some("\"v1\"".to_owned()) };
        generation = registry.begin_generation(&claim.fence, &identity, None, now()).await?;
    }
    println!("{} goes on at byte {durable}", claim.fence.id());
    while durable < SIZE {
        // Here the bytes would arrive, be written, and be synced.
        thread::sleep(Duration::from_millis(100));
        let next = (durable + CHECKPOINT).min(SIZE);
        registry
            .record_durable(&claim.fence, generation, std::slice::from_ref(&(durable..next)), now())
            .await?;
        registry.renew(&claim.fence, now().saturating_add(LEASE)).await?;
        durable = next;
    }
    registry.seal(&claim.fence, now()).await.map(drop)
}

async fn publish(registry: &Registry, claim: &Claim) -> Result<(), WorkerError> {
    // Here the part file would be checked and renamed, and its directory synced.
    let done = registry.finish(&claim.fence, now()).await?;
    println!("{} is {}", done.id, done.state);
    Ok(())
}

async fn give_back(registry: &Registry, claim: &Claim, error: &WorkerError) -> Result<(), WorkerError> {
    let row = registry.get(claim.fence.id()).await?.unwrap_or_else(|| claim.download.clone());
    let attempts = row.attempts_after_failure(1 << 20);
    let next = if attempts < 5 {
        Next::Wait { until: now().saturating_add(Duration::from_secs(1 << attempts)) }
    } else {
        Next::GiveUp { retryable: true, retry_at: None }
    };
    let problem = Problem::new("example", error.to_string());
    registry
        .record_failure(&claim.fence, &FailedTry { problem, reset_bytes: 1 << 20, next }, now())
        .await
        .map(drop)
}

#[allow(clippy::disallowed_methods, reason = "a program, unlike a library, may look at the clock")]
fn now() -> Timestamp {
    SystemTime::now().into()
}
