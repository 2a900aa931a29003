//! The keys others show us: those of the configuration, and those made while the daemon runs.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use download_registry::{Registry, StorageError, Timestamp};
use retry_kit::SharedClock;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use super::{Origin, is_usable_name};
use crate::config::KeyConfig;
use crate::http::auth::{Key, KeyDigest, Keys};
use crate::library::Scope;
use crate::moment::rfc3339;
use crate::state_dir;

/// Every inbound key by name. A change holds from the next request on, also on connections that are open.
pub struct KeyRing {
    keys: Arc<Keys>,
    registry: Registry,
    clock: SharedClock,
    rings: Mutex<Rings>,
    /// One change at a time, so that the registry and what is in force are changed in the same order.
    changing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Rings {
    configured: BTreeMap<String, Entry>,
    added: BTreeMap<String, Entry>,
    used: BTreeMap<String, Use>,
}

#[derive(Clone)]
struct Entry {
    digest: KeyDigest,
    shares: Vec<String>,
    created_at: Option<Timestamp>,
}

/// The last minute a key was used in, and the one on record.
#[derive(Clone, Copy, Default)]
struct Use {
    minute: i64,
    saved: i64,
}

/// A key as the admin API shows it. Nothing in it opens anything.
#[derive(Clone, Debug, Serialize)]
pub struct KeyView {
    /// Whose it is.
    pub name: String,
    /// The shares it opens; `*` for all.
    pub shares: Vec<String>,
    /// When it was made; unknown of those of the configuration.
    pub created_at: Option<String>,
    /// When it was last used, to the minute.
    pub last_used: Option<String>,
    /// Where it is defined.
    pub origin: Origin,
}

/// A key just made, with the only copy of its secret.
#[derive(Clone)]
pub struct NewKey {
    /// What is kept of it.
    pub view: KeyView,
    /// What its holder sends.
    pub secret: String,
}

/// Why the ring was not changed.
#[derive(Debug, Error)]
pub enum KeyError {
    /// No key can be called that.
    #[error("{0:?} is not a name: use 1 to 64 of A-Z a-z 0-9 . _ -")]
    BadName(String),
    /// The configuration defines it.
    #[error("the key {0} is defined in the configuration; change it there")]
    DefinedInFile(String),
    /// There is one of that name.
    #[error("there is a key {0} already; revoke it first, or choose another name")]
    Taken(String),
    /// There is none of that name.
    #[error("no key is called {0}")]
    Unknown(String),
    /// It would open nothing.
    #[error("a key without shares opens nothing; leave shares out for all of them")]
    NoShares,
    /// A share that does not exist.
    #[error("there is no share {0:?}")]
    UnknownShare(String),
    /// Every request is compared with every key.
    #[error("there are {MAX_KEYS} keys already; revoke some")]
    Full,
    /// The system gave no randomness.
    #[error("{0:#}")]
    Randomness(anyhow::Error),
    /// The registry failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The daemon stopped before it was done.
    #[error("the daemon is stopping")]
    Stopping,
}

/// What the registry keeps of a key.
#[derive(Serialize, Deserialize)]
struct Record {
    digest: String,
    shares: Vec<String>,
    created_at: i64,
}

impl KeyRing {
    /// Opens the ring: the keys of the configuration and those of the registry. With `required` off, whoever shows
    /// none may ask as well.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub async fn open(
        registry: Registry,
        clock: SharedClock,
        required: bool,
        configured: &BTreeMap<String, KeyConfig>,
    ) -> Result<Arc<Self>, StorageError> {
        let mut rings = Rings::default();
        for (name, value) in registry.records(KIND).await? {
            match Entry::read(&value) {
                Some(entry) => drop(rings.added.insert(name, entry)),
                None => tracing::warn!(key = name, "the record of a key cannot be read; it opens nothing"),
            }
        }
        for (name, value) in registry.records(USED).await? {
            let minute = value.parse().unwrap_or_default();
            rings.used.insert(name, Use { minute, saved: minute });
        }
        let ring = Self {
            keys: Arc::new(Keys::new(required, [])),
            registry,
            clock,
            rings: Mutex::new(rings),
            changing: tokio::sync::Mutex::default(),
        };
        ring.configure(configured);
        Ok(Arc::new(ring))
    }

