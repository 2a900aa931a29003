//! The end of our own copy, once the importer has its own.

use std::io;
use std::path::{Path, PathBuf};

/// Removes a published file of ours: a regular file of this size that lies directly in `dir`.
///
/// Whether something was there to remove; the importer may have moved it itself. Everything else is left alone.
///
/// # Errors
/// Why the file was not removed, in words.
pub(super) async fn unlink(target: PathBuf, dir: PathBuf, size: Option<u64>) -> Result<bool, String> {
    let removal = tokio::task::spawn_blocking(move || remove(&target, &dir, size));
    removal.await.unwrap_or_else(|_| Err("the daemon is stopping".to_owned()))
}

fn remove(target: &Path, dir: &Path, size: Option<u64>) -> Result<bool, String> {
    let found = match target.symlink_metadata() {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error.to_string()),
    };
    if !found.is_file() {
        return Err("it is not a regular file any more".to_owned());
    }
    if size.is_some_and(|size| size != found.len()) {
        return Err("it is not the file that was downloaded: its size has changed".to_owned());
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

#[cfg(test)]
mod tests {
    use super::*;

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

        assert_eq!(remove(&ours, &dir, Some(5)), Ok(true));
        assert_eq!(remove(&ours, &dir, Some(5)), Ok(false), "gone already is as good");
        assert!(remove(&changed, &dir, Some(6)).is_err(), "somebody else's bytes");
        for kept in [&outside, &below, &link, &dir.join("folder")] {
            assert!(remove(kept, &dir, None).is_err(), "{}", kept.display());
            assert!(kept.symlink_metadata().is_ok(), "{}", kept.display());
        }
        let climbing = dir.join("folder/../../outside.mkv");
        assert!(remove(&climbing, &dir, None).is_err());
        assert!(outside.exists() && changed.exists());
    }
}
