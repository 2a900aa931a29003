//! Real daemons on loopback, a queue of files, and a hard life: what is recorded must be there, and every file must
//! come out whole.
//!
//! ```text
//! cargo build --release -p peerd
//! cargo run --release -p peerd --example torture -- kills --peerd target/release/peerd
//! cargo run --release -p peerd --example torture -- power-cuts --peerd target/release/peerd
//! ```
//!
//! One daemon shares files of many sizes, the other fetches them through a relay that counts every byte. The fetching
//! one is cut off again and again, at random moments; each time the registry and the disk are looked at before it is
//! started again. At the end the queue runs dry and everything is compared byte for byte.
//!
//! `kills` is SIGKILL: while the daemon starts, while rows are being added, in the middle of transfers, while files get
//! their names. Every tenth kill takes the sharing one with it. It ends with 0 when every file is identical, every row
//! is there once and completed, nothing is left behind, and no kill cost more than a checkpoint of each running
//! transfer and what was on its way.
//!
//! `power-cuts` takes the power from the disk under the daemon, an ext4 or XFS of its own: whatever was not synced is
//! gone. It ends with 0 when no byte that was ever on record differs from its source, nothing that was told to be
//! durable went back, and every file is identical in the end. It needs Linux, root, and `xfs_io` and `mkfs.*` of
//! xfsprogs and e2fsprogs; where that is not to be had it says so, and ends with 0 as well.

#![allow(clippy::disallowed_methods, reason = "a program that measures, not a library")]

mod daemon;
mod figures;
mod kills;
mod power;
mod stage;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use peerd::config::ByteSize;

/// Cut a downloading daemon off again and again, and compare what it made of it.
#[derive(Debug, Parser)]
#[command(name = "torture")]
struct Cli {
    #[command(subcommand)]
    ordeal: Ordeal,
}

#[derive(Debug, Subcommand)]
enum Ordeal {
    /// SIGKILL at random moments
    Kills {
        /// How often
        #[arg(long, default_value_t = 200)]
        kills: u32,
        #[command(flatten)]
        queue: Queue,
    },
    /// Take the power from the disk at random moments
    PowerCuts {
        /// How often
        #[arg(long, default_value_t = 10)]
        cuts: u32,
        /// The filesystem to be cut off
        #[arg(long, value_enum, default_value = "ext4")]
        filesystem: power::Filesystem,
        #[command(flatten)]
        queue: Queue,
    },
}

/// What there is to move, and how.
#[derive(Debug, Args)]
struct Queue {
    /// The program under test; else the one built beside this example
    #[arg(long, value_name = "PATH")]
    peerd: Option<PathBuf>,
    /// Files in the queue
    #[arg(long, default_value_t = 50)]
    files: u32,
    /// Bytes of all files together
    #[arg(long, value_name = "SIZE", default_value = "400MiB")]
    total: ByteSize,
    /// `downloads.checkpoint_bytes` of the daemon that is cut off
    #[arg(long, value_name = "SIZE", default_value = "1MiB")]
    checkpoint: ByteSize,
    /// `downloads.connections`: requests side by side for one file
    #[arg(long, default_value_t = 4)]
    connections: u32,
    /// `limits.up` of the daemon that shares; where a disk cannot keep up, what piles up in the kernel is lost, too
    #[arg(long, value_name = "SIZE", default_value = "24MiB")]
    rate: ByteSize,
    /// Decides sizes, bytes and moments; chosen and printed when it is not given
    #[arg(long)]
    seed: Option<u64>,
    /// Where to work, in a directory of its own; needs room for the files twice
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

fn main() -> anyhow::Result<ExitCode> {
    let Cli { ordeal } = Cli::parse();
    if let Ordeal::PowerCuts { filesystem, .. } = &ordeal {
        // Before there is a second thread: it moves the process into a mount namespace of its own.
        if let Some(reason) = power::prepare(*filesystem)? {
            println!("skipped: power cuts {reason}");
            return Ok(ExitCode::SUCCESS);
        }
    }
    // Needed once by whoever speaks TLS; here nobody does.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Runtime::new()?;
    let clean = runtime.block_on(async {
        match ordeal {
            Ordeal::Kills { kills, queue } => {
                let report = kills::run(&queue.program()?, &queue, kills).await?;
                println!("{report}");
                anyhow::Ok(report.is_clean())
            }
            Ordeal::PowerCuts { cuts, filesystem, queue } => {
                let report = power::run(&queue.program()?, &queue, cuts, filesystem).await?;
                println!("{report}");
                Ok(report.is_clean())
            }
        }
    })?;
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Queue {
    fn program(&self) -> anyhow::Result<PathBuf> {
        let program = match &self.peerd {
            Some(path) => path.clone(),
            None => beside_us()?,
        };
        program.canonicalize().with_context(|| format!("there is no {}", program.display()))
    }

    /// The source of everything random, and the number that repeats it.
    fn luck(&self) -> (u64, fastrand::Rng) {
        let seed = self.seed.unwrap_or_else(|| fastrand::u64(..));
        (seed, fastrand::Rng::with_seed(seed))
    }
}

/// `target/PROFILE/peerd`, seen from `target/PROFILE/examples/torture`.
fn beside_us() -> anyhow::Result<PathBuf> {
    let here = std::env::current_exe()?;
    let profile = here.parent().and_then(std::path::Path::parent).context("this program has no place")?;
    Ok(profile.join("peerd"))
}
