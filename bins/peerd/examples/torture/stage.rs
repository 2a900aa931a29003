//! What the two daemons work in: directories, configurations, and the files to move.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::json;
use tempfile::TempDir;

use super::Queue;

/// A directory of its own, gone when dropped.
pub(crate) struct Stage {
    dir: TempDir,
    /// Where the fetching daemon keeps everything, below `dir`.
    disk: &'static str,
    pub(crate) files: Vec<Source>,
}

/// A file that is shared.
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) bytes: u64,
}

impl Stage {
    /// Makes the directories and writes the files.
    pub(crate) fn set(queue: &Queue, disk: &'static str, rng: &mut fastrand::Rng) -> anyhow::Result<Self> {
        let dir = match &queue.dir {
            Some(parent) => tempfile::tempdir_in(parent),
            None => tempfile::tempdir(),
        };
        let dir = dir.context("cannot make a directory to work in")?;
        let stage = Self { files: sources(queue.files, queue.total.bytes(), rng), disk, dir };
        std::fs::create_dir(stage.path("shared"))?;
        std::fs::create_dir_all(stage.path(disk))?;
        for source in &stage.files {
            write_random(&stage.shared(&source.name), source.bytes, rng)
                .with_context(|| format!("cannot write {}", source.name))?;
        }
        Ok(stage)
    }

    pub(crate) fn configure(&self, queue: &Queue, sharer: SocketAddr) -> anyhow::Result<()> {
        let anywhere = json!({ "listen": ["127.0.0.1:0"] });
        let log = json!({ "format": "json" });
        let sharing = json!({
            "server": anywhere, "admin": anywhere, "log": log,
            "limits": { "up": queue.rate.bytes().to_string() },
            "keys": { "friend": { "secret": KEY } },
            "shares": { "films": { "path": self.path("shared") } },
        });
        let fetching = json!({
            "server": anywhere, "admin": anywhere, "log": log,
            "peers": { "alice": { "url": format!("http://{sharer}/"), "key": KEY, "max_concurrent": PERMITS } },
            "downloads": {
                "dir": self.on_disk("completed"), "incomplete_dir": self.on_disk("incomplete"), "min_free": "0",
                "max_concurrent": PERMITS, "connections": queue.connections,
                "checkpoint_bytes": queue.checkpoint.bytes().to_string(),
                // A peer that was killed is no reason to give up.
                "max_attempts": 1_000_000, "retry_base": "10ms", "retry_max": "100ms",
            },
        });
        for (name, config) in [(SHARER, sharing), (FETCHER, fetching)] {
            std::fs::write(self.path(&format!("{name}.toml")), toml::to_string(&config)?)?;
        }
        Ok(())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A place on the disk of the fetching daemon.
    pub(crate) fn on_disk(&self, name: &str) -> PathBuf {
        self.path(self.disk).join(name)
    }

    /// Where a daemon keeps its state.
    pub(crate) fn state(&self, daemon: &str) -> PathBuf {
        let name = format!("{daemon}-state");
        if daemon == FETCHER { self.on_disk(&name) } else { self.path(&name) }
    }

    pub(crate) fn shared(&self, name: &str) -> PathBuf {
        self.path("shared").join(name)
    }

    pub(crate) fn completed(&self, name: &str) -> PathBuf {
        self.on_disk("completed").join(name)
    }

    pub(crate) fn total(&self) -> u64 {
        self.files.iter().map(|source| source.bytes).sum()
    }

    /// Everything in a directory of the fetching daemon, sorted.
    pub(crate) fn names(&self, dir: &str) -> anyhow::Result<Vec<String>> {
        let path = self.on_disk(dir);
        if !path.is_dir() {
            return Ok(Vec::new());
        }
        let name =
            |entry: std::io::Result<std::fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
        let mut names = std::fs::read_dir(path)?.map(name).collect::<std::io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    /// The downloaded files that are not what is shared.
    pub(crate) fn wrong(&self) -> anyhow::Result<Vec<String>> {
        let wrong =
            |source: &Source| self.is_identical(source).map(|same| (!same).then(|| source.name.clone()));
        Ok(self.files.iter().map(wrong).collect::<anyhow::Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    /// Whether a downloaded file is what is shared, byte for byte.
    pub(crate) fn is_identical(&self, source: &Source) -> anyhow::Result<bool> {
        let ours = self.completed(&source.name);
        if !ours.metadata().is_ok_and(|meta| meta.len() == source.bytes) {
            return Ok(false);
        }
        self.holds(&ours, source, 0..source.bytes)
    }

    /// Whether `path` holds these bytes of a source, each at its place.
    pub(crate) fn holds(&self, path: &Path, source: &Source, range: Range<u64>) -> anyhow::Result<bool> {
        let (ours, theirs) = (File::open(path)?, File::open(self.shared(&source.name))?);
        let (mut a, mut b) = (vec![0; 1 << 20], vec![0; 1 << 20]);
        let mut at = range.start;
        while at < range.end {
            let length = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(a.len());
            theirs.read_exact_at(&mut b[..length], at)?;
            if ours.read_exact_at(&mut a[..length], at).is_err() || a[..length] != b[..length] {
                return Ok(false);
            }
            at += length as u64;
        }
        Ok(true)
    }
}

/// Sizes from nothing to four times the average; the first ones are the edges.
fn sources(files: u32, total: u64, rng: &mut fastrand::Rng) -> Vec<Source> {
    let edges = [0, 1, 65_535, (1 << 20) - 1, 1 << 20, (1 << 20) + 1];
    let average = total / u64::from(files.max(1));
    let mut left = total;
    let mut sources = Vec::new();
    for n in 0..files {
        let bytes = match edges.get(n as usize) {
            Some(edge) => *edge,
            None if n + 1 == files => left,
            None if rng.u8(0..3) == 0 => rng.u64(0..=average / 8),
            None => rng.u64(0..=average * 3),
        };
        let bytes = bytes.min(left);
        left -= bytes;
        sources.push(Source { name: format!("film-{n:03}.mkv"), bytes });
    }
    sources
}

fn write_random(path: &Path, bytes: u64, rng: &mut fastrand::Rng) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    let mut block = vec![0; 1 << 20];
    let mut left = bytes;
    while left > 0 {
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
        rng.fill(&mut block[..length]);
        file.write_all(&block[..length])?;
        left -= length as u64;
    }
    Ok(())
}

/// The names of the two daemons.
pub(crate) const SHARER: &str = "sharer";
pub(crate) const FETCHER: &str = "fetcher";
/// The key the sharing daemon wants.
pub(crate) const KEY: &str = "a-key-between-two-friends-in-a-storm";
/// `downloads.max_concurrent`, as it is by default.
pub(crate) const PERMITS: u64 = 3;
