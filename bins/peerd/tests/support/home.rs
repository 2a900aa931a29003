//! One user's machine: a directory with everything a daemon reads and writes.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Daemon, KEY, Output, program};

/// A directory of its own, gone when dropped, and the configuration in it.
pub(crate) struct Home {
    dir: TempDir,
    config: Value,
}

impl Home {
    /// A machine that shares nothing and knows nobody. Waits are short, checkpoints are left to the test.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = |name: &str| dir.path().join(name);
        for name in ["shared", "user"] {
            std::fs::create_dir(path(name)).expect("a directory");
        }
        let config = json!({
            "server": { "listen": ["127.0.0.1:0"] },
            "admin": { "listen": ["127.0.0.1:0"] },
            "downloads": {
                "dir": path("completed"), "incomplete_dir": path("incomplete"), "min_free": "0",
                "connections": 1, "retry_base": "5ms", "retry_max": "20ms", "checkpoint_interval": "20ms",
            },
            "log": { "format": "json" },
        });
        Self { dir, config }
    }

    /// A machine that shares the files in [`Home::shared`] with whoever has [`KEY`].
    pub(crate) fn sharing() -> Self {
        let home = Self::new();
        let shared = home.path("shared");
        home.with(json!({
            "keys": { "friend": { "secret": KEY } },
            "shares": { "films": { "path": shared } },
        }))
    }

    /// Lays `more` over the configuration, table by table.
    pub(crate) fn with(mut self, more: Value) -> Self {
        merge(&mut self.config, more);
        self
    }

    /// Takes a key or a table out of the configuration; `path` is a JSON pointer.
    pub(crate) fn without(mut self, path: &str) -> Self {
        let (parent, name) = path.rsplit_once('/').expect("a pointer");
        let parent = self.config.pointer_mut(parent).and_then(Value::as_object_mut).expect("a table");
        parent.remove(name).expect("something to take out");
        self
    }

    /// Adds a peer whose daemon is reached at `base`, such as `http://127.0.0.1:5280/`.
    pub(crate) fn knowing(self, name: &str, base: impl Into<String>) -> Self {
        let peer = json!({ "url": base.into(), "key": KEY });
        self.with(json!({ "peers": { name: peer } }))
    }

    /// Starts the daemon. It listens on ports of its own choice.
    pub(crate) async fn start(&self) -> Daemon {
        Daemon::start(self, self.serve()).await
    }

    /// Starts the daemon with another configuration file of this machine.
    pub(crate) async fn start_with(&self, config: &str) -> Daemon {
        let mut command = program(&self.path("user"), ["serve", "--config"]);
        command.arg(self.path(config)).arg("--state-dir").arg(self.state());
        Daemon::start(self, command).await
    }

    /// Starts the daemon where [`Daemon::limit_files`] makes writes fail instead of ending the process.
    pub(crate) async fn start_on_a_small_disk(&self) -> Daemon {
        let serve = self.serve();
        let serve = serve.as_std();
        let mut command = tokio::process::Command::new("/bin/sh");
        command
            .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
            .arg(serve.get_program())
            .args(serve.get_args());
        command.env_clear().env("HOME", self.path("user")).current_dir(self.path("user")).kill_on_drop(true);
        Daemon::start(self, command).await
    }

    /// Runs the daemon where it is expected to refuse.
    pub(crate) async fn refused(&self) -> Output {
        Output::of(self.serve()).await
    }

    /// Writes the configuration file; a running daemon sees it when it reads it again.
    pub(crate) fn write_config(&self) -> PathBuf {
        let config = self.path("peerd.toml");
        std::fs::write(&config, toml::to_string(&self.config).expect("TOML")).expect("a configuration");
        config
    }

    /// The command that runs the daemon.
    pub(crate) fn serve(&self) -> tokio::process::Command {
        let config = self.write_config();
        let mut command = program(&self.path("user"), ["serve", "--config"]);
        command.arg(config).arg("--state-dir").arg(self.state());
        command
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// Where a finished download of this name is.
    pub(crate) fn completed(&self, name: &str) -> PathBuf {
        self.path("completed").join(name)
    }

    /// A file in the shared folder.
    pub(crate) fn shared(&self, name: &str) -> PathBuf {
        self.path("shared").join(name)
    }

    /// Everything in a directory of this machine, sorted; empty when there is none.
    pub(crate) fn names(&self, dir: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.path(dir)) else { return Vec::new() };
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("an entry").file_name();
        let mut names: Vec<_> =
            entries.map(|entry| name(entry).into_string().expect("a readable name")).collect();
        names.sort();
        names
    }

    /// The only part file there is.
    pub(crate) fn part(&self) -> PathBuf {
        let names = self.names("incomplete");
        assert_eq!(names.len(), 1, "one part file: {names:?}");
        self.path("incomplete").join(&names[0])
    }
}

fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (name, value) in more {
                match value {
                    // TOML has no null: here it takes away what was there.
                    Value::Null => drop(into.remove(&name)),
                    value => merge(into.entry(name).or_insert(Value::Null), value),
                }
            }
        }
        (into, more) => *into = more,
    }
}

impl AsRef<Path> for Home {
    fn as_ref(&self) -> &Path {
        self.dir.path()
    }
}
