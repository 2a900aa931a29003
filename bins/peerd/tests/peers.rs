//! Peers added while the daemon runs: two people find each other, and what is kept of it.

#[path = "peers/adding.rs"]
mod adding;
#[path = "peers/offers.rs"]
mod offers;
#[path = "peers/story.rs"]
mod story;
mod support;
#[path = "peers/testing.rs"]
mod testing;

use std::process::Stdio;

use support::{Daemon, Home, Output};
use tokio::io::AsyncWriteExt;

/// The owner of `daemon` types `command` and answers what it asks for; `peerd` is in the path.
async fn type_in(home: &Home, daemon: &Daemon, command: &str, answer: &str) -> Output {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_peerd"));
    let path = format!("{}:/usr/bin:/bin", program.parent().expect("a directory").display());
    let mut shell = tokio::process::Command::new("/bin/sh");
    shell.args(["-c", command]).env_clear().env("PATH", path).env("HOME", home.path("user"));
    shell.env("PEERD_URL", format!("http://{}", daemon.admin));
    shell.env("PEERD_API_KEY_FILE", home.state().join("admin.key"));
    shell.env("PEERD_CONFIG", home.path("peerd.toml")).current_dir(home.path("user"));
    shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = shell.spawn().expect("a shell");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(format!("{answer}\n").as_bytes()).await.expect("somebody who reads");
    drop(stdin);
    let output = child.wait_with_output().await.expect("an end");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("readable output");
    Output {
        code: output.status.code().unwrap_or(-1),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// The two lines of an invitation: the command, and the key it asks for.
fn lines(invitation: &Output) -> (&str, &str) {
    invitation.stdout.trim_end().split_once('\n').expect("two lines")
}
