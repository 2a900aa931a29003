//! What no single value can show: settings that contradict each other or the world around them.

mod handoff;
mod tls;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use globset::Glob;

use super::Config;
use super::key_path::KeyPath;
use super::keys::{SECTIONS, nearest};
use super::paths::{ResolvedPaths, shares_over_own_paths};
use super::problem::Finding;
use super::watch;
use crate::volume::Gap;

/// What a configuration as a whole deserves to hear.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) errors: Vec<Finding>,
    pub(crate) warnings: Vec<Finding>,
    /// Folders that are not there: an error for whoever has just typed their names, else a warning.
    pub(crate) away: Vec<Finding>,
}

/// Judges a configuration whose single values are good.
pub(crate) fn judge(config: &Config, paths: &ResolvedPaths) -> Verdict {
    let mut verdict = Verdict::default();
    for section in SECTIONS {
        section.judge(&mut verdict, config, paths);
    }
    verdict
}

impl Verdict {
    pub(crate) fn listeners(&mut self, config: &Config, _: &ResolvedPaths) {
        let (server, admin) = (path("server.listen"), path("admin.listen"));
        let mut seen: Vec<(KeyPath, SocketAddr)> = Vec::new();
        for (list, addresses) in [(&server, &config.server.listen), (&admin, &config.admin.listen)] {
            if addresses.is_empty() {
                self.error(Finding::at(list, "at least one address is needed"));
            }
            for (index, address) in addresses.iter().enumerate() {
                let place = list.item(index);
                if let Some((other, taken)) = seen.iter().find(|(_, taken)| collide(*taken, *address)) {
                    let message = format!("{address} is taken by {other} ({taken})");
                    self.error(Finding::between(&place, other, message));
                }
                seen.push((place, *address));
            }
        }
        if !config.auth.require_key
            && let Some((place, address)) = seen.iter().find(|(_, address)| !is_loopback(*address))
        {
            let key = path("auth.require_key");
            let message = format!("cannot be false while {place} ({address}) is not a loopback address");
            self.error(Finding::between(&key, place, message));
        }
        let open = config.admin.listen.iter().find(|address| !is_loopback(**address));
        if let Some(address) = open.filter(|_| config.admin.allowed_hosts.is_empty()) {
            let message =
                format!("{address} is not loopback, and no name is allowed: whoever asks there is refused");
            let help = "name the hosts it is asked under: admin.allowed_hosts = [\"nas.local\"]";
            self.warn(Finding::at(&admin, message).help(help));
        }
        if let (false, Some(address)) = (config.admin.require_key, open) {
            let key = path("admin.require_key");
            let message = format!("cannot be false while admin.listen has {address}, which is not loopback");
            self.error(Finding::between(&key, &admin, message));
        }
        for (index, host) in config.admin.allowed_hosts.iter().enumerate() {
            if !is_host(host) {
                let place = path("admin.allowed_hosts").item(index);
                self.error(Finding::at(
                    &place,
                    format!("{host:?} is not a host name without scheme and port"),
                ));
            }
        }
        self.tls(&config.server);
        self.positive("server.max_connections", config.server.max_connections);
        self.nonzero("server.header_timeout", config.server.header_timeout);
    }

    pub(crate) fn keys(&mut self, config: &Config, _: &ResolvedPaths) {
        let mut holders: BTreeMap<&str, &str> = BTreeMap::new();
        for (name, key) in &config.keys {
            let place = KeyPath::new(["keys", name, "secret"]);
            if let Some(other) = holders.insert(key.secret.expose(), name) {
                let other = KeyPath::new(["keys", other, "secret"]);
                self.error(Finding::between(&place, &other, format!("the same secret as {other}")));
            }
            for (index, share) in key.shares.iter().enumerate() {
                if share != "*" && !config.shares.contains_key(share) {
                    let place = KeyPath::new(["keys", name, "shares"]).item(index);
                    let finding = Finding::at(&place, format!("there is no share {share:?}"));
                    self.warn(match nearest(share, config.shares.keys()) {
                        Some((near, _)) => finding.help(format!("did you mean {near:?}?")),
                        None => finding,
                    });
                }
            }
        }
    }

    pub(crate) fn shares(&mut self, config: &Config, paths: &ResolvedPaths) {
        for (name, share) in &config.shares {
            let table = KeyPath::new(["shares", name]);
            match check_directory(&share.path) {
                Ok(()) => {}
                // A disk that is mounted late must not keep everything else down until somebody looks.
                Err(message) if share.path.is_absolute() && is_missing(&share.path) => {
                    let help = "nothing of it is offered until it is there; mount it, or mend the path";
                    self.away.push(Finding::at(&table.key("path"), message).help(help));
                }
                Err(message) => self.error(Finding::at(&table.key("path"), message)),
            }
            for (key, patterns) in [("include", &share.include), ("exclude", &share.exclude)] {
                for (index, pattern) in patterns.iter().enumerate() {
                    if let Err(error) = Glob::new(pattern) {
                        let message = format!("{pattern:?} is not a pattern: {}", error.kind());
                        self.error(Finding::at(&table.key(key).item(index), message));
                    }
                }
            }
        }
        self.errors.extend(shares_over_own_paths(&config.shares, paths));
    }

    pub(crate) fn peers(&mut self, config: &Config, _: &ResolvedPaths) {
        for (name, peer) in &config.peers {
            let table = KeyPath::new(["peers", name]);
            if peer.max_concurrent == 0 {
                self.error(Finding::at(&table.key("max_concurrent"), "must be at least 1"));
            }
            if (peer.key.is_some() || !peer.headers.is_empty()) && peer.url.is_plain_and_public() {
                let message =
                    "the key of this peer crosses the internet unencrypted, for anyone on the way to read";
                self.warn(Finding::at(&table.key("url"), message).help("use https"));
            }
            self.trust(&table, peer);
        }
    }

