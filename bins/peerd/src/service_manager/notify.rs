//! Words to the service manager: one datagram each, as `sd_notify(3)` writes them.
//!
//! A socket is opened for every word, so that a service manager that was restarted in between is reached. Names in the
//! abstract namespace (`@…`) are addresses like any other; container managers use them.

use std::ffi::OsString;
use std::fmt::Write;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Where the service manager listens. Without one nothing is said. Clones speak to the same one.
#[derive(Clone, Debug, Default)]
pub struct Notifier(Option<Arc<SocketAddr>>);

/// What can be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word<'a> {
    /// The daemon serves: after the start, and after a reload.
    Ready,
    /// The configuration is being read again, since this time on the monotonic clock.
    Reloading(Duration),
    /// The daemon is about to end.
    Stopping,
    /// How things stand, for people; one line.
    Status(&'a str),
    /// The daemon is alive.
    Alive,
    /// Starting or stopping may take this long, from now.
    ExtendTimeout(Duration),
}

impl Notifier {
    /// The service manager at `address`, as `NOTIFY_SOCKET` names it.
    pub fn to(address: Option<OsString>) -> Self {
        let Some(address) = address.filter(|address| !address.is_empty()) else { return Self(None) };
        match socket_address(address.as_bytes()) {
            Ok(address) => Self(Some(Arc::new(address))),
            Err(error) => {
                tracing::warn!(%error, ?address, "the service manager cannot be told anything");
                Self(None)
            }
        }
    }

    /// Whether anybody listens.
    pub fn is_heard(&self) -> bool {
        self.0.is_some()
    }

    /// Says all of `words` at once. One that cannot be said is a warning: the daemon does its work without.
    ///
    /// # Cancel safety
    /// They are said whole or not at all.
    pub async fn tell(&self, words: &[Word<'_>]) {
        let Some(address) = &self.0 else { return };
        let message = message(words);
        let said = tokio::time::timeout(PATIENCE, send(address, message.as_bytes())).await;
        let said = said.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        if let Err(error) = said {
            tracing::warn!(%error, ?words, "the service manager does not listen");
        }
    }
}

impl Word<'_> {
    /// Reading the configuration begins now.
    pub fn reloading_now() -> Self {
        let now = clock_gettime(ClockId::Monotonic);
        let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
        Self::Reloading(Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or_default()))
    }
}

async fn send(address: &SocketAddr, message: &[u8]) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(address)?;
    socket.set_nonblocking(true)?;
    // Waits where the service manager has more to read than it takes: readiness must not get lost.
    tokio::net::UnixDatagram::from_std(socket)?.send(message).await?;
    Ok(())
}

/// `NAME=value`, one a line.
fn message(words: &[Word<'_>]) -> String {
    let mut text = String::new();
    for word in words {
        let _ = match word {
            Word::Ready => writeln!(text, "READY=1"),
            Word::Reloading(since) => writeln!(text, "RELOADING=1\nMONOTONIC_USEC={}", since.as_micros()),
            Word::Stopping => writeln!(text, "STOPPING=1"),
            // A second line would be another word.
            Word::Status(status) => writeln!(text, "STATUS={}", status.replace(['\n', '\r'], " ")),
            Word::Alive => writeln!(text, "WATCHDOG=1"),
            Word::ExtendTimeout(by) => writeln!(text, "EXTEND_TIMEOUT_USEC={}", by.as_micros()),
        };
    }
    text
}

/// A path, or behind `@` a name in the abstract namespace.
fn socket_address(address: &[u8]) -> io::Result<SocketAddr> {
    match address {
        [b'/', ..] => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(address)),
        [b'@', name @ ..] => abstract_address(name),
        _ => Err(io::Error::new(io::ErrorKind::Unsupported, "NOTIFY_SOCKET is neither a path nor @NAME")),
    }
}

#[cfg(target_os = "linux")]
fn abstract_address(name: &[u8]) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_name: &[u8]) -> io::Result<SocketAddr> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "there are no abstract names on this system"))
}

/// How long a service manager that reads nothing is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_written_one_a_line() {
        let second = Duration::from_secs(1);
        for (words, text) in [
            (&[Word::Ready, Word::Status("3 running")][..], "READY=1\nSTATUS=3 running\n"),
            (&[Word::Reloading(second)], "RELOADING=1\nMONOTONIC_USEC=1000000\n"),
            (
                &[Word::Stopping, Word::ExtendTimeout(35 * second)],
                "STOPPING=1\nEXTEND_TIMEOUT_USEC=35000000\n",
            ),
            (&[Word::Alive], "WATCHDOG=1\n"),
            (&[Word::Status("one\nREADY=1")], "STATUS=one READY=1\n"),
            (&[], ""),
        ] {
            assert_eq!(message(words), text);
        }
    }

    #[test]
    fn the_service_manager_is_at_a_path_or_at_an_abstract_name() {
        assert!(Notifier::to(Some("/run/systemd/notify".into())).is_heard());
        assert!(Notifier::to(Some("@peerd/notify".into())).is_heard());
        let long = "/x".repeat(200);
        for nobody in [None, Some(""), Some("relative"), Some("vsock:2:1"), Some(long.as_str())] {
            assert!(!Notifier::to(nobody.map(Into::into)).is_heard(), "{nobody:?}");
        }
    }

    #[tokio::test]
    async fn one_that_is_gone_stops_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let gone = Notifier::to(Some(dir.path().join("notify").into()));
        gone.tell(&[Word::Ready]).await;
        Notifier::default().tell(&[Word::Ready]).await;
    }
}
