//! Settings from the command line: the flags of `peerd serve` that stand for configuration keys.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};

use toml::{Table, Value};

use super::file::is_name;
use super::key_path::{KeyPath, get};
use super::layer::Layer;
use super::problem::{Finding, Spot};

/// What the command line sets. Paths may be relative to [`Sources::current_dir`](super::Sources::current_dir).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--listen ADDR`, in place of `server.listen`.
    pub listen: Option<SocketAddr>,
    /// `--admin-listen ADDR`, in place of `admin.listen`.
    pub admin_listen: Option<SocketAddr>,
    /// `--share [NAME=]DIR`, added to `[shares]`; see [`parse_share`].
    pub shares: Vec<(Option<String>, PathBuf)>,
    /// `--download-dir DIR`, in place of `downloads.dir`.
    pub download_dir: Option<PathBuf>,
    /// `--watch-dir DIR`, in place of `watch.dir`.
    pub watch_dir: Option<PathBuf>,
    /// `--state-dir DIR`. There is no key for it.
    pub state_dir: Option<PathBuf>,
}

/// Splits the value of `--share`: `NAME=DIR`, or `DIR` alone.
///
/// What stands before the first `=` is a name when it could be one; `/data/a=b` is a directory.
///
/// # Errors
/// The message for the user when the directory is empty.
pub fn parse_share(text: &str) -> Result<(Option<String>, PathBuf), String> {
    let (name, dir) = match text.split_once('=') {
        Some((name, dir)) if is_name(name) => (Some(name.to_owned()), dir),
        _ => (None, text),
    };
    if dir.is_empty() { Err("expected [NAME=]DIR".to_owned()) } else { Ok((name, dir.into())) }
}

/// Which flag set which setting.
pub(crate) type Flags = BTreeMap<KeyPath, &'static str>;

/// Reads the flags. `shares` are those of the lower layers: a share must not take the place of one by accident.
pub(crate) fn read(overrides: &Overrides, current_dir: &Path, shares: &[&Table]) -> (Layer, Flags) {
    let mut flags = FlagLayer { layer: Layer::new("flags"), flags: Flags::new() };
    if let Some(address) = overrides.listen {
        flags.set(&["server", "listen"], "--listen", Value::from(vec![address.to_string()]));
    }
    if let Some(address) = overrides.admin_listen {
        flags.set(&["admin", "listen"], "--admin-listen", Value::from(vec![address.to_string()]));
    }
    if let Some(dir) = &overrides.download_dir {
        flags.set_dir(&["downloads", "dir"], "--download-dir", &absolute(current_dir, dir));
    }
    if let Some(dir) = &overrides.watch_dir {
        flags.set_dir(&["watch", "dir"], "--watch-dir", &absolute(current_dir, dir));
    }
    for (name, dir) in &overrides.shares {
        flags.share(name.as_deref(), &absolute(current_dir, dir), shares);
    }
    (flags.layer, flags.flags)
}

struct FlagLayer {
    layer: Layer,
    flags: Flags,
}

impl FlagLayer {
    fn share(&mut self, given: Option<&str>, dir: &Path, lower: &[&Table]) {
        let name = given.map_or_else(|| folder_name(dir), str::to_owned);
        if !is_name(&name) {
            let finding = Finding::new(Spot::Flag("--share"), super::file::bad_name(&name));
            return self.layer.note(finding);
        }
        let keys = ["shares", name.as_str(), "path"];
        let taken_here = self.layer.value(&KeyPath::new(keys));
        // A name that was given means to replace; one that was guessed from the folder does not.
        let taken_below = lower.iter().find_map(|table| get(table, &keys)).filter(|_| given.is_none());
        let other = taken_here.or(taken_below).and_then(Value::as_str).filter(|path| Path::new(path) != dir);
        if let Some(other) = other {
            let message = format!("{} and {other} would both be the share {name:?}", dir.display());
            let finding = Finding::new(Spot::Flag("--share"), message).help("write --share NAME=DIR");
            return self.layer.note(finding);
        }
        self.set_dir(&keys, "--share", dir);
    }

    fn set_dir(&mut self, keys: &[&str], flag: &'static str, dir: &Path) {
        match dir.to_str() {
            Some(text) => self.set(keys, flag, Value::from(text)),
            None => {
                let message = format!("{} is not UTF-8 text", dir.display());
                self.layer
                    .reject(&KeyPath::new(keys.iter().copied()), Finding::new(Spot::Flag(flag), message));
            }
        }
    }

    fn set(&mut self, keys: &[&str], flag: &'static str, value: Value) {
        let path = KeyPath::new(keys.iter().copied());
        self.layer.put(&path, value);
        self.flags.insert(path, flag);
    }
}

/// Joins without touching the disk: `.` goes, `..` stays, because what it means depends on links.
pub(crate) fn absolute(current_dir: &Path, path: &Path) -> PathBuf {
    current_dir.join(path).components().collect()
}

/// A name for a share without one: its folder's, with other characters replaced.
fn folder_name(dir: &Path) -> String {
    let real = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    let folder = match real.components().next_back() {
        Some(Component::Normal(folder)) => folder.to_string_lossy().into_owned(),
        _ => String::new(),
    };
    let mut name = String::new();
    for c in folder.chars() {
        match c {
            c if c.is_ascii_alphanumeric() || "._-".contains(c) => name.push(c),
            _ if name.ends_with('-') => {}
            _ => name.push('-'),
        }
    }
    name.truncate(64);
    let name = name.trim_matches('-');
    if name.is_empty() { "share".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_has_the_name_before_the_equals_sign_if_that_is_one() {
        assert_eq!(parse_share("movies=/data"), Ok((Some("movies".to_owned()), "/data".into())));
        assert_eq!(parse_share("/data"), Ok((None, "/data".into())));
        assert_eq!(parse_share("/data/a=b"), Ok((None, "/data/a=b".into())));
        assert!(parse_share("movies=").is_err());
        assert!(parse_share("").is_err());
    }

    #[test]
    fn a_share_without_a_name_is_called_like_its_folder() {
        for (dir, name) in [
            ("/nowhere/movies", "movies"),
            ("/nowhere/My Movies (4K)/", "My-Movies-4K"),
            ("/nowhere/фильмы", "share"),
            ("/", "share"),
        ] {
            assert_eq!(folder_name(Path::new(dir)), name, "{dir}");
        }
    }

    #[test]
    fn a_guessed_name_never_takes_the_place_of_another_share() {
        let file: Table = "[shares.movies]\npath = '/data/movies'".parse().unwrap();
        let read = |name: Option<&str>, dir: &str| {
            let shares = vec![(name.map(str::to_owned), PathBuf::from(dir))];
            read(&Overrides { shares, ..Overrides::default() }, Path::new("/"), &[&file])
        };
        let findings = |(mut layer, _): (Layer, Flags)| layer.take_findings().0.len();
        assert_eq!(findings(read(None, "/other/movies")), 1);
        assert_eq!(findings(read(None, "/data/movies")), 0);
        assert_eq!(findings(read(Some("movies"), "/other/movies")), 0);
    }
}
