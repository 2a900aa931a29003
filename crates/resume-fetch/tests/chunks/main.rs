//! Several ranges at once: what the peer is asked for, what lands where, what goes on record, and what one failure costs
//! the others. `docs/chunks.md` lists which test stands for which promise.
//!
//! Nothing here sleeps: answers park at gates, and time moves when the test says so. Every test that needs slots has
//! more than three times as many ranges, so that a slot which is not given back shows.

#![cfg(feature = "reqwest")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]
#![allow(clippy::single_range_in_vec_init, reason = "a list of one byte range is what is meant")]

mod answers;
mod availability;
mod changed;
#[path = "../common/mod.rs"]
mod common;
mod crash;
mod limits;
mod local;
mod meter;
mod mishaps;
mod page;
mod parallel;
mod push_back;
mod record;
mod redirects;
mod rests;
mod setbacks;
mod shapes;
mod split;
mod stage;
mod wanted;
