//! A [`Ledger`] in one small file beside the part, for people without a database.
//!
//! The file has two slots. Each change goes to the one that holds the older record and is synced before the call
//! returns, so whatever a crash tears, the other slot still holds the record before it: that one lags the data, which is
//! the safe side. What a slot looks like stands in [`slot`].

mod slot;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use self::slot::{Payload, SLOT, encode, read_slot};
use crate::disk;
use crate::identity::Identity;
use crate::ledger::{Layout, Ledger, LedgerError, Record, Restart};
use crate::transport::BoxFuture;

/// A ledger file, by convention the part file's name with `.ledger` behind it.
#[derive(Clone, Debug)]
pub struct SidecarLedger {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    /// Fingerprint of the source: a ledger of another URL must not lend its bytes to this one.
    source: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    file: Option<File>,
    sequence: u64,
    record: Option<Record>,
}

impl SidecarLedger {
    /// A ledger at `path` for the bytes of `source_url`. Nothing is touched before the first call.
    ///
    /// Only a fingerprint of the URL is written: its query may be a secret.
    pub fn new(path: impl Into<PathBuf>, source_url: &str) -> Self {
        let source = blake3::hash(source_url.as_bytes()).to_hex()[..32].to_owned();
        let shared = Shared { path: path.into(), source, state: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    fn blocking<T: Send + 'static>(
        &self,
        action: &'static str,
        work: impl FnOnce(&Shared, &mut State) -> io::Result<T> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, LedgerError>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let path = shared.path.clone();
            disk::blocking(move || {
                let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
                work(&shared, &mut state)
            })
            .await
            .map_err(|error| LedgerError::new(format!("cannot {action} {}: {error}", path.display()), error))
        })
    }

    /// Writes what `change` makes of the record, in one write; nothing when it changes nothing.
    fn change(
        &self,
        generation: u64,
        change: impl FnOnce(&mut Record) + Send + 'static,
    ) -> BoxFuture<'_, Result<(), LedgerError>> {
        self.blocking("write", move |shared, state| {
            let Some(held) = state.record.as_ref().filter(|record| record.generation == generation) else {
                return Err(io::Error::other("the record is of another generation"));
            };
            let mut record = held.clone();
            change(&mut record);
            if record == *held { Ok(()) } else { state.store(shared, record) }
        })
    }
}

impl Ledger for SidecarLedger {
    fn load(&self) -> BoxFuture<'_, Result<Option<Record>, LedgerError>> {
        self.blocking("read", |shared, state| {
            *state = State::default();
            let file = match disk::open_existing(&shared.path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
            let payload = state.take_over(file)?;
            // Damaged in both slots, or of another source: as good as no record. The part beside it is then an
            // orphan, which the engine reports.
            state.record =
                payload.filter(|payload| payload.source == shared.source).and_then(Payload::into_record);
            Ok(state.record.clone())
        })
    }

    fn begin<'a>(
        &'a self,
        generation: u64,
        identity: &'a Identity,
        _restart: Option<Restart>,
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        let identity = identity.clone();
        self.blocking("write", move |shared, state| {
            state.store(shared, Record { generation, identity, ..Record::default() })
        })
    }

    fn adopt<'a>(
        &'a self,
        generation: u64,
        identity: &'a Identity,
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        let identity = identity.clone();
        self.change(generation, move |record| record.identity = identity)
    }

    fn scatter<'a>(&'a self, generation: u64) -> BoxFuture<'a, Result<(), LedgerError>> {
        self.change(generation, |record| record.layout = Layout::Map)
    }

    fn record<'a>(
        &'a self,
        generation: u64,
        durable: &'a [Range<u64>],
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        let durable = durable.to_vec();
        self.change(generation, move |record| record.durable.extend(durable))
    }

    fn subtract<'a>(
        &'a self,
        generation: u64,
        lost: &'a [Range<u64>],
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        let lost = lost.to_vec();
        self.change(generation, move |record| record.lose(&lost))
    }

    fn seal(&self, generation: u64, total: u64) -> BoxFuture<'_, Result<(), LedgerError>> {
        self.change(generation, move |record| {
            record.sealed = true;
            record.identity.total = Some(total);
        })
    }

    fn finish(&self) -> BoxFuture<'_, Result<(), LedgerError>> {
        self.blocking("remove", |shared, state| {
            *state = State::default();
            match std::fs::remove_file(&shared.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        })
    }
}

impl State {
    /// Keeps `file`, and goes on counting where it stands.
    fn take_over(&mut self, file: File) -> io::Result<Option<Payload>> {
        if let Some(what) = disk::not_ours(&file.metadata()?, 1) {
            return Err(io::Error::other(format!("it is {what}")));
        }
        let newest = (0..2).filter_map(|slot| read_slot(&file, slot)).max_by_key(|(sequence, _)| *sequence);
        self.file = Some(file);
        let (sequence, payload) = newest.unzip();
        self.sequence = sequence.unwrap_or_default();
        Ok(payload)
    }

    fn store(&mut self, shared: &Shared, record: Record) -> io::Result<()> {
        if self.file.is_none() {
            let file = disk::create_or_open(&shared.path, 0o600)?;
            disk::sync_parent(&shared.path)?;
            self.take_over(file)?;
        }
        let Some(file) = &self.file else { return Err(io::ErrorKind::NotFound.into()) };
        let sequence = self.sequence + 1;
        let slot = encode(sequence, &Payload::of(&record, &shared.source))?;
        file.write_all_at(&slot, sequence % 2 * SLOT)?;
        file.sync_data()?;
        self.sequence = sequence;
        self.record = Some(record);
        Ok(())
    }
}
