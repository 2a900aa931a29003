//! Who reads from us right now: one entry for each file body on its way out.
//!
//! An entry is in the table exactly as long as its body lives, whatever ends it. The table is bounded; past its bound
//! the bodies that began first are not shown any more, and go out all the same.

mod rate;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use retry_kit::SharedClock;
use serde::Serialize;

use self::rate::SentRate;
use crate::library::Item;
use crate::moment::rfc3339;

/// The bodies that are on their way out.
pub struct Transfers {
    clock: SharedClock,
    table: Mutex<Table>,
}

/// What goes out, and to whom.
#[derive(Clone, Debug)]
pub struct Sending {
    /// Whose key let it out, if one was needed.
    pub key: Option<String>,
    /// The client, behind the proxies we trust.
    pub address: IpAddr,
    /// The file.
    pub item: Arc<Item>,
    /// Which of its bytes; never empty.
    pub range: Range<u64>,
}

/// One body's entry in the table; dropping it takes it out.
pub struct Transfer {
    transfers: Arc<Transfers>,
    number: u64,
    entry: Arc<Entry>,
}

/// The transfers object of the API.
#[derive(Clone, Debug, Serialize)]
pub struct TransfersView {
    /// The newest first.
    pub transfers: Vec<TransferView>,
}

/// One body on its way out, as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TransferView {
    /// Whose key let it out.
    pub key: Option<String>,
    /// The client.
    pub address: IpAddr,
    /// The share the file is in.
    pub share: String,
    /// Id of the file.
    pub item: String,
    /// Its name.
    pub filename: String,
    /// Its complete-length in bytes.
    pub size: u64,
    /// First-pos of what goes out.
    pub first: u64,
    /// Last-pos of it.
    pub last: u64,
    /// Bytes of it that the connection took.
    pub sent: u64,
    /// Bytes per second over the last seconds; `None` in its first one.
    pub rate: Option<u64>,
    /// When it began.
    pub started_at: String,
}

#[derive(Default)]
struct Table {
    next: u64,
    /// In the order in which they began.
    bodies: BTreeMap<u64, Arc<Entry>>,
}

struct Entry {
    sending: Sending,
    started_at: SystemTime,
    sent: Mutex<SentRate>,
}

impl Transfers {
    /// Nothing goes out yet.
    pub fn new(clock: SharedClock) -> Arc<Self> {
        Arc::new(Self { clock, table: Mutex::default() })
    }

    /// A body begins.
    pub fn begin(self: &Arc<Self>, sending: Sending) -> Transfer {
        let sent = Mutex::new(SentRate::new(self.clock.now()));
        let entry = Arc::new(Entry { sending, started_at: self.clock.wall(), sent });
        let mut table = self.table();
        if table.bodies.len() >= MOST_KEPT {
            table.bodies.pop_first();
        }
        table.next += 1;
        let number = table.next;
        table.bodies.insert(number, Arc::clone(&entry));
        drop(table);
        Transfer { transfers: Arc::clone(self), number, entry }
    }

    /// What goes out at this moment: the five hundred that began last.
    pub fn view(&self) -> TransfersView {
        let newest: Vec<_> = self.table().bodies.values().rev().take(MOST_SHOWN).cloned().collect();
        let now = self.clock.now();
        let view = |entry: Arc<Entry>| {
            let (sent, rate) = {
                let sent = entry.sent();
                (sent.sent(), sent.rate(now))
            };
            let Sending { key, address, item, range } = entry.sending.clone();
            TransferView {
                key,
                address,
                share: item.share.clone(),
                item: item.id.clone(),
                filename: item.filename.clone(),
                size: item.size,
                first: range.start,
                last: range.end.saturating_sub(1),
                sent,
                rate,
                started_at: rfc3339(entry.started_at),
            }
        };
        TransfersView { transfers: newest.into_iter().map(view).collect() }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transfer {
    /// The share the file is in.
    pub fn share(&self) -> &str {
        &self.entry.sending.item.share
    }

    /// Counts bytes that the connection took.
    pub fn sent(&self, bytes: u64) {
        let now = self.transfers.clock.now();
        self.entry.sent().add(now, bytes);
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.transfers.table().bodies.remove(&self.number);
    }
}

impl Entry {
    fn sent(&self) -> MutexGuard<'_, SentRate> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Transfers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transfers").field("under_way", &self.table().bodies.len()).finish_non_exhaustive()
    }
}

/// Entries of the table at most.
const MOST_KEPT: usize = 4096;
/// Entries that are shown at most.
const MOST_SHOWN: usize = 500;

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use retry_kit::{Clock, ManualClock};

    use super::*;

    pub(in crate::http) fn sending(id: &str, range: Range<u64>) -> Sending {
        let item = Arc::new(Item {
            id: id.to_owned(),
            title: "film".to_owned(),
            filename: "film.mkv".to_owned(),
            size: 1000,
            modified: SystemTime::UNIX_EPOCH,
            etag: "\"e\"".to_owned(),
            share: "s".to_owned(),
        });
        Sending { key: Some("bob".to_owned()), address: [192, 0, 2, 1].into(), item, range }
    }

    #[test]
    fn a_body_is_shown_from_its_beginning_to_its_end_with_what_it_has_sent() {
        let clock = ManualClock::new();
        let transfers = Transfers::new(Arc::new(clock.clone()));
        assert!(transfers.view().transfers.is_empty());
        let transfer = transfers.begin(sending("s:1", 100..1000));
        let started_at = rfc3339(clock.wall());
        transfer.sent(300);
        clock.advance(Duration::from_secs(2));
        transfer.sent(300);
        let expected = TransferView {
            key: Some("bob".to_owned()),
            address: [192, 0, 2, 1].into(),
            share: "s".to_owned(),
            item: "s:1".to_owned(),
            filename: "film.mkv".to_owned(),
            size: 1000,
            first: 100,
            last: 999,
            sent: 600,
            rate: Some(300),
            started_at,
        };
        assert_eq!(transfers.view().transfers, [expected]);
        drop(transfer);
        assert!(transfers.view().transfers.is_empty());
    }

    #[test]
    fn the_newest_are_shown_first_and_the_table_has_an_end() {
        let transfers = Transfers::new(Arc::new(ManualClock::new()));
        let begun: Vec<_> =
            (0..MOST_KEPT + 10).map(|n| transfers.begin(sending(&format!("s:{n}"), 0..1))).collect();
        let shown = transfers.view().transfers;
        let ids: Vec<_> = shown.iter().map(|transfer| transfer.item.as_str()).collect();
        assert_eq!((ids.len(), ids[0], ids[499]), (MOST_SHOWN, "s:4105", "s:3606"));
        assert_eq!(transfers.table().bodies.len(), MOST_KEPT);
        drop(begun);
        assert_eq!(transfers.table().bodies.len(), 0, "also when some were not kept");
    }
}
