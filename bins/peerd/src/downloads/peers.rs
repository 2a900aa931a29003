//! The peers we know, by name: a directory that may change while the daemon runs.
//!
//! Whoever begins something with a peer takes it out of the directory and keeps what it took: a transfer that runs
//! ends with the address and the key it began with. A rate limit belongs to the name, and holds at once.

mod asking;
mod health;
mod item;
mod look;
mod metadata;
mod naming;
mod offer;
mod peer;
mod probe;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use retry_kit::{Clock, SharedClock};
use tokio::sync::Notify;

use self::health::Health;
use crate::config::PeerConfig;
use crate::outbound::Ways;

pub use asking::AskError;
pub(super) use health::{Change, News};
pub use item::{Item, ItemError};
pub(super) use metadata::{Metadata, PeerError};
pub use offer::{Offer, OfferQuery, OfferedItem};
pub use peer::{Draft, Peer, UnusablePeer};
pub(crate) use probe::MAX_SKEW;
pub use probe::{Check, Outcome, Probe};

/// Every peer by name. Clones are the same directory.
#[derive(Clone)]
pub struct Peers {
    shared: Arc<Directory>,
}

struct Directory {
    known: RwLock<BTreeMap<String, Known>>,
    ways: Ways,
    clock: SharedClock,
    /// Something changed that may let a row run.
    changed: Notify,
    /// The turn to read a whole catalogue: each may be large, and a stranger wrote it.
    catalogue: tokio::sync::Mutex<()>,
}

/// A peer, and what was heard of it.
struct Known {
    peer: Arc<Peer>,
    health: Health,
    /// Why it is away, or was the last time.
    reason: String,
    /// Wakes whoever looks for it, if anybody does.
    watch: Option<Arc<Notify>>,
    /// Whoever looks for it rests, because nobody wants anything of it.
    rests: bool,
}

/// What comes of news about a peer.
pub(super) struct Heard {
    /// What others are to be told.
    pub(super) change: Option<Change>,
    /// It is missed, and nobody looks for it yet: whoever hears this is to, and is woken by this.
    pub(super) to_be_watched: Option<Arc<Notify>>,
}

impl Peers {
    /// Begins with the peers of the configuration.
    ///
    /// # Errors
    /// When a key or header cannot be sent, or a `ca_file` cannot be used.
    pub fn new(
        config: &BTreeMap<String, PeerConfig>,
        ways: Ways,
        clock: SharedClock,
    ) -> Result<Self, UnusablePeer> {
        let peer = |(name, config): (&String, &PeerConfig)| {
            let draft = Draft::new(name, config.clone(), None, &ways)?;
            Ok((name.clone(), Known::new(Peer::new(draft, None, &clock))))
        };
        let known = RwLock::new(config.iter().map(peer).collect::<Result<_, _>>()?);
        let (changed, catalogue) = (Notify::new(), tokio::sync::Mutex::default());
        Ok(Self { shared: Arc::new(Directory { known, ways, clock, changed, catalogue }) })
    }

    /// The peer of this name, as it is now.
    pub fn get(&self, name: &str) -> Option<Arc<Peer>> {
        self.shared.known().get(name).map(|known| Arc::clone(&known.peer))
    }

    /// All of them, by name.
    pub fn all(&self) -> Vec<(String, Arc<Peer>)> {
        self.shared.known().iter().map(|(name, known)| (name.clone(), Arc::clone(&known.peer))).collect()
    }

    /// Adds a peer, or puts it in the place of the one of that name; tells whether that changed anything.
    ///
    /// What begins from now on goes to the new one. What runs keeps address, key and headers; the new rate holds for
    /// it as well, and no more than the new number of transfers is begun beside it.
    ///
    /// # Errors
    /// When a key or header cannot be sent, or the `ca_file`, which is read anew, cannot be used; then all is as before.
    pub fn replace(&self, name: &str, config: PeerConfig) -> Result<bool, UnusablePeer> {
        Ok(self.put(self.draft(name, config)?))
    }

    /// Does all of [`Peers::replace`] that can fail, and changes nothing; blocks.
    ///
    /// # Errors
    /// When a key or header cannot be sent, or the `ca_file` cannot be used.
    pub fn draft(&self, name: &str, config: PeerConfig) -> Result<Draft, UnusablePeer> {
        Draft::new(name, config, self.get(name).as_deref(), &self.shared.ways)
    }

    /// Does the rest of it.
    pub fn put(&self, draft: Draft) -> bool {
        let mut known = self.shared.known_mut();
        let before = known.get(draft.name()).map(|known| Arc::clone(&known.peer));
        if before.as_ref().is_some_and(|before| draft.is_as(before)) {
            return false;
        }
        let name = draft.name().to_owned();
        let peer = Peer::new(draft, before.as_deref(), &self.shared.clock);
        match known.get_mut(&name) {
            Some(known) => known.become_another(peer),
            None => drop(known.insert(name, Known::new(peer))),
        }
        self.shared.changed.notify_one();
        true
    }

