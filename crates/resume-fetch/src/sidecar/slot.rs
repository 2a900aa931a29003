//! One slot of a ledger file: a record, with what it takes to know that it is whole.
//!
//! ```text
//! offset  0  "peerd-ledger 1\n"       15 bytes
//!        15  sequence number           8 bytes, little-endian
//!        23  payload length            4 bytes, little-endian
//!        27  checksum                 32 bytes, BLAKE3 of everything else in the slot that counts
//!        59  payload                  JSON
//! ```
//!
//! A slot is valid when its checksum is; the valid slot with the higher sequence number counts. A payload without a
//! layout is read as a [`Layout::Map`]: then its ranges alone count, which is right for any part.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

use crate::identity::Identity;
use crate::ledger::{Layout, Record};

/// What a slot says.
#[derive(Serialize, Deserialize)]
pub(super) struct Payload {
    pub(super) source: String,
    pub(super) generation: u64,
    pub(super) total: Option<u64>,
    pub(super) total_source: Option<String>,
    pub(super) validator: Option<String>,
    pub(super) layout: Option<String>,
    pub(super) sealed: bool,
    pub(super) durable: Vec<(u64, u64)>,
}

impl Payload {
    pub(super) fn of(record: &Record, source: &str) -> Self {
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
    pub(super) fn into_record(self) -> Option<Record> {
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

/// A slot with this payload.
pub(super) fn encode(sequence: u64, payload: &Payload) -> io::Result<Vec<u8>> {
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

/// What a slot of the file holds, if it is valid.
pub(super) fn read_slot(file: &File, slot: u64) -> Option<(u64, Payload)> {
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
pub(super) const HEADER: usize = MAGIC.len() + 8 + 4 + blake3::OUT_LEN;
/// Distance of the two slots in bytes. The file is sparse: a small record costs two blocks.
pub(super) const SLOT: u64 = 128 * 1024;
const MAX_PAYLOAD: usize = SLOT as usize - HEADER;
/// At most 45 bytes a run in JSON, with room for the rest of the record.
const MAX_RUNS: usize = 2_500;
