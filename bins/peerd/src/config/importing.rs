//! `[import.NAME]`: who takes finished files over, and which of them.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use globset::{GlobBuilder, GlobMatcher};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;
use url::Url;

use super::keys::key;
use super::peer_url::{PeerUrl, PeerUrlError};
use super::secret::Secret;
use super::section::{Section, section};
use super::validate::Verdict;

/// `[import.NAME]`: a program that takes finished files over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportConfig {
    /// Which program it is. Required.
    pub kind: ImportKind,
    /// Where it answers, with its URL base if it has one. Required.
    pub url: ImporterUrl,
    /// Its API key. Required.
    pub key: Secret,
    /// Which downloads it takes that name no importer themselves. Default all.
    #[serde(default)]
    pub when: ImportWhen,
    /// How our paths are called on its side; the longest `from` wins. Default `[]`.
    #[serde(default)]
    pub path_map: Vec<PathMapping>,
    /// Whether a file counts as imported only once the importer's history shows it. Default `true`.
    #[serde(default = "yes")]
    pub confirm: bool,
}

/// The programs a file can be handed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImportKind {
    /// Films.
    Radarr,
    /// Episodes.
    Sonarr,
}

impl ImportKind {
    /// The word of the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Radarr => "radarr",
            Self::Sonarr => "sonarr",
        }
    }
}

/// Which downloads an importer takes: both a peer and a name must match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImportWhen {
    /// Patterns for the name of the peer; a download by URL has none, and only `*` matches that. Default `["*"]`.
    pub peers: Vec<String>,
    /// Patterns for the name of the file, in any case. Default `["**"]`.
    pub names: Vec<String>,
}

impl Default for ImportWhen {
    fn default() -> Self {
        Self { peers: vec!["*".to_owned()], names: vec!["**".to_owned()] }
    }
}

/// One rule of `path_map`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathMapping {
    /// An absolute path as we see it.
    pub from: PathBuf,
    /// The same place as the importer sees it: absolute, `C:\…` and `\\host\…` included.
    pub to: String,
}

/// Compiles a pattern of [`ImportWhen`].
pub(crate) fn pattern(text: &str) -> Result<GlobMatcher, globset::Error> {
    Ok(GlobBuilder::new(text).case_insensitive(true).build()?.compile_matcher())
}

/// The section `[import]`.
pub(crate) const IMPORT: Section = section(
    "import",
    "who takes finished files over",
    &[
        key::<ImportKind>("import.NAME.kind", "`radarr`, `sonarr`", "what answers there")
            .required(r#""radarr""#),
        key::<ImporterUrl>("import.NAME.url", "URL", "where it answers, with its URL base")
            .required(r#""http://radarr:7878""#),
        key::<Secret>(
            "import.NAME.key",
            "secret",
            "its API key; sent there and nowhere else, no redirect is followed",
        )
        .required(r#"{ env = "RADARR_KEY" }"#),
        key::<ImportWhen>(
            "import.NAME.when",
            "table of patterns",
            "what it takes by itself: both the peer and the name of the file must match, in any case; a download by URL \
             comes from no peer, which only `*` matches",
        ),
        key::<Vec<PathMapping>>(
            "import.NAME.path_map",
            "list of `{ from, to }`, both absolute",
            "how our paths are called on its side; `from` is ours, the longest one wins",
        ),
        key::<bool>(
            "import.NAME.confirm",
            "boolean",
            "a file counts as imported once the importer's history shows it; `false` trusts the end of the command",
        ),
    ],
)
.of_entries_like("radarr")
.judged_by(Verdict::imports);

/// Where an importer answers: the same form as the address of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImporterUrl(PeerUrl);

impl ImporterUrl {
    /// The URL to join relative paths to: its path ends with a slash.
    pub fn base(&self) -> &Url {
        self.0.base()
    }

    /// Whether what is sent there crosses the internet in the clear.
    pub fn is_plain_and_public(&self) -> bool {
        self.0.is_plain_and_public()
    }
}

impl FromStr for ImporterUrl {
    type Err = ImporterUrlError;

    fn from_str(text: &str) -> Result<Self, ImporterUrlError> {
        text.parse().map(Self).map_err(ImporterUrlError)
    }
}

/// The text as configured.
impl fmt::Display for ImporterUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for ImporterUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ImporterUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Why a text is not the address of an importer. The text is never repeated: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", match .0 {
    PeerUrlError::Malformed { source } => format!("not a URL: {source}"),
    PeerUrlError::Scheme { scheme } => format!("the URL begins with http:// or https://, not {scheme}:"),
    PeerUrlError::UserInfo => "the URL carries no user name or password; the API key belongs in `key`".to_owned(),
    PeerUrlError::Query => "the URL carries no query or fragment; the API key belongs in `key`".to_owned(),
})]
pub struct ImporterUrlError(PeerUrlError);

/// What must not be the name of an importer: in requests it means that nobody takes the file.
pub(crate) const NO_IMPORTER: &str = "none";

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_an_importer_is_refused_without_being_repeated() {
        for (text, said) in [
            ("radarr:7878", "the URL begins with http:// or https://, not radarr:"),
            ("http://", "not a URL: empty host"),
            (
                "http://me:pw@radarr/",
                "the URL carries no user name or password; the API key belongs in `key`",
            ),
            (
                "http://radarr/?apikey=pw",
                "the URL carries no query or fragment; the API key belongs in `key`",
            ),
        ] {
            assert_eq!(text.parse::<ImporterUrl>().unwrap_err().to_string(), said, "{text}");
        }
        let url: ImporterUrl = "http://nas:7878/radarr".parse().unwrap();
        assert_eq!(
            url.base().join("api/v3/command").unwrap().as_str(),
            "http://nas:7878/radarr/api/v3/command"
        );
    }

    #[test]
    fn patterns_match_in_any_case_and_a_star_matches_no_peer_at_all() {
        assert!(pattern("*.mkv").unwrap().is_match("Film.2024.MKV"));
        assert!(pattern("*").unwrap().is_match(""));
        assert!(!pattern("bob").unwrap().is_match(""));
        assert!(pattern("**").unwrap().is_match("Film.2024.mkv"));
        assert!(pattern("*S[0-9][0-9]E*").unwrap().is_match("show.s01e02.mkv"));
    }
}
