//! The state directory: the database, the admin key, and the lock that keeps a second daemon out.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::Context;

use crate::config::Secret;

/// Creates `dir` for this user alone, parents as usual. An existing directory keeps its permissions.
///
/// # Errors
/// When the directory cannot be made.
pub fn create_private(dir: &Path) -> anyhow::Result<()> {
    if let Some(parent) = dir.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    }
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        result => result.with_context(|| format!("cannot create {}", dir.display())),
    }
}

/// The admin key of `STATE/admin.key`, written on the first start. A file that others may read or write is a warning.
///
/// # Errors
/// When the file can neither be read nor made, or holds nothing that could be a key.
pub fn admin_key(state: &Path) -> anyhow::Result<Secret> {
    let path = state.join("admin.key");
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let key = checked(text.trim(), &path)?;
            if path.metadata().is_ok_and(|file| file.permissions().mode() & 0o077 != 0) {
                let path = path.display();
                tracing::warn!("{path} is open to others, who could rule this daemon; run: chmod 600 {path}");
            }
            return Ok(key);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
    let key = new_key()?;
    write_private(&path, format!("{key}\n").as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Secret::new(key))
}

fn checked(key: &str, path: &Path) -> io::Result<Secret> {
    let trouble = match key.len() {
        0 => "is empty".to_owned(),
        len if len < MIN_ADMIN_KEY => format!("holds {len} characters, which can be guessed"),
        _ if !key.bytes().all(|byte| byte.is_ascii_graphic()) => "holds no key that could be sent".to_owned(),
        _ => return Ok(Secret::new(key)),
    };
    let message = format!("{} {trouble}; delete it and a new key is made at the next start", path.display());
    Err(io::Error::new(io::ErrorKind::InvalidData, message))
}

/// Writes a file that only its owner may read, over one of that name. A crash leaves the old one or the new one.
///
/// # Errors
/// The system's, when the directory cannot be written.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        // Made anew, so that the permissions are ours and not those of something left there.
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    std::fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// A new key, behind a prefix that secret scanners can look for.
///
/// # Errors
/// When the system gives no randomness.
pub fn new_key() -> anyhow::Result<String> {
    random_token("prd_")
}

/// 256 random bits in URL-safe characters behind `prefix`.
///
/// # Errors
/// When the system gives no randomness.
pub fn random_token(prefix: &str) -> anyhow::Result<String> {
    use std::fmt::Write;
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no randomness for a key: {error}"))?;
    Ok(bytes.iter().fold(prefix.to_owned(), |mut key, byte| {
        let _ = write!(key, "{byte:02x}");
        key
    }))
}

/// Characters of an admin key that somebody chose.
const MIN_ADMIN_KEY: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_admin_key_is_made_once_and_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("a/state");
        create_private(&state).unwrap();
        create_private(&state).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&state), 0o700);
        let key = admin_key(&state).unwrap();
        assert_eq!(mode(&state.join("admin.key")), 0o600);
        assert_eq!(key.expose().len(), 4 + 64);
        assert_eq!(admin_key(&state).unwrap().expose(), key.expose(), "the same after a restart");
        for text in ["", "\n", "short", "fifteen-letters", "two words and\nlines"] {
            std::fs::write(state.join("admin.key"), text).unwrap();
            let error = admin_key(&state).unwrap_err();
            let named = error.to_string().contains("state/admin.key");
            assert!(named && error.is::<io::Error>(), "{text}: {error}");
        }
        std::fs::write(state.join("admin.key"), "a-key-of-my-own-choice\n").unwrap();
        assert!(admin_key(&state).is_ok());
    }
}
