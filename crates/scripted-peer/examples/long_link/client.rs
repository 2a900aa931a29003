//! One run of `peerd get`, watched.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use scripted_peer::Link;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::options::Line;
use crate::server::{Server, field, unexpected};

/// What fetches, and from where.
pub(crate) struct Client<'stage> {
    pub(crate) program: &'stage Path,
    pub(crate) home: &'stage Path,
    pub(crate) server: &'stage Server,
}

/// What one run took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// The `--connections` it was given.
    pub(crate) allowed: u8,
    /// From its start to its exit: everything is synced and under its name by then.
    pub(crate) took: Duration,
    /// Open at once, at most: as the line saw it, or without one as the client told.
    pub(crate) connections: usize,
    pub(crate) requests: u64,
    /// Bytes; 0 where the system does not tell.
    pub(crate) peak_rss: u64,
}

impl Client<'_> {
    /// Fetches the file to `target` with at most `allowed` connections, over a new line if there is one.
    ///
    /// # Errors
    /// If the client cannot be started or fails.
    #[expect(clippy::disallowed_methods, reason = "a measurement takes the time")]
    pub(crate) async fn run(&self, allowed: u8, line: Option<Line>, target: &Path) -> io::Result<Run> {
        let Server { address, path, .. } = self.server;
        let link = match line {
            Some(Line { delay, cap }) => Some(Link::start(*address, delay, cap).await),
            None => None,
        };
        let address = link.as_ref().map_or(*address, Link::address);
        let requests = self.server.requests().await?;
        let begin = Instant::now();
        let mut process = Command::new(self.program)
            .args(["get", "--json", "--overwrite", "--connections", &allowed.to_string(), "--output"])
            .arg(target)
            .arg(format!("http://{address}{path}"))
            .env_clear()
            .env("HOME", self.home)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let watched = watch(&mut process).await?;
        let took = begin.elapsed();
        if !watched.status.success() {
            return Err(unexpected(&format!("get ended with {}", watched.status), &watched.said));
        }
        Ok(Run {
            allowed,
            took,
            connections: link.as_ref().map_or(watched.connections, Link::most_connections),
            requests: self.server.requests().await? - requests,
            peak_rss: watched.peak_rss,
        })
    }
}

struct Watched {
    status: ExitStatus,
    said: String,
    connections: usize,
    peak_rss: u64,
}

/// Looks at a client until it ends.
async fn watch(process: &mut Child) -> io::Result<Watched> {
    let mut events = BufReader::new(process.stdout.take().expect("stdout is piped")).lines();
    let mut stderr = process.stderr.take().expect("stderr is piped");
    let status_file = format!("/proc/{}/status", process.id().unwrap_or_default());
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    let (mut connections, mut peak_rss) = (0, 0);
    loop {
        tokio::select! {
            _ = looks.tick() => {
                // The mark only rises: the last look at a living process is the one that counts.
                peak_rss = high_water(&status_file).unwrap_or(peak_rss);
            }
            event = events.next_line() => {
                let Some(event) = event? else { break };
                let open = field(&event, "connections").and_then(|open| open.parse().ok());
                connections = connections.max(open.unwrap_or(0));
            }
        }
    }
    let mut said = String::new();
    let (status, _) = tokio::try_join!(process.wait(), stderr.read_to_string(&mut said))?;
    Ok(Watched { status, said, connections, peak_rss })
}

/// The most memory a process ever had, in bytes: `VmHWM: 12345 kB`.
fn high_water(status_file: &str) -> Option<u64> {
    let status = fs::read_to_string(status_file).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}
