//! `[server]`, `[admin]` and `[auth]`: who may talk to us, and where.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::duration;
use super::keys::key;
use super::section::{Section, section};
use super::tries::Tries;
use super::validate::Verdict;
use crate::http::client_address::Network;

/// `[server]`: the listener peers fetch from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Addresses with port; at least one. Default `["127.0.0.1:5280"]`.
    pub listen: Vec<SocketAddr>,
    /// PEM file with our certificate and those above it; with `tls_key`, peers reach us under https. Default none.
    pub tls_cert: PathBuf,
    /// PEM file with the private key of the certificate. Default none.
    pub tls_key: PathBuf,
    /// Connections open at once, at least 1; one more gets 503 or is closed. Default `512`.
    pub max_connections: u32,
    /// Connections one key may have open at once; `0` = no limit. Default `16`.
    pub max_connections_per_key: u32,
    /// Time for a whole request head, above zero. Default `10s`.
    #[serde(with = "duration")]
    pub header_timeout: Duration,
    /// Time a reader may take nothing of its answer before it is dropped; zero = for ever. Default `60s`.
    #[serde(with = "duration")]
    pub write_stall_timeout: Duration,
    /// Whether the kernel sends files straight from memory where nothing is encrypted: for shares in which nobody writes
    /// into files in place. Default `false`.
    pub sendfile: bool,
    /// Time running transfers get to end when the daemon stops. Default `20s`.
    #[serde(with = "duration")]
    pub shutdown_grace: Duration,
    /// Address blocks of proxies whose forwarded headers say who the client is. Default `[]`.
    pub trusted_proxies: Vec<Network>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: vec![loopback(5280)],
            tls_cert: PathBuf::new(),
            tls_key: PathBuf::new(),
            max_connections: 512,
            max_connections_per_key: 16,
            header_timeout: Duration::from_secs(10),
            write_stall_timeout: Duration::from_secs(60),
            sendfile: false,
            shutdown_grace: Duration::from_secs(20),
            trusted_proxies: Vec::new(),
        }
    }
}

impl ServerConfig {
    /// The files of certificate and key; `None` where we answer in the clear.
    pub fn tls_files(&self) -> Option<(&Path, &Path)> {
        let is_set = |file: &Path| !file.as_os_str().is_empty();
        (is_set(&self.tls_cert) && is_set(&self.tls_key)).then_some((&self.tls_cert, &self.tls_key))
    }
}

/// `[admin]`: the listener of the command line and of monitoring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminConfig {
    /// Addresses with port; at least one. Default `["127.0.0.1:5281"]`.
    pub listen: Vec<SocketAddr>,
    /// Whether requests need the admin key; false only while `admin.listen` is loopback. Default `true`.
    pub require_key: bool,
    /// Whether `/metrics` needs the key too. Default `true`.
    pub metrics_key: bool,
    /// Host names accepted in Host and Origin besides those of loopback, without scheme or port. Default `[]`.
    pub allowed_hosts: Vec<String>,
    /// Whether the web page is there. Default `true`.
    pub ui: bool,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self {
            listen: vec![loopback(5281)],
            require_key: true,
            metrics_key: true,
            allowed_hosts: Vec::new(),
            ui: true,
        }
    }
}

/// `[auth]`: what peers must show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// Whether peers need a key; false only while every listener is loopback. Default `true`.
    pub require_key: bool,
    /// Wrong keys one address may send before it gets 429; `0/min` = no limit. Default `20/min`.
    pub failed_limit: Tries,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self { require_key: true, failed_limit: Tries::per_minute(20) }
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

pub(crate) const SERVER: Section = section(
    "server",
    "the listener peers fetch from",
    &[
        key::<Vec<SocketAddr>>("server.listen", "list of addresses", "where peers reach us; at least one"),
        key::<PathBuf>(
            "server.tls_cert",
            "path",
            "PEM file with our certificate, then those above it; with `server.tls_key`, peers reach us under https",
        )
        .live(),
        key::<PathBuf>(
            "server.tls_key",
            "path",
            "PEM file with the private key of the certificate, without a passphrase",
        )
        .live(),
        key::<u32>(
            "server.max_connections",
            "count, from 1",
            "connections open at once; one more gets 503 or is closed",
        ),
        key::<u32>(
            "server.max_connections_per_key",
            "count, `0` = no limit",
            "connections one key may have open at once",
        )
        .live(),
        key::<Duration>(
            "server.header_timeout",
            "duration, above 0",
            "time for a whole request head; slower ones end the connection",
        ),
        key::<Duration>(
            "server.write_stall_timeout",
            "duration, `0s` = for ever",
            "time a reader may take nothing of its answer before it is dropped",
        ),
        key::<bool>(
            "server.sendfile",
            "boolean",
            "on Linux, where nothing is encrypted, the kernel sends files straight from its memory; only for shares in which nobody writes into files in place ([why](benchmarks.md#sendfile))",
        ),
        key::<Duration>(
            "server.shutdown_grace",
            "duration",
            "time running transfers get to end when the daemon stops",
        ),
        key::<Vec<Network>>(
            "server.trusted_proxies",
            "list of addresses or address blocks",
            "proxies whose `Forwarded` and `X-Forwarded-For` say who the client is",
        )
        .live(),
    ],
)
.judged_by(Verdict::listeners);

pub(crate) const ADMIN: Section = section(
    "admin",
    "the listener of the command line and of monitoring",
    &[
        key::<Vec<SocketAddr>>(
            "admin.listen",
            "list of addresses",
            "where the admin API answers; at least one",
        ),
        key::<bool>(
            "admin.require_key",
            "boolean",
            "requests need the admin key; `false` only while `admin.listen` is loopback",
        )
        .live(),
        key::<bool>("admin.metrics_key", "boolean", "`/metrics` needs the key too").live(),
        key::<Vec<String>>(
            "admin.allowed_hosts",
            "list of host names",
            "accepted in Host and Origin besides loopback names; without scheme or port",
        )
        .live(),
        key::<bool>("admin.ui", "boolean", "the web page at `/` is there"),
    ],
);

pub(crate) const AUTH: Section = section(
    "auth",
    "what peers must show",
    &[
        key::<bool>(
            "auth.require_key",
            "boolean",
            "peers need a key; `false` only while every listener is loopback",
        )
        .live(),
        key::<Tries>(
            "auth.failed_limit",
            "tries per `s`, `min` or `h`, `0/min` = no limit",
            "wrong keys one address may send, then 429",
        )
        .live(),
    ],
);
