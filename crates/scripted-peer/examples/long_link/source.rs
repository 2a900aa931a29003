//! The file that is fetched: mostly holes, with random blocks that tell where they belong.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use scripted_peer::seeded_bytes;

/// A file in a directory of its own.
#[derive(Debug)]
pub(crate) struct Source(PathBuf);

impl Source {
    /// Makes the directory and in it a file of `size` bytes. A block lies somewhere in each [`STRIDE`], never in the
    /// same place of two: bytes in the wrong place, or missing, show.
    pub(crate) fn create(directory: &Path, size: u64) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let path = directory.join("source.bin");
        let file = File::create(&path)?;
        file.set_len(size)?;
        for stride in 0..size / STRIDE {
            let block = seeded_bytes(stride, 0..BLOCK);
            let within = u64::from_le_bytes(seeded_bytes(stride, 0..8).try_into().expect("8 bytes"));
            file.write_all_at(&block, stride * STRIDE + within % (STRIDE - BLOCK))?;
        }
        // As if it had lain there for a while: a file that has only just been written has no strong tag yet, and without
        // one there is a single connection.
        file.set_modified(SystemTime::UNIX_EPOCH + A_WHILE_AGO)?;
        file.sync_all()?;
        Ok(Self(path))
    }

    /// # Errors
    /// If `other` is not byte for byte the same, with the first piece in which it is not.
    pub(crate) fn assert_same(&self, other: &Path) -> io::Result<()> {
        let (mut ours, mut theirs) = (File::open(&self.0)?, File::open(other)?);
        let (ours_is, theirs_is) = (ours.metadata()?.len(), theirs.metadata()?.len());
        if ours_is != theirs_is {
            return Err(io::Error::other(format!("{theirs_is} bytes came instead of {ours_is}")));
        }
        let (mut our, mut their) = (vec![0; PIECE], vec![0; PIECE]);
        let mut offset = 0;
        while offset < ours_is {
            let length = PIECE.min(usize::try_from(ours_is - offset).unwrap_or(PIECE));
            ours.read_exact(&mut our[..length])?;
            theirs.read_exact(&mut their[..length])?;
            if our[..length] != their[..length] {
                return Err(io::Error::other(format!("other bytes came after offset {offset}")));
            }
            offset += length as u64;
        }
        Ok(())
    }
}

/// # Errors
/// If a download of `size` bytes cannot fit into `directory`: holes that were fetched are holes no longer.
pub(crate) fn check_space(directory: &Path, size: u64) -> io::Result<()> {
    let disk = rustix::fs::statvfs(directory)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let needed = size + size / STRIDE * 2 * BLOCK + RESERVE;
    let directory = directory.display();
    if free < needed {
        let (needed, free) = (needed >> 20, free >> 20);
        return Err(io::Error::other(format!("{needed} MiB are needed in {directory}, {free} are free")));
    }
    eprintln!("{directory}: {} MiB of {} free ones will be used", needed >> 20, free >> 20);
    Ok(())
}

const A_WHILE_AGO: Duration = Duration::from_secs(1_700_000_000);
const STRIDE: u64 = 256 * 1024;
const BLOCK: u64 = 4096;
const PIECE: usize = 1 << 20;
/// What the machine keeps for itself.
const RESERVE: u64 = 1 << 30;
