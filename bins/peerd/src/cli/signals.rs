//! Signals as one future.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Exit;

/// Resolves at the first SIGINT or SIGTERM with the code the process ends with.
///
/// # Errors
/// When the handlers cannot be installed.
pub(crate) fn interrupted() -> std::io::Result<impl Future<Output = Exit>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => Exit::Interrupted,
            _ = terminate.recv() => Exit::Terminated,
        }
    })
}

/// Every SIGHUP from now on.
///
/// # Errors
/// When the handler cannot be installed.
pub(crate) fn hangups() -> std::io::Result<Signal> {
    signal(SignalKind::hangup())
}
