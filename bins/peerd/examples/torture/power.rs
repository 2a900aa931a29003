//! Power cuts: life after life of the fetching daemon on a disk that forgets what was not synced.

mod disk;
mod report;

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use download_registry::{ListQuery, Options as RegistryOptions, Registry};
use retry_kit::{Clock, TokioClock};
use scripted_peer::Relay;
use serde_json::Value;

use self::disk::Disk;
use self::report::{Cut, Report};
use super::Queue;
use super::daemon::{Daemon, Process, add_all, run_dry};
use super::stage::{FETCHER, SHARER, Source, Stage};

pub(crate) use disk::{Filesystem, prepare};

/// Runs it all and tells what came of it.
pub(crate) async fn run(
    program: &Path,
    queue: &Queue,
    count: u32,
    filesystem: Filesystem,
) -> anyhow::Result<Report> {
    let (seed, mut rng) = queue.luck();
    println!("seed {seed}; {count} power cuts over {} files", queue.files);
    let stage = Stage::set(queue, "disk", &mut rng)?;
    let room = (2 * stage.total() + ROOM).max(filesystem.smallest());
    let disk = Disk::make(filesystem, stage.path("image"), room, stage.on_disk(""))?;
    let relay = Relay::start().await;
    stage.configure(queue, relay.address())?;
    let mut sharer = Process::spawn(program, &stage, SHARER)?;
    let daemon = sharer.ready(&stage).await?;
    relay.lead_to(Some(daemon.peer));
    let to_add = daemon.items(stage.files.len()).await?.into_iter().map(|(_, id)| id).collect();
    let mut outage = Outage { program, disk, relay, rng, to_add, durable: 0, stage };
    let began = Instant::now();
    let mut cuts = Vec::new();
    for nth in 0..count {
        let cut = outage.life(count - nth).await;
        cuts.push(cut.with_context(|| format!("cut {} of {count}, seed {seed}", nth + 1))?);
    }
    let rows = outage.last_life().await.with_context(|| format!("after the last cut, seed {seed}"))?;
    let Outage { stage, relay, disk, .. } = outage;
    let report = Report {
        seed,
        filesystem: filesystem.name(),
        cuts,
        files: stage.files.len(),
        total: stage.total(),
        wrong: stage.wrong()?,
        rows: rows.len(),
        incomplete: rows.iter().filter(|row| row["state"] != "completed").count(),
        left_behind: stage.names("incomplete")?,
        passed: relay.passed(),
        took: began.elapsed(),
    };
    drop(disk);
    Ok(report)
}

struct Outage<'a> {
    program: &'a Path,
    // Unmounted before the directory it is mounted in is removed.
    disk: Disk,
    relay: Relay,
    rng: fastrand::Rng,
    /// Items nobody has acknowledged yet.
    to_add: Vec<String>,
    /// Bytes on record after the last cut.
    durable: u64,
    stage: Stage,
}

/// What the daemon had told before the power went: id, and bytes that are durable.
type Promises = HashMap<i64, u64>;

impl Outage<'_> {
    /// One life of the daemon, from its start to the cut, and a look at what the disk remembers.
    async fn life(&mut self, left: u32) -> anyhow::Result<Cut> {
        let passed = self.relay.passed();
        let missing = self.stage.total().saturating_sub(self.durable);
        // Twice the mean, so that the last cuts still find something to interrupt.
        let most = (2 * missing / u64::from(left + 2)).max(1);
        let moment = passed + self.rng.u64(0..most);
        let mut process = Process::spawn(self.program, &self.stage, FETCHER)?;
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
        process.still_runs()?;
        let (promises, running) = promises(&daemon).await?;
        self.disk.cut()?;
        process.kill().await?;
        drop(process);
        self.disk.come_back()?;
        let before = self.durable;
        self.look(&promises).await?;
        let sent = self.relay.passed() - passed;
        let lost = sent.saturating_sub(self.durable.saturating_sub(before));
        let promised = promises.values().sum();
        Ok(Cut { running, promised, recorded: self.durable, sent, lost })
    }

    /// Whatever is on record must be on the disk, as it is in the source; and whatever was told must be on record.
    async fn look(&mut self, promises: &Promises) -> anyhow::Result<()> {
        let registry =
            Registry::open(self.stage.state(FETCHER).join("peerd.db"), &RegistryOptions::default()).await?;
        let rows = registry.list(&ListQuery { limit: 1000, ..ListQuery::default() }).await?.items;
        let queued = self.stage.files.len() - self.to_add.len();
        ensure!(rows.len() >= queued, "{queued} rows were acknowledged, {} are there", rows.len());
        for (id, promised) in promises {
            let row = rows.iter().find(|row| row.id.get() == *id);
            let durable = row.with_context(|| format!("row {id} is gone"))?.durable;
            ensure!(durable >= *promised, "row {id} had {promised} bytes durable, and now has {durable}");
        }
        self.durable = 0;
        for row in &rows {
            self.durable += row.durable;
            let ranges = registry.ranges(row.id).await?;
            if ranges.is_empty() {
                continue;
            }
            let (target, part) =
                (row.target.as_deref().unwrap_or_default(), row.part.as_deref().unwrap_or_default());
            let source = self.source_of(target)?;
            // Between the rename and the row's last word the bytes have the other name already.
            let path = [part, target].map(Path::new).into_iter().find(|path| path.is_file());
            let path =
                path.with_context(|| format!("{} bytes of {target} are recorded, and no file", row.durable))?;
            ensure!(
                !row.state.is_published() || path == Path::new(target),
                "{target} is completed, and not there"
            );
            for range in ranges {
                let holds = self.stage.holds(path, source, range.clone())?;
                ensure!(holds, "{} differs within {range:?}, which is on record", path.display());
            }
        }
        registry.close().await;
        for source in &self.stage.files {
            let target = self.stage.completed(&source.name);
            ensure!(
                !target.exists() || self.stage.is_identical(source)?,
                "{} has its name and is not whole",
                source.name
            );
        }
        Ok(())
    }

    fn source_of(&self, target: &str) -> anyhow::Result<&Source> {
        let name = Path::new(target).file_name().unwrap_or_default();
        let source = self.stage.files.iter().find(|source| name == source.name.as_str());
        source.with_context(|| format!("nobody shares {target}"))
    }

    async fn last_life(&mut self) -> anyhow::Result<Vec<Value>> {
        let mut process = Process::spawn(self.program, &self.stage, FETCHER)?;
        let daemon = process.ready(&self.stage).await?;
        add_all(&daemon, &mut self.to_add).await;
        ensure!(self.to_add.is_empty(), "not everything could be queued");
        let rows = run_dry(&mut process, &daemon, &self.relay).await;
        // Its files are open otherwise when the disk goes.
        process.kill().await?;
        rows
    }
}

/// What the daemon tells about its rows, and how many of them are being fetched.
async fn promises(daemon: &Daemon) -> anyhow::Result<(Promises, usize)> {
    let rows = daemon.rows().await?;
    let running = rows.iter().filter(|row| row["state"] == "downloading").count();
    let promise = |row: &Value| Some((row["id"].as_i64()?, row["durable"].as_u64()?));
    Ok((rows.iter().filter_map(promise).collect(), running))
}

/// What the filesystem and the registry need beside the files.
const ROOM: u64 = 64 << 20;
const LONGEST: Duration = Duration::from_secs(60);
