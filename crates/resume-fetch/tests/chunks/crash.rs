//! A download over several connections dies at every step of its record, and the power goes with it.

use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use resume_fetch::{BoxFuture, LedgerError, RangeSet};
use tokio::sync::{mpsc, oneshot};

use crate::common::{KIB, Lab, SEED, drive};
use crate::stage::{COUNT, Watched, asks_for_nothing_of, everything, lab, only_pieces, total};

/// Runs until the ledger is called for the `nth` time, and dies right before that call or right after it. `false` when
/// it was done before.
async fn dies_at(lab: &Lab, nth: usize, after: bool) -> bool {
    let (reached, mut at_the_point) = mpsc::unbounded_channel();
    let calls = AtomicUsize::new(0);
    let ledger = Watched::pausing(lab.ledger(), move |call| -> BoxFuture<'static, Result<(), LedgerError>> {
        if call.after != after || calls.fetch_add(1, Ordering::Relaxed) + 1 != nth {
            return Box::pin(std::future::ready(Ok(())));
        }
        let (hold, released) = oneshot::channel::<()>();
        let _ = reached.send(hold);
        Box::pin(async move {
            let _ = released.await;
            Err(LedgerError::new("dead", std::io::Error::other("the process is gone")))
        })
    });
    let request = only_pieces(lab).checkpoint(128 * KIB, Duration::from_millis(1));
    let mut download = lab.fetcher().start(request, ledger);
    tokio::select! {
        hold = at_the_point.recv() => {
            // Nobody says goodbye, and only then does the call that is under way come back.
            drop(download);
            drop(hold);
            true
        }
        result = &mut download => {
            result.unwrap();
            false
        }
    }
}

/// Whatever is not on record is gone: other bytes are in its place.
async fn power_cut(lab: &Lab) -> RangeSet {
    let held = lab.record().await.map_or_else(RangeSet::new, |record| record.durable);
    let Some(length) = lab.part_len() else { return held };
    let part = std::fs::OpenOptions::new().write(true).open(lab.part()).unwrap();
    for lost in held.gaps(0..length) {
        part.write_all_at(&vec![0xdb; (lost.end - lost.start) as usize], lost.start).unwrap();
    }
    held
}

// C09, P44, P56
#[tokio::test]
async fn a_download_in_pieces_that_dies_at_any_step_of_its_record_goes_on_from_a_true_one() {
    let deaths = Arc::new(AtomicUsize::new(0));
    for after in [false, true] {
        for nth in 1..=8 {
            let lab = lab().await;
            if !dies_at(&lab, nth, after).await {
                break;
            }
            deaths.fetch_add(1, Ordering::Relaxed);
            lab.record_is_true(SEED).await;
            let held = power_cut(&lab).await;
            lab.record_is_true(SEED).await;
            assert!(!lab.target().exists());
            let before = lab.asked().len();
            let fetched = drive(lab.start(everything(&lab))).await;
            fetched.done();
            asks_for_nothing_of(&held, &lab, before, total(COUNT));
            lab.published(SEED, total(COUNT));
        }
    }
    assert!(deaths.load(Ordering::Relaxed) >= 8, "there were steps to die at");
}
