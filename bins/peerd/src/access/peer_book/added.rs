//! One peer that was added while the daemon ran: what the registry keeps of it, and what lies in files beside.

use download_registry::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::view::{PeerView, configured_view};
use crate::access::Origin;
use crate::access::secrets::{Found, Secrets};
use crate::config::PeerConfig;
use crate::moment::rfc3339;

#[derive(Clone)]
pub(super) struct Added {
    pub(super) config: PeerConfig,
    /// What its `ca_file` was made of, if it has one.
    pub(super) ca: Option<String>,
    pub(super) created_at: Timestamp,
    /// What is wrong with it, and what to do.
    pub(super) trouble: Option<String>,
}

/// What the registry keeps of a peer.
#[derive(Serialize, Deserialize)]
struct Record {
    /// As in the configuration, without key, headers and `ca_file`.
    peer: Value,
    /// Whether there is a file with secrets.
    secrets: bool,
    /// Whether there is a file with certificates. Where it lies depends on the state directory, which may move.
    #[serde(default)]
    ca: bool,
    created_at: i64,
}

impl Added {
    pub(super) fn read(name: &str, value: &str, secrets: &Secrets) -> Option<Self> {
        let record: Record = serde_json::from_str(value).ok()?;
        let mut config: PeerConfig = serde_json::from_value(record.peer).ok()?;
        let found = if record.secrets { secrets.read(name, &mut config) } else { Found::Whole };
        let trouble = match found {
            Found::Whole => None,
            Found::Exposed(trouble) | Found::Missing(trouble) => Some(trouble),
        };
        if record.ca {
            config.ca_file = secrets.ca_file(name);
        }
        // One that is gone is told of when it is to be used.
        let ca = text_of_ca(&config);
        Some(Self { config, ca, created_at: Timestamp::from_millis(record.created_at), trouble })
    }

    /// Whether `asked`, certificates aside, is this one: at the same address, and nothing that is said differs.
    pub(super) fn is_meant_by(&self, asked: &PeerConfig) -> bool {
        let known = &self.config;
        let unsaid = serde_json::from_value::<PeerConfig>(serde_json::json!({ "url": asked.url }));
        unsaid.is_ok_and(|unsaid| {
            known.url == asked.url
                && (asked.key.is_none() || asked.key == known.key)
                && (asked.headers.is_empty() || asked.headers == known.headers)
                && [known.max_concurrent, unsaid.max_concurrent].contains(&asked.max_concurrent)
                && [known.limit_down, unsaid.limit_down].contains(&asked.limit_down)
        })
    }

    pub(super) fn record(&self, secrets: bool) -> String {
        let mut peer = serde_json::to_value(&self.config).unwrap_or_default();
        if let Value::Object(settings) = &mut peer {
            settings.remove("key");
            settings.remove("headers");
            settings.remove("ca_file");
        }
        let ca = self.config.ca_file().is_some();
        let record = Record { peer, secrets, ca, created_at: self.created_at.as_millis() };
        serde_json::to_string(&record).expect("a document and a number")
    }

    pub(super) fn view(&self, name: &str) -> PeerView {
        PeerView {
            created_at: Some(rfc3339(self.created_at.into())),
            origin: Origin::Registry,
            error: self.trouble.clone(),
            ..configured_view(name, &self.config)
        }
    }
}

/// What the copy of its certificates holds now.
pub(super) fn text_of_ca(config: &PeerConfig) -> Option<String> {
    std::fs::read_to_string(config.ca_file()?).ok()
}
