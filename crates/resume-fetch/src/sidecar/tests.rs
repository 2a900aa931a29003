//! What the ledger file survives.

use super::slot::{HEADER, Payload, SLOT, encode};
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
    assert!(record.durable.iter().all(|run| run.start < 300 || runs.contains(&run)), "and none is invented");
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
