//! What a directory stands on: which filesystem, mounted where and of which kind, and how much room there is.
//!
//! All of it may block for as long as the disk likes, as a network mount that hangs.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use download_registry::network_filesystem;
use rustix::fs::{CWD, StatxFlags, statfs, statvfs, statx};

/// Why a file cannot be renamed from one directory into another.
///
/// The place of a mount counts as much as its device: two folders of one disk that a container has as two volumes are
/// of one device, and no rename leads from one to the other (`rename(2)`, `EXDEV`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gap {
    /// They are on two filesystems.
    Filesystems,
    /// They are on one, and it is mounted twice.
    Mounts,
}

impl Gap {
    /// What lies between two directories, or the nearest around them that exist; `None` when a rename leads across, or
    /// nothing is known.
    pub(crate) fn between(a: &Path, b: &Path) -> Option<Self> {
        Volume::of(a)?.gap(Volume::of(b)?)
    }

    /// Behind "the two folders".
    pub(crate) fn said(self) -> &'static str {
        match self {
            Self::Filesystems => "are on different filesystems",
            Self::Mounts => "are mounted apart, though on one filesystem",
        }
    }

    /// What to do about it.
    pub(crate) fn remedy(self) -> &'static str {
        match self {
            Self::Filesystems => "put both on one filesystem",
            Self::Mounts => "mount the folder that holds both of them, once",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Volume {
    device: u64,
    /// Where the kernel tells (Linux 5.8).
    mount: Option<u64>,
}

impl Volume {
    fn of(dir: &Path) -> Option<Self> {
        dir.ancestors().find_map(|dir| {
            let device = fs::metadata(dir).ok()?.dev();
            Some(Self { device, mount: mount(dir) })
        })
    }

    fn gap(self, other: Self) -> Option<Gap> {
        if self.device != other.device {
            return Some(Gap::Filesystems);
        }
        (self.mount != other.mount).then_some(Gap::Mounts)
    }
}

fn mount(dir: &Path) -> Option<u64> {
    let stat = statx(CWD, dir, rustix::fs::AtFlags::empty(), StatxFlags::MNT_ID).ok()?;
    (stat.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(stat.stx_mnt_id)
}

/// What matters to us about a kind of filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Of this machine, and able to do what we need.
    Local,
    /// Of another machine: what that one does there is not announced here, and its locks are not to be relied on.
    Network(&'static str),
    /// A program's: whatever it fetches its files from is not announced.
    Program,
    /// The old one of sticks and cameras: no file above 4 GiB, and no holes.
    Fat,
    /// Memory: gone with the next start of the machine.
    Memory,
    /// The layer of a container: gone with it.
    Layer,
}

impl Kind {
    /// That of `dir`, which must exist; a kind nobody told us about counts as local.
    pub(crate) fn of(dir: &Path) -> Self {
        match network_filesystem(dir) {
            Ok(Some(name)) => Self::Network(name),
            // The number is wider than its type on some machines, and signed on others.
            #[allow(clippy::unnecessary_cast, reason = "its type depends on the machine")]
            _ => statfs(dir).map_or(Self::Local, |stat| Self::from_magic(stat.f_type as u32)),
        }
    }

    /// Numbers of `statfs(2)`.
    fn from_magic(magic: u32) -> Self {
        match magic {
            0x6573_5546 => Self::Program,
            0x4d44 => Self::Fat,
            0x0102_1994 | 0x8584_58f6 => Self::Memory,
            0x794c_7630 => Self::Layer,
            _ => Self::Local,
        }
    }
}

/// Bytes this user may still write below `dir`; `None` when the filesystem does not say.
pub(crate) fn free_bytes(dir: &Path) -> Option<u64> {
    let stat = statvfs(dir).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

/// Files this user may still make below `dir`; `None` where they are not numbered beforehand.
pub(crate) fn free_files(dir: &Path) -> Option<u64> {
    let stat = statvfs(dir).ok()?;
    (stat.f_files > 0).then_some(stat.f_favail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_yet_stands_where_its_parent_does() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Volume::of(dir.path()).is_some());
        assert_eq!(Gap::between(dir.path(), &dir.path().join("a/b/c")), None);
    }

    #[test]
    fn no_rename_leads_to_another_filesystem_nor_to_another_mount_of_the_same() {
        // `/proc` is a filesystem of its own wherever there is one.
        assert_eq!(Gap::between(Path::new("/"), Path::new("/proc")), Some(Gap::Filesystems));
        let volume = |device, mount| Volume { device, mount };
        for (a, b, gap) in [
            (volume(1, Some(1)), volume(1, Some(1)), None),
            (volume(1, Some(1)), volume(1, Some(2)), Some(Gap::Mounts)),
            (volume(1, Some(1)), volume(2, Some(2)), Some(Gap::Filesystems)),
            (volume(1, None), volume(1, None), None),
        ] {
            assert_eq!(a.gap(b), gap, "{a:?} {b:?}");
        }
    }

    #[test]
    fn kinds_are_told_by_their_number() {
        for (magic, kind) in [
            (0x6573_5546, Kind::Program),
            (0x4d44, Kind::Fat),
            (0xef53, Kind::Local),
            (0x9123_683e, Kind::Local),
        ] {
            assert_eq!(Kind::from_magic(magic), kind, "{magic:x}");
        }
        assert_eq!(Kind::of(Path::new("/proc")), Kind::Local);
    }

    #[test]
    fn room_is_counted_in_bytes_and_in_files() {
        let dir = tempfile::tempdir().unwrap();
        assert!(free_bytes(dir.path()).is_some_and(|free| free > 0));
        assert_ne!(free_files(dir.path()), Some(0));
        assert_eq!(free_bytes(&dir.path().join("missing")), None);
    }
}
