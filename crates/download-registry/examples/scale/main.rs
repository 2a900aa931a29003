//! How a registry does with a long queue:
//! `cargo run --release --example scale -- [ROWS] [--in DIRECTORY] [--only PART,...] [--json]`
//!
//! Fills a new registry with 100,000 rows (or ROWS) of forty peers, half of them of one, and prints what the usual
//! calls take as a markdown table, or as one JSON document. Every write of it is a synced commit, as everywhere.
//!
//! `--in` says on which disk; it is a temporary directory otherwise. A registry that an earlier run filled there is
//! used as it is. `--only` takes some of: `enqueue`, `start`, `claims`, `progress`, `records`, `lists`, `upkeep`.

#![allow(clippy::disallowed_methods, reason = "a program, unlike a library, may look at the clock")]

mod lists;
mod options;
mod table;
mod writes;

use std::{
    future::Future,
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use download_registry::{Identity, NewDownload, Options, Priority, Registry, Timestamp, Total, TotalSource};

use crate::{options::Arguments, table::Table};

type Anything = Box<dyn std::error::Error>;

const LEASE: Duration = Duration::from_secs(60);
/// Calls whose times a line of the table sums up.
const CALLS: usize = 1000;
/// Callers that enqueue at once, each waiting for its answer.
const CALLERS: u64 = 64;

#[tokio::main]
async fn main() -> Result<(), Anything> {
    let arguments = Arguments::read(std::env::args().skip(1))?;
    let rows = arguments.rows;
    let temporary = tempfile::tempdir()?;
    let directory = arguments.directory.as_deref().unwrap_or(temporary.path());
    let path = directory.join("registry.db");

    let mut table = Table::new(rows);
    if !path.exists() {
        fill(&mut table, &path, rows).await?;
    }
    let registry = if arguments.wants("start") {
        start(&mut table, &path).await?
    } else {
        Registry::open(&path, &Options::default()).await?
    };
    if arguments.wants("enqueue") {
        writes::enqueue(&mut table, &registry).await?;
    }
    if arguments.wants("claims") {
        writes::claims(&mut table, &registry).await?;
    }
    if arguments.wants("progress") {
        writes::progress(&mut table, &registry).await?;
    }
    if arguments.wants("records") {
        writes::records(&mut table, &registry).await?;
    }
    if arguments.wants("lists") {
        lists::lists(&mut table, &registry).await?;
    }
    if arguments.wants("upkeep") {
        upkeep(&mut table, &registry, temporary.path(), rows).await?;
    }
    registry.close().await;
    if arguments.json {
        println!("{}", table.json());
    } else {
        print!("{table}");
    }
    Ok(())
}

async fn fill(table: &mut Table, path: &Path, rows: u64) -> Result<(), Anything> {
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
    table.rate(&format!("enqueue, {CALLERS} callers at once"), rows, begun.elapsed(), Vec::new());
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
            total: Some(Total { bytes: 1 << 40 | n, source: TotalSource::Manifest }),
            validator: None,
        },
        ..NewDownload::default()
    }
}

/// From nothing to the first claim that may be made.
async fn start(table: &mut Table, path: &Path) -> Result<Registry, Anything> {
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
            table.times("open and recover", times);
            return Ok(registry);
        }
        registry.close().await;
    }
}

async fn upkeep(table: &mut Table, registry: &Registry, directory: &Path, rows: u64) -> Result<(), Anything> {
    let copied = timed(registry.backup(directory.join("copy.db"))).await?.0;
    table.times("copy while open (backup)", vec![copied]);
    table.times("check everything", vec![timed(registry.check()).await?.0]);
    table.times("tidy up", vec![timed(registry.tidy()).await?.0]);
    table.size(registry.path().metadata()?.len(), rows);
    Ok(())
}

async fn timed<T, E>(call: impl Future<Output = Result<T, E>>) -> Result<(Duration, T), E> {
    let begun = Instant::now();
    let done = call.await?;
    Ok((begun.elapsed(), done))
}

fn now() -> Timestamp {
    SystemTime::now().into()
}
