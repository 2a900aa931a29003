//! The log: one line for each change, every request under a number of its own, and no secret anywhere.

#[path = "log/requests.rs"]
mod requests;
#[path = "log/secrets.rs"]
mod secrets;
mod support;
