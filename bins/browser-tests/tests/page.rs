//! What people do with the web page, done by a real browser against real daemons.

#[path = "page/healing.rs"]
mod healing;
#[path = "page/keyboard.rs"]
mod keyboard;
#[path = "page/logging_in.rs"]
mod logging_in;
#[path = "page/parts.rs"]
mod parts;
#[path = "page/playing.rs"]
mod playing;
#[path = "page/queue.rs"]
mod queue;
#[path = "page/sharing.rs"]
mod sharing;
#[path = "page/system.rs"]
mod system;

use std::path::PathBuf;

use browser_tests::{Browser, Machine};

/// A film of two minutes.
const FILM: &str = "film.webm";

/// So slow that about a minute goes by before a file is whole: time enough for whatever is done with it.
const SLOW: &str = "128KiB";

/// Two friends: alice shares, and bob fetches from her no faster than `down` a second.
async fn friends(down: &str) -> (Machine, Machine) {
    friends_with(down, "").await
}

/// The same, with more in the configuration of bob.
async fn friends_with(down: &str, more: &str) -> (Machine, Machine) {
    let alice = Machine::sharing();
    let film = std::env::var_os("BROWSER_TESTS_FILM").map(PathBuf::from);
    alice.share(FILM, &film.expect("BROWSER_TESTS_FILM names a film: run scripts/browser-tests"));
    alice.share_bytes("large.bin", 8 << 20);
    let alice = alice.start().await;
    let bob = Machine::fetching_from(&alice, &format!("[limits]\ndown = {down:?}\n{more}")).start().await;
    (alice, bob)
}

/// Logs in with a link that `peerd ui` prints.
async fn log_in(browser: &Browser, machine: &Machine) {
    browser.open(&link(machine).await).await;
    browser.shown("[data-view=queue]").await;
}

async fn link(machine: &Machine) -> String {
    let said = machine.cli(["ui"]).await;
    let link = said.split_whitespace().find(|word| word.starts_with(&machine.origin()));
    link.unwrap_or_else(|| panic!("no link: {said}")).to_owned()
}

/// Queues a file of alice's on the command line; its id, and how the page names its row.
async fn add(machine: &Machine, filename: &str) -> (String, String) {
    let item = format!("alice/{}", machine.item(filename).await);
    let added = machine.cli(["add", &item, "--json"]).await;
    let added: serde_json::Value = serde_json::from_str(&added).expect("JSON");
    let id = added["id"].to_string();
    let row = row(&id);
    (id, row)
}

fn row(id: &str) -> String {
    format!("li[data-id=\"{id}\"]")
}

fn in_state(row: &str, state: &str) -> String {
    format!("{row}[data-state={state}]")
}

fn order(row: &str, verb: &str) -> String {
    format!("{row} [data-order={verb}]")
}
