//! A client as it is installed here: which version, and one run of it.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::names::Client;
use crate::verdict::End;

/// A client that answered when it was asked for its version.
#[derive(Clone, Debug)]
pub(crate) struct Installed {
    pub(crate) client: Client,
    pub(crate) version: String,
    program: PathBuf,
}

/// How one run ended.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) end: End,
    /// What it printed, on either stream.
    pub(crate) said: String,
}

impl Installed {
    /// Looks for `client` at `program`, or under its ordinary name; `None` if nothing there can be started.
    pub(crate) async fn find(client: Client, program: Option<&Path>) -> io::Result<Option<Self>> {
        let program = match program {
            // It will be started in another directory.
            Some(path) => std::path::absolute(path)?,
            None => PathBuf::from(client.program()),
        };
        let Ok(output) = Command::new(&program).arg("--version").stdin(Stdio::null()).output().await else {
            return Ok(None);
        };
        let version = version_in(&String::from_utf8_lossy(&output.stdout)).to_owned();
        Ok(Some(Self { client, version, program }))
    }

    /// Runs it in `directory` until it ends by itself, or for [`PATIENCE`].
    ///
    /// No setting of whoever starts this reaches it: its home is `directory`, and no proxy is known.
    pub(crate) async fn run(&self, directory: &Path, url: &str) -> io::Result<Run> {
        let mut command = Command::new(&self.program);
        command
            .args(self.client.arguments())
            .arg(url)
            .current_dir(directory)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").as_deref().unwrap_or(OsStr::new("/usr/bin:/bin")))
            .env("HOME", directory)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        match tokio::time::timeout(PATIENCE, command.output()).await {
            Ok(output) => {
                let output = output?;
                let end = output.status.code().map_or(End::Signal, End::Exit);
                let said = [output.stdout, output.stderr].concat();
                Ok(Run { end, said: String::from_utf8_lossy(&said).into_owned() })
            }
            Err(_) => Ok(Run { end: End::OutOfTime, said: format!("(still running after {PATIENCE:?})") }),
        }
    }
}

/// The first word that begins with a digit.
fn version_in(text: &str) -> &str {
    text.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit())).unwrap_or("?")
}

const PATIENCE: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_names_its_version_somewhere_in_the_first_line() {
        for (text, version) in [
            ("peerd 0.1.0\n", "0.1.0"),
            ("curl 7.88.1 (x86_64-pc-linux-gnu) libcurl/7.88.1 OpenSSL/3.0.19\n", "7.88.1"),
            ("aria2 version 1.36.0\nCopyright (C) 2006, 2019\n", "1.36.0"),
            ("GNU Wget 1.21.3 built on linux-gnu.\n", "1.21.3"),
            ("", "?"),
        ] {
            assert_eq!(version_in(text), version);
        }
    }
}
