//! What each reply to a resume request leads to, through real sockets: a test for each row of the reply table
//! (`docs/resume.md`), named after it. Half of the file is held under the strong tag `"a"`, unless a test says
//! otherwise.

#![cfg(feature = "reqwest")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]
#![allow(clippy::single_range_in_vec_init, reason = "a list of one byte range is what is meant")]

#[path = "../common/mod.rs"]
mod common;
mod length;
mod local;
mod partial;
mod past_the_end;
mod status;
mod table;
mod whole;

use common::{FILE, Fetched, Lab, MIB, SEED, once};
use resume_fetch::{AnswerError, AttemptError, Digest, FetchErrorKind, RestartReason};
use scripted_peer::{Answer, Representation, seeded_bytes};

const HALF: u64 = MIB / 2;

/// Resumes at the half against `answers`, then the honest peer. Expects the file at the end.
async fn resumed(answers: impl IntoIterator<Item = Answer>) -> (Lab, Fetched) {
    let lab = Lab::holding(HALF).await;
    lab.peer.script(FILE, answers);
    let fetched = lab.run().await;
    if let Err(error) = &fetched.result {
        panic!("{}; {:?}", common::describe(error), fetched.events);
    }
    lab.published(SEED, MIB);
    (lab, fetched)
}

/// The answer made us start over for `reason`, with `requests` after the earlier run's first.
async fn restarts(answer: Answer, reason: RestartReason, requests: usize) {
    let (lab, fetched) = resumed([answer]).await;
    assert_eq!(fetched.restarts(), [(reason, HALF)]);
    assert_eq!(lab.asked().len(), 1 + requests);
    assert_eq!(lab.asked()[1], Some(HALF));
    assert_eq!(fetched.retries(), 0, "a restart is not a failed attempt");
    assert_eq!(fetched.done().restarts, 1);
}

/// As [`restarts`], by asking once more without a range.
async fn drops_and_restarts(answer: Answer, reason: RestartReason) {
    restarts(answer, reason, 2).await;
}

/// All bytes are held, but the transfer ended without saying that they are all.
async fn holding_everything(representation: Representation) -> Lab {
    let lab = Lab::new(representation).await;
    lab.peer.script(FILE, [Answer::chunked().and(Answer::truncate_at(MIB))]);
    lab.fetch(once(lab.request())).await.failed();
    assert_eq!(lab.part_len(), Some(MIB));
    lab
}

fn blake3(seed: u64, length: u64) -> Digest {
    Digest::Blake3(*blake3::hash(&seeded_bytes(seed, 0..length)).as_bytes())
}

fn status(kind: &FetchErrorKind) -> Option<u16> {
    match kind {
        FetchErrorKind::Permanent(last) | FetchErrorKind::Exhausted { last, .. } => {
            last.status().map(|status| status.as_u16())
        }
        _ => None,
    }
}

fn is_answer(kind: &FetchErrorKind, expected: &AnswerError) -> bool {
    matches!(kind, FetchErrorKind::Permanent(AttemptError::Answer(error)) if error == expected)
}
