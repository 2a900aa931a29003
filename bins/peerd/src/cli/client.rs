//! Talks to the running daemon's admin API on behalf of the command line.

use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use url::{Host, Url};

use super::{Global, fail};
use crate::config::{Config, Overrides, SecretUse, Sources};
use crate::exit::Exit;
use crate::outbound::root_cause;

/// A daemon to talk to, and the key it wants.
pub(super) struct Daemon {
    client: reqwest::Client,
    base: String,
    key: Option<String>,
    /// The key of our own daemon, which was not sent: the address may be somebody else's.
    kept: Option<PathBuf>,
}

/// Why the daemon gave no result.
#[derive(Debug)]
pub(super) struct CallError {
    pub(super) exit: Exit,
    pub(super) message: String,
}

impl CallError {
    pub(super) fn report(&self) -> Exit {
        fail(self.exit, &self.message)
    }
}

impl Daemon {
    /// Finds the daemon: `--url` and `--api-key-file` win, else the configuration says where it listens and where its
    /// state with the key lies.
    pub(super) fn find(global: &Global) -> Result<Self, CallError> {
        let usage = |message: String| CallError { exit: Exit::Usage, message };
        let mut base = global.url.clone();
        // Read here and not by every command: `get` talks to strangers, who must not be sent the daemon's own key.
        let variable = || std::env::var_os("PEERD_API_KEY_FILE").filter(|file| !file.is_empty());
        let named = global.api_key_file.clone().or_else(|| variable().map(PathBuf::from));
        let explicit = named.is_some();
        let mut key_file = named;
        let mut kept = None;
        if base.is_none() || key_file.is_none() {
            let sources = Sources::from_process(global.config.clone(), Overrides::default())
                .map_err(|error| CallError { exit: Exit::LocalIo, message: error.to_string() })?;
            let sources = Sources { secrets: SecretUse::Ignored, ..sources };
            let loaded = Config::load(&sources).map_err(|errors| CallError {
                exit: Exit::Config,
                message: format!("{errors}\n\nwithout a sound configuration: --url URL --api-key-file FILE"),
            })?;
            let listen = loaded.config.admin.listen;
            // The key of our own daemon goes to our own daemon, whatever address somebody made us call.
            if key_file.is_none() {
                let own = own_key(&loaded.paths.state, Path::new(SERVICE_STATE));
                match base.as_deref().is_none_or(|base| is_ours(base, &listen)) {
                    true => key_file = Some(own),
                    false => kept = Some(own).filter(|own| own.exists()),
                }
            }
            base = base.or_else(|| listen.first().map(|address| format!("http://{}", to_ask(*address))));
        }
        let base =
            base.ok_or_else(|| usage("the configuration names no admin address; give --url".to_owned()))?;
        if Url::parse(&base).map_or(true, |url| !matches!(url.scheme(), "http" | "https")) {
            return Err(usage(format!(
                "{base} is not the address of a daemon; write --url http://HOST:PORT"
            )));
        }
        let key = key_file.map(|path| read_key(&path, explicit)).transpose()?.flatten();
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .timeout(PATIENCE)
            .build()
            .map_err(|error| CallError { exit: Exit::General, message: error.to_string() })?;
        Ok(Self { client, base: base.trim_end_matches('/').to_owned(), key, kept })
    }

