//! What a file system says about a file, as validators.

use std::fs::Metadata;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{EntityTag, HttpDate, Representation};

/// The facts that change when a file changes: length, modification time, change time, inode.
///
/// Two equal stamps of one open file mean that it was not written to in between, as far as the file system's clock can
/// tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    /// Length in bytes.
    pub len: u64,
    /// Modification time in nanoseconds since 1970, negative before; 0 if the platform tells none.
    pub mtime_ns: i128,
    /// Change time in nanoseconds since 1970; where there is none, the creation time.
    pub ctime_ns: i128,
    /// Inode number; 0 where there is none.
    pub inode: u64,
}

impl FileStamp {
    /// Reads the stamp off metadata.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let (ctime_ns, inode) = {
            use std::os::unix::fs::MetadataExt;
            (i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec()), metadata.ino())
        };
        #[cfg(not(unix))]
        let (ctime_ns, inode) = (metadata.created().ok().and_then(unix_nanos).unwrap_or(0), 0);
        let mtime_ns = metadata.modified().ok().and_then(unix_nanos).unwrap_or(0);
        Self { len: metadata.len(), mtime_ns, ctime_ns, inode }
    }

    /// Whether the file is still at `now`: whatever is written from then on must change the stamp, so validators made of
    /// it are strong (RFC 9110 §8.8.1, §8.8.2.2).
    ///
    /// A write sets the modification time to the time of writing, so one that is two seconds off cannot be met again. A
    /// program that sets it back, as copying tools do, still moves the change time, which nobody can set: that has to be
    /// one tick of the kernel's clock away.
    #[must_use]
    pub fn is_still(&self, now: SystemTime) -> bool {
        unix_nanos(now).is_some_and(|now| {
            now.abs_diff(self.mtime_ns) >= STILL.as_nanos() && now.abs_diff(self.ctime_ns) >= TICK.as_nanos()
        })
    }

    /// The entity tag: strong if `still`.
    #[must_use]
    pub fn entity_tag(&self, still: bool) -> EntityTag {
        EntityTag::from_metadata(self.len, self.mtime_ns, self.inode, self.ctime_ns, still)
    }

    /// The modification time in whole seconds, rounded down; `None` outside the years 0 to 9999.
    #[must_use]
    pub fn last_modified(&self) -> Option<HttpDate> {
        HttpDate::from_unix(i64::try_from(self.mtime_ns.div_euclid(1_000_000_000)).ok()?)
    }

    /// Length and validators of the file as seen at `now`.
    ///
    /// A modification time in the future becomes `now`, as RFC 9110 §8.8.2.1 demands, and so is no strong validator.
    #[must_use]
    pub fn representation(&self, now: SystemTime) -> Representation {
        let still = self.is_still(now);
        let last_modified = self.last_modified().min(HttpDate::from_system_time(now));
        let ahead = last_modified != self.last_modified();
        Representation::new(self.len)
            .with_etag(self.entity_tag(still))
            .with_last_modified(last_modified)
            .with_settled(still && !ahead)
    }
}

/// Nanoseconds since 1970, negative before.
pub(crate) fn unix_nanos(time: SystemTime) -> Option<i128> {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i128::try_from(after.as_nanos()).ok(),
        Err(before) => i128::try_from(before.duration().as_nanos()).ok().map(|nanos| -nanos),
    }
}

/// How far the modification time must be off: file systems in common use stamp times at least every two seconds (FAT),
/// most of them every few milliseconds.
const STILL: Duration = Duration::from_secs(2);

/// The longest tick of the kernels' clocks by which change times are stamped.
const TICK: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64, nanos: i64) -> FileStamp {
        let ns = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        FileStamp { len: 5, mtime_ns: ns, ctime_ns: ns, inode: 1 }
    }

    fn moment(seconds: u64, nanos: u32) -> SystemTime {
        UNIX_EPOCH + Duration::new(seconds, nanos)
    }

    #[test]
    fn validators_are_strong_two_seconds_after_the_last_write() {
        let stamp = at(1_000, 500);
        for (now, still) in
            [(moment(1_002, 499), false), (moment(1_002, 500), true), (moment(1_000, 500), false)]
        {
            assert_eq!(stamp.is_still(now), still);
            assert_eq!(stamp.entity_tag(still).is_weak(), !still);
            assert_eq!(stamp.representation(now).is_settled(), still);
        }
    }

    #[test]
    fn a_copy_with_its_old_time_is_still_one_tick_after_it_was_made() {
        let copied = FileStamp { ctime_ns: at(5_000, 0).ctime_ns, ..at(1_000, 0) };
        assert!(!copied.is_still(moment(5_000, 0)));
        assert!(copied.is_still(moment(5_000, 10_000_000)));
    }

    #[test]
    fn a_time_in_the_future_is_not_told() {
        let ahead = at(9_000, 0).representation(moment(5_000, 7));
        assert_eq!(ahead.last_modified(), HttpDate::from_unix(5_000));
        assert!(!ahead.is_settled() && ahead.etag().is_some_and(|tag| !tag.is_weak()));
        assert_eq!(at(1_000, 0).representation(moment(5_000, 0)).last_modified(), HttpDate::from_unix(1_000));
    }

    #[test]
    fn times_no_date_can_write_still_make_a_tag() {
        let date = |stamp: FileStamp| stamp.last_modified().map(HttpDate::unix_seconds);
        assert_eq!(date(at(-1, 999_999_999)), Some(-1), "rounded down before 1970 too");
        assert_eq!(date(at(253_402_300_800, 0)), None, "year 10000");
        assert_eq!(date(FileStamp { mtime_ns: i128::MAX, ..at(0, 0) }), None);
        assert!(!at(253_402_300_800, 0).entity_tag(true).is_weak());
    }
}
