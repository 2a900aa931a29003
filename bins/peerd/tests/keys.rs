//! Keys made while the daemon runs: who may fetch from us, for which shares, and until when.

#[path = "keys/invite.rs"]
mod invite;
#[path = "keys/life.rs"]
mod life;
#[path = "keys/scope.rs"]
mod scope;
mod support;
