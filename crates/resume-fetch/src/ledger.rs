//! What is remembered about a part file across restarts: a small trait, and the ledger that forgets.
//!
//! *The record may lag the data, never lead it.* The engine syncs bytes before it records them, and records what it
//! takes back, gives up or scatters before it does so. An implementation only has to make each call durable before it
//! returns.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::ops::Range;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use thiserror::Error;

use crate::error::is_full;
use crate::identity::Identity;
use crate::range_set::RangeSet;
use crate::restart_reason::RestartReason;
use crate::transport::BoxFuture;

/// Remembers one download.
///
/// # Durability
/// When a call returns, its effect survives a power cut.
///
/// # Order
/// Calls come one at a time, each after the answer to the one before, however many requests are running. The number
/// they carry is that of the generation they are about; one that is not on record any more is refused, and nothing
/// changes.
///
/// # Ranges
/// A list of ranges holds half-open byte offsets of the representation: none empty, none past a complete-length that is
/// on record, disjoint from each other, in any order. It is applied in one write: a crash finds all of it, or none. A
/// ledger that has no room for so many separate runs may leave out some of what is added, and they are fetched again;
/// nothing of what is taken out may stay.
pub trait Ledger: Send + Sync + 'static {
    /// What is on record, or `None` when nothing is.
    fn load(&self) -> BoxFuture<'_, Result<Option<Record>, LedgerError>>;

    /// Starts a generation: forgets every range, remembers `identity`, and lays the part out as a [`Layout::Prefix`].
    /// `restart` says what was given up.
    fn begin<'a>(
        &'a self,
        generation: u64,
        identity: &'a Identity,
        restart: Option<Restart>,
    ) -> BoxFuture<'a, Result<(), LedgerError>>;

    /// Remembers what was learnt about the same generation, keeping its ranges.
    fn adopt<'a>(&'a self, generation: u64, identity: &'a Identity)
    -> BoxFuture<'a, Result<(), LedgerError>>;

    /// From now on bytes may be written beyond holes: the part is a [`Layout::Map`] until the next generation begins.
    ///
    /// Called at most once in a generation by one process, before the first such byte is written; called again, it
    /// changes nothing.
    fn scatter<'a>(&'a self, generation: u64) -> BoxFuture<'a, Result<(), LedgerError>>;

    /// Adds ranges that are synced to the disk. They may overlap or touch what is on record already.
    fn record<'a>(
        &'a self,
        generation: u64,
        durable: &'a [Range<u64>],
    ) -> BoxFuture<'a, Result<(), LedgerError>>;

    /// Takes out ranges whose bytes could not be read back: exactly these, splitting what reaches over their ends.
    ///
    /// Called before anything else happens to these bytes. What was not on record is still not. The rest of the record
    /// stays, its layout too; only a part that was sealed is not whole any more once it lost a byte.
    fn subtract<'a>(
        &'a self,
        generation: u64,
        lost: &'a [Range<u64>],
    ) -> BoxFuture<'a, Result<(), LedgerError>>;

    /// Remembers that the part is whole, verified and about to get its final name.
    fn seal(&self, generation: u64, total: u64) -> BoxFuture<'_, Result<(), LedgerError>>;

    /// The file has its final name and the directory is synced: the record has done its work.
    fn finish(&self) -> BoxFuture<'_, Result<(), LedgerError>>;

    /// Hears how long a checkpoint took, from the beginning of the sync to the end of the record; for those who
    /// measure. Must not block. Does nothing by default.
    fn checkpointed(&self, took: Duration) {
        let _ = took;
    }
}

/// What a [`Ledger`] remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Counts the representations seen, from 1.
    pub generation: u64,
    /// The representation the ranges belong to.
    pub identity: Identity,
    /// How the written bytes lie in the part file.
    pub layout: Layout,
    /// Bytes that are synced in the part file.
    pub durable: RangeSet,
    /// The part was whole and verified, and its rename was about to happen.
    pub sealed: bool,
}

/// How the written bytes lie in the part file, and with that, what its length says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// One run from 0: the length of the file is the number of bytes written.
    #[default]
    Prefix,
    /// Bytes may lie behind holes: the length says nothing, only the ranges on record do.
    Map,
}

/// The text names no [`Layout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("unknown layout of a part file")]
pub struct UnknownLayout;

/// A restart, as it goes on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    /// Why.
    pub reason: RestartReason,
    /// Bytes held before and fetched again after.
    pub discarded: u64,
}

