//! The end of our own copy, once the importer has its own.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use download_registry::Timestamp;
use serde::{Deserialize, Serialize};

/// By what our file is told from another one under its name, of the same size.
///
/// Importers that make a hard link of it, or set its date back to that of the film, leave it ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    inode: u64,
    modified_ms: i64,
}

/// What is known of the file we published.
#[derive(Clone, Copy, Debug)]
pub(super) struct Published {
    pub(super) size: Option<u64>,
    /// As it was when its import began.
    pub(super) mark: Option<Mark>,
    pub(super) at: Timestamp,
}

impl Mark {
    /// The mark of a file; `None` where there is none.
    pub(super) async fn of(path: &str) -> Option<Self> {
        let path = path.to_owned();
        let found = tokio::task::spawn_blocking(move || std::fs::symlink_metadata(path)).await;
        Some(Self::from(&found.ok()?.ok()?))
    }

    fn is_still(self, found: Self) -> bool {
        found.modified_ms == self.modified_ms
            || (found.inode == self.inode && found.modified_ms < self.modified_ms)
    }
}

impl From<&Metadata> for Mark {
    fn from(of: &Metadata) -> Self {
        let modified_ms = of.mtime().saturating_mul(1000).saturating_add(of.mtime_nsec() / 1_000_000);
        Self { inode: of.ino(), modified_ms }
    }
}

impl Published {
    fn is_still(&self, found: &Metadata) -> bool {
        let mark = Mark::from(found);
        self.size.is_none_or(|size| size == found.len())
            && match self.mark {
                Some(ours) => ours.is_still(mark),
                None => mark.modified_ms <= self.at.saturating_add(SLACK).as_millis(),
            }
    }
}

/// Removes a published file of ours: a regular file, nobody else's, that lies directly in `dir`.
///
/// Whether something was there to remove; the importer may have moved it itself. Everything else is left alone.
///
/// # Errors
/// Why the file was not removed, in words.
pub(super) async fn unlink(target: PathBuf, dir: PathBuf, ours: Published) -> Result<bool, String> {
    let removal = tokio::task::spawn_blocking(move || remove(&target, &dir, &ours));
    removal.await.unwrap_or_else(|_| Err("the daemon is stopping".to_owned()))
}

fn remove(target: &Path, dir: &Path, ours: &Published) -> Result<bool, String> {
    let found = match target.symlink_metadata() {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error.to_string()),
    };
    if !found.is_file() {
        return Err("it is not a regular file any more".to_owned());
    }
    if !ours.is_still(&found) {
        return Err(
            "it is not the file that was downloaded: its size, its time or its inode has changed".to_owned()
        );
    }
    let parent = target.parent().and_then(|parent| parent.canonicalize().ok());
    if parent.is_none() || parent != dir.canonicalize().ok() {
        return Err("it does not lie in downloads.dir any more".to_owned());
    }
    match std::fs::remove_file(target) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.to_string()),
    }
}

/// The clock of the filesystem may be cut to whole seconds, or be another one.
const SLACK: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn published(size: Option<u64>) -> Published {
        Published { size, mark: None, at: Timestamp::from_millis(i64::MAX) }
    }

    #[test]
    fn a_file_of_the_same_size_that_took_its_place_is_not_ours() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("film.mkv");
        let write = |text: &str, seconds: u64| {
            std::fs::write(&path, text).unwrap();
            let at = std::time::UNIX_EPOCH + Duration::from_secs(seconds);
            std::fs::File::options().write(true).open(&path).unwrap().set_modified(at).unwrap();
            path.symlink_metadata().unwrap()
        };
        let ours = write("ours!", 1000);
        let at = Timestamp::from_millis(1_000_500);
        let noted = Published { size: Some(5), mark: Some(Mark::from(&ours)), at };
        let unnoted = Published { mark: None, ..noted };
        assert!(noted.is_still(&ours) && unnoted.is_still(&ours));
        let dated = write("ours!", 500);
        assert!(noted.is_still(&dated), "an importer gave it the date of the film");
        let over = write("other", 2000);
        assert!(!noted.is_still(&over) && !unnoted.is_still(&over), "written over");
        std::fs::rename(&path, home.path().join("elsewhere")).unwrap();
        let moved_in = write("other", 900);
        assert!(!noted.is_still(&moved_in), "another file, older than ours");
        assert_eq!(remove(&path, home.path(), &noted).map_err(|why| why.contains("not the file")), Err(true));
        assert!(path.exists());
    }

    #[test]
    fn only_our_own_file_is_removed() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("completed");
        std::fs::create_dir_all(dir.join("folder")).unwrap();
        let file = |name: &str| {
            std::fs::write(home.path().join(name), "12345").unwrap();
            home.path().join(name)
        };
        let (ours, changed) = (file("completed/ours.mkv"), file("completed/changed.mkv"));
        let (outside, below) = (file("outside.mkv"), file("completed/folder/below.mkv"));
        let link = dir.join("link.mkv");
        std::os::unix::fs::symlink(&outside, &link).unwrap();

        assert_eq!(remove(&ours, &dir, &published(Some(5))), Ok(true));
        assert_eq!(remove(&ours, &dir, &published(Some(5))), Ok(false), "gone already is as good");
        assert!(remove(&changed, &dir, &published(Some(6))).is_err(), "somebody else's bytes");
        for kept in [&outside, &below, &link, &dir.join("folder")] {
            assert!(remove(kept, &dir, &published(None)).is_err(), "{}", kept.display());
            assert!(kept.symlink_metadata().is_ok(), "{}", kept.display());
        }
        let climbing = dir.join("folder/../../outside.mkv");
        assert!(remove(&climbing, &dir, &published(None)).is_err());
        assert!(outside.exists() && changed.exists());
    }
}
