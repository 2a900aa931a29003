//! Opening paths beneath a directory, and nothing else, however links and names change meanwhile.
//!
//! The kernel does it where it can (`openat2` with `RESOLVE_BENEATH`). Where it cannot, the path is walked
//! one component at a time with links refused at each step; links that may be followed are then read and
//! walked too.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags, open, openat, readlinkat};
use rustix::io::Errno;

/// A directory that nothing is opened outside of.
#[derive(Debug)]
pub(super) struct Root {
    directory: OwnedFd,
    follow_links: bool,
}

impl Root {
    /// Opens the directory at `path`, which the operator chose and which may itself be a link.
    pub(super) fn open(path: &Path, follow_links: bool) -> io::Result<Self> {
        let directory = open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { directory, follow_links })
    }

    /// Opens the directory itself once more, for reading its entries.
    pub(super) fn entries(&self) -> io::Result<OwnedFd> {
        Ok(openat(&self.directory, ".", DIRECTORY, Mode::empty())?)
    }

    /// Opens a regular file for reading and tells what it is.
    ///
    /// Never blocks on a pipe or a device: those are opened without waiting, recognised and closed.
    ///
    /// # Errors
    /// `NotFound` for anything that is not a regular file beneath the directory, and what the system says
    /// otherwise.
    pub(super) fn open_file(&self, path: &[u8]) -> io::Result<(File, Metadata)> {
        let file = File::from(self.open_beneath(path, FILE)?);
        let metadata = file.metadata()?;
        if metadata.is_file() { Ok((file, metadata)) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    /// Tells what a path leads to without opening it for reading.
    pub(super) fn look(&self, path: &[u8]) -> io::Result<Metadata> {
        File::from(self.open_beneath(path, LOOK)?).metadata()
    }

    /// Opens a directory for reading its entries.
    pub(super) fn open_directory(&self, path: &[u8]) -> io::Result<OwnedFd> {
        self.open_beneath(path, DIRECTORY)
    }

    fn open_beneath(&self, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
        let opened = match by_kernel(self.directory.as_fd(), path, flags, self.follow_links) {
            // The call is missing (old kernel), or a sandbox that does not know it refuses it.
            Err(Errno::NOSYS | Errno::PERM) => {
                by_walking(self.directory.as_fd(), path, flags, self.follow_links)
            }
            opened => opened,
        };
        opened.map_err(|errno| match errno {
            // A way out of the share, a link where none is followed, a socket, a name that is no path at all:
            // for whoever asks, there is no such file.
            Errno::XDEV | Errno::LOOP | Errno::NOTDIR | Errno::NXIO | Errno::INVAL | Errno::NAMETOOLONG => {
                io::ErrorKind::NotFound.into()
            }
            errno => errno.into(),
        })
    }
}

/// `openat2`, which resolves the whole path at once and refuses to leave the directory.
#[cfg(target_os = "linux")]
fn by_kernel(root: BorrowedFd<'_>, path: &[u8], flags: OFlags, follow_links: bool) -> Result<OwnedFd, Errno> {
    use rustix::fs::{ResolveFlags, openat2};

    let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    if !follow_links {
        resolve |= ResolveFlags::NO_SYMLINKS;
    }
    for _ in 0..RACES {
        match openat2(root, OsStr::from_bytes(path), flags, Mode::empty(), resolve) {
            // Something above was renamed during the look-up, so the kernel could not vouch for the answer.
            Err(Errno::AGAIN) => {}
            opened => return opened,
        }
    }
    Err(Errno::AGAIN)
}

#[cfg(not(target_os = "linux"))]
fn by_kernel(_: BorrowedFd<'_>, _: &[u8], _: OFlags, _: bool) -> Result<OwnedFd, Errno> {
    Err(Errno::NOSYS)
}

/// The same by hand. Directories on the way are held open, so `..` in a link goes back to where we came from
/// and never asks the file system, which may have been changed meanwhile.
fn by_walking(
    root: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
    follow_links: bool,
) -> Result<OwnedFd, Errno> {
    let mut way: Vec<OwnedFd> = Vec::new();
    let mut ahead = components(path);
    let mut links = 0;
    while let Some(component) = ahead.pop() {
        match component.as_slice() {
            b"" | b"." => continue,
            b".." => {
                way.pop().ok_or(Errno::XDEV)?;
                continue;
            }
            _ => {}
        }
        let here = way.last().map_or(root, AsFd::as_fd);
        let name = OsStr::from_bytes(&component);
        if follow_links && let Ok(target) = readlinkat(here, name, Vec::new()) {
            links += 1;
            if links > MAX_LINKS {
                return Err(Errno::LOOP);
            }
            if target.as_bytes().starts_with(b"/") {
                return Err(Errno::XDEV);
            }
            ahead.extend(components(target.as_bytes()));
        } else if ahead.is_empty() {
            return openat(here, name, flags | OFlags::NOFOLLOW, Mode::empty());
        } else {
            way.push(openat(here, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?);
        }
    }
    openat(way.last().map_or(root, AsFd::as_fd), ".", flags, Mode::empty())
}

/// The components of a relative path, the first one last.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|&byte| byte == b'/').rev().map(<[u8]>::to_vec).collect()
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Without `NONBLOCK` the open of a pipe waits for its writer; without `NOCTTY` a terminal could become ours.
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

#[cfg(target_os = "linux")]
const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const LOOK: OFlags = FILE;

/// How often a look-up disturbed by a rename is tried again.
#[cfg(target_os = "linux")]
const RACES: usize = 16;

/// Links in one path, as the kernel counts them.
const MAX_LINKS: usize = 40;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    type Open = fn(BorrowedFd<'_>, &[u8], OFlags, bool) -> Result<OwnedFd, Errno>;

    /// A share with a file, links in and out, and a neighbour that must never be reached.
    fn tree() -> (tempfile::TempDir, Root) {
        let outside = tempfile::tempdir().expect("a temporary directory");
        let share = outside.path().join("share");
        fs::create_dir_all(share.join("sub/deep")).expect("directories");
        fs::write(share.join("plain"), "inside").expect("a file");
        fs::write(share.join("sub/deep/file"), "inside").expect("a file");
        fs::write(outside.path().join("secret"), "outside").expect("a file");
        for (target, link) in [
            ("plain", "link"),
            ("../plain", "sub/up"),
            ("sub", "directory-link"),
            ("../secret", "out"),
            ("..", "parent"),
            ("loop-b", "loop-a"),
            ("loop-a", "loop-b"),
        ] {
            symlink(target, share.join(link)).expect("a link");
        }
        symlink(outside.path().join("secret"), share.join("absolute")).expect("a link");
        let root = Root::open(&share, false).expect("the share opens");
        (outside, root)
    }

    fn opens(open: Open, root: &Root, path: &str, follow_links: bool) -> bool {
        let Ok(opened) = open(root.directory.as_fd(), path.as_bytes(), FILE, follow_links) else {
            return false;
        };
        let text = io::read_to_string(File::from(opened));
        assert_ne!(text.as_deref().ok(), Some("outside"), "{path} left the share");
        text.is_ok_and(|text| text == "inside")
    }

    #[test]
    fn both_ways_open_what_is_beneath_and_nothing_else() {
        let (_outside, root) = tree();
        let ways: [(&str, Open); 2] = [("kernel", by_kernel), ("walk", by_walking)];
        for (way, open) in ways {
            if matches!(open(root.directory.as_fd(), b"plain", FILE, false), Err(Errno::NOSYS | Errno::PERM))
            {
                continue;
            }
            for (path, plain, following) in [
                ("plain", true, true),
                ("sub/deep/file", true, true),
                ("link", false, true),
                ("sub/up", false, true),
                ("directory-link/deep/file", false, true),
                ("out", false, false),
                ("parent/secret", false, false),
                ("absolute", false, false),
                ("../secret", false, false),
                ("sub/../../secret", false, false),
                ("loop-a", false, false),
                ("/etc/passwd", false, false),
                ("missing", false, false),
                ("plain/below", false, false),
            ] {
                assert_eq!(opens(open, &root, path, false), plain, "{way}: {path} with links refused");
                assert_eq!(opens(open, &root, path, true), following, "{way}: {path} with links followed");
            }
        }
    }

    #[test]
    fn only_regular_files_open_and_pipes_do_not_block() {
        let (outside, root) = tree();
        let pipe = outside.path().join("share/pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
            .expect("a pipe");
        for path in ["pipe", "sub", "out", "missing"] {
            let error = root.open_file(path.as_bytes()).expect_err(path);
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{path}: {error}");
        }
        let (_, metadata) = root.open_file(b"plain").expect("a regular file");
        assert_eq!(metadata.len(), 6);
    }

    #[test]
    fn looking_tells_files_from_directories_without_opening_them() {
        let (_outside, root) = tree();
        assert!(root.look(b"plain").is_ok_and(|metadata| metadata.is_file()));
        assert!(root.look(b"sub").is_ok_and(|metadata| metadata.is_dir()));
        assert!(root.look(b"link").is_err());
    }
}
