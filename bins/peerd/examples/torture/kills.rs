//! A storm of SIGKILLs: life after life of the fetching daemon, each cut off somewhere.

mod report;

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use download_registry::{Download, ListQuery, Options as RegistryOptions, Registry};
use retry_kit::{Clock, TokioClock};
use scripted_peer::Relay;
use serde_json::Value;

use self::report::{Kill, Report};
use super::Queue;
use super::daemon::{Process, add_all, run_dry};
use super::stage::{FETCHER, SHARER, Stage};

/// Runs it all and tells what came of it.
pub(crate) async fn run(program: &Path, queue: &Queue, count: u32) -> anyhow::Result<Report> {
    let (seed, mut rng) = queue.luck();
    println!("seed {seed}; {count} kills over {} files", queue.files);
    let stage = Stage::set(queue, "", &mut rng)?;
    let relay = Relay::start().await;
    stage.configure(queue, relay.address())?;
    let mut storm = Storm::new(program, stage, relay, rng).await?;
    let began = Instant::now();
    let mut kills = Vec::new();
    for nth in 0..count {
        let kill = storm.life(count - nth, nth % 10 == 9).await;
        kills.push(kill.with_context(|| format!("kill {} of {count}, seed {seed}", nth + 1))?);
        if (nth + 1) % 20 == 0 {
            let (done, total) = (storm.durable >> 20, storm.stage.total() >> 20);
            println!(
                "{:>4} kills, {done} of {total} MiB on record, {:.0} s",
                nth + 1,
                began.elapsed().as_secs_f64()
            );
        }
    }
    let rows = storm.last_life().await.with_context(|| format!("after the last kill, seed {seed}"))?;
    let Storm { stage, relay, .. } = storm;
    Ok(Report {
        seed,
        kills,
        sizes: stage.files.iter().map(|source| source.bytes).collect(),
        wrong: stage.wrong()?,
        rows: rows.len(),
        incomplete: rows.iter().filter(|row| row["state"] != "completed").count(),
        left_behind: stage.names("incomplete")?,
        strangers: stage.names("completed")?.len().saturating_sub(stage.files.len()),
        passed: relay.passed(),
        checkpoint: queue.checkpoint.bytes(),
        on_the_way: u64::from(queue.connections) * ON_THE_WAY,
        took: began.elapsed(),
    })
}

struct Storm<'a> {
    program: &'a Path,
    stage: Stage,
    relay: Relay,
    rng: fastrand::Rng,
    sharer: Process,
    /// Items nobody has acknowledged yet.
    to_add: Vec<String>,
    /// Bytes on record when the last life was over.
    durable: u64,
}

impl<'a> Storm<'a> {
    async fn new(program: &'a Path, stage: Stage, relay: Relay, rng: fastrand::Rng) -> anyhow::Result<Self> {
        let mut sharer = Process::spawn(program, &stage, SHARER)?;
        let daemon = sharer.ready(&stage).await?;
        relay.lead_to(Some(daemon.peer));
        let mut items = daemon.items(stage.files.len()).await?;
        items.sort();
        let to_add = items.into_iter().rev().map(|(_, id)| id).collect();
        Ok(Self { program, stage, relay, rng, sharer, to_add, durable: 0 })
    }

