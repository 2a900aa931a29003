//! What the two daemons work in: directories, configurations, and the files to move.

use std::fs::File;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::json;
use tempfile::TempDir;

use super::Options;

/// A directory of its own, gone when dropped.
pub(crate) struct Stage {
    dir: TempDir,
    pub(crate) files: Vec<Source>,
}

/// A file that is shared.
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) bytes: u64,
}

impl Stage {
    /// Makes the directories and writes the files.
    pub(crate) fn set(options: &Options, rng: &mut fastrand::Rng) -> anyhow::Result<Self> {
        let dir = match &options.dir {
            Some(parent) => tempfile::tempdir_in(parent),
            None => tempfile::tempdir(),
        };
        let dir = dir.context("cannot make a directory to work in")?;
        let stage = Self { files: sources(options.files, options.total.bytes(), rng), dir };
        std::fs::create_dir(stage.path("shared"))?;
        for source in &stage.files {
            write_random(&stage.shared(&source.name), source.bytes, rng)
                .with_context(|| format!("cannot write {}", source.name))?;
        }
        Ok(stage)
    }

    pub(crate) fn configure(&self, options: &Options, sharer: SocketAddr) -> anyhow::Result<()> {
        let anywhere = json!({ "listen": ["127.0.0.1:0"] });
        let log = json!({ "format": "json" });
        let sharing = json!({
            "server": anywhere, "admin": anywhere, "log": log,
            "keys": { "friend": { "secret": KEY } },
            "shares": { "films": { "path": self.path("shared") } },
        });
        let fetching = json!({
            "server": anywhere, "admin": anywhere, "log": log,
            "peers": { "alice": { "url": format!("http://{sharer}/"), "key": KEY, "max_concurrent": PERMITS } },
            "downloads": {
                "dir": self.path("completed"), "incomplete_dir": self.path("incomplete"), "min_free": "0",
                "max_concurrent": PERMITS, "connections": options.connections,
                "checkpoint_bytes": options.checkpoint.bytes().to_string(),
                // A peer that was killed is no reason to give up.
                "max_attempts": 1_000_000, "retry_base": "10ms", "retry_max": "100ms",
            },
        });
        for (name, config) in [("sharer", sharing), ("fetcher", fetching)] {
            std::fs::write(self.path(&format!("{name}.toml")), toml::to_string(&config)?)?;
        }
        Ok(())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn shared(&self, name: &str) -> PathBuf {
        self.path("shared").join(name)
    }

    pub(crate) fn completed(&self, name: &str) -> PathBuf {
        self.path("completed").join(name)
    }

    pub(crate) fn total(&self) -> u64 {
        self.files.iter().map(|source| source.bytes).sum()
    }

    /// Everything in a directory, sorted.
    pub(crate) fn names(&self, dir: &str) -> anyhow::Result<Vec<String>> {
        let path = self.path(dir);
        if !path.is_dir() {
            return Ok(Vec::new());
        }
        let name =
            |entry: std::io::Result<std::fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
        let mut names = std::fs::read_dir(path)?.map(name).collect::<std::io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    /// Whether a downloaded file is what is shared, byte for byte.
    pub(crate) fn is_identical(&self, name: &str) -> anyhow::Result<bool> {
        let (Ok(mut ours), mut theirs) = (File::open(self.completed(name)), File::open(self.shared(name))?)
        else {
            return Ok(false);
        };
        if ours.metadata()?.len() != theirs.metadata()?.len() {
            return Ok(false);
        }
        let (mut a, mut b) = (vec![0; 1 << 20], vec![0; 1 << 20]);
        loop {
            let read = ours.read(&mut a)?;
            if read == 0 {
                return Ok(true);
            }
            theirs.read_exact(&mut b[..read])?;
            if a[..read] != b[..read] {
                return Ok(false);
            }
        }
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

/// The key the sharing daemon wants.
pub(crate) const KEY: &str = "a-key-between-two-friends-in-a-storm";
/// `downloads.max_concurrent`, as it is by default.
pub(crate) const PERMITS: u64 = 3;
