//! How a registry does with a long queue: `cargo run --release --example scale -- [ROWS] [DIRECTORY]`
//!
//! Fills a new registry with 100,000 rows (or ROWS) of forty peers, half of them of one, and prints what the usual
//! calls take as a markdown table. DIRECTORY says on which disk; it is a temporary one otherwise.

#![allow(clippy::disallowed_methods, reason = "a program, unlike a library, may look at the clock")]

use std::{
    future::Future,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use download_registry::{
    Claim, ClaimRequest, DownloadState, Identity, ListQuery, NewDownload, Options, Priority, Registry, Sort,
    Timestamp, Total, TotalSource,
};

type Anything = Box<dyn std::error::Error>;

const LEASE: Duration = Duration::from_secs(60);
/// Calls whose times a line of the table sums up.
const CALLS: usize = 500;
/// Callers that enqueue at once, each waiting for its answer.
const CALLERS: u64 = 64;

#[tokio::main]
async fn main() -> Result<(), Anything> {
    let mut args = std::env::args().skip(1);
    let rows: u64 = args.next().map_or(Ok(100_000), |rows| rows.parse())?;
    let directory = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = tempfile::tempdir_in(directory)?;
    let path = directory.path().join("registry.db");

    println!("| {rows} rows | p50 | p99 | worst |\n|---|---|---|---|");
    fill(&path, rows).await?;
    let registry = start(&path).await?;
    claims(&registry).await?;
    progress(&registry).await?;
    lists(&registry).await?;
    upkeep(&registry, directory.path(), rows).await?;
    registry.close().await;
    Ok(())
}

async fn fill(path: &Path, rows: u64) -> Result<(), Anything> {
    let registry = Registry::open(path, &Options::default()).await?;
    let begun = Instant::now();
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let registry = registry.clone();
            tokio::spawn(async move {
                for n in (caller..rows).step_by(CALLERS as usize) {
                    registry.enqueue(&new(n), now()).await?;
                }
                Ok::<_, download_registry::EnqueueError>(())
            })
        })
        .collect();
    for caller in callers {
        caller.await??;
    }
    let rate = rows as f64 / begun.elapsed().as_secs_f64();
    println!("| enqueue, {CALLERS} callers at once | {rate:.0} rows/s | | |");
    let mut alone = Vec::new();
    for n in 0..CALLS as u64 {
        alone.push(timed(registry.enqueue(&new(rows + n), now())).await?.0);
    }
    line("enqueue, one caller", alone);
    registry.close().await;
    Ok(())
}

/// Half of the rows are one peer's, the others those of thirty-nine more; every fifth has a priority of its own.
fn new(n: u64) -> NewDownload {
    let peer = if n.is_multiple_of(2) { 0 } else { 1 + n / 2 % 39 };
    let priority = if n.is_multiple_of(5) { (n / 5 % 5) as i64 - 2 } else { 0 };
    let name = format!("An example of a file name with the number {n:06}.mkv");
    NewDownload {
        peer: Some(format!("peer-{peer}")),
        item: Some(format!("movies:{n}")),
        url: format!("https://peer-{peer}.example/peer/items/movies:{n}/file"),
        target: Some(format!("/srv/peerd/completed/{name}")),
        part: Some(format!("/srv/peerd/incomplete/{name}.part")),
        filename: Some(name),
        priority: Priority::new(priority).unwrap_or_default(),
        identity: Identity {
            total: Some(Total { bytes: 1 << 30 | n, source: TotalSource::Manifest }),
            validator: None,
        },
        ..NewDownload::default()
    }
}

/// From nothing to the first claim that may be made.
async fn start(path: &Path) -> Result<Registry, Anything> {
    let mut times = Vec::new();
    loop {
        let (time, registry) = timed(async {
            let registry = Registry::open(path, &Options::default()).await?;
            registry.recover("example", now(), LEASE).await?;
            Ok::<_, Anything>(registry)
        })
        .await?;
        times.push(time);
        if times.len() == 5 {
            line("open and recover", times);
            return Ok(registry);
        }
        registry.close().await;
    }
}

