//! The daemon as a process: started, asked, stopped, killed.

use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::log::Log;
use super::{Answer, Home, KEY, Output, eventually, program};

/// A running daemon. Dropping it kills the process, as a crash of the machine would.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) peer: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) key: String,
    pub(crate) log: Log,
    client: reqwest::Client,
    home: std::path::PathBuf,
}

impl Daemon {
    pub(crate) async fn start(home: &Home, mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("a process");
        let log = Log::of(child.stderr.take().expect("a pipe"));
        let address = async |listener: &str| {
            log.wait_for(&format!("where its {listener} listener is"), |event| {
                let address = event["address"].as_str().filter(|_| event["listener"] == listener)?;
                Some(address.parse().expect("an address"))
            })
            .await
        };
        let (peer, admin) = (address("peer").await, address("admin").await);
        let key = std::fs::read_to_string(home.state().join("admin.key")).expect("an admin key");
        Self {
            child,
            peer,
            admin,
            key: key.trim().to_owned(),
            log,
            client: client(),
            home: home.as_ref().to_path_buf(),
        }
    }

    // ---- the process ----

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("a process that runs")
    }

    /// SIGKILL: no chance to tidy up. Returns when the process is gone.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("a process to kill");
    }

    /// SIGTERM, and the end it comes to.
    pub(crate) async fn terminate(mut self) -> (ExitStatus, Log) {
        self.signal(rustix::process::Signal::TERM);
        let end = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = end.unwrap_or_else(|_| panic!("SIGTERM does not end the daemon; {}", self.log.tail()));
        (status.expect("an exit status"), self.log.clone())
    }

    /// The end it comes to by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let end = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        end.unwrap_or_else(|_| panic!("the daemon goes on; {}", self.log.tail())).expect("an exit status")
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.expect("a process id"), signal).expect("a process to signal");
    }

    /// Lets it write no byte behind the first `bytes` of any file, as a full disk would; `None` lifts that.
    ///
    /// The daemon must have been started by [`Home::start_on_a_small_disk`].
    pub(crate) fn limit_files(&self, bytes: Option<u64>) {
        use rustix::process::{Pid, Resource, Rlimit, prlimit};
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        let limit = Rlimit { current: bytes, maximum: None };
        prlimit(pid, Resource::Fsize, limit).expect("a limit");
    }

    // ---- its admin API ----

    /// A request with the admin key; `path` begins with a slash.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.bare(method, path).header("x-api-key", &self.key)
    }

    /// A request without a key.
    pub(crate) fn bare(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.admin))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, document: &Value) -> Answer {
        Answer::to(self.request(Method::POST, path).json(document)).await
    }

    pub(crate) async fn patch(&self, id: u64, document: &Value) -> Answer {
        Answer::to(self.request(Method::PATCH, &format!("{DOWNLOADS}/{id}")).json(document)).await
    }

    pub(crate) async fn delete(&self, id: u64, query: &str) -> Answer {
        Answer::to(self.request(Method::DELETE, &format!("{DOWNLOADS}/{id}{query}"))).await
    }

    /// `pause`, `resume`, `retry` or `cancel`.
    pub(crate) async fn order(&self, id: u64, verb: &str) -> Answer {
        Answer::to(self.request(Method::POST, &format!("{DOWNLOADS}/{id}/{verb}"))).await
    }

    /// Gives an order that must be obeyed; the row afterwards.
    pub(crate) async fn obeyed(&self, id: u64, verb: &str) -> Value {
        let answer = self.order(id, verb).await;
        assert_eq!(answer.status, 200, "{verb}: {answer:?}; {}", self.log.tail());
        answer.json()
    }

    /// Queues a download of `peer`'s `item` and returns its id.
    pub(crate) async fn add(&self, peer: &str, item: &str) -> u64 {
        self.add_with(json!({ "peer": peer, "item": item })).await
    }

    pub(crate) async fn add_with(&self, document: Value) -> u64 {
        let answer = self.post(DOWNLOADS, &document).await;
        assert_eq!(answer.status, 201, "{answer:?}; {}", self.log.tail());
        answer.json()["id"].as_u64().expect("an id")
    }

    pub(crate) async fn try_add(&self, peer: &str, item: &str) -> Answer {
        self.post(DOWNLOADS, &json!({ "peer": peer, "item": item })).await
    }

    pub(crate) async fn row(&self, id: u64) -> Value {
        let answer = self.get(&format!("{DOWNLOADS}/{id}")).await;
        assert_eq!(answer.status, 200, "{answer:?}; {}", self.log.tail());
        answer.json()
    }

    /// Waits until the row is as `enough` wants it.
    pub(crate) async fn until(&self, id: u64, what: &str, enough: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let found = eventually(async || {
            last = self.row(id).await;
            enough(&last).then(|| last.clone())
        });
        match found.await {
            Some(row) => row,
            None => panic!("download {id} never {what}; it is {last:#}; {}", self.log.tail()),
        }
    }

    /// Waits for a state. One that the row does not leave by itself, and is not the one wanted, ends the wait.
    pub(crate) async fn until_state(&self, id: u64, state: &str) -> Value {
        let what = format!("became {state}");
        let ended = |row: &Value| matches!(row["state"].as_str(), Some("completed" | "cancelled" | "failed"));
        let row = self.until(id, &what, |row| row["state"] == state || ended(row)).await;
        assert_eq!(row["state"], state, "download {id} is {row:#}; {}", self.log.tail());
        row
    }

    /// One series of the exposition, such as `peerd_permits_in_use`; `None` when it is not there.
    pub(crate) async fn metric(&self, series: &str) -> Option<f64> {
        let text = self.get("/metrics").await.body;
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
        value.parse().ok()
    }

    /// Waits until a series has this value: what is counted at the end of a transfer comes a moment after the row.
    pub(crate) async fn until_metric(&self, series: &str, value: f64) {
        let counted = eventually(async || self.metric(series).await.filter(|found| *found == value)).await;
        if counted.is_none() {
            panic!("{series} never came to {value}:\n{}", self.get("/metrics").await.body);
        }
    }

    // ---- its peer API ----

    /// A request to the public listener with [`KEY`].
    pub(crate) async fn ask(&self, path: &str) -> Answer {
        let url = format!("http://{}{path}", self.peer);
        Answer::to(self.client.get(url).header("x-api-key", KEY)).await
    }

    /// Where other daemons reach it.
    pub(crate) fn base(&self) -> String {
        format!("http://{}/", self.peer)
    }

    /// The id of the shared file of this name, once its folder has been read.
    pub(crate) async fn item(&self, filename: &str) -> String {
        let found = eventually(async || {
            let items = self.ask("/peer/items").await.json()["items"].take();
            let item = items.as_array()?.iter().find(|item| item["filename"] == filename)?;
            Some(item["id"].as_str().expect("an id").to_owned())
        });
        found.await.unwrap_or_else(|| panic!("{filename} is not offered; {}", self.log.tail()))
    }

    // ---- the command line ----

    /// Runs a command as the owner of this daemon would.
    pub(crate) async fn cli<const N: usize>(&self, arguments: [&str; N]) -> Output {
        let mut command = program(&self.home.join("user"), arguments);
        command.env("PEERD_URL", format!("http://{}", self.admin));
        command
            .env("PEERD_API_KEY_FILE", self.home.join("state/admin.key"))
            .env("STATE_DIRECTORY", self.home.join("state"))
            .env("PEERD_CONFIG", self.home.join("peerd.toml"));
        Output::of(command).await
    }
}

fn client() -> reqwest::Client {
    // The second test of a process finds it there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().expect("a client")
}

pub(crate) const DOWNLOADS: &str = "/api/v1/downloads";
const PATIENCE: Duration = Duration::from_secs(60);
