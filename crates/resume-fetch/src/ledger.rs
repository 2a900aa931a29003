//! What is remembered about a part file across restarts: a small trait, and the ledger that forgets.
//!
//! *The record may lag the data, never lead it.* The engine syncs bytes before it records them, and records a
//! restart before it destroys anything. An implementation only has to make each call durable before it returns.

use std::error::Error as StdError;
use std::io;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use thiserror::Error;

use crate::error::is_full;
use crate::identity::Identity;
use crate::range_set::RangeSet;
use crate::restart_reason::RestartReason;
use crate::transport::BoxFuture;

/// Remembers one download.
///
/// # Durability
/// When a call returns, its effect survives a power cut. Calls come one at a time.
pub trait Ledger: Send + Sync + 'static {
    /// What is on record, or `None` when nothing is.
    fn load(&self) -> BoxFuture<'_, Result<Option<Record>, LedgerError>>;

    /// Starts a generation: forgets every range and remembers `identity`. `restart` says what was given up.
    fn begin<'a>(
        &'a self,
        generation: u64,
        identity: &'a Identity,
        restart: Option<Restart>,
    ) -> BoxFuture<'a, Result<(), LedgerError>>;

    /// Remembers what was learnt about the same generation, keeping its ranges.
    fn adopt<'a>(&'a self, generation: u64, identity: &'a Identity)
    -> BoxFuture<'a, Result<(), LedgerError>>;

    /// Adds ranges that are synced to the disk. Half-open, in bytes of the representation, disjoint from each other.
    fn record<'a>(
        &'a self,
        generation: u64,
        durable: &'a [Range<u64>],
    ) -> BoxFuture<'a, Result<(), LedgerError>>;

    /// Remembers that the part is whole, verified and about to get its final name.
    fn seal(&self, generation: u64, total: u64) -> BoxFuture<'_, Result<(), LedgerError>>;

    /// The file has its final name and the directory is synced: the record has done its work.
    fn finish(&self) -> BoxFuture<'_, Result<(), LedgerError>>;
}

/// What a [`Ledger`] remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Counts the representations seen, from 1.
    pub generation: u64,
    /// The representation the ranges belong to.
    pub identity: Identity,
    /// Bytes that are synced in the part file.
    pub durable: RangeSet,
    /// The part was whole and verified, and its rename was about to happen.
    pub sealed: bool,
}

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

    fn change(&self, change: impl FnOnce(&mut Option<Record>)) -> BoxFuture<'_, Result<(), LedgerError>> {
        change(&mut self.record.lock().unwrap_or_else(PoisonError::into_inner));
        Box::pin(std::future::ready(Ok(())))
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
        self.change(|record| {
            *record = Some(Record { generation, identity: identity.clone(), ..Record::default() });
        })
    }

    fn adopt<'a>(
        &'a self,
        generation: u64,
        identity: &'a Identity,
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        self.change(|record| {
            if let Some(record) = record.as_mut().filter(|record| record.generation == generation) {
                record.identity = identity.clone();
            }
        })
    }

    fn record<'a>(
        &'a self,
        generation: u64,
        durable: &'a [Range<u64>],
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        self.change(|record| {
            if let Some(record) = record.as_mut().filter(|record| record.generation == generation) {
                record.durable.extend(durable.iter().cloned());
            }
        })
    }

    fn seal(&self, generation: u64, total: u64) -> BoxFuture<'_, Result<(), LedgerError>> {
        self.change(|record| {
            if let Some(record) = record.as_mut().filter(|record| record.generation == generation) {
                record.sealed = true;
                record.identity.total = Some(total);
            }
        })
    }

    fn finish(&self) -> BoxFuture<'_, Result<(), LedgerError>> {
        self.change(|record| *record = None)
    }
}
