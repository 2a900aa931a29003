//! `peerd demo`: the main job in a minute, on this machine alone.
//!
//! Two real daemons on loopback, a file of random bytes, the downloading one killed half-way without warning and
//! started again, the bytes compared.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::Args;
use retry_kit::{Clock, TokioClock};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::bars::{Bar, Look, size};
use super::{Global, fail, signals};
use crate::config::ByteSize;
use crate::exit::Exit;
use crate::state_dir::new_key;

/// Show what this program is for: two daemons, one transfer, one kill, one whole file.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Size of the file to move
    #[arg(long, value_name = "SIZE", default_value = "64MiB")]
    size: ByteSize,
}

impl Demo {
    pub(super) async fn run(self, global: &Global) -> Exit {
        let mut interrupted = match signals::interrupted() {
            Ok(interrupted) => Box::pin(interrupted),
            Err(error) => return fail(Exit::General, format_args!("cannot watch for signals: {error}")),
        };
        tokio::select! {
            // The daemons and the directory go with what is dropped here.
            exit = &mut interrupted => exit,
            outcome = self.play(global) => match outcome {
                Ok(()) => Exit::Done,
                Err(error) => fail(Exit::General, format_args!("the demo failed: {error:#}")),
            },
        }
    }

    async fn play(&self, global: &Global) -> anyhow::Result<()> {
        let bytes = self.size.bytes();
        ensure!(bytes > 0, "a file of no bytes cannot be cut half-way");
        let stage = Stage::set(bytes)?;
        let mut show = Show { began: Instant::now(), look: global.look() };

        show.line(&format!("a file of {} random bytes: {}", size(bytes), FILE));
        let sharer = Daemon::start(&stage, "sharer").await?;
        show.line(&format!("alice shares it on {}", sharer.peer));
        let item = sharer.item().await?;
        stage.introduce(&sharer)?;
        let downloader = Daemon::start(&stage, "downloader").await?;
        show.line("bob asks for it: peerd add alice/ITEM");
        let id = downloader.add(&item).await?;

        let held = show.follow(&downloader, id, |row| number(row, "durable") * 2 >= bytes).await?;
        ensure!(!is_done(&held), "the transfer was over before it could be cut; try a larger --size");
        downloader.kill().await?;
        show.line(&format!(
            "kill -9 bob's daemon with {} durable on its disk",
            size(number(&held, "durable"))
        ));
        ensure!(!stage.target().exists(), "the final name exists before the file is whole");
        show.line("the final name does not exist: an unfinished file never has it");

        let downloader = Daemon::start(&stage, "downloader").await?;
        show.line("bob's daemon again; nobody tells it what to do");
        let resumed = number(&downloader.row(id).await?, "durable");
        show.line(&format!("it resumes at byte {resumed} ({})", size(resumed)));
        show.follow(&downloader, id, is_done).await?;
        let sent = sharer.bytes_served().await?;
        ensure!(same_bytes(&stage.source(), &stage.target())?, "the bytes differ");
        show.line(&format!("complete, and byte for byte the same: {}", size(bytes)));
        show.line(&format!(
            "re-transferred because of the kill: {} (a checkpoint is at most {})",
            size(sent.saturating_sub(bytes)),
            size(CHECKPOINT)
        ));
        downloader.stop().await?;
        sharer.stop().await
    }
}

/// The directories of both sides; gone when dropped.
struct Stage {
    dir: TempDir,
    bytes: u64,
    key: String,
}

impl Stage {
    fn set(bytes: u64) -> anyhow::Result<Self> {
        let dir =
            tempfile::Builder::new().prefix("peerd-demo-").tempdir().context("cannot make a directory")?;
        let stage = Self { dir, bytes, key: new_key()? };
        std::fs::create_dir_all(stage.path("shared"))?;
        stage.write_source().context("cannot write the file to share")?;
        stage.write_config(
            "sharer",
            &json!({
                "server": { "listen": ["127.0.0.1:0"] },
                "admin": { "listen": ["127.0.0.1:0"] },
                "keys": { "bob": { "secret": stage.key, "shares": ["demo"] } },
                "shares": { "demo": { "path": stage.path("shared") } },
                "log": { "format": "json" },
            }),
        )?;
        Ok(stage)
    }

