//! The peer as a client meets it: over a socket, byte by byte.

#![allow(clippy::unwrap_used, reason = "the client's helpers are tests too")]

mod answers;
mod client;
mod script;
