//! The peerd daemon and its command line.
//!
//! [`app`] says which pieces exist and how they meet; everything else is one of those pieces. Bytes out:
//! [`http`] → [`library`] → `range-http`. Bytes in: [`downloads`] → `download-registry`, `resume-fetch`, `retry-kit`.
//! Files on: [`import`]. [`access`] says who may talk to whom. [`events`] is where all of it is told. [`config`] is read
//! once at the start, [`cli`] is what people type, [`service_manager`] is who started it.

#![forbid(unsafe_code)]
// These macros panic when nobody reads any more; the command line has its own ways to print.
#![warn(clippy::print_stderr, clippy::print_stdout)]
// The daemon is where time, chance and the environment enter: it hands them to the libraries.
#![allow(
    clippy::disallowed_methods,
    reason = "libraries are handed a clock and a generator; this is the hand"
)]

pub mod access;
pub mod app;
pub mod cli;
pub mod config;
pub mod current;
pub mod doctor;
pub mod downloads;
pub mod events;
pub mod exit;
pub mod failure;
pub mod hooks;
pub mod http;
pub mod import;
pub mod library;
pub mod metrics;
pub mod moment;
mod open_files;
pub mod outbound;
pub mod reload;
pub mod service_manager;
pub mod state_dir;
pub mod stub;
pub mod telemetry;
pub mod tls;
mod to_the_end;
mod volume;
pub mod watch;
