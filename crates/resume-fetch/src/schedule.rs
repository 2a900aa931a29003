//! **The schedule**: which bytes are fetched next, and over how many connections. Pure: time is handed in, nothing is
//! sent, nothing is written.
//!
//! [`Demand`] knows who wants what, [`pick`] turns that into the next lease, [`Governor`] says how many leases there
//! may be at once. The engine asks all three after everything that happens, so nothing here is a queue of stale
//! orders: a reader that moves on, a request that is withdrawn and a range that arrives by itself need no clean-up.

mod demand;
mod governor;
#[cfg(test)]
mod model;
mod picker;

pub(crate) use demand::{Claim, Claimant, Demand};
pub(crate) use governor::{Governor, Reading};
pub(crate) use picker::{LeaseId, Pick, Running, Scene, pick};
