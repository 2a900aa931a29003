//! Whether parts of a file are in memory, and getting them there.

use std::io::{self, IoSliceMut};
use std::ops::Range;

use rustix::io::{Errno, ReadWriteFlags, preadv2};

use crate::{FileSource, FileSourceError};

/// What a look into the page cache found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Every sample is there.
    Resident,
    /// A read would wait for the disk.
    Missing,
    /// The file system does not say.
    Unknown,
}

/// Looks for the last byte, one in every [`STEP`] before it, and the first, without waiting and without reading more.
///
/// The kernel reads ahead, and forgets, in runs of about that. A smaller hole costs one wait for the disk.
pub(super) fn look(source: &FileSource, range: Range<u64>) -> Look {
    let last = range.end.saturating_sub(1);
    let before = (1..).map_while(|step| last.checked_sub(step * STEP)).take_while(|&at| at >= range.start);
    let samples = [last].into_iter().chain(before).chain([range.start]);
    samples.map(|at| look_at(source, at)).find(|&look| look != Look::Resident).unwrap_or(Look::Resident)
}

fn look_at(source: &FileSource, at: u64) -> Look {
    loop {
        match preadv2(source.file(), &mut [IoSliceMut::new(&mut [0])], at, ReadWriteFlags::NOWAIT) {
            // The end of the file is for whoever reads there to notice.
            Ok(_) => return Look::Resident,
            Err(Errno::INTR) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::PERM) => return Look::Unknown,
            // A failing disk too is met by the read that waits.
            Err(_) => return Look::Missing,
        }
    }
}

/// Reads a range through, so that it is in memory afterwards. Waits for the disk.
///
/// # Errors
/// What the disk says, or that the file is not the one that was opened.
pub(super) fn warm(source: &FileSource, range: Range<u64>) -> Result<(), FileSourceError> {
    let mut buffer = vec![0; READ];
    let mut at = range.start;
    while at < range.end {
        let wanted = usize::try_from(range.end - at).unwrap_or(READ).min(READ);
        match std::os::unix::fs::FileExt::read_at(source.file(), &mut buffer[..wanted], at) {
            Ok(0) => break,
            Ok(count) => at += count as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(FileSourceError::Io(error)),
        }
    }
    source.check()
}

const STEP: u64 = 256 * 1024;

const READ: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rustix::fs::{Advice, fadvise};

    use super::*;

    const LEN: u64 = 4 << 20;

    #[test]
    fn what_was_forgotten_is_missing_until_it_is_read_through() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&vec![7; LEN as usize]).expect("written");
        file.sync_all().expect("on disk");
        let source = FileSource::new(file).expect("a regular file");
        assert_ne!(look(&source, 0..LEN), Look::Missing, "just written");
        fadvise(source.file(), 0, None, Advice::DontNeed).expect("advice");
        // Looking is what starts the kernel reading ahead, so the first look is the one that counts. A file system in
        // memory has nothing to forget.
        if look(&source, LEN / 2..LEN) == Look::Missing {
            warm(&source, LEN / 2..LEN).expect("read through");
            assert_eq!(look(&source, LEN / 2..LEN), Look::Resident);
        }
    }

    #[test]
    fn looking_goes_no_further_than_the_last_byte() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"0123456789").expect("written");
        let source = FileSource::new(file).expect("a regular file");
        for range in [0..10, 9..10, 0..1, 100..200, 3..3] {
            assert_ne!(look(&source, range.clone()), Look::Missing, "{range:?}");
        }
    }

    #[test]
    fn a_file_that_changed_is_not_warmed_in_silence() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"0123456789").expect("written");
        let source = FileSource::new(file.try_clone().expect("the same file")).expect("a regular file");
        file.set_len(5).expect("cut");
        assert!(matches!(warm(&source, 0..10), Err(FileSourceError::Changed { .. })));
    }
}
