//! Where a database must not lie.
//!
//! SQLite's write-ahead log needs locks and shared memory that all processes see alike. Network filesystems promise
//! neither, and two machines on one share would each believe they own the file.

use std::{io, path::Path};

/// Returns the name of the network filesystem `directory` lies on, if it lies on one.
///
/// A registry is not opened there. Only Linux tells; elsewhere the answer is always `None`. May block for as long as the
/// disk likes.
///
/// # Errors
/// The system's, as for a directory that does not exist.
#[cfg(target_os = "linux")]
pub fn network_filesystem(directory: &Path) -> io::Result<Option<&'static str>> {
    Ok(name_of(magic(directory)?))
}

/// Whether `directory` is behind a program of its own: a local disk as often as somebody else's.
#[cfg(target_os = "linux")]
pub(crate) fn is_fuse(directory: &Path) -> bool {
    magic(directory).is_ok_and(|magic| magic == FUSE)
}

#[cfg(target_os = "linux")]
fn magic(directory: &Path) -> io::Result<u32> {
    let stat = rustix::fs::statfs(directory)?;
    // The field's width and sign differ between platforms; every magic number fits 32 bits.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::unnecessary_cast)]
    let magic = stat.f_type as u32;
    Ok(magic)
}

/// Other platforms do not tell in a way all of them share; the locks are the guard there.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub fn network_filesystem(_directory: &Path) -> io::Result<Option<&'static str>> {
    Ok(None)
}

/// Nothing is known of it here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn is_fuse(_directory: &Path) -> bool {
    false
}

#[cfg(target_os = "linux")]
fn name_of(magic: u32) -> Option<&'static str> {
    NETWORK.iter().find(|(known, _)| *known == magic).map(|(_, name)| *name)
}

#[cfg(target_os = "linux")]
const FUSE: u32 = 0x6573_5546;

/// Magic numbers of `statfs(2)`.
#[cfg(target_os = "linux")]
const NETWORK: [(u32, &str); 11] = [
    (0x6969, "nfs"),
    (0x517b, "smb"),
    (0xfe53_4d42, "smb2"),
    (0xff53_4d42, "cifs"),
    (0x5346_414f, "afs"),
    (0x6b41_4653, "afs"),
    (0x00c3_6400, "ceph"),
    (0x7375_7245, "coda"),
    (0x0bd0_0bd0, "lustre"),
    (0x564c, "ncp"),
    (0x0102_1997, "9p"),
];

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn shares_are_told_from_disks() {
        for (magic, expected) in [
            (0x6969, Some("nfs")),
            (0xff53_4d42, Some("cifs")),
            (0xef53, None),      // ext4
            (0x5846_5342, None), // xfs
            (0x0102_1994, None), // tmpfs
            (FUSE, None),
        ] {
            assert_eq!(name_of(magic), expected, "{magic:#x}");
        }
    }
}
