//! Enqueues what the command line names and prints the queue: `cargo run --example enqueue -- FILE URL...`

use std::time::SystemTime;

use download_registry::{EnqueueError, ListQuery, NewDownload, Options, Registry, Sort};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: enqueue FILE URL...")?;
    let registry = Registry::open(path, &Options::default()).await?;

    for url in args {
        // The destination is what makes two downloads the same one.
        let target =
            url.rsplit('/').next().filter(|name| !name.is_empty()).map(|name| format!("/data/{name}"));
        let new = NewDownload { url, target, ..NewDownload::default() };
        match registry.enqueue(&new, now()).await {
            Ok(row) => println!("queued {}", row.id),
            Err(EnqueueError::Conflict(conflict)) => println!("not queued: {conflict}"),
            Err(error) => return Err(error.into()),
        }
    }

    let queue = ListQuery { sort: Sort::Queue, ..ListQuery::default() };
    for row in registry.list(&queue).await?.items {
        println!("{:>6}  {:<12} {:>12}  {}", row.id, row.state, row.durable, row.url);
    }
    registry.close().await;
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "a program, unlike a library, may look at the clock")]
fn now() -> download_registry::Timestamp {
    SystemTime::now().into()
}
