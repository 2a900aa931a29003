//! What changes the registry: every call here is answered after a synced commit.

use std::time::{Duration, Instant};

use download_registry::{Claim, ClaimRequest, Registry, WorkerError};

use crate::{Anything, CALLS, LEASE, new, now, table::Table, timed};

/// One caller that waits for every answer; the rows are called off again.
pub(crate) async fn enqueue(table: &mut Table, registry: &Registry) -> Result<(), Anything> {
    let mut times = Vec::new();
    let base = registry.newest_transition().await?.cast_unsigned();
    for n in 0..CALLS as u64 {
        let (time, row) = timed(registry.enqueue(&new(1_000_000_000 + base + n), now())).await?;
        times.push(time);
        registry.cancel(row.id, now()).await?;
    }
    table.times("enqueue, one caller", times);
    Ok(())
}

pub(crate) async fn claims(table: &mut Table, registry: &Registry) -> Result<(), Anything> {
    let busy = ["peer-0".to_owned()];
    for (what, exclude) in [("claim the next row", &[][..]), ("claim, the largest peer being busy", &busy)] {
        let mut times = Vec::new();
        let mut running: Vec<Claim> = Vec::new();
        for _ in 0..CALLS {
            let ask = ClaimRequest { owner: "example", now: now(), lease_for: LEASE, exclude_peers: exclude };
            let (time, claim) = timed(registry.claim_next(&ask)).await?;
            times.push(time);
            running.extend(claim);
            if running.len() > 3 {
                registry.release(&running.remove(0).fence, now()).await?;
            }
        }
        table.times(what, times);
        for claim in running {
            registry.release(&claim.fence, now()).await?;
        }
    }
    Ok(())
}

/// One caller that records one chunk after the other.
pub(crate) async fn progress(table: &mut Table, registry: &Registry) -> Result<(), Anything> {
    let claims = claim(registry, 1).await?;
    let times = record(registry.clone(), claims[0].clone(), Until::Calls(CALLS)).await?;
    table.times("record a chunk, one caller", times);
    give_back(registry, claims).await
}

/// Many callers at once, each with a row of its own and waiting for each of its records.
pub(crate) async fn records(table: &mut Table, registry: &Registry) -> Result<(), Anything> {
    for callers in [16, 64, 256] {
        let claims = claim(registry, callers).await?;
        let (mut times, begun) = (Vec::new(), Instant::now());
        let end = Until::Time(begun + Duration::from_secs(3));
        let tasks: Vec<_> =
            claims.iter().map(|claim| tokio::spawn(record(registry.clone(), claim.clone(), end))).collect();
        for task in tasks {
            times.extend(task.await??);
        }
        let in_all = begun.elapsed();
        table.rate(&format!("record a chunk, {callers} callers at once"), times.len() as u64, in_all, times);
        give_back(registry, claims).await?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Until {
    Calls(usize),
    Time(Instant),
}

/// Records chunks of 1 MiB, every other one first, so that they do not all become one range.
async fn record(registry: Registry, claim: Claim, end: Until) -> Result<Vec<Duration>, WorkerError> {
    let generation = registry.begin_generation(&claim.fence, &claim.download.identity, None, now()).await?;
    let mut times = Vec::new();
    while match end {
        Until::Calls(calls) => times.len() < calls,
        Until::Time(end) => Instant::now() < end,
    } {
        let n = times.len() as u64;
        // Four connections work in four places: 0, 256, 512, 768, 1, 257, …
        let at = (n % 4 * 256 + n / 4 % 256 + n / 1024 * 1024) << 20;
        let chunk = at..at + (1 << 20);
        let recorded = registry.record_durable(&claim.fence, generation, std::slice::from_ref(&chunk), now());
        times.push(timed(recorded).await?.0);
    }
    Ok(times)
}

async fn claim(registry: &Registry, rows: usize) -> Result<Vec<Claim>, Anything> {
    let mut claims = Vec::new();
    for _ in 0..rows {
        let ask = ClaimRequest { owner: "example", now: now(), lease_for: LEASE, exclude_peers: &[] };
        claims.push(registry.claim_next(&ask).await?.ok_or("nothing to claim")?);
    }
    Ok(claims)
}

async fn give_back(registry: &Registry, claims: Vec<Claim>) -> Result<(), Anything> {
    for claim in claims {
        registry.cancel(claim.fence.id(), now()).await?;
    }
    Ok(())
}
