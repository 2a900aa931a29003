//! The secrets of added peers: one file each, below the state directory, that only its owner may read. The certificates
//! that are trusted for one lie beside it.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::{PeerConfig, Secret};
use crate::state_dir;

/// A directory of secrets, by the name of the peer.
#[derive(Clone, Debug)]
pub(super) struct Secrets {
    dir: PathBuf,
}

/// What is kept from everybody else.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Contents {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
}

/// What became of reading a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The secrets are in place.
    Whole,
    /// They are in place, and others on this machine can read them, too.
    Exposed(String),
    /// There is nothing to use.
    Missing(String),
}

impl Secrets {
    pub(super) fn below(state: &Path) -> Self {
        Self { dir: state.join("peers") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.json"))
    }

    /// Where the certificates that are trusted for a peer lie.
    pub(super) fn ca_file(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.pem"))
    }

    /// Keeps the certificates that are trusted for a peer; blocks.
    pub(super) fn write_ca(&self, name: &str, pem: &str) -> io::Result<()> {
        state_dir::create_private(&self.dir).map_err(io::Error::other)?;
        state_dir::write_private(&self.ca_file(name), pem.as_bytes())
    }

    /// Writes the secrets of a peer; blocks. Returns whether there are any.
    pub(super) fn write(&self, name: &str, config: &PeerConfig) -> io::Result<bool> {
        let expose = |secret: &Secret| secret.expose().to_owned();
        let contents = Contents {
            key: config.key.as_ref().map(expose),
            headers: config.headers.iter().map(|(name, value)| (name.clone(), expose(value))).collect(),
        };
        if contents.key.is_none() && contents.headers.is_empty() {
            self.remove(name)?;
            return Ok(false);
        }
        state_dir::create_private(&self.dir).map_err(io::Error::other)?;
        let text = serde_json::to_vec(&contents).map_err(io::Error::other)?;
        state_dir::write_private(&self.path(name), &text)?;
        Ok(true)
    }

    /// Puts the secrets of a peer into its configuration; blocks.
    pub(super) fn read(&self, name: &str, config: &mut PeerConfig) -> Found {
        let path = self.path(name);
        let missing = |why: String| {
            let shown = path.display();
            Found::Missing(format!(
                "its secrets cannot be used ({shown}: {why}); remove the peer and add it again"
            ))
        };
        let (text, mode) = match read(&path) {
            Ok(read) => read,
            Err(error) => return missing(error.to_string()),
        };
        // What the file holds must not show in a message, so neither does the parser's.
        let Ok(Contents { key, headers }) = serde_json::from_str(&text) else {
            return missing("not as it was written".to_owned());
        };
        config.key = key.map(Secret::new);
        config.headers = headers.into_iter().map(|(name, value)| (name, Secret::new(value))).collect();
        if mode & 0o077 == 0 {
            return Found::Whole;
        }
        let shown = path.display();
        Found::Exposed(format!("others on this machine can read its secrets; type: chmod 600 {shown}"))
    }

    /// Removes what is kept of a peer, if there is anything; blocks.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        gone(&self.path(name))?;
        self.remove_ca(name)
    }

    /// Removes the certificates that are trusted for a peer, if there are any; blocks.
    pub(super) fn remove_ca(&self, name: &str) -> io::Result<()> {
        gone(&self.ca_file(name))
    }
}

fn gone(file: &Path) -> io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn read(path: &Path) -> io::Result<(String, u32)> {
    let file = std::fs::File::open(path)?;
    let mode = file.metadata()?.permissions().mode();
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok((text, mode))
}

/// More than a request with secrets may have.
const MAX_BYTES: u64 = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(document: serde_json::Value) -> PeerConfig {
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn secrets_lie_where_only_their_owner_can_read_them() {
        let state = tempfile::tempdir().unwrap();
        let secrets = Secrets::below(state.path());
        let bob = peer(serde_json::json!({ "url": "http://bob/", "key": "k", "headers": { "x-a": "v" } }));
        assert!(secrets.write("bob", &bob).unwrap());
        let mode = |path: PathBuf| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(state.path().join("peers")), mode(secrets.path("bob"))), (0o700, 0o600));
        let mut again = peer(serde_json::json!({ "url": "http://bob/" }));
        assert_eq!(secrets.read("bob", &mut again), Found::Whole);
        assert_eq!(again, bob);
        std::fs::set_permissions(secrets.path("bob"), PermissionsExt::from_mode(0o644)).unwrap();
        assert!(matches!(secrets.read("bob", &mut again), Found::Exposed(why) if why.contains("chmod 600")));
        secrets.write("bob", &bob).unwrap();
        assert_eq!(mode(secrets.path("bob")), 0o600, "written anew, whatever was there");
        secrets.remove("bob").unwrap();
        secrets.remove("bob").unwrap();
        assert!(matches!(secrets.read("bob", &mut again), Found::Missing(_)));
    }

    #[test]
    fn a_damaged_file_is_not_repeated() {
        let state = tempfile::tempdir().unwrap();
        let secrets = Secrets::below(state.path());
        let mut bob = peer(serde_json::json!({ "url": "http://bob/", "key": "k" }));
        secrets.write("bob", &bob).unwrap();
        std::fs::write(secrets.path("bob"), r#"{"key": 5, "hidden": "#).unwrap();
        assert!(matches!(secrets.read("bob", &mut bob), Found::Missing(why) if !why.contains("hidden")));
        assert!(!secrets.write("carol", &peer(serde_json::json!({ "url": "http://carol/" }))).unwrap());
        assert!(!secrets.path("carol").exists(), "no secrets, no file");
    }
}
