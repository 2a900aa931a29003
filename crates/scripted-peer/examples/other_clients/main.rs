//! How `peerd get` and other download clients resume when a server misbehaves, side by side.
//!
//! `cargo run -p scripted-peer --example other_clients -- --peerd target/release/peerd` prints the tables of
//! `docs/other-clients.md`. Other clients are taken from `$PATH`, or from `--curl`, `--aria2c` and `--wget PATH`. With
//! `--explain` every request and the last words of every client follow. It takes some minutes: a client that repeats a
//! hopeless request is waited for.

mod installed;
mod names;
mod play;
mod tables;
mod verdict;

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use installed::Installed;
use names::{Case, Client};
use play::Played;
use tables::Results;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse(std::env::args().skip(1))?;
    let mut clients = Vec::new();
    for client in Client::ALL {
        clients.push((client, Installed::find(client, options.program(client)).await?));
    }
    let results = Results { played: play_all(&clients).await?, clients };
    print!("{}", results.page());
    if options.explain {
        print!("{}", results.explanations());
    }
    Ok(())
}

/// Plays every case with every client that is installed, and tells on stderr how far it is.
///
/// One after the other: a client that is just being started holds every open socket of this process for a moment, and
/// the peer of another play could not leave its port.
async fn play_all(clients: &[(Client, Option<Installed>)]) -> io::Result<Vec<(Case, Client, Played)>> {
    let mut all = Vec::new();
    for case in Case::ALL {
        for (client, installed) in clients {
            let Some(installed) = installed else { continue };
            let played = play::play(case, installed).await?;
            eprintln!("{}: {}: {}", case.title(), client.command(), played.verdict);
            all.push((case, *client, played));
        }
    }
    Ok(all)
}

/// What was asked for on the command line.
#[derive(Debug, Default)]
struct Options {
    programs: Vec<(Client, PathBuf)>,
    explain: bool,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        while let Some(argument) = arguments.next() {
            let named = argument.strip_prefix("--").unwrap_or_default();
            match Client::ALL.into_iter().find(|client| client.program() == named) {
                Some(client) => {
                    let path = arguments.next().ok_or_else(|| format!("{argument} takes a path"))?;
                    options.programs.push((client, path.into()));
                }
                None if argument == "--explain" => options.explain = true,
                None => return Err(format!("{argument}: usage: [--PROGRAM PATH]... [--explain]")),
            }
        }
        Ok(options)
    }

    fn program(&self, wanted: Client) -> Option<&Path> {
        self.programs.iter().find(|(client, _)| *client == wanted).map(|(_, path)| path.as_path())
    }
}
