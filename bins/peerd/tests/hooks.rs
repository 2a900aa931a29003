//! Hooks: programs that are run and addresses that are told, without anybody waiting for them.

#[path = "hooks/again.rs"]
mod again;
#[path = "hooks/commands.rs"]
mod commands;
mod support;
#[path = "hooks/webhooks.rs"]
mod webhooks;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use scripted_peer::ScriptedPeer;
use serde_json::{Value, json};

use crate::support::{Home, offer};

/// A peer with a small item `m`, and the home of a daemon with one hook.
async fn hooked(hook: Value) -> (ScriptedPeer, Home) {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", 7, 1000);
    let home = Home::new().knowing("bob", peer.url("/"));
    (peer, home.with(json!({ "hooks": { "test": hook } })))
}

/// Writes a shell script that is run by its path, with `out` as the directory it may write to.
fn script(home: &Home, text: &str) -> PathBuf {
    let (path, out) = (home.path("hook.sh"), home.path("out"));
    std::fs::create_dir_all(&out).expect("a directory");
    std::fs::write(&path, format!("#!/bin/sh\nout={}\n{text}\n", out.display())).expect("a script");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("permissions");
    path
}

/// The content of a file the script has written, once it is whole.
async fn written(home: &Home, name: &str) -> String {
    let path = home.path("out").join(name);
    let found = support::eventually(async || std::fs::read_to_string(&path).ok()).await;
    found.unwrap_or_else(|| panic!("{} was never written", path.display()))
}
