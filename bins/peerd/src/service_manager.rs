//! The service manager that started the daemon, if one did: systemd, or anything that speaks like it.
//!
//! What it hands in are [sockets that already listen](PassedSockets). What it is told, over a [`Notifier`], is when the
//! daemon serves, reads its configuration again, and stops; [how things stand](Standing), for `systemctl status`; and,
//! where a [watchdog](watchdog_interval) waits for it, that the daemon is alive ([`Reporter`]). Without a service
//! manager all of this is silent.

mod notify;
mod report;
mod sockets;
mod standing;
mod watchdog;

use std::time::Duration;

pub use self::notify::{Notifier, Word};
pub use self::report::{ReloadNotice, Reporter};
pub use self::sockets::{PassedAddresses, PassedSockets, SocketError};
pub use self::standing::Standing;
pub use self::watchdog::watchdog_interval;

/// What the environment of the process says about its service manager.
#[derive(Debug, Default)]
pub struct ServiceManager {
    /// Where it listens, if anywhere.
    pub notifier: Notifier,
    /// Within which time it wants a sign of life; `None` when it does not wait for one.
    pub watchdog: Option<Duration>,
    /// The sockets it passed.
    pub sockets: PassedSockets,
}

impl ServiceManager {
    /// What the environment says, and the `sockets` that were taken out of it at the very beginning.
    pub fn of_process(sockets: PassedSockets) -> Self {
        let variable = |name: &str| std::env::var(name).ok();
        Self {
            notifier: Notifier::to(std::env::var_os("NOTIFY_SOCKET")),
            watchdog: watchdog_interval(variable, std::process::id()),
            sockets,
        }
    }
}
