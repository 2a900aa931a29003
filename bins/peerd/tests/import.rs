//! Finished files are handed to Radarr and Sonarr: whole, once, to the right one, and followed until they have them.

#[path = "import/arr.rs"]
mod arr;
#[path = "import/asking.rs"]
mod asking;
#[path = "import/handing_over.rs"]
mod handing_over;
#[path = "import/killed.rs"]
mod killed;
#[path = "import/routing.rs"]
mod routing;
mod support;
#[path = "import/trouble.rs"]
mod trouble;

use scripted_peer::ScriptedPeer;
use serde_json::{Value, json};

use crate::arr::FakeArr;
use crate::support::{Home, offer_as};

/// A peer with a film of a thousand bytes, and the home of a daemon that hands it to `arr`.
async fn film_for(arr: &FakeArr, more: Value) -> (ScriptedPeer, Home) {
    let peer = ScriptedPeer::start().await;
    offer_as(&peer, "film", "Film.2024.mkv", 7, 1000);
    let home = Home::new().knowing("bob", peer.url("/"));
    let home = home.with(json!({ "import": { arr.name(): arr.config() } })).with(more);
    (peer, home)
}

/// The configuration of a home as it was before `[import]` was written.
fn before_importers(home: &Home) -> String {
    drop(home.serve());
    let text = std::fs::read_to_string(home.path("peerd.toml")).expect("a configuration");
    let mut before: toml::Table = text.parse().expect("TOML");
    before.remove("import");
    std::fs::write(home.path("before.toml"), before.to_string()).expect("a configuration");
    "before.toml".to_owned()
}
