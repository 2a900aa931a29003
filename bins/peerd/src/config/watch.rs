//! `[watch]`: the folder that stubs are dropped into.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Config;
use super::duration;
use super::key_path::KeyPath;
use super::keys::key;
use super::paths::{ResolvedPaths, real};
use super::problem::Finding;
use super::section::{Section, section};
use super::validate::Verdict;

/// `[watch]`: which folder is watched, and what becomes of a stub whose download is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WatchConfig {
    /// The folder; empty = none is watched. Default empty.
    pub dir: PathBuf,
    /// How often the folder is read even without a sign of change, above zero. Default `30s`.
    #[serde(with = "duration")]
    pub rescan: Duration,
    /// How long a file must not change before it is read. Default `1s`.
    #[serde(with = "duration")]
    pub settle: Duration,
    /// What becomes of a stub whose download is published. Default `delete`.
    pub on_done: OnDone,
}

/// What becomes of a stub whose download is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDone {
    /// It is deleted.
    Delete,
    /// It is moved to the folder beside, see [`archive_dir`].
    Archive,
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self {
            dir: PathBuf::new(),
            rescan: Duration::from_secs(30),
            settle: Duration::from_secs(1),
            on_done: OnDone::Delete,
        }
    }
}

impl WatchConfig {
    /// The folder to watch, if there is one.
    pub fn folder(&self) -> Option<&Path> {
        Some(self.dir.as_path()).filter(|dir| !dir.as_os_str().is_empty())
    }
}

/// Where stubs go when they are archived: `/data/watch` → `/data/watch-done`.
pub fn archive_dir(dir: &Path) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push("-done");
    dir.with_file_name(name)
}

/// What speaks against the folder as it is configured: places where stubs and other files would be taken for each
/// other, and shares that would hand stubs out.
pub(crate) fn contradictions(config: &Config, paths: &ResolvedPaths) -> Vec<Finding> {
    let Some(dir) = config.watch.folder() else { return Vec::new() };
    let key = KeyPath::new(["watch", "dir"]);
    let watched = real(dir);
    let mut findings = Vec::new();
    if watched.parent().is_none() {
        findings.push(Finding::at(&key, "must not be the root directory"));
    }
    let archive = (config.watch.on_done == OnDone::Archive).then(|| real(&archive_dir(&watched)));
    for (what, own, of) in [
        ("the directory of finished downloads", &paths.downloads, ["downloads", "dir"]),
        ("the directory of incomplete downloads", &paths.incomplete, ["downloads", "incomplete_dir"]),
        ("the state directory", &paths.state, ["registry", "path"]),
    ] {
        let own = real(own);
        let other = KeyPath::new(of);
        if own == watched {
            let finding = Finding::between(&key, &other, format!("must not be {what}"));
            findings.push(finding.help("give stubs a folder of their own"));
        } else if archive.as_ref() == Some(&own) {
            let message = format!("finished stubs would be archived in {what}, {}", own.display());
            findings.push(Finding::between(&key, &other, message));
        }
    }
    if watched.starts_with(real(&paths.incomplete)) && watched != real(&paths.incomplete) {
        let other = KeyPath::new(["downloads", "incomplete_dir"]);
        findings.push(Finding::between(
            &key,
            &other,
            "must not lie in the directory of incomplete downloads",
        ));
    }
    for (name, share) in &config.shares {
        if watched.starts_with(real(&share.path)) {
            let share_path = KeyPath::new(["shares", name, "path"]);
            let message = format!("lies in the share {name:?}, whose readers would see what you fetch");
            findings.push(Finding::between(&key, &share_path, message));
        }
    }
    findings
}

pub(crate) const WATCH: Section = section(
    "watch",
    "the folder for stub files",
    &[
        key::<PathBuf>("watch.dir", "path", "the folder; empty is none"),
        key::<Duration>(
            "watch.rescan",
            "duration, above 0",
            "how often it is read even without a sign of change, which network and bind mounts do not give",
        ),
        key::<Duration>("watch.settle", "duration", "how long a file must not change before it is read"),
        key::<OnDone>(
            "watch.on_done",
            "`delete`, `archive`",
            "what becomes of a stub whose download is published; `archive` moves it to `DIR-done` beside the folder",
        ),
    ],
)
.judged_by(Verdict::watch);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archived_stubs_go_to_a_folder_beside_the_watched_one() {
        assert_eq!(archive_dir(Path::new("/data/watch")), Path::new("/data/watch-done"));
        assert_eq!(archive_dir(Path::new("/data/watch/")), Path::new("/data/watch-done"));
    }
}