    /// What requests are held against.
    pub fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    /// Puts other keys of the configuration in force; those added here stay.
    pub fn configure(&self, configured: &BTreeMap<String, KeyConfig>) {
        let mut rings = self.rings();
        let entry = |(name, key): (&String, &KeyConfig)| (name.clone(), Entry::of(key));
        rings.configured = configured.iter().map(entry).collect();
        for (name, entry) in &rings.added {
            if rings.configured.contains_key(name) {
                tracing::warn!(
                    key = name,
                    "the configuration has a key of this name; the one made here is not used"
                );
            } else if let Some(of_file) = rings.configured_twin(entry) {
                tracing::warn!(
                    key = name,
                    "the key {of_file} of the configuration has the same secret; the one made here is not used"
                );
            }
        }
        self.keys.replace(rings.in_force());
    }

    /// All keys, by name.
    pub fn list(&self) -> Vec<KeyView> {
        let rings = self.rings();
        let mut views: BTreeMap<&String, KeyView> = BTreeMap::new();
        for (origin, ring) in [(Origin::Registry, &rings.added), (Origin::File, &rings.configured)] {
            views.extend(
                ring.iter().map(|(name, entry)| (name, entry.view(name, origin, rings.used.get(name)))),
            );
        }
        views.into_values().collect()
    }

    /// Makes a key that opens `shares`, out of those that `exist`; `None` for all, those to come included.
    ///
    /// # Errors
    /// [`KeyError`]; then nothing has changed.
    ///
    /// # Cancel safety
    /// A key that was begun is made, and its secret lost; it can be revoked.
    pub async fn create(
        self: &Arc<Self>,
        name: &str,
        shares: Option<Vec<String>>,
        exist: &[String],
    ) -> Result<NewKey, KeyError> {
        if !is_usable_name(name) {
            return Err(KeyError::BadName(name.to_owned()));
        }
        let shares = opened(shares, exist)?;
        let (ring, name) = (Arc::clone(self), name.to_owned());
        let made = tokio::spawn(async move { ring.make(name, shares).await });
        made.await.unwrap_or(Err(KeyError::Stopping))
    }

    async fn make(&self, name: String, shares: Vec<String>) -> Result<NewKey, KeyError> {
        let _turn = self.changing.lock().await;
        {
            let rings = self.rings();
            if rings.configured.contains_key(&name) {
                return Err(KeyError::DefinedInFile(name));
            }
            if rings.added.contains_key(&name) {
                return Err(KeyError::Taken(name));
            }
            if rings.added.len() >= MAX_KEYS {
                return Err(KeyError::Full);
            }
        }
        let secret = state_dir::new_key().map_err(KeyError::Randomness)?;
        let now = self.now();
        let entry = Entry { digest: KeyDigest::of(&secret), shares, created_at: Some(now) };
        self.registry.put_record(KIND, &name, &entry.record(), now).await?;
        let mut rings = self.rings();
        let view = entry.view(&name, Origin::Registry, None);
        rings.used.remove(&name);
        rings.added.insert(name, entry);
        self.keys.replace(rings.in_force());
        Ok(NewKey { view, secret })
    }

    /// Revokes a key: the next request that shows it is refused.
    ///
    /// # Errors
    /// [`KeyError`]; then it goes on working.
    ///
    /// # Cancel safety
    /// A revocation that was begun happens.
    pub async fn revoke(self: &Arc<Self>, name: &str) -> Result<(), KeyError> {
        let (ring, name) = (Arc::clone(self), name.to_owned());
        let revoked = tokio::spawn(async move { ring.take_off(name).await });
        revoked.await.unwrap_or(Err(KeyError::Stopping))
    }

    async fn take_off(&self, name: String) -> Result<(), KeyError> {
        let _turn = self.changing.lock().await;
        if self.rings().configured.contains_key(&name) {
            return Err(KeyError::DefinedInFile(name));
        }
        // Asked of the registry and not of the ring: a record that could not be read must be removable, too.
        if !self.registry.remove_record(KIND, &name).await? {
            return Err(KeyError::Unknown(name));
        }
        {
            let mut rings = self.rings();
            rings.added.remove(&name);
            rings.used.remove(&name);
            self.keys.replace(rings.in_force());
        }
        if let Err(error) = self.registry.remove_record(USED, &name).await {
            tracing::debug!(key = name, error = %resume_fetch::describe(&error), "its last use stays on record");
        }
        Ok(())
    }

    /// Notes that the key of this name let somebody in just now.
    pub fn used(&self, name: &str) {
        let minute = self.now().as_millis() / MINUTE;
        let mut rings = self.rings();
        match rings.used.get_mut(name) {
            Some(known) => known.minute = minute,
            None => drop(rings.used.insert(name.to_owned(), Use { minute, saved: 0 })),
        }
    }

