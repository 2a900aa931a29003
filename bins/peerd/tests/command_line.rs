//! The command line: what is printed where, and the code a run ends with.

#[path = "command_line/configuration.rs"]
mod configuration;
#[path = "command_line/daemon.rs"]
mod daemon;
#[path = "command_line/database.rs"]
mod database;
#[path = "command_line/demo.rs"]
mod demo;
#[path = "command_line/get.rs"]
mod get;
#[path = "command_line/history.rs"]
mod history;
#[path = "command_line/killed.rs"]
mod killed;
#[path = "command_line/manual.rs"]
mod manual;
#[path = "command_line/serve.rs"]
mod serve;
mod support;
#[path = "command_line/usage.rs"]
mod usage;

use scripted_peer::{Representation, ScriptedPeer};

use support::{Home, MIB, Output, program};

/// Runs the program where no daemon and no configuration is.
async fn run<const N: usize>(home: &Home, arguments: [&str; N]) -> Output {
    Output::of(program(&home.path("user"), arguments)).await
}

/// `peerd get` with short waits, into `out.bin` of the home.
async fn get(home: &Home, url: &str, more: &[&str]) -> Output {
    let mut command =
        program(&home.path("user"), ["get", url, "--retry-base", "5ms", "--retry-max", "20ms", "-o"]);
    command.arg(home.path("out.bin")).args(more);
    Output::of(command).await
}

/// A peer with one file of a megabyte at `/m.bin`.
async fn peer_with_file() -> (ScriptedPeer, String) {
    let peer = ScriptedPeer::start().await;
    peer.serve("/m.bin", Representation::seeded(7, MIB).etag("\"m\""));
    let url = peer.url("/m.bin");
    (peer, url)
}
