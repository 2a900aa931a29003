//! The documentation says what is so: links lead somewhere, commands and settings exist, alerts ask for metrics there are.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "documentation/links.rs"]
mod links;
#[path = "documentation/monitoring.rs"]
mod monitoring;
#[path = "documentation/pages.rs"]
mod pages;
#[path = "documentation/troubleshooting.rs"]
mod troubleshooting;
#[path = "documentation/words.rs"]
mod words;
