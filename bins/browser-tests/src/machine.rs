//! One user's machine: a directory, a configuration, and the daemon that runs there.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::eventually;

/// A machine; its directory and its daemon are gone when it is dropped.
pub struct Machine {
    dir: TempDir,
    /// Tables of the configuration, without the listeners.
    config: String,
    daemon: Option<Child>,
    peer: String,
    admin: String,
}

impl Machine {
    /// A machine that shares the folder [`Machine::shared`] with whoever has [`SECRET`]. Its daemon does not run yet.
    pub fn sharing() -> Self {
        let dir = directory();
        let shared = dir.path().join("shared");
        std::fs::create_dir(&shared).expect("a directory");
        let config = format!(
            "[keys.friend]\nsecret = {SECRET:?}\n[shares.films]\npath = {:?}\n",
            shared.to_str().expect("a readable path")
        );
        Self::new(dir, config)
    }

    /// A machine that fetches from `alice`, with more in its configuration. Its daemon does not run yet.
    pub fn fetching_from(alice: &Machine, more: &str) -> Self {
        let url = format!("http://{}/", alice.peer);
        Self::new(directory(), format!("[peers.alice]\nurl = {url:?}\nkey = {SECRET:?}\n{more}"))
    }

    fn new(dir: TempDir, config: String) -> Self {
        let anywhere = || "127.0.0.1:0".to_owned();
        Self { dir, config, daemon: None, peer: anywhere(), admin: anywhere() }
    }

    /// Starts the daemon, on the addresses it had the last time it ran.
    pub async fn start(mut self) -> Self {
        self.run().await;
        self
    }

    /// Ends the daemon as a service manager would, and starts it again.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.run().await;
    }

    /// Ends the daemon as a service manager would.
    pub async fn stop(&mut self) {
        let Some(mut daemon) = self.daemon.take() else { return };
        let pid = daemon.id().expect("a daemon that runs").to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status().await.expect("kill");
        assert!(told.success(), "{told}");
        daemon.wait().await.expect("the end of a daemon");
    }

    /// Starts the daemon.
    pub async fn run(&mut self) {
        let config = self.path("peerd.toml");
        std::fs::write(&config, format!("log.format = \"json\"\n{}", self.config)).expect("a configuration");
        let log = std::fs::File::create(self.path("log")).expect("a log");
        let mut command = self.program(["serve", "--config"]);
        command.arg(config).args(["--listen", &self.peer, "--admin-listen", &self.admin]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.daemon = Some(command.spawn().expect("the daemon"));
        let address = async |listener: &str| {
            let found = eventually(async || address_in(&self.log(), listener)).await;
            found.unwrap_or_else(|| panic!("no {listener} listener: {}", self.log()))
        };
        (self.peer, self.admin) = (address("peer").await, address("admin").await);
    }

    /// The origin of its web page.
    pub fn origin(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// The key of its owner.
    pub fn key(&self) -> String {
        std::fs::read_to_string(self.path("state/admin.key")).expect("a key").trim().to_owned()
    }

    /// Runs a command as its owner; stdout, which must be that of a success.
    pub async fn cli<const N: usize>(&self, arguments: [&str; N]) -> String {
        self.try_cli(arguments).await.unwrap_or_else(|said| panic!("{arguments:?}: {said}"))
    }

    /// Runs a command as its owner: stdout of a success, or else what it said.
    async fn try_cli<const N: usize>(&self, arguments: [&str; N]) -> Result<String, String> {
        let mut command = self.program(arguments);
        command.env("PEERD_URL", self.origin()).env("PEERD_API_KEY_FILE", self.path("state/admin.key"));
        let output = command.stdin(Stdio::null()).output().await.expect("a command");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(text(&output.stderr)),
        }
    }

    /// A download, as the command line shows it.
    pub async fn row(&self, id: &str) -> Value {
        serde_json::from_str(&self.cli(["show", id, "--json"]).await).expect("JSON")
    }

    /// Id of the file of this name that alice offers, once she has read her folder.
    pub async fn item(&self, filename: &str) -> String {
        let found = eventually(async || {
            let list = self.try_cli(["peer", "items", "alice", "--json"]).await.ok()?;
            let list: Value = serde_json::from_str(&list).ok()?;
            let item = list.as_array()?.iter().find(|item| item["filename"] == filename)?;
            item["id"].as_str().map(str::to_owned)
        });
        found.await.unwrap_or_else(|| panic!("{filename} is not offered: {}", self.log()))
    }

    /// Puts a file into the shared folder.
    pub fn share(&self, name: &str, from: &Path) {
        std::fs::copy(from, self.shared().join(name)).expect("a file to share");
    }

    /// Puts a file of this many bytes into the shared folder.
    pub fn share_bytes(&self, name: &str, length: usize) {
        let content: Vec<u8> = (0..=250).cycle().take(length).collect();
        std::fs::write(self.shared().join(name), content).expect("a file to share");
    }

    /// Names of the files in a directory of its own; empty when there is none.
    pub fn names(&self, dir: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(dir)).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    /// What the daemon has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn shared(&self) -> PathBuf {
        self.path("shared")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn program<const N: usize>(&self, arguments: [&str; N]) -> Command {
        let program =
            std::env::var_os("PEERD_BIN").expect("PEERD_BIN names the program: run scripts/browser-tests");
        let mut command = Command::new(program);
        command.args(arguments).env_clear().env("HOME", self.dir.path());
        command.env("STATE_DIRECTORY", self.path("state")).current_dir(self.dir.path()).kill_on_drop(true);
        command
    }
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// Where a listener is, by the line of the log about it.
fn address_in(log: &str, listener: &str) -> Option<String> {
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut ours = events.filter(|event| event["listener"] == listener);
    ours.find_map(|event| event["address"].as_str().map(str::to_owned))
}

/// The key between the machines of a test.
pub const SECRET: &str = "a-key-between-two-friends";
