//! The folders the daemon lives in: whose they are, whether they can be written, and how much room there is.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Finding;
use crate::config::{Config, ResolvedPaths};
use crate::downloads::Outcome;
use crate::volume::{Gap, Kind, free_bytes, free_files};

/// Blocking.
pub(super) fn look(config: &Config, paths: &ResolvedPaths) -> Vec<Finding> {
    let mut findings = vec![private(&paths.state)];
    let key = paths.state.join("admin.key");
    if let Ok(meta) = key.metadata() {
        findings.extend(readable_by_others("state", &key, &meta.permissions(), 0o077, "600"));
    }
    findings.extend([&paths.downloads, &paths.incomplete].map(|dir| writable("folder", dir)));
    findings.push(in_one_step(&paths.downloads, &paths.incomplete));
    findings.extend(able(&paths.incomplete));
    findings.extend(room(&paths.incomplete, config.downloads.min_free.bytes()));
    findings.extend(state_room(&paths.state));
    findings.extend(lasting(&paths.state));
    findings.extend(config.shares.iter().map(|(name, share)| shared(name, &share.path)));
    findings
}

/// A folder of the daemon's own, or the place where it will be made.
pub(super) fn writable(area: &'static str, dir: &Path) -> Finding {
    match try_to_write(dir) {
        Ok(true) => Finding::ok(area, dir.display().to_string(), "there, and can be written"),
        Ok(false) => {
            Finding::ok(area, dir.display().to_string(), "not there yet; it is made at the next start")
        }
        Err(error) => {
            let remedy = match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    // What is missing is made in the nearest that is there.
                    let there = dir.ancestors().find(|dir| dir.is_dir()).unwrap_or(dir);
                    format!("let the daemon's user write there: chown USER {}", there.display())
                }
                io::ErrorKind::ReadOnlyFilesystem => {
                    "mount it writable, or name another folder in the configuration".to_owned()
                }
                io::ErrorKind::StorageFull => "make room on that disk".to_owned(),
                _ => "see that the whole path is made of folders, or name another in the configuration"
                    .to_owned(),
            };
            Finding::failed(area, dir.display().to_string(), format!("cannot be written: {error}"), remedy)
        }
    }
}