/// The ledger failed.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct LedgerError {
    /// What failed, with the path or row it concerns.
    pub message: String,
    /// The record cannot be read for good (damaged), as opposed to just now.
    pub damaged: bool,
    /// The cause.
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Record {
    /// Takes `lost` out of the durable bytes. A part that is not whole is not sealed.
    pub(crate) fn lose(&mut self, lost: &[Range<u64>]) {
        let before = self.durable.len();
        lost.iter().for_each(|range| self.durable.remove(range));
        self.sealed &= self.durable.len() == before;
    }
}

impl Layout {
    /// The name used in ledgers and interfaces.
    pub const fn as_str(self) -> &'static str {
        match self {
            Layout::Prefix => "prefix",
            Layout::Map => "map",
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Layout {
    type Err = UnknownLayout;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Prefix, Self::Map].into_iter().find(|layout| layout.as_str() == text).ok_or(UnknownLayout)
    }
}

impl LedgerError {
    /// A failure of the store behind the ledger.
    pub fn new(message: impl Into<String>, source: impl StdError + Send + Sync + 'static) -> Self {
        Self { message: message.into(), damaged: false, source: Some(Box::new(source)) }
    }

    /// Whether the ledger's disk is full or a quota is used up.
    pub fn is_full(&self) -> bool {
        self.source.as_ref().and_then(|source| source.downcast_ref::<io::Error>()).is_some_and(is_full)
    }
}

/// A [`Ledger`] that lives as long as the process. A restart of the process starts the download over.
#[derive(Debug, Default)]
pub struct MemoryLedger {
    record: Mutex<Option<Record>>,
}

impl MemoryLedger {
    /// An empty ledger.
    pub fn new() -> Self {
        Self::default()
    }

    /// A ledger that already remembers something.
    pub fn with_record(record: Record) -> Self {
        Self { record: Mutex::new(Some(record)) }
    }

    fn replace(&self, with: Option<Record>) -> BoxFuture<'_, Result<(), LedgerError>> {
        *self.record.lock().unwrap_or_else(PoisonError::into_inner) = with;
        Box::pin(std::future::ready(Ok(())))
    }

    fn change(
        &self,
        generation: u64,
        change: impl FnOnce(&mut Record),
    ) -> BoxFuture<'_, Result<(), LedgerError>> {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        let current = record.as_mut().filter(|record| record.generation == generation);
        let changed = current.map(change).ok_or_else(|| LedgerError {
            message: format!("generation {generation} is not the one on record"),
            damaged: false,
            source: None,
        });
        Box::pin(std::future::ready(changed))
    }
}

impl Ledger for MemoryLedger {
    fn load(&self) -> BoxFuture<'_, Result<Option<Record>, LedgerError>> {
        let record = self.record.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(std::future::ready(Ok(record)))
    }

    fn begin<'a>(
        &'a self,
        generation: u64,
        identity: &'a Identity,
        _restart: Option<Restart>,
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        self.replace(Some(Record { generation, identity: identity.clone(), ..Record::default() }))
    }

    fn adopt<'a>(
        &'a self,
        generation: u64,
        identity: &'a Identity,
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        self.change(generation, |record| record.identity = identity.clone())
    }

    fn scatter<'a>(&'a self, generation: u64) -> BoxFuture<'a, Result<(), LedgerError>> {
        self.change(generation, |record| record.layout = Layout::Map)
    }

    fn record<'a>(
        &'a self,
        generation: u64,
        durable: &'a [Range<u64>],
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        self.change(generation, |record| record.durable.extend(durable.iter().cloned()))
    }

    fn subtract<'a>(
        &'a self,
        generation: u64,
        lost: &'a [Range<u64>],
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        self.change(generation, |record| record.lose(lost))
    }

    fn seal(&self, generation: u64, total: u64) -> BoxFuture<'_, Result<(), LedgerError>> {
        self.change(generation, |record| {
            record.sealed = true;
            record.identity.total = Some(total);
        })
    }

    fn finish(&self) -> BoxFuture<'_, Result<(), LedgerError>> {
        self.replace(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_is_its_name() {
        for (layout, name) in [(Layout::Prefix, "prefix"), (Layout::Map, "map")] {
            assert_eq!((layout.to_string().as_str(), name.parse()), (name, Ok(layout)));
        }
        assert_eq!("append".parse::<Layout>(), Err(UnknownLayout));
    }
}
