//! `peerd add`: queue a download in the running daemon, and watch it if asked.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use download_registry::DownloadState;
use http::Method;
use retry_kit::{Clock, TokioClock};
use serde_json::{Value, json};

use super::bars::{Bar, size};
use super::client::{CallError, Daemon};
use super::{Global, fail, ls, say, say_aside, signals};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::stub::{Kind, Wanted};

/// Queue a download in the running daemon.
#[derive(Debug, Args)]
pub(super) struct Add {
    /// PEER/ITEM of a known peer, an http(s) URL, or a stub file that names some of either
    #[arg(value_name = "PEER/ITEM")]
    what: String,
    /// File name to publish it under [default: the peer's]
    #[arg(long, value_name = "NAME")]
    filename: Option<String>,
    /// -10 (last) to 10 (first)
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true,
          value_parser = clap::value_parser!(i8).range(-10..=10))]
    priority: i8,
    /// SHA-256 the file must have
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
    /// BLAKE3 the file must have
    #[arg(long, value_name = "HEX")]
    blake3: Option<String>,
    /// Who takes the finished file over: an importer, or none [default: as configured]
    #[arg(long, value_name = "NAME")]
    import: Option<String>,
    /// Queue it without starting it
    #[arg(long, conflicts_with = "wait")]
    paused: bool,
    /// Stay until it is done, with a progress bar; Ctrl-C leaves it running
    #[arg(long)]
    wait: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Add {
    pub(super) async fn run(self, global: &Global) -> Exit {
        let wanted = match self.wanted() {
            Ok(wanted) => wanted,
            Err(exit) => return exit,
        };
        let daemon = match Daemon::find(global) {
            Ok(daemon) => daemon,
            Err(error) => return error.report(),
        };
        // All are in line before any of them is waited for.
        let mut rows = Vec::new();
        for wanted in &wanted {
            rows.push(daemon.call(Method::POST, "/downloads", Some(self.body(wanted))).await);
        }
        let mut exits = Vec::new();
        for row in rows {
            exits.push(match row {
                Ok(row) if !self.wait => self.queued(&row, global),
                Ok(row) => match self.watch(&daemon, &row, global).await {
                    Ok(interrupted @ (Exit::Interrupted | Exit::Terminated)) => return interrupted,
                    Ok(exit) => exit,
                    Err(error) => error.report(),
                },
                Err(error) => error.report(),
            });
        }
        together(&exits)
    }

    /// What is meant: a file that is there and called like a stub is one, everything else is what it says.
    fn wanted(&self) -> Result<Vec<Wanted>, Exit> {
        let path = Path::new(&self.what);
        let is_stub = path.file_name().and_then(Kind::of).is_some() && path.is_file();
        let wanted = match is_stub {
            true => super::stub::read(path)?.wanted(),
            false => {
                let wanted = self.what.parse().map_err(|error| {
                    format!("{}: {error}, nor a stub file; see: peerd add --help", self.what)
                });
                vec![wanted.map_err(|message| fail(Exit::Usage, message))?]
            }
        };
        let of_one = self.filename.is_some() || self.sha256.is_some() || self.blake3.is_some();
        if of_one && wanted.len() > 1 {
            return Err(fail(
                Exit::Usage,
                "--filename, --sha256 and --blake3 speak of one file, and this stub names several",
            ));
        }
        Ok(wanted)
    }

    fn body(&self, wanted: &Wanted) -> Value {
        let mut body = match wanted {
            Wanted::Url(url) => json!({ "url": url }),
            Wanted::Item { peer, item } => json!({ "peer": peer, "item": item }),
        };
        body["priority"] = self.priority.into();
        body["paused"] = self.paused.into();
        for (name, value) in [
            ("filename", &self.filename),
            ("sha256", &self.sha256),
            ("blake3", &self.blake3),
            ("import", &self.import),
        ] {
            if let Some(value) = value {
                body[name] = value.as_str().into();
            }
        }
        body
    }

    fn queued(&self, row: &Value, global: &Global) -> Exit {
        if self.json {
            return say(&row.to_string());
        }
        let id = row.get("id").and_then(Value::as_u64).unwrap_or_default();
        say(&id.to_string());
        say_aside(
            global,
            &format!("{} as {id}; see it with: peerd ls", if self.paused { "paused" } else { "queued" }),
        )
    }

    async fn watch(&self, daemon: &Daemon, row: &Value, global: &Global) -> Result<Exit, CallError> {
        let general = |error: std::io::Error| CallError { exit: Exit::General, message: error.to_string() };
        let mut interrupted = Box::pin(signals::interrupted().map_err(general)?);
        let id = row.get("id").and_then(Value::as_u64).unwrap_or_default();
        let path = format!("/downloads/{id}");
        let mut told = Told::default();
        let mut bar = Bar::new(&title(row), global.look().filter(|_| !self.json), global.quiet || self.json);
        let clock = TokioClock;
        let mut silent_since = None;
        loop {
            let row = tokio::select! {
                exit = &mut interrupted => {
                    bar.finish();
                    say_aside(global, &format!("the daemon goes on with {id}; see it with: peerd ls"));
                    return Ok(exit);
                }
                row = daemon.call(Method::GET, &path, None) => row,
            };
            let row = match row {
                Ok(row) => {
                    silent_since = None;
                    row
                }
                // The row goes on whether or not its daemon answers; a restart takes a moment.
                Err(error) if error.exit == Exit::Unreachable => {
                    if *silent_since.get_or_insert_with(|| clock.now()) + PATIENCE < clock.now() {
                        bar.finish();
                        return Err(error);
                    }
                    clock.sleep(POLL).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            told.changes(&row, &mut bar);
            let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
            match ls::state(&row) {
                Some(state) if state.is_published() => {
                    bar.finish();
                    let total = row.get("total").and_then(Value::as_u64).unwrap_or_default();
                    return Ok(match self.json {
                        true => say(&row.to_string()),
                        false => say(&format!("{} ({})", text("target"), size(total))),
                    });
                }
                Some(state) if !state.is_live() => {
                    bar.finish();
                    if self.json {
                        say(&row.to_string());
                    }
                    return Ok(ended_badly(&row, id));
                }
                Some(DownloadState::Paused)
                    if row.pointer("/error/kind").and_then(Value::as_str) == Some("disabled") =>
                {
                    bar.finish();
                    let message =
                        "downloads are disabled in the daemon's configuration; the row stays queued";
                    return Err(CallError { exit: Exit::TryLater, message: message.to_owned() });
                }
                _ => clock.sleep(POLL).await,
            }
        }
    }
}

/// How several ended: as they all did, or partly well.
fn together(exits: &[Exit]) -> Exit {
    match exits {
        [] => Exit::Done,
        [first, rest @ ..] if rest.iter().all(|exit| exit == first) => *first,
        _ => Exit::Some,
    }
}

fn title(row: &Value) -> String {
    let text = |name: &str| row.get(name).and_then(Value::as_str);
    text("filename").or_else(|| text("item")).or_else(|| text("url")).unwrap_or("download").to_owned()
}

fn ended_badly(row: &Value, id: u64) -> Exit {
    let error = |name: &str| row.pointer(&format!("/error/{name}")).and_then(Value::as_str);
    let exit = error("kind").and_then(Failure::from_kind).map_or(Exit::Failed, Failure::exit);
    let message = error("message").unwrap_or("the download was cancelled");
    fail(exit, format_args!("{id}: {message}"))
}

/// What the bar has told already.
#[derive(Default)]
struct Told {
    state: String,
    attempts: u64,
    restarts: u64,
}

impl Told {
    fn changes(&mut self, row: &Value, bar: &mut Bar) {
        let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
        let number = |name: &str| row.get(name).and_then(Value::as_u64);
        let (attempts, restarts) =
            (number("attempts").unwrap_or_default(), number("restarts").unwrap_or_default());
        if restarts > self.restarts {
            bar.restarted();
            let reason = row.pointer("/last_restart/reason").and_then(Value::as_str).unwrap_or("changed");
            bar.tell(&format!("starting over: {reason}"));
        }
        if attempts > self.attempts {
            let message = row.pointer("/error/message").and_then(Value::as_str).unwrap_or("failed");
            bar.tell(&format!("attempt {attempts}: {message}"));
        }
        if text("state") != self.state && matches!(text("state"), "waiting" | "paused" | "finalizing") {
            bar.tell(text("state"));
        }
        self.state = text("state").to_owned();
        (self.attempts, self.restarts) = (attempts, restarts);
        let rate = row.get("rate").and_then(Value::as_f64).unwrap_or_default();
        let eta = number("eta").map(Duration::from_secs);
        bar.update(number("written").unwrap_or_default(), number("total"), rate, eta);
    }
}

const POLL: Duration = Duration::from_millis(200);
/// How long a daemon may be away while we wait for one of its downloads.
const PATIENCE: Duration = Duration::from_secs(30);
