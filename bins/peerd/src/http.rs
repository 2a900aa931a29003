//! HTTP of the daemon: the listeners, and what both of them share.
//!
//! A [`server::Server`] accepts and guards connections. What it calls for each request is a handler:
//! [`peer::PeerApi`] on the public listener. Handlers look the path up in a [`router::Router`], find out who
//! asks with [`auth::Keys`], and refuse with a [`problem::Problem`].

mod access;
mod activity;
pub mod admin;
pub mod auth;
pub mod body;
pub mod client_address;
mod connection;
pub mod events;
pub mod failed_limit;
mod framing;
pub mod key_slots;
mod metered;
pub mod page;
pub mod peer;
pub mod problem;
pub mod router;
pub mod server;
mod stall;
pub mod tls;
pub mod transfers;

pub use connection::ConnectionInfo;
