//! A program that is run for an event: no shell, a bare environment, bounded time and output.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use retry_kit::{Clock, SharedClock};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::Outcome;
use super::delivery::Delivery;

/// Runs the program and logs how it went. A program that fails is not run again: what it has done already is not known.
///
/// # Cancel safety
/// Dropping it kills the program, and whatever that started in its process group.
pub(super) async fn run(
    hook: &str,
    argv: &[String],
    timeout: Duration,
    delivery: &Delivery,
    clock: &SharedClock,
) -> Outcome {
    let (event, download_id) = (delivery.event.as_str(), delivery.download);
    let mut group = match start(argv, delivery) {
        Ok(child) => Group { child },
        Err(error) => {
            tracing::warn!(hook, event, download_id, %error, "the hook's program cannot be started");
            return Outcome::Failed;
        }
    };
    let mut output = Output::default();
    let late = clock.sleep(timeout);
    let ended = tokio::select! {
        status = group.converse(delivery.text(), &mut output, clock) => Some(status),
        () = late => None,
    };
    let output = output.text();
    match ended {
        Some(Ok(status)) if status.success() => {
            tracing::info!(hook, event, download_id, output, "hook");
            Outcome::Delivered
        }
        Some(Ok(status)) => {
            tracing::warn!(hook, event, download_id, %status, output, "the hook's program failed");
            Outcome::Failed
        }
        Some(Err(error)) => {
            tracing::warn!(hook, event, download_id, %error, output, "the hook's program was lost");
            Outcome::Failed
        }
        None => {
            group.kill();
            let _ = group.child.wait().await;
            let timeout_ms = timeout.as_millis() as u64;
            tracing::warn!(
                hook,
                event,
                download_id,
                timeout_ms,
                output,
                "the hook's program took too long; killed"
            );
            Outcome::Failed
        }
    }
}

fn start(argv: &[String], delivery: &Delivery) -> std::io::Result<Child> {
    let (program, arguments) =
        argv.split_first().ok_or_else(|| std::io::Error::other("the command is empty"))?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear();
    for name in ["PATH", "HOME"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
        .env("PEERD_EVENT", &delivery.event)
        .env("PEERD_PATH", &delivery.path)
        .env("PEERD_ID", delivery.download.map(|id| id.to_string()).unwrap_or_default())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own: what the program starts ends with it.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// A program and what it started. Dropping it kills all of them, if the program itself still runs.
struct Group {
    child: Child,
}

impl Group {
    /// Tells the program what happened, listens to what it says, and waits for its end.
    async fn converse(
        &mut self,
        mut told: String,
        output: &mut Output,
        clock: &SharedClock,
    ) -> std::io::Result<ExitStatus> {
        told.push('\n');
        let (stdin, stdout, stderr) =
            (self.child.stdin.take(), self.child.stdout.take(), self.child.stderr.take());
        let tell = async {
            if let Some(mut stdin) = stdin {
                // One that does not want to know closes it, and that is fine.
                let _ = stdin.write_all(told.as_bytes()).await;
            }
        };
        let (first, second) = output.both();
        let talk = async {
            tokio::join!(tell, listen(stdout, first), listen(stderr, second));
        };
        let end = async {
            let status = self.child.wait().await;
            // What it left running in the background may hold its output open for ever.
            clock.sleep(LAST_WORDS).await;
            status
        };
        tokio::pin!(talk, end);
        tokio::select! {
            () = &mut talk => {}
            status = &mut end => return status,
        }
        end.await
    }

    fn kill(&self) {
        // Gone from the table once it was waited for: then the number may be somebody else's.
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(id) = id {
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The beginning of what a program said.
#[derive(Default)]
struct Output {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Output {
    fn both(&mut self) -> (&mut Vec<u8>, &mut Vec<u8>) {
        (&mut self.stdout, &mut self.stderr)
    }

    /// As it stands in the log.
    fn text(&self) -> String {
        let text = [&self.stdout, &self.stderr].map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
        text.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n")
    }
}

/// Reads to the end, so that the program is never held up, and keeps the beginning.
async fn listen(from: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) {
    let Some(mut from) = from else { return };
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let room = MAX_OUTPUT - into.len().min(MAX_OUTPUT);
        into.extend_from_slice(&buffer[..read.min(room)]);
    }
}

/// Bytes kept of each of stdout and stderr.
const MAX_OUTPUT: usize = 4 << 10;
/// How long the output of a program that has ended is still listened to.
const LAST_WORDS: Duration = Duration::from_millis(200);