    /// Calls `path` below `/api/v1` and returns the JSON it answers.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, CallError> {
        self.call_within(PATIENCE, method, path, body).await
    }

    /// As [`call`](Self::call), for what takes the daemon as long as it takes.
    pub(super) async fn call_patiently(&self, method: Method, path: &str) -> Result<Value, CallError> {
        self.call_within(ENDLESS, method, path, None).await
    }

    async fn call_within(
        &self,
        patience: Duration,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, CallError> {
        let mut request =
            self.client.request(method, format!("{}/api/v1{path}", self.base)).timeout(patience);
        if let Some(key) = &self.key {
            request = request.header("x-api-key", key);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.map_err(|error| self.unreachable(error))?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(|error| self.unreachable(error))?;
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        if status.is_success() { Ok(answer) } else { Err(self.refused(status, &answer)) }
    }

    /// The address of the daemon, without a slash at its end.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Asks an address of the daemon that wants no key.
    pub(super) async fn probe(&self, path: &str) -> Result<(), CallError> {
        let response = self.client.get(format!("{}{path}", self.base)).send().await;
        let status = response.map_err(|error| self.unreachable(error))?.status();
        if status.is_success() { Ok(()) } else { Err(self.refused(status, &Value::Null)) }
    }

    /// Opens an answer below `/api/v1` that goes on for as long as it likes, behind event number `seen`.
    pub(super) async fn follow(&self, path: &str, seen: Option<u64>) -> Result<reqwest::Response, CallError> {
        let mut request = self.client.get(format!("{}/api/v1{path}", self.base)).timeout(ENDLESS);
        if let Some(key) = &self.key {
            request = request.header("x-api-key", key);
        }
        if let Some(seen) = seen {
            request = request.header("last-event-id", seen);
        }
        let response = request.send().await.map_err(|error| self.unreachable(error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let problem = response.json().await.unwrap_or(Value::Null);
        Err(self.refused(status, &problem))
    }

    fn unreachable(&self, error: reqwest::Error) -> CallError {
        let (base, error) = (&self.base, error.without_url());
        let cause = root_cause(&error);
        let message = if error.is_connect() {
            format!("no daemon answers at {base} ({cause}); start one with: peerd serve")
        } else if error.is_timeout() {
            format!(
                "{base} was reached and gave no answer within {} s; the daemon may be busy: try again in a moment",
                PATIENCE.as_secs()
            )
        } else {
            format!(
                "{base} was reached and gave no whole answer ({cause}); the log of the daemon may say why"
            )
        };
        CallError { exit: Exit::Unreachable, message }
    }

    fn refused(&self, status: StatusCode, problem: &Value) -> CallError {
        let text = |name: &str| problem.get(name).and_then(Value::as_str).map(str::to_owned);
        let said = text("detail")
            .or_else(|| text("title"))
            .unwrap_or_else(|| format!("the daemon answered {status}"));
        let kind = text("type").unwrap_or_default();
        let kind = kind.trim_start_matches("urn:peerd:problem:");
        let exit = match (status.as_u16(), kind) {
            (401 | 403, _) | (429, "too-many-wrong-keys") => Exit::KeyRefused,
            // The peer's 404, not ours.
            (404, "item-unknown") | (413, _) => Exit::Failed,
            (404, _) => Exit::NotFound,
            (507, _) => Exit::LocalIo,
            (502, "peer-key-refused") => Exit::KeyRefused,
            (502, "peer-unreachable") | (503 | 504, _) => Exit::Unreachable,
            _ => Exit::General,
        };
        let withheld = self.kept.as_deref().filter(|_| exit == Exit::KeyRefused).map(withheld);
        let message = match withheld.or_else(|| next_step(status, kind, problem)) {
            Some(step) => format!("{said}; {step}"),
            None => said,
        };
        CallError { exit, message }
    }
}

/// What to type where our own key would have been right, or not.
fn withheld(key: &Path) -> String {
    let (state, key) = (key.parent().unwrap_or(key).display(), key.display());
    format!(
        "the key of {state} goes to admin.listen only; for this address name its file: --api-key-file {key}"
    )
}

/// What to type after a refusal.
fn next_step(status: StatusCode, kind: &str, problem: &Value) -> Option<String> {
    let step = match (status.as_u16(), kind) {
        (401, _) | (429, "too-many-wrong-keys") => "give its key with --api-key-file FILE",
        (_, "download-unknown") => "see the ids with: peerd ls",
        (_, "peer-unknown") => "see the peers with: peerd peer ls",
        (_, "peer-key-refused" | "peer-unreachable" | "peer-timeout" | "peer-error") => {
            "see what is wrong with: peerd peer test NAME"
        }
        (_, "key-unknown") => "see the keys with: peerd key ls",
        (_, "share-unknown") => "see the shares with: peerd share ls",
        (_, "item-unknown") => "see what the peer offers with: peerd peer items NAME",
        (_, "wrong-state") => "see how it stands with: peerd show ID",
        (_, "destination-exists") => "give it another name with --filename NAME",
        (_, "destination-active") => {
            let id = problem.get("download_id").and_then(Value::as_u64)?;
            return Some(format!("see it with: peerd show {id}"));
        }
        (_, "too-large") => "the bound is downloads.max_size; see it with: peerd config show",
        (_, "disk-full") => "make room, or set downloads.dir to a larger disk; then the same again",
        (503, _) => "try again in a moment",
        (500.., _) => "the log of the daemon says more",
        _ => return None,
    };
    Some(step.to_owned())
}

/// A name as one segment of a path.
pub(super) fn segment(name: &str) -> String {
    utf8_percent_encode(name, NON_ALPHANUMERIC).to_string()
}

/// The address to ask at for a listener: one that listens everywhere listens on loopback, and is known by that name.
fn to_ask(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// Whether one of our listeners is at this address: itself, or this machine and its port. On another port of this
/// machine somebody else may listen.
fn is_ours(base: &str, listen: &[SocketAddr]) -> bool {
    let Ok(base) = Url::parse(base) else { return false };
    let ip = match base.host() {
        Some(Host::Domain("localhost")) => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        Some(Host::Ipv4(ip)) => Some(ip.into()),
        Some(Host::Ipv6(ip)) => Some(ip.into()),
        _ => None,
    };
    ip.is_some_and(|ip| {
        listen.iter().any(|listen| {
            base.port_or_known_default() == Some(listen.port()) && (ip.is_loopback() || ip == listen.ip())
        })
    })
}

/// The key of our own daemon: in the state directory of whoever asks, or else in that of the system's service, which
/// whoever may read it is meant to rule.
fn own_key(state: &Path, service: &Path) -> PathBuf {
    let [own, of_service] = [state, service].map(|state| state.join("admin.key"));
    if !own.exists() && of_service.exists() { of_service } else { own }
}

fn read_key(path: &Path, explicit: bool) -> Result<Option<String>, CallError> {
    let refused = |why: String| CallError { exit: Exit::LocalIo, message: why };
    let read = || -> io::Result<String> {
        let mut text = String::new();
        File::open(path)?.take(MAX_KEY_FILE).read_to_string(&mut text)?;
        Ok(text)
    };
    match read() {
        Ok(text) => match text.trim() {
            "" => Err(refused(format!("{} holds no key", path.display()))),
            key if HeaderValue::from_str(key).is_ok() => Ok(Some(key.to_owned())),
            _ => Err(refused(format!("{} holds no key, but something longer than a line", path.display()))),
        },
        // Without a key file the daemon may be one that wants no key, or none at all: its answer will tell.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !explicit => Ok(None),
        Err(error) => Err(refused(format!("cannot read {}: {error}", path.display()))),
    }
}

/// Where a daemon of the system keeps its state: `StateDirectory=peerd`.
const SERVICE_STATE: &str = "/var/lib/peerd";
/// How long an answer may take that the daemon has at hand.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes read of a key file; a key is far shorter.
const MAX_KEY_FILE: u64 = 64 << 10;
/// For answers whose reader decides when it has seen enough.
const ENDLESS: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_daemon_that_listens_everywhere_is_asked_on_loopback() {
        for (listen, asked) in [
            ("0.0.0.0:5281", "127.0.0.1:5281"),
            ("[::]:5281", "[::1]:5281"),
            ("192.0.2.7:5281", "192.0.2.7:5281"),
            ("127.0.0.2:81", "127.0.0.2:81"),
        ] {
            assert_eq!(to_ask(listen.parse().unwrap()).to_string(), asked);
        }
    }

    #[test]
    fn our_key_goes_to_no_other_port_and_no_other_host() {
        let listen = addresses(&["127.0.0.1:5281", "192.0.2.7:80"]);
        for (base, ours) in [
            ("http://127.0.0.1:5281", true),
            ("http://localhost:5281/", true),
            ("http://[::1]:5281", true),
            ("http://192.0.2.7", true),
            ("http://192.0.2.7:5281", false),
            ("http://127.0.0.1:5282", false),
            ("http://localhost.example:5281", false),
            ("http://192.0.2.8:80", false),
            ("nonsense", false),
        ] {
            assert_eq!(is_ours(base, &listen), ours, "{base}");
        }
    }

    #[test]
    fn ones_own_daemon_comes_before_that_of_the_system() {
        let dir = tempfile::tempdir().unwrap();
        let [own, service] = ["own", "service"].map(|name| dir.path().join(name));
        let key = |state: &Path| state.join("admin.key");
        assert_eq!(own_key(&own, &service), key(&own), "none is there: that is what the message names");
        for state in [&service, &own] {
            std::fs::create_dir(state).unwrap();
            std::fs::write(key(state), "prd_1").unwrap();
            assert_eq!(own_key(&own, &service), key(state));
        }
    }

    #[test]
    fn a_file_without_a_key_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let read = |text: &str| {
            let path = dir.path().join("a.key");
            std::fs::write(&path, text).unwrap();
            read_key(&path, true).map_err(|error| error.message)
        };
        assert_eq!(read(" prd_1\n"), Ok(Some("prd_1".to_owned())));
        assert!(read("\n").unwrap_err().ends_with("a.key holds no key"));
        assert!(read("one\ntwo\n").is_err());
        let missing = dir.path().join("b.key");
        assert!(matches!(read_key(&missing, false), Ok(None)) && read_key(&missing, true).is_err());
    }
}
