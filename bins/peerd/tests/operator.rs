//! What the owner of a daemon types to steer it: orders, limits, and looking on.

#[path = "operator/daemon.rs"]
mod daemon;
#[path = "operator/limits.rs"]
mod limits;
#[path = "operator/orders.rs"]
mod orders;
mod support;
#[path = "operator/watch.rs"]
mod watch;
