//! The state directory: the database, the admin key, and the lock that keeps a second daemon out.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
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

/// The admin key of `STATE/admin.key`, written on the first start.
///
/// # Errors
/// When the file can neither be read nor made, or is empty.
pub fn admin_key(state: &Path) -> anyhow::Result<Secret> {
    let path = state.join("admin.key");
    match std::fs::read_to_string(&path) {
        Ok(text) if text.trim().is_empty() => {
            anyhow::bail!("{} is empty; delete it and a new key is made at the next start", path.display())
        }
        Ok(text) => return Ok(Secret::new(text.trim())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
    let key = new_key()?;
    write_private(&path, format!("{key}\n").as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Secret::new(key))
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

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
        std::fs::write(state.join("admin.key"), "\n").unwrap();
        assert!(admin_key(&state).is_err(), "an empty key opens nothing");
    }
}
