//! `[hooks.NAME]`: what is run, or told, when something happens.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::duration;
use super::keys::key;
use super::secret::Secret;
use super::section::{Section, section};
use super::validate::Verdict;

/// `[hooks.NAME]`: a program that is run, or an address that is told. Exactly one of the two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookConfig {
    /// The program and its arguments; no shell. Default none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// The address that is sent a POST; a secret, because such addresses often are. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Secret>,
    /// Names of the events it is for. Default `["download.completed", "download.failed"]`.
    #[serde(default = "the_end")]
    pub events: Vec<EventName>,
    /// What the body sent to `url` is signed with. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// How long the program, or one try of the request, may take; above zero. Default `10s`.
    #[serde(default = "ten_seconds", with = "duration")]
    pub timeout: Duration,
}

/// The name of an event.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventName(String);

impl EventName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The section `[hooks]`.
pub(crate) const HOOKS: Section = section(
    "hooks",
    "what is run or told when something happens",
    &[
        key::<Vec<String>>(
            "hooks.NAME.command",
            "list of text",
            "a program and its arguments, without a shell; a hook has either this or a `url`",
        )
        .example(r#"["/usr/local/bin/shelve", "--quiet"]"#),
        key::<Secret>(
            "hooks.NAME.url",
            "secret",
            "an `http` or `https` address that is sent a POST; masked, because such addresses often hold a token; `\"\"` is none",
        )
        .example(NO_SECRET),
        key::<Vec<EventName>>(
            "hooks.NAME.events",
            "list of events",
            "what it is for: every event there is but `snapshot`",
        ),
        key::<Secret>("hooks.NAME.secret", "secret", "what bodies sent to `url` are signed with; `\"\"` is none")
            .example(NO_SECRET),
        key::<Duration>(
            "hooks.NAME.timeout",
            "duration, above 0",
            "time for the program, or for one try of the request",
        ),
    ],
)
.of_entries_like("shelve")
.judged_by(Verdict::hooks);

const NO_SECRET: &str = r#""""#;

fn the_end() -> Vec<EventName> {
    ["download.completed", "download.failed"].map(|name| EventName(name.to_owned())).into()
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}
