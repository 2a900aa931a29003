//! Whatever a peer does, the file under the final name is the right one, the record tells the truth, and the download
//! ends.

#![cfg(feature = "reqwest")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod amount;
#[path = "../common/mod.rs"]
mod common;
mod connection;
mod digests;
mod origins;
mod stalls;
mod validators;

use common::MIB;

const HALF: u64 = MIB / 2;
