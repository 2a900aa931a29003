//! The events of the daemon: everything that happens, as it happens, and nothing missed over a lost connection.

#[path = "events/feed.rs"]
mod feed;
#[path = "events/following.rs"]
mod following;
#[path = "events/restarts.rs"]
mod restarts;
mod support;
#[path = "events/transfers.rs"]
mod transfers;
