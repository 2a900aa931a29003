//! What several connections are worth: `peerd get` over a long line, over plain loopback, and with a large file.
//!
//! `cargo run --release -p scripted-peer --example long_link -- --peerd target/release/peerd` starts `peerd serve` on a
//! sparse file, fetches it in turns with different `--connections`, compares every byte and prints tables.
//! See [`options::USAGE`] for the rest.

mod client;
mod options;
mod scene;
mod server;
mod source;
mod table;

use std::error::Error;
use std::fs;

use client::Client;
use options::Options;
use scene::Scene;
use server::Server;
use source::Source;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse(std::env::args().skip(1))?;
    for scene in Scene::all(&options) {
        play(&scene, &options).await?;
    }
    Ok(())
}

/// Plays one scene with directories of its own, and prints its table.
async fn play(scene: &Scene, options: &Options) -> Result<(), Box<dyn Error>> {
    source::check_space(&options.directory, scene.size)?;
    let stage = tempfile::Builder::new().prefix("long-link-").tempdir_in(&options.directory)?;
    let source = Source::create(&stage.path().join("shared"), scene.size)?;
    let server = Server::start(&options.peerd, stage.path()).await?;
    let client = Client { program: &options.peerd, home: stage.path(), server: &server };
    let target = stage.path().join("came.bin");
    let mut runs = Vec::new();
    for round in 1..=scene.rounds {
        for connections in scene.connections {
            let run = client.run(*connections, scene.line, &target).await?;
            source.assert_same(&target)?;
            fs::remove_file(&target)?;
            eprintln!("{}: round {round}, --connections {connections}: {:.2?}", scene.title(), run.took);
            runs.push(run);
        }
    }
    println!("{}\n\n{}", scene.title(), table::of(scene.connections, &runs));
    Ok(())
}
