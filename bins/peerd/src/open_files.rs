//! How many files and sockets the daemon may have open at once, and the system's leave to do so.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;

/// As many as a full house takes: every connection of both listeners with the file it reads, the further files that
/// HTTP/2 reads side by side, files kept open, every download with its connections, and the daemon's own.
pub(crate) fn needed(config: &Config) -> u64 {
    let (server, downloads) = (&config.server, &config.downloads);
    let served = u64::from(server.max_connections) * (2 * LISTENERS + SIDE_BY_SIDE);
    let fetched = u64::from(downloads.max_concurrent) * (u64::from(downloads.connections) + PER_DOWNLOAD);
    served + fetched + crate::library::MOST_KEPT as u64 + OWN
}

/// The most this user may allow itself; `None` is no bound.
pub(crate) fn most() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}

/// Raises the limit in force to `needed` where it is lower, or as far as this user may. Returns what is in force now;
/// `None` is no bound.
pub(crate) fn allow(needed: u64) -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let current = limit.current?;
    let wanted = limit.maximum.map_or(needed, |most| needed.min(most));
    if current >= wanted {
        return Some(current);
    }
    // Not to the most there may be: programs that hooks start inherit it, and some walk through all of it.
    match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum }) {
        Ok(()) => Some(wanted),
        Err(_) => Some(current),
    }
}

const LISTENERS: u64 = 2;
/// Answers beyond the first of a connection, by connection.
const SIDE_BY_SIDE: u64 = 1;
/// The part file, its directory, and a reader or two.
const PER_DOWNLOAD: u64 = 4;
/// The registry, the log, watches, importers and hooks.
const OWN: u64 = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_house_of_the_defaults_takes_some_three_thousand() {
        assert_eq!(needed(&Config::default()), 512 * (2 * 2 + 1) + 3 * 8 + 64 + 128);
    }

    #[test]
    fn what_is_allowed_is_never_lowered_nor_raised_beyond_the_most() {
        let before = getrlimit(Resource::Nofile).current;
        assert_eq!(allow(1), before);
        let after = allow(u64::MAX);
        assert!(after >= before);
        assert!(most().is_none() || after <= most());
    }
}
