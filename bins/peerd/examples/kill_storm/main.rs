//! A storm of SIGKILLs over one queue: two real daemons on loopback, many files, and nobody who tidies up.
//!
//! ```text
//! cargo build --release -p peerd
//! cargo run --release -p peerd --example kill_storm -- --peerd target/release/peerd
//! ```
//!
//! One daemon shares files of many sizes, the other fetches them through a relay that counts every byte. The fetching
//! one is killed at random moments: while it starts, while rows are being added, in the middle of transfers, while
//! files get their names. Every tenth kill takes the sharing one with it. After each kill the registry and the names on
//! the disk are looked at; after the last one the queue runs to its end and everything is compared byte for byte.
//!
//! It ends with 0 when every file is identical, every row is there once and completed, nothing is left behind, and no
//! kill cost more than a checkpoint of each running transfer and what was on its way.

#![allow(clippy::disallowed_methods, reason = "a program that measures, not a library")]

mod daemon;
mod relay;
mod report;
mod stage;
mod storm;

use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use peerd::config::ByteSize;

/// Kill a downloading daemon again and again, and compare what it made of it.
#[derive(Debug, Parser)]
#[command(name = "kill_storm")]
struct Options {
    /// The program to kill; else the one built beside this example
    #[arg(long, value_name = "PATH")]
    peerd: Option<PathBuf>,
    /// How often
    #[arg(long, default_value_t = 200)]
    kills: u32,
    /// Files in the queue
    #[arg(long, default_value_t = 50)]
    files: u32,
    /// Bytes of all files together
    #[arg(long, value_name = "SIZE", default_value = "400MiB")]
    total: ByteSize,
    /// `downloads.checkpoint_bytes` of the daemon that is killed
    #[arg(long, value_name = "SIZE", default_value = "1MiB")]
    checkpoint: ByteSize,
    /// `downloads.connections`: requests side by side for one file
    #[arg(long, default_value_t = 4)]
    connections: u32,
    /// Bytes per second between the two; where a disk cannot keep up, what piles up in the kernel is lost by a kill, too
    #[arg(long, value_name = "SIZE", default_value = "24MiB")]
    rate: ByteSize,
    /// Decides sizes, bytes and moments; chosen and printed when it is not given
    #[arg(long)]
    seed: Option<u64>,
    /// Where to work, in a directory of its own; needs room for the files twice
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<std::process::ExitCode> {
    let options = Options::parse();
    let program = match &options.peerd {
        Some(path) => path.clone(),
        None => beside_us()?,
    };
    let program = program.canonicalize().with_context(|| format!("there is no {}", program.display()))?;
    let report = storm::run(&program, &options).await?;
    println!("{report}");
    Ok(if report.is_clean() { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE })
}

/// `target/PROFILE/peerd`, seen from `target/PROFILE/examples/kill_storm`.
fn beside_us() -> anyhow::Result<PathBuf> {
    let here = std::env::current_exe()?;
    let profile = here.parent().and_then(std::path::Path::parent).context("this program has no place")?;
    Ok(profile.join("peerd"))
}
