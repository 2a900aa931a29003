//! Peers by the names other machines have for them.

use sha2::{Digest, Sha256};

use super::Peers;

impl Peers {
    /// The name of the peer that is called so; else of the one with this id, by which stub files may name it: the
    /// first eight hex digits of the SHA-256 of its configured URL.
    pub fn find(&self, name_or_id: &str) -> Option<String> {
        if self.get(name_or_id).is_some() {
            return Some(name_or_id.to_owned());
        }
        let all = self.all().into_iter();
        all.map(|(name, peer)| (name, id_of(peer.config().url.as_str())))
            .find_map(|(name, id)| id.eq_ignore_ascii_case(name_or_id).then_some(name))
    }

    /// Every name with its id, as `bob (33cf6f5d)`.
    pub fn names(&self) -> Vec<String> {
        let all = self.all().into_iter();
        all.map(|(name, peer)| format!("{name} ({})", id_of(peer.config().url.as_str()))).collect()
    }
}

/// Nothing is normalised: whoever wrote the id went by the text he had.
fn id_of(url: &str) -> String {
    let digest = Sha256::digest(url.as_bytes());
    digest[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::Duration;

    use retry_kit::ManualClock;

    use super::*;

    #[test]
    fn a_peer_is_found_by_its_name_or_by_the_digest_of_its_url_as_written() {
        for (url, id) in [("http://radarr:7878", "33cf6f5d"), ("http://radarr:7878/", "d979ce13")] {
            let bob = serde_json::from_value(serde_json::json!({ "url": url })).unwrap();
            let ways = crate::outbound::Ways::new(Duration::from_secs(10)).unwrap();
            let config = BTreeMap::from([("bob".to_owned(), bob)]);
            let peers = Peers::new(&config, ways, Arc::new(ManualClock::new())).unwrap();
            assert_eq!(peers.names(), [format!("bob ({id})")]);
            for named in ["bob", id, &id.to_uppercase()] {
                assert_eq!(peers.find(named).as_deref(), Some("bob"), "{named}");
            }
            assert_eq!((peers.find(&id[..7]), peers.find("Bob")), (None, None));
        }
    }
}