    /// Forgets a peer; tells whether there was one. What runs with it goes on.
    pub fn remove(&self, name: &str) -> bool {
        let gone = self.shared.known_mut().remove(name);
        // Nobody is left to be looked for, also if one of that name comes again.
        if let Some(watch) = gone.as_ref().and_then(|gone| gone.watch.as_ref()) {
            watch.notify_one();
        }
        gone.is_some()
    }

    /// Whether a peer answered last; `None` as long as nobody has asked it anything.
    pub fn is_up(&self, name: &str) -> Option<bool> {
        self.shared.known().get(name).and_then(|known| known.health.is_up())
    }

    /// The same; also `None` for one that is missed while nobody wants anything of it: it is not asked any more, so
    /// nobody would notice that it is back.
    pub fn is_up_as_asked(&self, name: &str) -> Option<bool> {
        let known = self.shared.known();
        known.get(name).and_then(|known| known.health.is_up().filter(|up| *up || !known.rests))
    }

    /// Notes whether whoever looks for a peer that is missed rests, because nobody wants anything of it.
    pub(super) fn rest(&self, name: &str, rests: bool) {
        if let Some(known) = self.shared.known_mut().get_mut(name) {
            known.rests = rests;
        }
    }

    /// Why a peer cannot be reached; `None` when it can, or nobody knows.
    pub(super) fn absent(&self, name: &str) -> Option<String> {
        let known = self.shared.known();
        known.get(name).filter(|known| known.health.is_up() == Some(false)).map(|known| known.reason.clone())
    }

    /// Takes in what a request to `peer` showed; `None` if that is not the peer of its name any more.
    pub(super) fn heard_of(&self, peer: &Peer, news: News, reason: &str) -> Option<Heard> {
        let mut known = self.shared.known_mut();
        let known =
            known.get_mut(peer.name()).filter(|known| known.peer.config().url == peer.config().url)?;
        let (health, change) = known.health.after(news, self.shared.clock.now());
        known.health = health;
        // Somebody has just asked.
        known.rests = false;
        if change == Some(Change::Down) {
            reason.clone_into(&mut known.reason);
        }
        let to_be_watched = (health.is_missed() && known.watch.is_none())
            .then(|| Arc::clone(known.watch.insert(Arc::default())));
        Some(Heard { change, to_be_watched })
    }

    /// The number of the next look, 0 for one at once that settles a doubt. `None` ends this watch: it is not missed, or
    /// not the peer that was.
    pub(super) fn next_look(&self, name: &str, watch: &Arc<Notify>) -> Option<u32> {
        let mut known = self.shared.known_mut();
        let known = known.get_mut(name)?;
        if !known.watch.as_ref().is_some_and(|its| Arc::ptr_eq(its, watch)) {
            return None;
        }
        known.health = known.health.looking();
        match known.health {
            Health::Down { looks } => Some(looks),
            Health::Doubtful | Health::Moved => Some(0),
            Health::Unknown | Health::Up { .. } => {
                known.watch = None;
                None
            }
        }
    }

    /// Resolves when rows may run that might not before.
    pub(super) async fn changed(&self) {
        self.shared.changed.notified().await;
    }
}

impl Known {
    fn new(peer: Peer) -> Self {
        Self {
            peer: Arc::new(peer),
            health: Health::default(),
            reason: String::new(),
            watch: None,
            rests: false,
        }
    }

    /// At another address it is as if nobody had asked it yet; who looks for it does so there, at once.
    fn become_another(&mut self, peer: Peer) {
        let moved = self.peer.config().url != peer.config().url;
        self.peer = Arc::new(peer);
        if moved {
            self.health = self.health.moved();
            if let Some(watch) = &self.watch {
                watch.notify_one();
            }
        }
    }
}

impl Directory {
    fn known(&self) -> RwLockReadGuard<'_, BTreeMap<String, Known>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Known>> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;
    use std::time::Duration;

    use retry_kit::{ManualClock, Rate};
    use serde_json::{Value, json};

    use super::*;
    use crate::config::Secret;

    fn directory(peers: &[(&str, PeerConfig)]) -> Peers {
        let ways = Ways::new(Duration::from_secs(10)).unwrap();
        let peers = peers.iter().map(|(name, config)| ((*name).to_owned(), config.clone())).collect();
        Peers::new(&peers, ways, Arc::new(ManualClock::new())).unwrap()
    }

    fn config(document: Value) -> PeerConfig {
        serde_json::from_value(document).unwrap()
    }

