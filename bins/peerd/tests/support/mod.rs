//! The daemon as its users meet it: the real binary, in a directory of its own, over real sockets.
//!
//! A [`Home`] is one user's machine: configuration, state, shared and downloaded files. A [`Daemon`] is the program
//! running there; it can be asked, stopped and killed, and never outlives the test. [`offer`] puts a file on a
//! [`scripted_peer::ScriptedPeer`], which then misbehaves as it is told; a [`Relay`] stands between two real daemons
//! and cuts where the test says.
//!
//! Tests wait for events or look again and again within a bound, and say what they saw when it never came.
#![allow(dead_code, unused_imports, reason = "each test file uses its own part")]

mod answer;
mod daemon;
mod home;
mod items;
mod log;
mod names;
mod program;
mod receiver;
mod rows;

use std::time::Duration;

use retry_kit::{Clock, TokioClock};

pub(crate) use answer::Answer;
pub(crate) use daemon::{DOWNLOADS, Daemon};
pub(crate) use home::Home;
pub(crate) use items::{MIB, offer, offer_as, seeded_file};
pub(crate) use log::Log;
pub(crate) use names::NameWatch;
pub(crate) use program::{Output, program};
pub(crate) use receiver::{Call, Receiver, Reply};
pub(crate) use rows::{Left, Stage, Staged, durable_on_record, on_record, with_registry};
pub(crate) use scripted_peer::Relay;

/// The key every peer of a test wants.
pub(crate) const KEY: &str = "a-key-between-two-friends";

/// Looks again and again until `look` finds something; `None` after about a minute without.
pub(crate) async fn eventually<T>(mut look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    for _ in 0..TRIES {
        if let Some(found) = look().await {
            return Some(found);
        }
        TokioClock.sleep(PAUSE).await;
    }
    None
}

const TRIES: u32 = 2400;
const PAUSE: Duration = Duration::from_millis(25);