    /// Tells the downloader where the sharer is.
    fn introduce(&self, sharer: &Daemon) -> anyhow::Result<()> {
        // Slow enough to be seen, and to have a half-way.
        let rate = (self.bytes / 5).clamp(64 << 10, 64 << 20);
        self.write_config(
            "downloader",
            &json!({
                "server": { "listen": ["127.0.0.1:0"] },
                "admin": { "listen": ["127.0.0.1:0"] },
                "peers": { "alice": { "url": format!("http://{}/", sharer.peer), "key": self.key } },
                "downloads": {
                    "dir": self.path("completed"), "incomplete_dir": self.path("incomplete"), "min_free": "0",
                    "checkpoint_bytes": CHECKPOINT, "checkpoint_interval": "500ms",
                },
                "limits": { "down": rate },
                "log": { "format": "json" },
            }),
        )
    }

    fn write_source(&self) -> anyhow::Result<()> {
        let mut seed = [0u8; 8];
        getrandom::fill(&mut seed).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
        let mut rng = fastrand::Rng::with_seed(u64::from_le_bytes(seed));
        let mut file = std::fs::File::create(self.source())?;
        let mut block = vec![0; 1 << 20];
        let mut left = self.bytes;
        while left > 0 {
            let length = block.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            rng.fill(&mut block[..length]);
            file.write_all(&block[..length])?;
            left -= length as u64;
        }
        Ok(())
    }

    fn write_config(&self, name: &str, config: &Value) -> anyhow::Result<()> {
        let text = toml::to_string(config)?;
        std::fs::write(self.path(&format!("{name}.toml")), text).context("cannot write a configuration")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn source(&self) -> PathBuf {
        self.path("shared").join(FILE)
    }

    fn target(&self) -> PathBuf {
        self.path("completed").join(FILE)
    }
}

/// A daemon of our own, ended when dropped.
struct Daemon {
    child: Child,
    peer: String,
    admin: String,
    admin_key: String,
    peer_key: String,
    client: reqwest::Client,
}

impl Daemon {
    async fn start(stage: &Stage, name: &str) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let state = stage.path(&format!("{name}-state"));
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            // What configures the user's own daemon is none of the demo's business.
            if name.to_string_lossy().starts_with("PEERD_") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .args(["serve", "--config"])
            .arg(stage.path(&format!("{name}.toml")))
            .arg("--state-dir")
            .arg(&state)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start a daemon")?;
        let stderr = child.stderr.take().context("the daemon has no stderr")?;
        let mut log = BufReader::new(stderr).lines();
        let (mut peer, mut admin, mut tail) = (None, None, String::new());
        while peer.is_none() || admin.is_none() {
            let Some(line) = log.next_line().await? else { bail!("the {name} did not start: {tail}") };
            let event: Value = serde_json::from_str(&line).unwrap_or_default();
            let text = |field: &str| event.get(field).and_then(Value::as_str).map(str::to_owned);
            match text("listener").as_deref() {
                Some("peer") => peer = text("address"),
                Some("admin") => admin = text("address"),
                _ => tail = line,
            }
        }
        // Nobody reads on, but a full pipe would stop the daemon.
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        let admin_key =
            std::fs::read_to_string(state.join("admin.key")).context("cannot read the admin key")?;
        Ok(Self {
            child,
            peer: peer.unwrap_or_default(),
            admin: admin.unwrap_or_default(),
            admin_key: admin_key.trim().to_owned(),
            peer_key: stage.key.clone(),
            client: reqwest::Client::builder().no_proxy().build()?,
        })
    }

