//! The smallest use: a URL, a file, and a ledger beside it. Interrupt it and run it again.
//!
//! `cargo run -p resume-fetch --example fetch -- URL FILE`

use std::sync::Arc;
use std::time::Duration;

use resume_fetch::{FetchRequest, Fetcher, ReqwestTransport, SidecarLedger, with_suffix};
use retry_kit::TokioClock;

#[tokio::main]
#[expect(clippy::disallowed_methods, reason = "a program draws its own seed; a library is handed one")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [url, file] =
        std::env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "give URL and FILE")?;
    let transport = ReqwestTransport::new(Duration::from_secs(10))?;
    let fetcher = Fetcher::new(transport, Arc::new(TokioClock), fastrand::Rng::new());

    let request = FetchRequest::new(&url, file)?;
    let ledger = SidecarLedger::new(with_suffix(request.part_path(), ".ledger"), &url);
    let done = fetcher.start(request, ledger).await?;
    println!("{} bytes, {} of them from before", done.total, done.resumed_from);
    Ok(())
}
