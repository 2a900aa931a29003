//! A [`Ledger`] in one small file beside the part, for people without a database.
//!
//! The file has two slots of [`SLOT`] bytes. Each change goes to the slot that holds the older record and is synced
//! before the call returns, so whatever a crash tears, the other slot still holds the record before it: that one lags
//! the data, which is the safe side. A slot is valid when its checksum is; the valid slot with the higher sequence
//! number counts.
//!
//! ```text
//! offset  0  "peerd-ledger 1\n"       15 bytes
//!        15  sequence number           8 bytes, little-endian
//!        23  payload length            4 bytes, little-endian
//!        27  checksum                 32 bytes, BLAKE3 of everything else in the slot that counts
//!        59  payload                  JSON
//! ```
//!
//! A payload without a layout is read as a [`Layout::Map`]: then its ranges alone count, which is right for any part.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

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

#[derive(Serialize, Deserialize)]
struct Payload {
    source: String,
    generation: u64,
    total: Option<u64>,
    total_source: Option<String>,
    validator: Option<String>,
    layout: Option<String>,
    sealed: bool,
    durable: Vec<(u64, u64)>,
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

impl Payload {
    fn of(record: &Record, source: &str) -> Self {
        let durable = record.durable.iter().map(|range| (range.start, range.end));
        Self {
            source: source.to_owned(),
            generation: record.generation,
            total: record.identity.total,
            total_source: record.identity.total_source.map(|source| source.as_str().to_owned()),
            validator: record.identity.validator.as_ref().map(ToString::to_string),
            layout: Some(record.layout.as_str().to_owned()),
            sealed: record.sealed,
            // More separate runs than a slot holds: the record lags, and some bytes are fetched twice.
            durable: durable.take(MAX_RUNS).collect(),
        }
    }

    /// `None` when a value cannot be what this program wrote.
    fn into_record(self) -> Option<Record> {
        let identity = Identity {
            total: self.total,
            total_source: self.total_source.map(|source| source.parse()).transpose().ok()?,
            validator: self.validator.map(|validator| validator.parse()).transpose().ok()?,
        };
        let layout = self.layout.map_or(Ok(Layout::Map), |layout| layout.parse()).ok()?;
        let durable = self.durable.into_iter().map(|(start, end)| start..end).collect();
        Some(Record { generation: self.generation, identity, layout, durable, sealed: self.sealed })
    }
}

fn encode(sequence: u64, payload: &Payload) -> io::Result<Vec<u8>> {
    let payload = serde_json::to_vec(payload)?;
    if payload.len() > MAX_PAYLOAD {
        return Err(io::Error::other("the record does not fit its slot"));
    }
    let mut slot = Vec::with_capacity(HEADER + payload.len());
    slot.extend_from_slice(MAGIC);
    slot.extend_from_slice(&sequence.to_le_bytes());
    slot.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    let mut hasher = blake3::Hasher::new();
    let checksum = hasher.update(&slot).update(&payload).finalize();
    slot.extend_from_slice(checksum.as_bytes());
    slot.extend_from_slice(&payload);
    Ok(slot)
}

fn read_slot(file: &File, slot: u64) -> Option<(u64, Payload)> {
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, slot * SLOT).ok()?;
    let (signed, checksum) = header.split_at(HEADER - blake3::OUT_LEN);
    let rest = signed.strip_prefix(MAGIC)?;
    let sequence = u64::from_le_bytes(rest.get(..8)?.try_into().ok()?);
    let length = u32::from_le_bytes(rest.get(8..12)?.try_into().ok()?) as usize;
    let mut payload = vec![0; Some(length).filter(|length| *length <= MAX_PAYLOAD)?];
    file.read_exact_at(&mut payload, slot * SLOT + HEADER as u64).ok()?;
    let actual = *blake3::Hasher::new().update(signed).update(&payload).finalize().as_bytes();
    (actual == *checksum && sequence % 2 == slot).then_some(())?;
    Some((sequence, serde_json::from_slice(&payload).ok()?))
}