    /// The id of the one file it shares, once its folder has been read.
    async fn item(&self) -> anyhow::Result<String> {
        for _ in 0..200 {
            let url = format!("http://{}/peer/items", self.peer);
            let page: Value =
                self.client.get(url).header("x-api-key", &self.peer_key).send().await?.json().await?;
            if let Some(id) = page.pointer("/items/0/id").and_then(Value::as_str) {
                return Ok(id.to_owned());
            }
            TokioClock.sleep(POLL).await;
        }
        bail!("the shared file does not show up")
    }

    async fn add(&self, item: &str) -> anyhow::Result<u64> {
        let body = json!({ "peer": "alice", "item": item });
        let answer = self.request(reqwest::Method::POST, "/api/v1/downloads").json(&body).send().await?;
        let row: Value = answer.error_for_status()?.json().await?;
        row.get("id").and_then(Value::as_u64).context("the daemon gave no id")
    }

    async fn row(&self, id: u64) -> anyhow::Result<Value> {
        let answer = self.request(reqwest::Method::GET, &format!("/api/v1/downloads/{id}")).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// File bytes handed to readers since it started.
    async fn bytes_served(&self) -> anyhow::Result<u64> {
        let text =
            self.request(reqwest::Method::GET, "/metrics").send().await?.error_for_status()?.text().await?;
        let line = text.lines().find(|line| line.starts_with("peerd_serve_bytes_total{"));
        let value =
            line.and_then(|line| line.rsplit(' ').next()).context("the sharing side counted nothing")?;
        Ok(value.parse::<f64>()? as u64)
    }

    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.client
            .request(method, format!("http://{}{path}", self.admin))
            .header("x-api-key", &self.admin_key)
    }

    /// SIGKILL: no chance to tidy up.
    async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("cannot kill the daemon")
    }

    /// SIGTERM, and the end it should come to.
    async fn stop(mut self) -> anyhow::Result<()> {
        let pid = self.child.id().and_then(|id| rustix::process::Pid::from_raw(id as i32));
        rustix::process::kill_process(pid.context("the daemon has gone")?, rustix::process::Signal::TERM)?;
        let status = self.child.wait().await?;
        ensure!(status.success(), "a daemon ended with {status}");
        Ok(())
    }
}

/// A line per event, and a bar between them.
struct Show {
    began: Instant,
    look: Option<Look>,
}

impl Show {
    fn line(&mut self, text: &str) {
        super::say(&format!("{:>6.1} s  {text}", self.began.elapsed().as_secs_f64()));
    }

    /// Shows a download until `enough`; returns its row.
    async fn follow(
        &mut self,
        daemon: &Daemon,
        id: u64,
        enough: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let mut bar = Bar::new("          bob", self.look, true);
        loop {
            let row = daemon.row(id).await?;
            let rate = row.get("rate").and_then(Value::as_f64).unwrap_or_default();
            let eta = row.get("eta").and_then(Value::as_u64).map(Duration::from_secs);
            bar.update(number(&row, "written"), row.get("total").and_then(Value::as_u64), rate, eta);
            if enough(&row) || is_done(&row) {
                bar.finish();
                return Ok(row);
            }
            if row.get("state").and_then(Value::as_str) == Some("failed") {
                bail!("the download failed: {}", row.pointer("/error/message").unwrap_or(&Value::Null));
            }
            TokioClock.sleep(POLL).await;
        }
    }
}

fn is_done(row: &Value) -> bool {
    row.get("state").and_then(Value::as_str) == Some("completed")
}

fn number(row: &Value, name: &str) -> u64 {
    row.get(name).and_then(Value::as_u64).unwrap_or_default()
}

fn same_bytes(a: &Path, b: &Path) -> anyhow::Result<bool> {
    let digest = |path: &Path| -> anyhow::Result<blake3::Hash> {
        let mut file =
            std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hasher.finalize()),
                read => _ = hasher.update(&buffer[..read]),
            }
        }
    };
    Ok(digest(a)? == digest(b)?)
}

const FILE: &str = "holiday.mkv";
const CHECKPOINT: u64 = 16 << 20;
const POLL: Duration = Duration::from_millis(50);