    pub(crate) fn downloads(&mut self, config: &Config, paths: &ResolvedPaths) {
        let downloads = &config.downloads;
        for (key, dir) in [
            ("downloads.dir", &downloads.dir),
            ("downloads.incomplete_dir", &downloads.incomplete_dir),
            ("registry.path", &config.registry.path),
        ] {
            if !dir.as_os_str().is_empty()
                && let Err(message) = check_absolute(dir)
            {
                self.error(Finding::at(&path(key), message));
            }
        }
        if paths.downloads == paths.incomplete {
            let (incomplete, dir) = (path("downloads.incomplete_dir"), path("downloads.dir"));
            self.error(Finding::between(
                &incomplete,
                &dir,
                "must not be the directory of finished downloads",
            ));
        }
        // Only a warning: what is not mounted yet lies on another filesystem than it will.
        if let Some(gap) = Gap::between(&paths.downloads, &paths.incomplete) {
            let (dir, incomplete) = (path("downloads.dir"), path("downloads.incomplete_dir"));
            let message =
                format!("it and downloads.incomplete_dir {}: peerd serve refuses to start", gap.said());
            let help = format!("a finished file is moved into place in one step; {}", gap.remedy());
            self.warn(Finding::between(&dir, &incomplete, message).help(help));
        }
        self.positive("downloads.max_concurrent", downloads.max_concurrent);
        self.positive("downloads.max_attempts", downloads.max_attempts);
        if !(1..=16).contains(&downloads.connections) {
            let message = format!("must be from 1 to 16, not {}", downloads.connections);
            self.error(Finding::at(&path("downloads.connections"), message));
        }
        for (key, duration) in [
            ("downloads.retry_base", downloads.retry_base),
            ("downloads.retry_failed_every", downloads.retry_failed_every),
            ("downloads.give_up_after", downloads.give_up_after),
            ("downloads.connect_timeout", downloads.connect_timeout),
            ("downloads.response_timeout", downloads.response_timeout),
            ("downloads.idle_timeout", downloads.idle_timeout),
            ("downloads.checkpoint_interval", downloads.checkpoint_interval),
        ] {
            self.nonzero(key, duration);
        }
        if downloads.retry_base > downloads.retry_max {
            let (base, max) = (path("downloads.retry_base"), path("downloads.retry_max"));
            self.error(Finding::between(&base, &max, "must not be longer than downloads.retry_max"));
        }
    }

    pub(crate) fn watch(&mut self, config: &Config, paths: &ResolvedPaths) {
        self.nonzero("watch.rescan", config.watch.rescan);
        match config.watch.folder().map(check_absolute) {
            Some(Err(message)) => self.error(Finding::at(&path("watch.dir"), message)),
            _ => self.errors.extend(watch::contradictions(config, paths)),
        }
    }

    pub(crate) fn positive(&mut self, key: &str, number: u32) {
        if number == 0 {
            self.error(Finding::at(&path(key), "must be at least 1"));
        }
    }

    pub(crate) fn nonzero(&mut self, key: &str, duration: Duration) {
        if duration.is_zero() {
            self.error(Finding::at(&path(key), "must be longer than zero"));
        }
    }

    pub(crate) fn error(&mut self, finding: Finding) {
        self.errors.push(finding);
    }

    pub(crate) fn warn(&mut self, finding: Finding) {
        self.warnings.push(finding);
    }
}

pub(crate) fn path(dotted: &str) -> KeyPath {
    KeyPath::new(dotted.split('.'))
}

/// Whether binding one address after the other fails. Port 0 is a different port each time.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let wildcard = a.is_ipv4() == b.is_ipv4() && (a.ip().is_unspecified() || b.ip().is_unspecified());
    a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || wildcard)
}

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

fn is_host(host: &str) -> bool {
    let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    match literal {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(name),
    }
}

pub(crate) fn check_absolute(path: &Path) -> Result<(), String> {
    if path.is_absolute() {
        return Ok(());
    }
    let hint = if path.starts_with("~") { "; `~` is not expanded" } else { "" };
    Err(format!("{} is not an absolute path{hint}", path.display()))
}

pub(crate) fn check_directory(path: &Path) -> Result<(), String> {
    check_absolute(path)?;
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(format!("{} is not a directory", path.display())),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// Whether there is nothing of this name. One that may not be looked at is there for all we know.
fn is_missing(path: &Path) -> bool {
    path.try_exists().is_ok_and(|exists| !exists)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_listeners_collide_on_one_port_of_one_address_or_of_all() {
        let collide = |a: &str, b: &str| super::collide(a.parse().unwrap(), b.parse().unwrap());
        assert!(collide("127.0.0.1:80", "127.0.0.1:80"));
        assert!(collide("0.0.0.0:80", "127.0.0.1:80"));
        assert!(!collide("127.0.0.1:80", "127.0.0.1:81"));
        assert!(!collide("127.0.0.1:80", "[::1]:80"));
        assert!(!collide("127.0.0.1:0", "127.0.0.1:0"), "port 0 is a free port each time");
    }

    #[test]
    fn an_allowed_host_is_a_name_or_a_literal_address() {
        for (host, good) in [
            ("nas.local", true),
            ("192.168.1.4", true),
            ("[fd00::1]", true),
            ("http://nas", false),
            ("nas:5281", false),
            ("*", false),
            ("", false),
        ] {
            assert_eq!(is_host(host), good, "{host}");
        }
    }
}