    fn names(peers: &Peers) -> Vec<String> {
        peers.all().into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn a_peer_can_be_added_replaced_and_removed_while_others_look_at_it() {
        let at = |url: &str| config(json!({ "url": url }));
        let peers = directory(&[("bob", at("http://one.example/"))]);
        let elsewhere = peers.clone();
        let began_with = elsewhere.get("bob").unwrap();
        assert!(peers.replace("alice", at("http://alice.example/")).unwrap());
        assert!(peers.replace("bob", at("http://two.example/")).unwrap());
        assert_eq!(names(&elsewhere), ["alice", "bob"]);
        let url = |peer: &Peer| peer.file_url("m");
        assert_eq!(url(&elsewhere.get("bob").unwrap()), "http://two.example/peer/items/m/file");
        assert_eq!(
            url(&began_with),
            "http://one.example/peer/items/m/file",
            "what runs keeps what it began with"
        );
        assert!(peers.remove("bob") && !peers.remove("bob"));
        assert!(elsewhere.get("bob").is_none());
        assert_eq!(url(&began_with), "http://one.example/peer/items/m/file");
    }

    #[test]
    fn a_peer_that_is_the_same_as_before_is_not_touched() {
        let bob = config(json!({ "url": "http://bob.example/", "key": "k", "limit_down": 1000 }));
        let peers = directory(&[("bob", bob.clone())]);
        let before = peers.get("bob").unwrap();
        assert!(!peers.replace("bob", bob).unwrap());
        assert!(Arc::ptr_eq(&before, &peers.get("bob").unwrap()));
    }

    #[test]
    fn a_limit_belongs_to_the_name_and_a_new_rate_holds_for_what_runs() {
        let limited = |url: &str, limit: u64| config(json!({ "url": url, "limit_down": limit }));
        let rate = |peer: &Peer| peer.limit_down.rate();
        let rate_of = |bytes| Rate::from(NonZeroU64::new(bytes));
        let peers = directory(&[("bob", limited("http://one.example/", 1000))]);
        let began_with = peers.get("bob").unwrap();
        peers.replace("bob", limited("http://two.example/", 1000)).unwrap();
        peers.replace("bob", limited("http://two.example/", 500)).unwrap();
        assert_eq!(rate(&began_with), rate_of(500), "together they take no more than is allowed");
        peers.replace("bob", limited("http://two.example/", 0)).unwrap();
        assert_eq!(rate(&began_with), rate_of(0));
    }

    #[test]
    fn a_peer_that_cannot_be_used_changes_nothing() {
        let bob = config(json!({ "url": "http://bob.example/" }));
        let peers = directory(&[("bob", bob.clone())]);
        let unusable = PeerConfig { key: Some(Secret::new("two\nlines")), ..bob };
        peers.replace("bob", unusable.clone()).unwrap_err();
        peers.replace("carol", unusable).unwrap_err();
        assert_eq!(names(&peers), ["bob"]);
        assert!(peers.get("bob").unwrap().headers().is_empty());
    }

    #[test]
    fn a_peer_has_one_who_looks_for_it_however_often_it_is_removed_and_added() {
        let bob = config(json!({ "url": "http://bob.example/" }));
        let peers = directory(&[("bob", bob.clone())]);
        let missed = || peers.heard_of(&peers.get("bob").unwrap(), News::Unreachable, "").unwrap();
        let first = missed().to_be_watched.unwrap();
        assert!(missed().to_be_watched.is_none(), "one is enough");
        assert_eq!(peers.next_look("bob", &first), Some(1));
        peers.remove("bob");
        peers.replace("bob", bob).unwrap();
        let second = missed().to_be_watched.unwrap();
        assert_eq!(peers.next_look("bob", &first), None, "the one it looked for is gone");
        assert_eq!(peers.next_look("bob", &second), Some(1));
        assert!(missed().to_be_watched.is_none(), "the end of the first is not the end of the second");
    }

    #[test]
    fn what_was_heard_at_one_address_says_nothing_about_another() {
        let at = |url: &str| config(json!({ "url": url }));
        let peers = directory(&[("bob", at("http://one.example/"))]);
        let watch = peers.heard_of(&peers.get("bob").unwrap(), News::Unreachable, "refused").unwrap();
        assert_eq!((peers.is_up("bob"), peers.absent("bob").as_deref()), (Some(false), Some("refused")));
        let slower = PeerConfig { limit_down: crate::config::ByteSize(1), ..at("http://one.example/") };
        peers.replace("bob", slower).unwrap();
        assert_eq!(peers.is_up("bob"), Some(false), "it is where it was");
        peers.replace("bob", at("http://two.example/")).unwrap();
        assert_eq!((peers.is_up("bob"), peers.absent("bob")), (None, None));
        assert_eq!(peers.next_look("bob", &watch.to_be_watched.unwrap()), Some(0), "at once");
    }
}