    /// One life of the fetching daemon, from its start to its kill, and a look at what it left.
    async fn life(&mut self, left: u32, both: bool) -> anyhow::Result<Kill> {
        let passed = self.relay.passed();
        let early = self.rng.u8(0..5) == 0;
        let mut process = Process::spawn(self.program, &self.stage, FETCHER)?;
        if early {
            // While it opens the registry, recovers rows, binds, begins.
            let moment = Duration::from_micros(self.rng.u64(0..EARLY_US));
            let moment = TokioClock.sleep(moment);
            let work = async {
                match process.ready(&self.stage).await {
                    Ok(daemon) => add_all(&daemon, &mut self.to_add).await,
                    Err(_) => std::future::pending().await,
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = moment => {}
                () = work => {}
            }
        } else {
            let missing = self.stage.total().saturating_sub(self.durable);
            // Twice the mean, so that the last kills still find something to interrupt.
            let most = (2 * missing / u64::from(left + 2)).max(1);
            let moment = self.relay.passed() + self.rng.u64(0..most);
            let daemon = process.ready(&self.stage).await?;
            let work = async {
                add_all(&daemon, &mut self.to_add).await;
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = self.relay.until(moment) => {}
                () = work => {}
                () = TokioClock.sleep(LONGEST) => {}
            }
        }
        process.still_runs()?;
        process.kill().await?;
        drop(process);
        if both {
            self.restart_the_sharer().await?;
        }
        let before = self.durable;
        let running = self.look().await?;
        let sent = self.relay.passed() - passed;
        let kept = self.durable.saturating_sub(before);
        Ok(Kill { early, both, running, sent, kept, lost: sent.saturating_sub(kept) })
    }

    async fn restart_the_sharer(&mut self) -> anyhow::Result<()> {
        self.relay.lead_to(None);
        self.sharer.kill().await?;
        self.sharer = Process::spawn(self.program, &self.stage, SHARER)?;
        let daemon = self.sharer.ready(&self.stage).await?;
        self.relay.lead_to(Some(daemon.peer));
        Ok(())
    }

    /// Checks what must hold at every moment, a dead one too. Returns how many transfers the kill has cut off.
    async fn look(&mut self) -> anyhow::Result<u64> {
        let rows = self.rows_on_record().await?;
        self.durable = rows.iter().map(|row| row.durable).sum();
        let mut targets = HashSet::new();
        for row in &rows {
            let target = row.target.as_deref().unwrap_or_default();
            ensure!(target.is_empty() || targets.insert(target), "two rows of {target}");
            if row.state.is_published() {
                ensure!(Path::new(target).is_file(), "{target} is completed on record, and not there");
            } else if let Some(part) = row.part.as_deref().filter(|_| row.durable > 0) {
                // A row that was being published may have its file under the other name already.
                let length = |path| std::fs::metadata(path).map_or(0, |file| file.len());
                let longest = length(part).max(length(target));
                ensure!(
                    longest >= row.durable,
                    "{} bytes of {part} on record, {longest} on the disk",
                    row.durable
                );
            }
        }
        for source in &self.stage.files {
            if let Ok(file) = std::fs::metadata(self.stage.completed(&source.name)) {
                ensure!(file.len() == source.bytes, "{} has its name before it is whole", source.name);
            }
        }
        Ok(rows.iter().filter(|row| row.state.is_leased()).count() as u64)
    }

    async fn rows_on_record(&self) -> anyhow::Result<Vec<Download>> {
        let path = self.stage.state(FETCHER).join("peerd.db");
        if !path.exists() {
            return Ok(Vec::new());
        }
        let registry = Registry::open(path, &RegistryOptions::default()).await?;
        let rows = registry.list(&ListQuery { limit: 1000, ..ListQuery::default() }).await?.items;
        registry.close().await;
        Ok(rows)
    }

    /// The life nobody cuts off: it ends when the queue is done, or when nothing moves any more.
    async fn last_life(&mut self) -> anyhow::Result<Vec<Value>> {
        let mut process = Process::spawn(self.program, &self.stage, FETCHER)?;
        let daemon = process.ready(&self.stage).await?;
        add_all(&daemon, &mut self.to_add).await;
        ensure!(self.to_add.is_empty(), "not everything could be queued");
        run_dry(&mut process, &daemon, &self.relay).await
    }
}

/// Bytes of one connection that are neither in the part file nor with the peer: what is gathered for one write, and
/// what the kernel holds.
const ON_THE_WAY: u64 = 2 << 20;
/// A start takes less than this, most of the time.
const EARLY_US: u64 = 150_000;
const LONGEST: Duration = Duration::from_secs(60);
