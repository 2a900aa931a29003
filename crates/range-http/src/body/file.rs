//! A file as a source: read where it is asked for if that takes no waiting, else on tokio's blocking threads.

use std::fmt;
use std::fs::{File, Metadata};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

use super::Source;
use crate::{FileStamp, Representation};

/// An open file, served as it was when it was opened.
///
/// Length and times are remembered at opening and compared after every read, before the bytes go out. A file that is
/// truncated, grown, overwritten, replaced under its name or removed while it is being sent ends the body with an
/// error, so a receiver never takes a mixture for the whole. Two limits come from the file system: a change within the
/// same tick of its clock as the last one before opening shows no new time, for which reason a file needs two quiet
/// seconds before its validators are strong; and writes through a shared memory map show theirs late.
///
/// Cloning is cheap and shares the open file, not its position: all reads are positional.
#[derive(Debug, Clone)]
pub struct FileSource {
    file: Arc<File>,
    stamp: FileStamp,
    /// Names the file has. It loses one when it is removed or replaced, which may fall into the same tick of the
    /// clock.
    links: u64,
    chunk: u64,
}

impl FileSource {
    /// Takes over an open file and asks the file system for its stamp, which blocks for a moment.
    ///
    /// Opening the right file, and only that, is the caller's part, or that of a [`Directory`](crate::Directory).
    ///
    /// # Errors
    /// If the metadata cannot be read, or the file is not a regular one.
    pub fn new(file: impl Into<Arc<File>>) -> io::Result<Self> {
        let file = file.into();
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(Self { file, stamp: FileStamp::of(&metadata), links: links(&metadata), chunk: CHUNK })
    }

    /// Opens a file by name on a blocking thread.
    ///
    /// # Errors
    /// As [`File::open`] and [`FileSource::new`].
    ///
    /// # Cancel safety
    /// Safe. A dropped call may still open the file, and then closes it.
    pub async fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        tokio::task::spawn_blocking(move || Self::new(File::open(path)?)).await.map_err(io::Error::other)?
    }

    /// Sets how many bytes one read may bring; 256 KiB by default, at least one.
    #[must_use]
    pub fn with_chunk(mut self, bytes: u32) -> Self {
        self.chunk = u64::from(bytes.max(1));
        self
    }

    /// Length, times and inode at opening.
    #[must_use]
    pub const fn stamp(&self) -> FileStamp {
        self.stamp
    }

    /// Length and validators of the file, strong if it has been left alone for two seconds at `now`.
    #[must_use]
    pub fn representation(&self, now: SystemTime) -> Representation {
        self.stamp.representation(now)
    }
}

impl Source for FileSource {
    type Error = FileSourceError;

    async fn read_at(&self, at: u64, max: u64) -> Result<Bytes, FileSourceError> {
        #[cfg(target_os = "linux")]
        if let Some(bytes) = self.read_from_memory(at, max.min(self.chunk)) {
            return self.check().map(|()| bytes);
        }
        let opened = self.clone();
        let read = move || opened.read_unchanged(at, max.min(opened.chunk));
        tokio::task::spawn_blocking(read)
            .await
            .map_err(|error| FileSourceError::Io(io::Error::other(error)))?
    }
}

impl FileSource {
    #[cfg(all(feature = "sendfile", target_os = "linux"))]
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// What of a range, from its beginning, is in memory; `None` if nothing is, or the file system does not say. To go
    /// to another thread for it would cost more than to copy it.
    #[cfg(target_os = "linux")]
    fn read_from_memory(&self, at: u64, length: u64) -> Option<Bytes> {
        use rustix::io::{ReadWriteFlags, preadv2};

        let mut buffer = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        let slices = &mut [io::IoSliceMut::new(&mut buffer)];
        let count =
            preadv2(&self.file, slices, at, ReadWriteFlags::NOWAIT).ok().filter(|&count| count > 0)?;
        buffer.truncate(count);
        Some(buffer.into())
    }

    fn read_unchanged(&self, at: u64, length: u64) -> Result<Bytes, FileSourceError> {
        let bytes = read_full(&self.file, at, length).map_err(FileSourceError::Io)?;
        // After the read: whatever it brought was written before this look at the times.
        self.check().map(|()| bytes)
    }

    /// Whether the file is still the one that was opened.
    pub(crate) fn check(&self) -> Result<(), FileSourceError> {
        let metadata = self.file.metadata().map_err(FileSourceError::Io)?;
        let now = FileStamp::of(&metadata);
        if now == self.stamp && links(&metadata) == self.links {
            Ok(())
        } else {
            Err(FileSourceError::Changed { was: self.stamp, now })
        }
    }
}

#[cfg(unix)]
fn links(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::nlink(metadata)
}

#[cfg(not(unix))]
fn links(_: &Metadata) -> u64 {
    1
}

/// Reads `length` bytes at `at`, fewer only at the end of the file.
fn read_full(file: &File, at: u64, length: u64) -> io::Result<Bytes> {
    let mut buffer = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    let mut filled = 0;
    while filled < buffer.len() {
        match read_once(file, at + filled as u64, &mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(filled);
    Ok(buffer.into())
}

#[cfg(unix)]
fn read_once(file: &File, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, at)
}

#[cfg(windows)]
fn read_once(file: &File, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, at)
}

/// Why a read of a file failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum FileSourceError {
    /// The disk.
    Io(io::Error),
    /// The file is no longer the one that was opened: truncated, grown, written to, replaced or removed.
    Changed {
        /// The stamp at opening.
        was: FileStamp,
        /// The stamp after the read.
        now: FileStamp,
    },
}

impl fmt::Display for FileSourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(_) => f.write_str("cannot read the file"),
            Self::Changed { was, now } if was.len != now.len => {
                write!(f, "file changed while it was sent: {} bytes became {}", was.len, now.len)
            }
            Self::Changed { .. } => f.write_str("file changed while it was sent"),
        }
    }
}

impl std::error::Error for FileSourceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Changed { .. } => None,
        }
    }
}

/// Large enough that the hand-over between threads disappears in the read, small enough for a thousand readers.
const CHUNK: u64 = 256 * 1024;