/// Whether a file can be made in `dir`, or would be once `dir` is; false says that it is not there yet.
fn try_to_write(dir: &Path) -> io::Result<bool> {
    match dir.metadata() {
        Ok(meta) if meta.is_dir() => {}
        Ok(_) => return Err(io::Error::other("it is not a folder")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // What is missing is made, as deep as it is.
            let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).ok_or(error)?;
            return try_to_write(parent).map(|_| false);
        }
        Err(error) => return Err(error),
    }
    // Only what was made here is removed again, and no link of that name is followed (`O_EXCL`).
    let probe = dir.join(format!("{PROBE}-{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).open(&probe)?;
    // A full disk still makes files: only a synced page shows that there is room for one.
    let written = file.write_all(&[0; 4096]).and_then(|()| file.sync_all());
    fs::remove_file(&probe)?;
    written.map(|()| true)
}

fn private(state: &Path) -> Finding {
    let finding = writable("state", state);
    let Ok(meta) = state.metadata() else { return finding };
    // A group may pass through, as under a service manager: what is inside has permissions of its own.
    match readable_by_others("state", state, &meta.permissions(), 0o027, "700") {
        Some(warning) if finding.outcome == Outcome::Ok => warning,
        _ => finding,
    }
}

fn readable_by_others(
    area: &'static str,
    path: &Path,
    permissions: &Permissions,
    wrong: u32,
    right: &str,
) -> Option<Finding> {
    let mode = permissions.mode() & 0o777;
    (mode & wrong != 0).then(|| {
        let detail = format!("others on this machine may look into it (mode {mode:o}); keys are there");
        Finding::warning(
            area,
            path.display().to_string(),
            detail,
            format!("chmod {right} {}", path.display()),
        )
    })
}

/// A finished file gets its name in one step only where a rename leads.
fn in_one_step(finished: &Path, unfinished: &Path) -> Finding {
    let subject = format!("{} and {}", unfinished.display(), finished.display());
    match Gap::between(finished, unfinished) {
        Some(gap) => Finding::failed(
            "folder",
            subject,
            format!("they {}: a finished file cannot be moved into place in one step", gap.said()),
            format!("{} (downloads.dir and downloads.incomplete_dir)", gap.remedy()),
        ),
        None => {
            Finding::ok("folder", subject, "a finished file is moved from one into the other in one step")
        }
    }
}

/// What its filesystem cannot do for a folder that large files grow in.
fn able(dir: &Path) -> Option<Finding> {
    let there = dir.ancestors().find(|ancestor| ancestor.is_dir())?;
    (Kind::of(there) == Kind::Fat).then(|| {
        Finding::warning(
            "folder",
            dir.display().to_string(),
            "its filesystem (FAT) holds no file of 4 GiB or more",
            "put the folder on ext4, XFS, Btrfs or ZFS",
        )
    })
}

fn room(dir: &Path, min_free: u64) -> Option<Finding> {
    let there = dir.ancestors().find(|ancestor| ancestor.is_dir())?;
    if free_files(there) == Some(0) {
        let detail = "it has room for bytes, and none for another file: its inodes are used up";
        let remedy = format!("delete what is not needed; df -i {} shows them", there.display());
        return Some(Finding::failed("disk", dir.display().to_string(), detail, remedy));
    }
    let free = free_bytes(there)?;
    let [told, limit] = [free, min_free].map(|bytes| indicatif::BinaryBytes(bytes).to_string());
    Some(match free {
        free if free < min_free => Finding::failed(
            "disk",
            dir.display().to_string(),
            format!("{told} free, and {limit} are to stay free: the queue waits"),
            "make room, or lower downloads.min_free",
        ),
        free if free < min_free.saturating_mul(2) => Finding::warning(
            "disk",
            dir.display().to_string(),
            format!("{told} free: the queue waits below {limit}"),
            "make room before it does",
        ),
        _ => Finding::ok("disk", dir.display().to_string(), format!("{told} free")),
    })
}

/// The database and the keys need little, and nothing works without it.
fn state_room(dir: &Path) -> Option<Finding> {
    let there = dir.ancestors().find(|ancestor| ancestor.is_dir())?;
    let free = free_bytes(there).filter(|free| *free < STATE_ROOM)?;
    let told = indicatif::BinaryBytes(free);
    Some(Finding::failed(
        "disk",
        dir.display().to_string(),
        format!("{told} free: the database cannot grow, and a daemon that cannot write it ends"),
        format!("make room; {} is more than enough", indicatif::BinaryBytes(STATE_ROOM)),
    ))
}

/// Whether what is written there is still there tomorrow.
fn lasting(state: &Path) -> Option<Finding> {
    let there = state.ancestors().find(|ancestor| ancestor.is_dir())?;
    let (detail, remedy) = match Kind::of(there) {
        Kind::Memory => (
            "it is in memory: the queue and the keys are gone with the next start of the machine",
            "name a folder on a disk: --state-dir",
        ),
        Kind::Layer => {
            ("it is a layer of a container: the queue and the keys are gone with it", "mount a volume there")
        }
        _ => return None,
    };
    Some(Finding::warning("state", state.display().to_string(), detail, remedy))
}

fn shared(name: &str, path: &Path) -> Finding {
    match fs::read_dir(path).map(|mut entries| entries.next().is_none()) {
        Ok(false) => Finding::ok("share", name, format!("{} can be read", path.display())),
        Ok(true) => Finding::warning(
            "share",
            name,
            format!("{} is empty: there is nothing to offer", path.display()),
            "see whether its disk is mounted",
        ),
        Err(error) => Finding::failed(
            "share",
            name,
            format!("{}: {error}", path.display()),
            "mount it, let the daemon's user read it, or take the share out of the configuration",
        ),
    }
}

/// Below this the write-ahead log of a busy queue may not fit.
const STATE_ROOM: u64 = 64 << 20;
/// Hidden, so that nobody takes it for a stub or a file to be shared.
const PROBE: &str = ".peerd-doctor";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_tried_by_writing_and_left_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let look = |path: &Path| writable("folder", path).outcome;
        assert_eq!(look(dir.path()), Outcome::Ok);
        assert_eq!(look(&dir.path().join("a/b/c")), Outcome::Ok);
        assert_eq!(look(&file), Outcome::Failed);
        assert_eq!(look(&file.join("below")), Outcome::Failed);
        let left: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["file"]);
    }

    #[test]
    fn little_room_is_told_before_it_is_too_little() {
        let dir = tempfile::tempdir().unwrap();
        let outcome = |min_free| room(dir.path(), min_free).unwrap().outcome;
        assert_eq!(outcome(0), Outcome::Ok);
        assert_eq!(outcome(u64::MAX), Outcome::Failed);
    }

    #[test]
    fn a_state_directory_that_others_may_read_is_told_with_the_command_that_mends_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let finding = private(dir.path());
        assert_eq!(finding.outcome, Outcome::Warning);
        assert_eq!(finding.remedy, Some(format!("chmod 700 {}", dir.path().display())));
        for mode in [0o700, 0o750] {
            fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
            assert_eq!(private(dir.path()).outcome, Outcome::Ok, "{mode:o}");
        }
    }
}
