//! Prints what happened to one download: `cargo run --example inspect -- FILE ID`

use download_registry::{DownloadId, Options, Registry};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(path), Some(id)) = (args.next(), args.next()) else {
        return Err("usage: inspect FILE ID".into());
    };
    let id: DownloadId = id.parse()?;
    let mut look_only = Options::default();
    look_only.create = false;
    let registry = Registry::open(path, &look_only).await?;

    let row = registry.get(id).await?.ok_or("there is no such download")?;
    println!("{} is {}, generation {}, {} bytes durable", row.url, row.state, row.generation, row.durable);
    for source in registry.sources(id).await? {
        let why =
            source.disabled.map_or_else(String::new, |(until, why)| format!(" (not before {until}: {why})"));
        println!("  from {}{why}", source.url);
    }
    for range in registry.ranges(id).await? {
        println!("  has {}..{}", range.start, range.end);
    }
    for t in registry.transitions(id, 100).await? {
        let why = t.reason.map_or_else(String::new, |reason| format!(" ({reason})"));
        println!("  {} {}{why}: {}", t.at, t.event, t.to);
    }
    for a in registry.attempts(id, 100).await? {
        let end = a.outcome.as_deref().unwrap_or("running");
        println!("  try {}: {} to {:?} bytes, {end}", a.n, a.from_bytes, a.to_bytes);
    }
    registry.close().await;
    Ok(())
}
