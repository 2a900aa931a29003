//! Secrets: where a key comes from, and a wrapper that never prints it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;
use toml::Value;

/// A key or another value that must not appear in logs, errors or `config show`.
///
/// `Debug` and `Serialize` write `***`. Comparing two secrets is meant for finding what a reload changed; a key that
/// somebody presented is checked in constant time elsewhere.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value as it is.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself. What is called with it must not print it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

/// Where the configuration says a secret is to be found.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum SecretSource {
    /// `key = "…"`
    Literal(String),
    /// `key = { env = "X" }`
    Environment(String),
    /// `key = { file = "/abs" }`
    File(PathBuf),
    /// `key = { credential = "x" }`: a file in `$CREDENTIALS_DIRECTORY`, as the service manager passes them.
    Credential(String),
}

impl SecretSource {
    /// Reads what stands in the configuration. The message never repeats a value.
    pub(crate) fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(text) => Ok(Self::Literal(text.clone())),
            Value::Integer(number) => Ok(Self::Literal(number.to_string())),
            Value::Boolean(flag) => Ok(Self::Literal(flag.to_string())),
            Value::Float(number) => Ok(Self::Literal(number.to_string())),
            Value::Table(table) => {
                let mut entries = table.iter();
                let (Some((kind, Value::String(name))), None) = (entries.next(), entries.next()) else {
                    return Err(EXPECTED.to_owned());
                };
                match kind.as_str() {
                    "env" if !name.is_empty() => Ok(Self::Environment(name.clone())),
                    "file" if Path::new(name).is_absolute() => Ok(Self::File(name.into())),
                    "file" => Err(format!("the file of a secret must be an absolute path, not {name:?}")),
                    "credential" if plain_file_name(name) => Ok(Self::Credential(name.clone())),
                    "credential" => Err(format!("a credential is a plain file name, not {name:?}")),
                    _ => Err(EXPECTED.to_owned()),
                }
            }
            _ => Err(EXPECTED.to_owned()),
        }
    }

    /// Whether the configuration holds the secret itself.
    pub(crate) fn is_literal(&self) -> bool {
        matches!(self, Self::Literal(_))
    }

    /// Fetches the secret. One trailing line end is dropped, because files end with one.
    ///
    /// # Errors
    /// [`SecretError`] names the variable or the path, never the value.
    pub(crate) fn resolve(&self, environment: &BTreeMap<String, OsString>) -> Result<Secret, SecretError> {
        match self {
            Self::Literal(text) => usable(text, || "the secret".to_owned()),
            Self::Environment(name) => {
                let value = environment.get(name).ok_or_else(|| SecretError::Unset { name: name.clone() })?;
                let what = || format!("environment variable {name}");
                usable(value.to_str().ok_or_else(|| SecretError::NotText { what: what() })?, what)
            }
            Self::File(path) => read(path),
            Self::Credential(name) => {
                let directory = environment
                    .get("CREDENTIALS_DIRECTORY")
                    .ok_or_else(|| SecretError::NoCredentials { name: name.clone() })?;
                read(&Path::new(directory).join(name))
            }
        }
    }
}

/// Why a secret could not be fetched.
#[derive(Debug, Error)]
pub(crate) enum SecretError {
    #[error("environment variable {name} is not set")]
    Unset { name: String },
    #[error("credential {name}: $CREDENTIALS_DIRECTORY is not set")]
    NoCredentials { name: String },
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{what} is empty")]
    Empty { what: String },
    #[error("{what} is not UTF-8 text")]
    NotText { what: String },
    #[error("{what} is longer than 64 KiB")]
    TooLong { what: String },
    #[error(
        "{what} holds a character that cannot travel in a header (a line break inside, a space at an end, or not ASCII)"
    )]
    NotAHeader { what: String },
}

impl SecretError {
    /// What to do about it.
    pub(crate) fn help(&self) -> Option<String> {
        Some(match self {
            Self::Unset { name } => {
                format!("set {name} where peerd is started, or name a file: {{ file = \"/path\" }}")
            }
            Self::NoCredentials { name } => {
                format!("let the service manager pass it: LoadCredential={name}:/path")
            }
            Self::Read { path, source } if source.kind() == io::ErrorKind::NotFound => {
                format!("put the secret into {}, or name the file it is in", path.display())
            }
            Self::Read { path, .. } => format!("let the user peerd runs as read {}", path.display()),
            Self::Empty { .. } => "put the secret there; both sides need the same one".to_owned(),
            _ => return None,
        })
    }
}