const MAGIC: &[u8] = b"peerd-ledger 1\n";
const HEADER: usize = MAGIC.len() + 8 + 4 + blake3::OUT_LEN;
/// Distance of the two slots in bytes. The file is sparse: a small record costs two blocks.
const SLOT: u64 = 128 * 1024;
const MAX_PAYLOAD: usize = SLOT as usize - HEADER;
/// At most 45 bytes a run in JSON, with room for the rest of the record.
const MAX_RUNS: usize = 2_500;

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity { total: Some(1000), total_source: None, validator: Some("\"a\"".parse().unwrap()) }
    }

    async fn written(path: &Path) -> SidecarLedger {
        let ledger = SidecarLedger::new(path, "http://peer/a");
        assert_eq!(ledger.load().await.unwrap(), None, "nothing there yet");
        ledger.begin(1, &identity(), None).await.unwrap();
        ledger.record(1, &[0..100]).await.unwrap();
        ledger.record(1, &[100..150, 200..300]).await.unwrap();
        ledger
    }

    async fn reloaded(path: &Path) -> Option<Record> {
        SidecarLedger::new(path, "http://peer/a").load().await.unwrap()
    }

    #[tokio::test]
    async fn what_was_recorded_is_there_in_the_next_process() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.part.ledger");
        written(&path).await;
        let record = reloaded(&path).await.unwrap();
        assert_eq!((record.generation, record.identity, record.sealed), (1, identity(), false));
        assert_eq!(record.durable.iter().collect::<Vec<_>>(), [0..150, 200..300]);
        assert_eq!(record.layout, Layout::Prefix, "nobody said otherwise");
    }

    #[tokio::test]
    async fn a_layout_is_there_in_the_next_process_and_an_unsaid_one_is_a_map() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.part.ledger");
        let ledger = written(&path).await;
        ledger.scatter(1).await.unwrap();
        assert_eq!(reloaded(&path).await.unwrap().layout, Layout::Map);

        let prefix = Record { generation: 1, ..Record::default() };
        let payload = Payload::of(&prefix, &ledger.shared.source);
        assert_eq!(payload.into_record(), Some(prefix.clone()));
        let unsaid = Payload { layout: None, ..Payload::of(&prefix, &ledger.shared.source) };
        assert_eq!(unsaid.into_record().unwrap().layout, Layout::Map);
        let mut json = serde_json::to_value(Payload::of(&prefix, "")).unwrap();
        json.as_object_mut().unwrap().remove("layout");
        let old: Payload = serde_json::from_value(json).unwrap();
        assert_eq!(old.into_record().unwrap().layout, Layout::Map);
        let unknown = Payload { layout: Some("append".into()), ..Payload::of(&prefix, "") };
        assert_eq!(unknown.into_record(), None, "not what this program wrote");
    }

    /// C42
    #[tokio::test]
    async fn a_list_of_ranges_is_one_write_and_no_change_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.part.ledger");
        let ledger = written(&path).await;
        let writes = || ledger.shared.state.lock().unwrap().sequence;
        let before = writes();
        let ranges: Vec<_> = (0..1000).rev().map(|n| 1000 + 10 * n..1005 + 10 * n).collect();
        ledger.record(1, &ranges).await.unwrap();
        assert_eq!(writes(), before + 1);
        ledger.subtract(1, &ranges).await.unwrap();
        ledger.scatter(1).await.unwrap();
        assert_eq!(writes(), before + 3);
        for _ in 0..2 {
            ledger.scatter(1).await.unwrap();
            ledger.record(1, &[0..150]).await.unwrap();
            ledger.subtract(1, &ranges).await.unwrap();
        }
        assert_eq!(writes(), before + 3);
        assert_eq!(reloaded(&path).await.unwrap().durable.iter().collect::<Vec<_>>(), [0..150, 200..300]);
    }

    #[tokio::test]
    async fn what_was_taken_out_stays_out_when_the_write_after_it_is_torn() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.part.ledger");
        let ledger = written(&path).await;
        ledger.subtract(1, &[50..60]).await.unwrap();
        let whole = std::fs::read(&path).unwrap();
        ledger.record(1, &[300..400]).await.unwrap();
        let mut torn = std::fs::read(&path).unwrap();
        let at = (0..torn.len().min(whole.len())).find(|at| torn[*at] != whole[*at]).unwrap();
        torn[at] ^= 0x40;
        std::fs::write(&path, &torn).unwrap();
        let record = reloaded(&path).await.unwrap();
        assert_eq!(record.durable.iter().collect::<Vec<_>>(), [0..50, 60..150, 200..300]);
    }

    #[tokio::test]
    async fn a_torn_write_leaves_the_record_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.part.ledger");
        written(&path).await;
        let whole = std::fs::read(&path).unwrap();
        let newest = SLOT as usize; // three changes: the third went to slot 1
        for at in [newest, newest + 16, newest + 25, newest + 40, newest + HEADER, whole.len() - 1] {
            let mut torn = whole.clone();
            torn[at] ^= 0x40;
            std::fs::write(&path, &torn).unwrap();
            let record = reloaded(&path).await.expect("the other slot is intact");
            assert_eq!(record.durable.iter().collect::<Vec<_>>(), [0..100], "byte {at} flipped");
        }
        std::fs::write(&path, &whole[..newest + 10]).unwrap();
        assert_eq!(reloaded(&path).await.unwrap().durable.len(), 100, "cut short");
        std::fs::write(&path, b"").unwrap();
        assert_eq!(reloaded(&path).await, None, "emptied");
    }

    #[tokio::test]
    async fn a_ledger_of_another_url_lends_it_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.part.ledger");
        written(&path).await;
        let other = SidecarLedger::new(&path, "http://peer/b");
        assert_eq!(other.load().await.unwrap(), None);
        other.begin(1, &identity(), None).await.unwrap();
        assert_eq!(reloaded(&path).await, None, "and takes the file over once it writes");
    }

    #[tokio::test]
    async fn a_late_record_of_an_older_generation_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.part.ledger");
        let ledger = written(&path).await;
        ledger.begin(2, &identity(), None).await.unwrap();
        ledger.record(1, &[0..1000]).await.unwrap_err();
        assert!(reloaded(&path).await.unwrap().durable.is_empty());
    }

    #[tokio::test]
    async fn a_file_that_was_never_read_does_not_win_over_what_is_written_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.part.ledger");
        written(&path).await;
        let unread = SidecarLedger::new(&path, "http://peer/a");
        unread.begin(9, &identity(), None).await.unwrap();
        assert_eq!(reloaded(&path).await.unwrap().generation, 9);
    }

    #[tokio::test]
    async fn more_runs_than_a_slot_holds_are_recorded_in_part_and_never_lost_for_good() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.part.ledger");
        let ledger = written(&path).await;
        let far = u64::MAX / 2;
        let runs: Vec<_> = (0..5000).map(|n| far + 2 * n..far + 2 * n + 1).collect();
        ledger.record(1, &runs).await.unwrap();
        let record = reloaded(&path).await.unwrap();
        assert!(record.durable.len() >= 250, "those that came first are there");
        assert!(
            record.durable.iter().all(|run| run.start < 300 || runs.contains(&run)),
            "and none is invented"
        );
        ledger.record(1, &[far..far + 10_000]).await.unwrap();
        assert!(reloaded(&path).await.unwrap().durable.covers(&(far..far + 10_000)));
    }

    #[tokio::test]
    async fn the_largest_record_there_can_be_fits_its_slot() {
        let tag = format!("\"{}\"", "\\".repeat(1022));
        let identity = Identity { validator: Some(tag.parse().unwrap()), ..identity() };
        let durable = (0..3000).map(|n| u64::MAX - 2 * n - 1..u64::MAX - 2 * n).collect();
        let layout = Layout::Prefix; // the longer word
        let record = Record { generation: u64::MAX, identity, layout, durable, sealed: true };
        encode(u64::MAX, &Payload::of(&record, &"f".repeat(32))).unwrap();
    }

    #[tokio::test]
    async fn only_an_ordinary_file_of_ours_is_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let (path, victim) = (dir.path().join("x.part.ledger"), dir.path().join("victim"));
        std::fs::write(&victim, b"precious").unwrap();
        std::fs::hard_link(&victim, &path).unwrap();
        let ledger = SidecarLedger::new(&path, "http://peer/a");
        ledger.load().await.unwrap_err();
        ledger.begin(1, &identity(), None).await.unwrap_err();
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
    }

    #[tokio::test]
    async fn a_symlink_in_its_place_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, victim) = (dir.path().join("x.part.ledger"), dir.path().join("victim"));
        std::fs::write(&victim, b"precious").unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        let ledger = SidecarLedger::new(&path, "http://peer/a");
        ledger.load().await.unwrap_err();
        ledger.begin(1, &identity(), None).await.unwrap_err();
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
    }
}
