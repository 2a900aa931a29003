//! Where things are kept: the empty paths of the configuration filled in from the state directory.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::Config;
use super::flags::absolute;
use super::key_path::KeyPath;
use super::problem::{Finding, Spot};
use super::sharing::ShareConfig;
use super::sources::Sources;

/// Absolute paths of everything the daemon writes. None of them needs to exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedPaths {
    /// The state directory: `--state-dir`, `$STATE_DIRECTORY`, `$XDG_STATE_HOME/peerd` or `~/.local/state/peerd`.
    pub state: PathBuf,
    /// `downloads.dir`, or `completed` in the state directory.
    pub downloads: PathBuf,
    /// `downloads.incomplete_dir`, or `incomplete` beside the downloads.
    pub incomplete: PathBuf,
    /// `registry.path`, or `peerd.db` in the state directory.
    pub registry: PathBuf,
}

impl ResolvedPaths {
    /// Fills in what the configuration leaves empty.
    pub(crate) fn resolve(config: &Config, sources: &Sources) -> Result<Self, Finding> {
        let state = state_dir(sources).ok_or_else(|| {
            Finding::new(Spot::Nowhere, "no place to keep state: none of --state-dir, STATE_DIRECTORY, XDG_STATE_HOME and HOME is set")
        })?;
        let or = |configured: &Path, default: PathBuf| {
            if configured.as_os_str().is_empty() { default } else { configured.to_owned() }
        };
        let downloads = or(&config.downloads.dir, state.join("completed"));
        let sibling = downloads.parent().unwrap_or(&downloads).join("incomplete");
        Ok(Self {
            incomplete: or(&config.downloads.incomplete_dir, sibling),
            registry: or(&config.registry.path, state.join("peerd.db")),
            downloads,
            state,
        })
    }

    fn named(&self) -> [(&'static str, &Path); 4] {
        [
            ("the state directory", &self.state),
            ("the downloads directory", &self.downloads),
            ("the directory of incomplete downloads", &self.incomplete),
            ("the registry", &self.registry),
        ]
    }
}

/// Refuses shares that would hand out what the daemon keeps: its keys, its database, its half-written files.
pub(crate) fn shares_over_own_paths(
    shares: &BTreeMap<String, ShareConfig>,
    paths: &ResolvedPaths,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, share) in shares {
        let root = real(&share.path);
        for (what, own) in paths.named() {
            if real(own).starts_with(&root) {
                let path = KeyPath::new(["shares", name, "path"]);
                let message = format!("{} contains {what}, {}", share.path.display(), own.display());
                findings.push(
                    Finding::at(&path, message).help("share a directory beside it, or move what is inside"),
                );
                break;
            }
        }
    }
    findings
}

fn state_dir(sources: &Sources) -> Option<PathBuf> {
    let flag = sources.overrides.state_dir.as_deref().map(|dir| absolute(&sources.current_dir, dir));
    flag.or_else(|| sources.service_dir("STATE_DIRECTORY"))
        .or_else(|| sources.user_dir("XDG_STATE_HOME", ".local/state").map(|dir| dir.join("peerd")))
}

/// The path with every link resolved, as far as it exists.
pub(crate) fn real(path: &Path) -> PathBuf {
    let mut missing = Vec::new();
    let mut existing = path;
    loop {
        if let Ok(mut real) = fs::canonicalize(existing) {
            for component in missing.iter().rev() {
                match component {
                    Component::ParentDir => drop(real.pop()),
                    component => real.push(component),
                }
            }
            return real;
        }
        match (existing.parent(), existing.components().next_back()) {
            (Some(parent), Some(last)) => {
                missing.push(last);
                existing = parent;
            }
            _ => return path.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(
        config: &Config,
        variables: &[(&str, &str)],
        flag: Option<&str>,
    ) -> Result<ResolvedPaths, Finding> {
        let mut sources = Sources { current_dir: "/here".into(), ..Sources::default() };
        sources.environment = variables.iter().map(|(k, v)| ((*k).to_owned(), v.into())).collect();
        sources.overrides.state_dir = flag.map(PathBuf::from);
        ResolvedPaths::resolve(config, &sources)
    }

    #[test]
    fn the_state_directory_is_the_first_that_is_named() {
        let all = [("STATE_DIRECTORY", "/var/lib/peerd:/x"), ("XDG_STATE_HOME", "/s"), ("HOME", "/home/al")];
        for (flag, variables, state) in [
            (Some("st"), &all[..], "/here/st"),
            (None, &all[..], "/var/lib/peerd"),
            (None, &all[1..], "/s/peerd"),
            (None, &all[2..], "/home/al/.local/state/peerd"),
            (None, &[("XDG_STATE_HOME", "relative"), ("HOME", "/h")], "/h/.local/state/peerd"),
        ] {
            assert_eq!(resolve(&Config::default(), variables, flag).unwrap().state, Path::new(state));
        }
        assert!(resolve(&Config::default(), &[], None).is_err());
    }

    #[test]
    fn empty_paths_lie_in_the_state_directory_and_incomplete_beside_the_downloads() {
        let mut config = Config::default();
        let paths = resolve(&config, &[], Some("/st")).unwrap();
        assert_eq!(paths.downloads, Path::new("/st/completed"));
        assert_eq!(paths.incomplete, Path::new("/st/incomplete"));
        assert_eq!(paths.registry, Path::new("/st/peerd.db"));
        config.downloads.dir = "/data/done".into();
        assert_eq!(resolve(&config, &[], Some("/st")).unwrap().incomplete, Path::new("/data/incomplete"));
    }

    #[test]
    fn a_share_may_lie_in_the_state_directory_but_not_around_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("real/state/share")).unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path().join("real"), &link).unwrap();
        let state = dir.path().join("real/state");
        let paths = resolve(&Config::default(), &[], state.to_str()).unwrap();
        let refused = |path: PathBuf| {
            let share = ShareConfig { path, include: vec![], exclude: vec![], follow_symlinks: false };
            !shares_over_own_paths(&BTreeMap::from([("s".to_owned(), share)]), &paths).is_empty()
        };
        assert!(refused(state.clone()));
        assert!(refused(dir.path().join("real")));
        assert!(refused(link), "a link to a directory around it");
        assert!(refused(state.join("completed")), "the downloads directory, which does not exist yet");
        assert!(!refused(state.join("share")));
        assert!(!refused(dir.path().join("rea")), "a common prefix of names is not a common directory");
    }
}
