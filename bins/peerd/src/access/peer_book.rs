//! The peers we know: those of the configuration, and those added while the daemon runs.

mod added;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use download_registry::{DownloadState, ListError, ListQuery, Registry, StorageError};
use retry_kit::SharedClock;
use thiserror::Error;

use self::added::{Added, text_of_ca};
pub use self::view::PeerView;
use self::view::configured_view;
use super::is_usable_name;
use super::secrets::Secrets;
use crate::config::PeerConfig;
use crate::downloads::{Draft, Peers, UnusablePeer};

/// Every peer by name. What is added or removed here is at once what downloads see.
pub struct PeerBook {
    peers: Peers,
    registry: Registry,
    clock: SharedClock,
    secrets: Secrets,
    book: Mutex<Book>,
    /// One change at a time, so that disk, registry and what is in force are changed in the same order.
    changing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Book {
    configured: BTreeMap<String, PeerConfig>,
    added: BTreeMap<String, Added>,
}

/// Peers that can be put in force: all that could fail has been done.
pub struct Prepared {
    configured: BTreeMap<String, PeerConfig>,
    drafts: Vec<Draft>,
    added: Vec<(String, Again)>,
}

/// One that was added, read again.
struct Again {
    config: PeerConfig,
    ca: Option<String>,
    draft: Result<Draft, UnusablePeer>,
}

/// What became of adding a peer.
#[derive(Clone, Debug)]
pub enum AddedPeer {
    /// It is new.
    New(PeerView),
    /// It was there already, and the same in every respect.
    Same(PeerView),
    /// It was there already, and other certificates are trusted for it from now on.
    Renewed(PeerView),
}

/// Why the book was not changed.
#[derive(Debug, Error)]
pub enum PeerBookError {
    /// No peer can be called that.
    #[error("{0:?} is not a name: use 1 to 64 of A-Z a-z 0-9 . _ -")]
    BadName(String),
    /// The configuration defines it.
    #[error("the peer {0} is defined in the configuration; change it there")]
    DefinedInFile(String),
    /// There is another one of that name.
    #[error("there is a peer {0} already; remove it first, or choose another name")]
    Taken(String),
    /// There is none of that name.
    #[error("no peer is called {0}")]
    Unknown(String),
    /// A book has an end.
    #[error("there are {MAX_PEERS} peers already; remove some")]
    Full,
    /// Its key or a header cannot be sent, or its certificates cannot be used.
    #[error(transparent)]
    Unusable(#[from] UnusablePeer),
    /// Its secrets could not be written or removed.
    #[error("the file of its secrets cannot be changed")]
    Secrets(#[source] io::Error),
    /// The registry failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The daemon stopped before it was done.
    #[error("the daemon is stopping")]
    Stopping,
}

impl PeerBook {
    /// Opens the book: `peers` knows those of the configuration already, and is told of those of the registry. A
    /// peer whose secrets are gone, or not for us alone, is a warning.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub async fn open(
        peers: Peers,
        registry: Registry,
        clock: SharedClock,
        state: &Path,
        configured: &BTreeMap<String, PeerConfig>,
    ) -> Result<Arc<Self>, StorageError> {
        let secrets = Secrets::below(state);
        let mut book = Book { configured: configured.clone(), added: BTreeMap::new() };
        for (name, value) in registry.records(KIND).await? {
            let reading = {
                let (name, secrets) = (name.clone(), secrets.clone());
                tokio::task::spawn_blocking(move || Added::read(&name, &value, &secrets))
            };
            let Some(mut added) = reading.await.ok().flatten() else {
                tracing::warn!(
                    peer = name,
                    "the record of a peer cannot be read; remove it and add it again"
                );
                continue;
            };
            if let Some(trouble) = &added.trouble {
                tracing::warn!(peer = name, "{trouble}");
            }
            if configured.contains_key(&name) {
                shadowed(&name);
            } else {
                put_in_force(&peers, &name, &mut added);
            }
            book.added.insert(name, added);
        }
        let (book, changing) = (Mutex::new(book), tokio::sync::Mutex::default());
        Ok(Arc::new(Self { peers, registry, clock, secrets, book, changing }))
    }

    /// Reads what other peers of the configuration need, and anew what those added here have; blocks, and changes
    /// nothing.
    ///
    /// # Errors
    /// When a key or header of the configuration cannot be sent, or a `ca_file` cannot be used.
    pub fn prepare(&self, configured: &BTreeMap<String, PeerConfig>) -> Result<Prepared, UnusablePeer> {
        let draft = |(name, config): (&String, &PeerConfig)| self.peers.draft(name, config.clone());
        let drafts = configured.iter().map(draft).collect::<Result<_, _>>()?;
        let added = self.book().added.clone();
        let added = added.into_iter().filter(|(name, _)| !configured.contains_key(name));
        let added = added.map(|(name, Added { config, .. })| {
            let ca = text_of_ca(&config);
            let draft = self.peers.draft(&name, config.clone());
            (name, Again { config, ca, draft })
        });
        Ok(Prepared { configured: configured.clone(), drafts, added: added.collect() })
    }

    /// Puts them in force; those added here stay. One that was added, comes back and cannot be used is a warning.
    pub fn configure(&self, prepared: Prepared) {
        let mut book = self.book();
        let Book { configured: before, added } = &mut *book;
        for draft in prepared.drafts {
            if added.contains_key(draft.name()) && !before.contains_key(draft.name()) {
                shadowed(draft.name());
            }
            self.peers.put(draft);
        }
        for name in before.keys().filter(|name| !prepared.configured.contains_key(*name)) {
            if !added.contains_key(name) {
                self.peers.remove(name);
            }
        }
        for (name, again) in prepared.added {
            // Another one may have taken its place meanwhile, and was read then.
            let Some(added) = added.get_mut(&name).filter(|added| added.config == again.config) else {
                continue;
            };
            let comes_back = before.contains_key(&name);
            match again.draft {
                // It was of no use before: it is told of again only where it is put in the place of another.
                Err(error) if comes_back || self.peers.get(&name).is_none() => {
                    unusable(&self.peers, &name, added, &error);
                }
                // The one that is there goes on as it is.
                Err(error) => tracing::warn!(peer = name, "{error}; what was read before stays in force"),
                Ok(draft) => {
                    if self.peers.get(&name).is_none() {
                        added.trouble = None;
                    }
                    added.ca = again.ca;
                    self.peers.put(draft);
                }
            }
        }
        book.configured = prepared.configured;
    }

    /// The peers as downloads see them.
    pub fn peers(&self) -> &Peers {
        &self.peers
    }

    /// All peers, by name.
    pub fn list(&self) -> Vec<PeerView> {
        let book = self.book();
        let mut views: BTreeMap<&String, PeerView> =
            book.added.iter().map(|(name, added)| (name, added.view(name))).collect();
        views.extend(book.configured.iter().map(|(name, config)| (name, configured_view(name, config))));
        views.into_values().map(|view| self.seen(view)).collect()
    }

    /// The peer of this name.
    pub fn view(&self, name: &str) -> Option<PeerView> {
        let book = self.book();
        let configured = book.configured.get(name).map(|config| configured_view(name, config));
        let view = configured.or_else(|| book.added.get(name).map(|added| added.view(name)));
        view.map(|view| self.seen(view))
    }

    fn seen(&self, view: PeerView) -> PeerView {
        PeerView { up: self.peers.is_up(&view.name), ..view }
    }

    /// Adds a peer; `ca` is the PEM text of certificates that are trusted for it, kept in the place of a `ca_file`. One
    /// that is there and the same stays as it is; one at the same address gets the certificates of `ca`, and keeps the
    /// rest, where nothing else is asked for.
    ///
    /// # Errors
    /// [`PeerBookError`]; then nothing has changed.
    ///
    /// # Cancel safety
    /// A peer that was begun is added.
    pub async fn add(
        self: &Arc<Self>,
        name: &str,
        config: PeerConfig,
        ca: Option<String>,
    ) -> Result<AddedPeer, PeerBookError> {
        if !is_usable_name(name) {
            return Err(PeerBookError::BadName(name.to_owned()));
        }
        let (book, name) = (Arc::clone(self), name.to_owned());
        let adding = tokio::spawn(async move { book.enter(name, config, ca).await });
        adding.await.unwrap_or(Err(PeerBookError::Stopping))
    }

    async fn enter(
        &self,
        name: String,
        config: PeerConfig,
        ca: Option<String>,
    ) -> Result<AddedPeer, PeerBookError> {
        let ca_file = ca.as_ref().map(|_| self.secrets.ca_file(&name)).unwrap_or_default();
        let (plain, config) = (config.clone(), PeerConfig { ca_file, ..config });
        let _turn = self.changing.lock().await;
        let (known, count) = {
            let book = self.book();
            if book.configured.contains_key(&name) {
                return Err(PeerBookError::DefinedInFile(name));
            }
            (book.added.get(&name).cloned(), book.added.len())
        };
        match (known, &ca) {
            (Some(known), _) if known.config == config && known.ca == ca => {
                return Ok(AddedPeer::Same(known.view(&name)));
            }
            (Some(known), Some(ca)) if known.is_meant_by(&plain) => {
                return self.renew(name, known, ca.clone()).await;
            }
            (Some(_), _) => return Err(PeerBookError::Taken(name)),
            (None, _) if count >= MAX_PEERS => return Err(PeerBookError::Full),
            (None, _) => {}
        }
        self.drafted(&name, plain).await?;
        // The files first: a peer on record without its key would be refused everywhere.
        let has_secrets = self.blocking(&name, {
            let (config, ca) = (config.clone(), ca.clone());
            move |secrets, name| {
                let has_secrets = secrets.write(name, &config)?;
                ca.map_or(Ok(()), |ca| secrets.write_ca(name, &ca)).map(|()| has_secrets)
            }
        });
        let has_secrets = has_secrets.await?;
        let draft = match self.drafted(&name, config.clone()).await {
            Ok(draft) => draft,
            Err(error) => {
                self.blocking(&name, Secrets::remove).await.ok();
                return Err(error);
            }
        };
        let added = Added { config, ca, created_at: self.clock.wall().into(), trouble: None };
        let record = added.record(has_secrets);
        if let Err(error) = self.registry.put_record(KIND, &name, &record, added.created_at).await {
            self.blocking(&name, Secrets::remove).await.ok();
            return Err(error.into());
        }
        let mut book = self.book();
        let view = added.view(&name);
        // Asked for again: the configuration may have been read again meanwhile.
        if !book.configured.contains_key(&name) {
            self.peers.put(draft);
        }
        book.added.insert(name, added);
        Ok(AddedPeer::New(view))
    }

    /// Puts other certificates in the place of those that are trusted for a peer; all else stays.
    async fn renew(&self, name: String, known: Added, ca: String) -> Result<AddedPeer, PeerBookError> {
        let config = PeerConfig { ca_file: self.secrets.ca_file(&name), ..known.config.clone() };
        let renewed = Added { config, ca: Some(ca.clone()), ..known.clone() };
        self.blocking(&name, move |secrets, name| secrets.write_ca(name, &ca)).await?;
        let has_secrets = known.config.key.is_some() || !known.config.headers.is_empty();
        let outcome = match self.drafted(&name, renewed.config.clone()).await {
            Ok(draft) if known.ca.is_some() => Ok(draft),
            Ok(draft) => {
                let record = renewed.record(has_secrets);
                let put = self.registry.put_record(KIND, &name, &record, renewed.created_at).await;
                put.map(|()| draft).map_err(PeerBookError::from)
            }
            Err(error) => Err(error),
        };
        let draft = match outcome {
            Ok(draft) => draft,
            Err(error) => {
                let before = known.ca;
                let undone = move |secrets: &Secrets, name: &str| match before {
                    Some(before) => secrets.write_ca(name, &before),
                    None => secrets.remove_ca(name),
                };
                self.blocking(&name, undone).await.ok();
                return Err(error);
            }
        };
        let mut book = self.book();
        let in_file = book.configured.contains_key(&name);
        // What is in force was of use; what was not, was so for its certificates.
        let trouble = renewed.trouble.filter(|_| in_file || self.peers.get(&name).is_some());
        let renewed = Added { trouble, ..renewed };
        let view = renewed.view(&name);
        if !in_file {
            self.peers.put(draft);
        }
        book.added.insert(name, renewed);
        Ok(AddedPeer::Renewed(view))
    }

    /// Forgets a peer; returns how many downloads from it are not over. They stay in the queue, and go on when a peer
    /// of that name is added again. What runs with it goes on.
    ///
    /// # Errors
    /// [`PeerBookError`]; then the peer stays.
    ///
    /// # Cancel safety
    /// A removal that was begun happens.
    pub async fn remove(self: &Arc<Self>, name: &str) -> Result<usize, PeerBookError> {
        let (book, name) = (Arc::clone(self), name.to_owned());
        let removing = tokio::spawn(async move { book.strike_out(name).await });
        removing.await.unwrap_or(Err(PeerBookError::Stopping))
    }

    async fn strike_out(&self, name: String) -> Result<usize, PeerBookError> {
        let _turn = self.changing.lock().await;
        if self.book().configured.contains_key(&name) {
            return Err(PeerBookError::DefinedInFile(name));
        }
        let open = self.open_downloads(&name).await?;
        // The row first: without it the file is only a leftover, which the next peer of the name replaces.
        if !self.registry.remove_record(KIND, &name).await? {
            return Err(PeerBookError::Unknown(name));
        }
        {
            let mut book = self.book();
            book.added.remove(&name);
            if !book.configured.contains_key(&name) {
                self.peers.remove(&name);
            }
        }
        self.blocking(&name, Secrets::remove).await?;
        Ok(open)
    }

    async fn open_downloads(&self, name: &str) -> Result<usize, StorageError> {
        let states = DownloadState::ALL.into_iter().filter(|state| state.is_live()).collect();
        let query =
            ListQuery { states, peer: Some(name.to_owned()), limit: MAX_COUNTED, ..ListQuery::default() };
        match self.registry.list(&query).await {
            Ok(page) => Ok(page.items.len()),
            Err(ListError::Storage(error)) => Err(error),
            // Only a cursor can be wrong, and there is none.
            Err(_) => Ok(0),
        }
    }

    /// Reads what a peer needs, off the threads that answer.
    async fn drafted(&self, name: &str, config: PeerConfig) -> Result<Draft, PeerBookError> {
        let (peers, name) = (self.peers.clone(), name.to_owned());
        let drafted = tokio::task::spawn_blocking(move || peers.draft(&name, config)).await;
        Ok(drafted.map_err(|_| PeerBookError::Stopping)??)
    }

    /// Does something to the file of a peer, off the threads that answer.
    async fn blocking<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce(&Secrets, &str) -> io::Result<T> + Send + 'static,
    ) -> Result<T, PeerBookError> {
        let (secrets, name) = (self.secrets.clone(), name.to_owned());
        let done = tokio::task::spawn_blocking(move || work(&secrets, &name)).await;
        done.map_err(|_| PeerBookError::Stopping)?.map_err(PeerBookError::Secrets)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands an added peer to downloads. One that they cannot use is not there, and its view says why.
fn put_in_force(peers: &Peers, name: &str, added: &mut Added) {
    if let Err(error) = peers.replace(name, added.config.clone()) {
        unusable(peers, name, added, &error);
    }
}

fn unusable(peers: &Peers, name: &str, added: &mut Added, error: &UnusablePeer) {
    peers.remove(name);
    let trouble = format!("{error}; remove the peer and add it again");
    tracing::warn!(peer = name, "{trouble}");
    added.trouble = Some(trouble);
}

fn shadowed(name: &str) {
    tracing::warn!(peer = name, "the configuration has a peer of this name; the one added here is not used");
}

/// The kind of the registry's records.
const KIND: &str = "peer";
const MAX_PEERS: usize = 1000;
/// Downloads counted when a peer goes; beyond, nobody needs the number.
const MAX_COUNTED: u32 = 1000;
