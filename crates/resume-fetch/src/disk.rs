//! The few things done to the local filesystem, without following links and without losing the path in an error.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// Runs blocking work off the async threads. A panic in it is carried over.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is going away, and with it whoever waits here.
        Err(_) => Err(io::Error::other("the runtime is shutting down")),
    }
}

/// Opens an existing regular file for reading and writing; a link in its place is an error.
pub(crate) fn open_existing(path: &Path) -> io::Result<File> {
    open(path, OFlags::empty(), 0)
}

/// As [`open_existing`], creating the file when it is missing.
pub(crate) fn create_or_open(path: &Path, mode: u32) -> io::Result<File> {
    open(path, OFlags::CREATE, mode)
}

/// Opens a file for reading alone; a link in its place is an error.
pub(crate) fn open_to_read(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

fn open(path: &Path, flags: OFlags, mode: u32) -> io::Result<File> {
    // NONBLOCK: a FIFO in the file's place must not hang us; it is refused by its type afterwards.
    let flags = flags | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Ok(File::from(rustix::fs::open(path, flags, Mode::from_raw_mode(mode))?))
}

/// What makes an open file one that we must not write to: somebody else could see or change it. `names` is how many
/// names it may have.
pub(crate) fn not_ours(meta: &Metadata, names: u64) -> Option<&'static str> {
    if !meta.is_file() {
        Some("a special file")
    } else if meta.uid() != rustix::process::geteuid().as_raw() {
        Some("another user's file")
    } else if meta.nlink() > names {
        Some("a file with a second name")
    } else {
        None
    }
}

/// What stands at `path`, if anything; a link counts as itself.
pub(crate) fn existing(path: &Path) -> io::Result<Option<Metadata>> {
    match std::fs::symlink_metadata(path) {
        Ok(meta) => Ok(Some(meta)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether both describe one file.
pub(crate) fn same_file(a: &Metadata, b: &Metadata) -> bool {
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// Makes the names in `path`'s directory durable.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    File::open(parent(path))?.sync_all()
}

/// The directory a path's last component lives in; `.` for a bare name.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The permission bits a new ordinary file gets: `0666` less the process's umask.
///
/// Read from `/proc`, because asking the kernel itself means changing the mask for every thread for a moment.
pub(crate) fn default_file_mode() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let umask = status
        .lines()
        .find_map(|line| line.strip_prefix("Umask:"))
        .and_then(|octal| u32::from_str_radix(octal.trim(), 8).ok());
    0o666 & !umask.unwrap_or(0o022)
}
