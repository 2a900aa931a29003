//! Shows the last bytes of a file before the rest of it has come.
//!
//! `cargo run -p resume-fetch --example read_while_downloading -- URL FILE`

use std::sync::Arc;
use std::time::Duration;

use resume_fetch::{FetchRequest, Fetcher, ReqwestTransport, SidecarLedger, with_suffix};
use retry_kit::TokioClock;
use tokio::io::AsyncReadExt;

#[tokio::main]
#[expect(clippy::disallowed_methods, reason = "a program draws its own seed; a library is handed one")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [url, file] =
        std::env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "give URL and FILE")?;
    let transport = ReqwestTransport::new(Duration::from_secs(10))?;
    let fetcher = Fetcher::new(transport, Arc::new(TokioClock), fastrand::Rng::new());

    let request = FetchRequest::new(&url, file)?;
    let ledger = SidecarLedger::new(with_suffix(request.part_path(), ".ledger"), &url);
    let download = fetcher.start(request, ledger);
    let content = download.content();

    // A reader stands still at a byte that is missing, and that makes it the next one to be fetched.
    let total = content.known().await?;
    let mut tail = Vec::new();
    download.reader(total.saturating_sub(16)..total).read_to_end(&mut tail).await?;
    println!("{} of {total} bytes are here, the last of them {tail:02x?}", content.held().len());

    let done = download.await?;
    println!("and now all {}", done.total);
    Ok(())
}
