//! A secret from a file, a pipe or the keyboard: never from an argument, where every user of the machine could read it,
//! and where the shell would remember it.

use std::io::{self, IsTerminal, Read};
use std::path::Path;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::client::CallError;
use super::signals;
use crate::exit::Exit;

/// The first line of a file; `-` is stdin, and asks when that is a terminal.
pub(super) async fn read(path: &Path, question: &str) -> Result<String, CallError> {
    let failed = |error: io::Error| {
        let message = format!("cannot read the key from {}: {error}", path.display());
        CallError { exit: Exit::LocalIo, message }
    };
    let text = if path != Path::new("-") {
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(MAX_BYTES).read_to_string(&mut text).map_err(failed)?;
        text
    } else if io::stdin().is_terminal() {
        ask(question).await?
    } else {
        tokio::task::spawn_blocking(line)
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(failed)?
    };
    let key = text.lines().next().unwrap_or_default().trim();
    if key.is_empty() {
        let message = match path == Path::new("-") {
            true => "no key came on stdin".to_owned(),
            false => format!("{} holds no key", path.display()),
        };
        return Err(CallError { exit: Exit::Usage, message });
    }
    Ok(key.to_owned())
}

/// Asks on the terminal without showing what is typed.
async fn ask(question: &str) -> Result<String, CallError> {
    let general = |message: String| CallError { exit: Exit::General, message };
    super::ask(question);
    let hidden = Hidden::begin();
    let interrupted = signals::interrupted().map_err(|error| general(error.to_string()))?;
    let typed = tokio::select! {
        typed = tokio::task::spawn_blocking(line) => typed,
        exit = interrupted => {
            drop(hidden);
            super::remark("");
            // The thread that reads cannot be stopped, and would keep the process.
            std::process::exit(exit as i32);
        }
    };
    drop(hidden);
    super::remark("");
    typed.map_err(|error| general(error.to_string()))?.map_err(|error| general(error.to_string()))
}

/// One line of stdin and not a byte more: what follows may be for somebody else.
fn line() -> io::Result<String> {
    let mut bytes = Vec::new();
    // Byte by byte where others read on: a shell that feeds us from its own script would miss what we took.
    let stdin = rustix::stdio::stdin();
    let mut byte = [0u8; 1];
    while (bytes.len() as u64) < MAX_BYTES {
        match rustix::io::read(stdin, &mut byte) {
            Ok(0) => break,
            Ok(_) if byte[0] == b'\n' => break,
            Ok(_) => bytes.push(byte[0]),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is no text"))
}

/// The terminal does not show what is typed, until dropped.
struct Hidden(Option<Termios>);

impl Hidden {
    fn begin() -> Self {
        let Ok(before) = tcgetattr(rustix::stdio::stdin()) else { return Self(None) };
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        match tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &quiet) {
            Ok(()) => Self(Some(before)),
            Err(_) => Self(None),
        }
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, before);
        }
    }
}

const MAX_BYTES: u64 = 64 << 10;