fn read(path: &Path) -> Result<Secret, SecretError> {
    let failed = |source| SecretError::Read { path: path.to_owned(), source };
    let what = || path.display().to_string();
    let mut bytes = Vec::new();
    // Bounded, so that a path to the wrong file (or to a device) cannot fill memory.
    File::open(path).map_err(failed)?.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(SecretError::TooLong { what: what() });
    }
    let text = String::from_utf8(bytes).map_err(|_| SecretError::NotText { what: what() })?;
    usable(&text, what)
}

/// Refuses what could never be sent: better now than as an odd failure of every request.
fn usable(text: &str, what: impl Fn() -> String) -> Result<Secret, SecretError> {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err(SecretError::Empty { what: what() });
    }
    let in_header = |c: char| c.is_ascii_graphic() || c == ' ';
    if text.trim() != text || !text.chars().all(in_header) {
        return Err(SecretError::NotAHeader { what: what() });
    }
    Ok(Secret::new(text))
}

fn plain_file_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0'])
}

const EXPECTED: &str =
    "a secret is a string, { env = \"NAME\" }, { file = \"/path\" } or { credential = \"name\" }";
const MAX_BYTES: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn source(toml: &str) -> Result<SecretSource, String> {
        let table: toml::Table = toml.parse().expect("test text is TOML");
        SecretSource::from_value(&table["key"])
    }

    fn resolve(toml: &str, environment: &[(&str, &str)]) -> Result<String, String> {
        let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), OsString::from(v))).collect();
        let secret = source(toml)?.resolve(&environment).map_err(|e| e.to_string())?;
        Ok(secret.expose().to_owned())
    }

    #[test]
    fn neither_debug_nor_serialized_form_shows_the_value() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?}"), "Secret(***)");
        assert_eq!(Value::try_from(&secret), Ok(Value::from("***")));
    }

    #[test]
    fn a_secret_comes_from_text_a_variable_a_file_or_a_credential() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bob");
        std::fs::write(&path, "from-file\n").unwrap();
        let file = format!("key = {{ file = {:?} }}", path.display().to_string());
        let directory = dir.path().display().to_string();
        assert_eq!(resolve("key = 'plain'", &[]), Ok("plain".to_owned()));
        assert_eq!(resolve("key = 12345", &[]), Ok("12345".to_owned()));
        assert_eq!(resolve("key = true", &[]), Ok("true".to_owned()));
        assert_eq!(resolve("key = { env = 'K' }", &[("K", "from-env\r\n")]), Ok("from-env".to_owned()));
        assert_eq!(resolve(&file, &[]), Ok("from-file".to_owned()));
        let environment = [("CREDENTIALS_DIRECTORY", directory.as_str())];
        assert_eq!(resolve("key = { credential = 'bob' }", &environment), Ok("from-file".to_owned()));
    }

    #[test]
    fn a_secret_that_cannot_be_fetched_names_where_it_was_looked_for() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing").display().to_string();
        let error = resolve(&format!("key = {{ file = {missing:?} }}"), &[]).unwrap_err();
        assert!(error.contains(&missing), "{error}");
        assert_eq!(resolve("key = { env = 'K' }", &[]).unwrap_err(), "environment variable K is not set");
        let error = resolve("key = { credential = 'bob' }", &[]).unwrap_err();
        assert_eq!(error, "credential bob: $CREDENTIALS_DIRECTORY is not set");
        assert_eq!(
            resolve("key = { env = 'K' }", &[("K", "")]).unwrap_err(),
            "environment variable K is empty"
        );
    }

    #[test]
    fn a_secret_no_header_can_carry_is_refused_without_being_shown() {
        for text in ["two\nlines", " padded ", "schlüssel"] {
            let error = resolve("key = { env = 'K' }", &[("K", text)]).unwrap_err();
            assert!(error.starts_with("environment variable K holds a character"), "{error}");
            assert!(!error.contains(text), "{error}");
        }
    }

    #[test]
    fn any_other_form_is_refused() {
        for toml in ["key = []", "key = {}", "key = { env = 'A', file = '/b' }", "key = { evn = 'A' }"] {
            assert_eq!(source(toml).err().as_deref(), Some(EXPECTED), "{toml}");
        }
        assert!(source("key = { file = 'relative' }").is_err());
        assert!(source("key = { credential = '../x' }").is_err());
    }
}
