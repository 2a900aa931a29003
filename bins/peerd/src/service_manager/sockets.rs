//! Sockets that already listen when the daemon starts, so that a restart refuses no connection and a port below 1024
//! needs no privilege (`sd_listen_fds(3)`).
//!
//! Their names say which listener they are: `peer` or `admin`. A name may come more than once.

use std::env;
use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;
use socket2::SockRef;
use thiserror::Error;

/// The sockets of a service manager, sorted by what they are for.
#[derive(Debug, Default)]
pub struct PassedSockets {
    /// In place of those `server.listen` would bind.
    pub peer: Vec<TcpListener>,
    /// In place of those `admin.listen` would bind.
    pub admin: Vec<TcpListener>,
}

/// Where they listen. The configuration is judged with these in place of the addresses it names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PassedAddresses {
    /// Those named `peer`.
    pub peer: Vec<SocketAddr>,
    /// Those named `admin`.
    pub admin: Vec<SocketAddr>,
}

/// Why a socket that was passed is of no use.
#[derive(Debug, Error)]
pub enum SocketError {
    /// The variable that counts them.
    #[error("LISTEN_FDS={0:?} is not a number of sockets from 0 to {MAX_SOCKETS}")]
    Count(String),
    /// A listener that does not exist.
    #[error(
        "the service manager passed a socket named {0:?}; those of peerd are \"peer\" and \"admin\": set \
         FileDescriptorName= of its socket unit to one of them"
    )]
    UnknownName(String),
    /// A file, a datagram socket, a socket of this machine alone, or a connection.
    #[error("the socket {name:?} of the service manager is no TCP listener: set ListenStream=ADDRESS:PORT")]
    NotAListener {
        /// Its name.
        name: &'static str,
        /// What the system said, if it was asked.
        #[source]
        source: Option<io::Error>,
    },
}

/// What a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Peer,
    Admin,
}

impl PassedSockets {
    /// Takes over the sockets the environment names, and takes their variables out of it. None of them is ours when
    /// they were meant for another process.
    ///
    /// Call it once, before the process has a second thread.
    ///
    /// # Errors
    /// [`SocketError`] for a socket that is of no use here.
    pub fn take() -> Result<Self, SocketError> {
        // Asked here as well: `ListenFd` takes them also where nobody says whose they are.
        if !is_for(env::var("LISTEN_PID").ok().as_deref(), std::process::id()) {
            return Ok(Self::default());
        }
        let count = count(&env::var("LISTEN_FDS").unwrap_or_default())?;
        let roles = roles(count, env::var("LISTEN_FDNAMES").ok().as_deref())?;
        let (mut fds, mut passed) = (ListenFd::from_env(), Self::default());
        for (index, role) in roles.into_iter().enumerate() {
            let refused = |source| SocketError::NotAListener { name: role.name(), source };
            let listener = fds.take_tcp_listener(index).map_err(|error| refused(Some(error)))?;
            let listener = listener.ok_or_else(|| refused(None))?;
            // A connection is a TCP socket as well.
            if !SockRef::from(&listener).is_listener().map_err(|error| refused(Some(error)))? {
                return Err(refused(None));
            }
            match role {
                Role::Peer => passed.peer.push(listener),
                Role::Admin => passed.admin.push(listener),
            }
        }
        Ok(passed)
    }

    /// Where they listen.
    ///
    /// # Errors
    /// The system's.
    pub fn addresses(&self) -> io::Result<PassedAddresses> {
        let of = |listeners: &[TcpListener]| {
            listeners.iter().map(TcpListener::local_addr).collect::<io::Result<_>>()
        };
        Ok(PassedAddresses { peer: of(&self.peer)?, admin: of(&self.admin)? })
    }
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Admin => "admin",
        }
    }
}

fn is_for(pid: Option<&str>, us: u32) -> bool {
    pid.is_some_and(|pid| pid.parse() == Ok(us))
}

fn count(text: &str) -> Result<usize, SocketError> {
    let count = text.parse().ok().filter(|count| *count <= MAX_SOCKETS);
    count.ok_or_else(|| SocketError::Count(text.to_owned()))
}

/// What each socket is for, by the names of all of them, separated by colons.
fn roles(count: usize, names: Option<&str>) -> Result<Vec<Role>, SocketError> {
    let mut names = names.unwrap_or_default().split(':');
    let role = |_| match names.next().unwrap_or_default() {
        "peer" => Ok(Role::Peer),
        "admin" => Ok(Role::Admin),
        other => Err(SocketError::UnknownName(other.to_owned())),
    };
    (0..count).map(role).collect()
}

/// More than anyone listens on; a number beyond it is a mistake.
const MAX_SOCKETS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_what_its_name_says() {
        assert_eq!(roles(0, None).unwrap(), []);
        assert_eq!(roles(2, Some("admin:peer")).unwrap(), [Role::Admin, Role::Peer]);
        assert_eq!(roles(3, Some("peer:peer:admin")).unwrap(), [Role::Peer, Role::Peer, Role::Admin]);
    }

    #[test]
    fn a_socket_without_a_name_of_ours_is_refused_and_its_name_told() {
        for (count, names, told) in [
            (1, Some("peerd.socket"), "\"peerd.socket\""),
            (1, Some("unknown"), "\"unknown\""),
            (1, None, "\"\""),
            (2, Some("peer"), "\"\""),
            (1, Some("Peer"), "\"Peer\""),
        ] {
            let error = roles(count, names).unwrap_err().to_string();
            assert!(error.contains(told) && error.contains("FileDescriptorName="), "{names:?}: {error}");
        }
    }

    #[test]
    fn sockets_of_another_process_are_left_alone() {
        assert!(is_for(Some("42"), 42));
        for pid in [None, Some(""), Some("41"), Some("42x"), Some("-42")] {
            assert!(!is_for(pid, 42), "{pid:?}");
        }
    }

    #[test]
    fn a_number_of_sockets_is_small() {
        assert_eq!(count("2").unwrap(), 2);
        for text in ["", "-1", "65", "many", "4294967296"] {
            assert!(count(text).is_err(), "{text}");
        }
    }
}
