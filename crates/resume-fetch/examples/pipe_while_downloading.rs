//! Pipes a file into another program while it is being downloaded, in order, over as many connections as help.
//!
//! `cargo run -p resume-fetch --example pipe_while_downloading -- URL FILE PROGRAM [ARGUMENT...]`, such as
//! `... http://peer.example/logs.tar logs.tar tar t`
//!
//! The program is fed as the bytes come; when it goes away early, the download goes on to its end. Run again after a cut,
//! it begins with what is there.

use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use resume_fetch::{FetchRequest, Fetcher, ReqwestTransport, SidecarLedger, with_suffix};
use retry_kit::TokioClock;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

#[tokio::main]
#[expect(clippy::disallowed_methods, reason = "a program draws its own seed; a library is handed one")]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [url, file, program, arguments @ ..] = &arguments[..] else {
        return Err("give URL, FILE and PROGRAM".into());
    };
    let transport = ReqwestTransport::new(Duration::from_secs(10))?;
    let fetcher = Fetcher::new(transport, Arc::new(TokioClock), fastrand::Rng::new());
    let request = FetchRequest::new(url, file)?;
    let ledger = SidecarLedger::new(with_suffix(request.part_path(), ".ledger"), url);
    let download = fetcher.start(request, ledger);

    let mut child = Command::new(program).args(arguments).stdin(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().ok_or("the program has no input")?;
    // A reader wants what it is about to reach before the rest; it never returns a hole.
    let mut reader = download.reader(0..u64::MAX);
    let fed = tokio::io::copy(&mut reader, &mut stdin).await;
    drop(reader);
    stdin.shutdown().await.ok();
    drop(stdin);
    match fed {
        Ok(bytes) => eprintln!("{program} has got all {bytes} bytes"),
        Err(error) => eprintln!("{program} has got no more: {error}"),
    }
    let status = child.wait().await?;
    let done = download.await?;
    eprintln!("{} bytes are here", done.total);
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