async fn claims(registry: &Registry) -> Result<(), Anything> {
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
                registry.cancel(running.remove(0).fence.id(), now()).await?;
            }
        }
        line(what, times);
        for claim in running {
            registry.release(&claim.fence, now()).await?;
        }
    }
    Ok(())
}

async fn progress(registry: &Registry) -> Result<(), Anything> {
    let ask = ClaimRequest { owner: "example", now: now(), lease_for: LEASE, exclude_peers: &[] };
    let claim = registry.claim_next(&ask).await?.ok_or("nothing to claim")?;
    let generation = registry.begin_generation(&claim.fence, &claim.download.identity, None, now()).await?;
    let mut times = Vec::new();
    for n in 0..CALLS as u64 {
        let bytes = n << 20..(n + 1) << 20;
        let recorded = registry.record_durable(&claim.fence, generation, std::slice::from_ref(&bytes), now());
        times.push(timed(recorded).await?.0);
    }
    line("record a checkpoint", times);
    registry.release(&claim.fence, now()).await?;
    Ok(())
}

async fn lists(registry: &Registry) -> Result<(), Anything> {
    for sort in Sort::ALL {
        let mut query = ListQuery { sort, ..ListQuery::default() };
        page(registry, &format!("first page by {sort}"), &query).await?;
        for _ in 0..20 {
            query.limit = 1000;
            query.cursor = registry.list(&query).await?.next;
        }
        query.limit = 0;
        page(registry, &format!("page after 20,000 rows by {sort}"), &query).await?;
    }
    let states = |states: &[DownloadState]| ListQuery { states: states.to_vec(), ..ListQuery::default() };
    page(registry, "first page of one rare state", &states(&[DownloadState::Cancelled])).await?;
    let live: Vec<_> = DownloadState::ALL.into_iter().filter(|state| state.is_live()).collect();
    page(registry, "first page of all live states", &states(&live)).await?;
    let ended = [DownloadState::Cancelled, DownloadState::Failed];
    page(registry, "first page of two rare states", &states(&ended)).await?;
    let peer = ListQuery { peer: Some("peer-7".to_owned()), ..ListQuery::default() };
    page(registry, "first page of one peer", &peer).await?;
    let text = ListQuery { text: Some("number 000077".to_owned()), ..ListQuery::default() };
    page(registry, "search for a text that one row has", &text).await?;

    many("count the states", async || registry.counts().await.map(drop)).await?;
    many("100 entries of the log", async || registry.transitions_after(50_000, 100).await.map(drop)).await?;
    many("when is the next row due", async || registry.next_due(now()).await.map(drop)).await
}

async fn page(registry: &Registry, what: &str, query: &ListQuery) -> Result<(), Anything> {
    many(what, async || registry.list(query).await.map(drop)).await
}

async fn upkeep(registry: &Registry, directory: &Path, rows: u64) -> Result<(), Anything> {
    line("copy while open (backup)", vec![timed(registry.backup(directory.join("copy.db"))).await?.0]);
    line("check everything", vec![timed(registry.check()).await?.0]);
    line("tidy up", vec![timed(registry.tidy()).await?.0]);
    let size = registry.path().metadata()?.len();
    println!("| size | {:.1} MiB | {} bytes a row | |", size as f64 / f64::from(1 << 20), size / rows);
    Ok(())
}

async fn many<E>(what: &str, call: impl AsyncFn() -> Result<(), E>) -> Result<(), Anything>
where
    E: std::error::Error + 'static,
{
    let mut times = Vec::new();
    for _ in 0..CALLS / 10 {
        times.push(timed(call()).await?.0);
    }
    line(what, times);
    Ok(())
}

async fn timed<T, E>(call: impl Future<Output = Result<T, E>>) -> Result<(Duration, T), E> {
    let begun = Instant::now();
    let done = call.await?;
    Ok((begun.elapsed(), done))
}

fn line(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at =
        |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)].as_secs_f64() * 1000.0;
    println!("| {what} | {:.2} ms | {:.2} ms | {:.2} ms |", at(50), at(99), at(100));
}

fn now() -> Timestamp {
    SystemTime::now().into()
}