    /// Writes down when keys were last used, now and then until `stop`, and once more at the end.
    pub async fn keep_use(&self, stop: &CancellationToken) {
        while stop.run_until_cancelled(self.clock.sleep(SAVE_EVERY)).await.is_some() {
            self.save_use().await;
        }
        self.save_use().await;
    }

    async fn save_use(&self) {
        let unsaved: Vec<_> = {
            let rings = self.rings();
            let unsaved = rings.used.iter().filter(|(_, used)| used.minute != used.saved);
            unsaved.map(|(name, used)| (name.clone(), used.minute)).collect()
        };
        for (name, minute) in unsaved {
            // A revoked key leaves nothing behind: its turn is over before or after this one.
            let _turn = self.changing.lock().await;
            if !self.rings().knows(&name) {
                continue;
            }
            match self.registry.put_record(USED, &name, &minute.to_string(), self.now()).await {
                Ok(()) => {
                    if let Some(used) = self.rings().used.get_mut(&name) {
                        used.saved = minute;
                    }
                }
                Err(error) => {
                    tracing::debug!(key = name, error = %resume_fetch::describe(&error), "its last use is not saved");
                }
            }
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.wall().into()
    }

    fn rings(&self) -> MutexGuard<'_, Rings> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rings {
    fn knows(&self, name: &str) -> bool {
        self.configured.contains_key(name) || self.added.contains_key(name)
    }

    /// The name of the configured key with the same secret.
    fn configured_twin(&self, added: &Entry) -> Option<&str> {
        let twin = self.configured.iter().find(|(_, entry)| entry.digest.same_as(&added.digest));
        twin.map(|(name, _)| name.as_str())
    }

    /// The keys that open something: those of the configuration, and of the added ones those it says nothing about.
    /// One secret under two names opens what the configuration gives it, not what either of them would.
    fn in_force(&self) -> Vec<Key> {
        let added = self.added.iter().filter(|(name, entry)| {
            !self.configured.contains_key(*name) && self.configured_twin(entry).is_none()
        });
        let key = |(name, entry): (&String, &Entry)| Key {
            name: name.clone(),
            digest: entry.digest,
            scope: Scope::of(&entry.shares),
        };
        self.configured.iter().chain(added).map(key).collect()
    }
}

impl Entry {
    fn of(key: &KeyConfig) -> Self {
        Self { digest: KeyDigest::of(key.secret.expose()), shares: key.shares.clone(), created_at: None }
    }

    fn read(value: &str) -> Option<Self> {
        let record: Record = serde_json::from_str(value).ok()?;
        let digest = blake3::Hash::from_hex(&record.digest).ok()?;
        Some(Self {
            digest: KeyDigest::from_stored(*digest.as_bytes()),
            shares: record.shares,
            created_at: Some(Timestamp::from_millis(record.created_at)),
        })
    }

    fn record(&self) -> String {
        let digest = blake3::Hash::from_bytes(*self.digest.as_bytes()).to_hex().to_string();
        let created_at = self.created_at.map_or(0, Timestamp::as_millis);
        let record = Record { digest, shares: self.shares.clone(), created_at };
        serde_json::to_string(&record).expect("text and a number")
    }

    fn view(&self, name: &str, origin: Origin, used: Option<&Use>) -> KeyView {
        let used = used.map(|used| Timestamp::from_millis(used.minute.saturating_mul(MINUTE)));
        KeyView {
            name: name.to_owned(),
            shares: self.shares.clone(),
            created_at: self.created_at.map(|at| rfc3339(at.into())),
            last_used: used.map(|at| rfc3339(at.into())),
            origin,
        }
    }
}

/// The shares a new key opens, each once.
fn opened(shares: Option<Vec<String>>, exist: &[String]) -> Result<Vec<String>, KeyError> {
    let Some(mut shares) = shares else { return Ok(vec![ALL.to_owned()]) };
    if let Some(unknown) = shares.iter().find(|share| *share != ALL && !exist.contains(share)) {
        return Err(KeyError::UnknownShare(unknown.clone()));
    }
    if shares.iter().any(|share| share == ALL) {
        return Ok(vec![ALL.to_owned()]);
    }
    shares.sort();
    shares.dedup();
    if shares.is_empty() { Err(KeyError::NoShares) } else { Ok(shares) }
}

impl std::fmt::Debug for NewKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewKey").field("view", &self.view).finish_non_exhaustive()
    }
}

const ALL: &str = "*";
/// The kinds of the registry's records.
const KIND: &str = "inbound-key";
const USED: &str = "inbound-key-used";
const MAX_KEYS: usize = 1000;
/// In milliseconds.
const MINUTE: i64 = 60_000;
const SAVE_EVERY: Duration = Duration::from_secs(300);
