//! The engine against a model: a peer that does everything a peer can do, people who read and ask, a disk that forgets
//! what was not synced, and a process that dies. The model of the file is its bytes; whatever anybody is told about
//! them has to agree.
//!
//! Each seed is one story on a clock that the test moves, so hours take milliseconds. `PEERD_SEEDS=10000` tells that
//! many of them, `PEERD_SEED=7` tells one and prints it.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod answer;
mod books;
mod check;
mod clerk;
mod events;
mod faults;
mod peer;
mod power;
mod run;
mod setup;
mod source;
mod visitors;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::run::Run;
use crate::world::World;

#[test]
fn every_story_of_a_download_keeps_its_promises() {
    let number = |name| std::env::var(name).ok().map(|text: String| text.parse::<u64>().expect("a number"));
    let only = number("PEERD_SEED");
    let seeds = only.map_or(0..number("PEERD_SEEDS").unwrap_or(SEEDS), |seed| seed..seed + 1);
    let failed: Vec<_> =
        seeds.filter_map(|seed| tell(seed, only.is_some()).err().map(|why| (seed, why))).collect();
    for (seed, why) in failed.iter().take(SHOWN) {
        eprintln!("---- PEERD_SEED={seed}\n{why}\n");
    }
    let seeds: Vec<_> = failed.iter().map(|(seed, _)| seed).collect();
    assert!(failed.is_empty(), "{} stories went wrong: {seeds:?}", seeds.len());
}

/// Tells the story of `seed`. What went wrong comes with the last events.
fn tell(seed: u64, loud: bool) -> Result<(), String> {
    let world = World::new(loud);
    let runtime = tokio::runtime::Builder::new_current_thread()
        // One thread does the blocking work, in the order it is given, and a turn lasts until nobody is ready, or far
        // too many were.
        .max_blocking_threads(1)
        .event_interval(1000)
        .build()
        .expect("a runtime");
    let told = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            let mut run = Run::new(&world, seed);
            run.tell().await;
            // Before its directory goes: late work of the engine may still look for it.
            run.kill();
            Arc::clone(&world).settle().await;
        });
    }));
    let wrong = told.err().map(|_| "a panic".to_owned()).or_else(|| world.wrong());
    wrong.map_or(Ok(()), |wrong| Err(format!("{}\n{wrong}", world.last_events())))
}

/// Stories told by default.
const SEEDS: u64 = 500;
/// Stories that went wrong and are shown.
const SHOWN: usize = 3;
