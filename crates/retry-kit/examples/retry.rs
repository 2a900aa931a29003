//! The smallest use: an operation that fails twice before it works.
//!
//! `cargo run -p retry-kit --example retry --features tokio`

use std::io::{Error, ErrorKind};
use std::time::Duration;

use retry_kit::{RetryPolicy, TokioClock, retry};

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::disallowed_methods, reason = "a program draws its own seed; a library is handed one")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let policy = RetryPolicy::builder().base(Duration::from_millis(50)).build()?;
    let files = retry(&policy, list_files)
        .when(|error| error.kind() != ErrorKind::PermissionDenied)
        .notify(|error, next| println!("{error}: {next:?}"))
        .run(&TokioClock, &mut fastrand::Rng::new())
        .await?;
    println!("{files} files");
    Ok(())
}

async fn list_files(attempt: u32) -> Result<usize, Error> {
    match attempt {
        1 => Err(ErrorKind::ConnectionRefused.into()),
        2 => Err(ErrorKind::TimedOut.into()),
        _ => Ok(3),
    }
}
