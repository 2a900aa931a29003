//! How a daemon fails to start or to go on, and which code it ends with.

use std::io;

use download_registry::{LockError, OpenError, StorageError};

use super::vital::Lost;
use crate::exit::Exit;

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StartError {
    /// The code the process ends with.
    pub exit: Exit,
    /// What is wrong, with the path or address, and what to do.
    pub message: String,
}

/// Why a daemon that ran could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The queue could not be recovered.
    #[error("{0:#}")]
    Recovery(anyhow::Error),
    /// The registry cannot be written any more.
    #[error("the registry failed: {}", resume_fetch::describe(.0))]
    Registry(StorageError),
    /// A part of the daemon is gone that it cannot do without.
    #[error("{0}")]
    Lost(#[from] Lost),
    /// The download service has lost a task of its own.
    #[error("the download service stopped by itself")]
    Queue,
}

impl RunError {
    /// The code the process ends with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Registry(_) => Exit::LocalIo,
            Self::Recovery(_) | Self::Lost(_) | Self::Queue => Exit::General,
        }
    }
}

impl StartError {
    /// The configuration asks for something that cannot be.
    pub(super) fn invalid(error: &anyhow::Error) -> Self {
        Self { exit: Exit::Config, message: format!("{error:#}") }
    }
}

impl From<anyhow::Error> for StartError {
    fn from(error: anyhow::Error) -> Self {
        let exit = if error.chain().any(<dyn std::error::Error>::is::<io::Error>) {
            Exit::LocalIo
        } else {
            Exit::General
        };
        Self { exit, message: format!("{error:#}") }
    }
}

impl From<LockError> for StartError {
    fn from(error: LockError) -> Self {
        let said = resume_fetch::describe(&error);
        match &error {
            LockError::Held { .. } => Self {
                exit: Exit::TryLater,
                message: format!(
                    "{said}; stop that one first, or give this one a place of its own: --state-dir DIR"
                ),
            },
            _ => Self { exit: Exit::LocalIo, message: said },
        }
    }
}

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> Self {
        let said = resume_fetch::describe(&error);
        if !error.is_bad_file() {
            return Self { exit: Exit::LocalIo, message: said };
        }
        let message =
            format!("{said}; see what is left of it with: peerd db check, or put a backup in its place");
        Self { exit: Exit::Data, message }
    }
}

#[cfg(test)]
mod tests {
    use download_registry::{Options, Registry, StateLock};

    use super::*;

    #[test]
    fn a_failed_start_ends_with_the_code_of_its_reason() {
        let dir = tempfile::tempdir().unwrap();
        let _held = StateLock::acquire(dir.path()).unwrap();
        let locked = StartError::from(StateLock::acquire(dir.path()).unwrap_err());
        assert_eq!(locked.exit, Exit::TryLater);
        let nowhere = StartError::from(StateLock::acquire(dir.path().join("missing")).unwrap_err());
        assert_eq!(nowhere.exit, Exit::LocalIo);
        assert_eq!(StartError::from(anyhow::anyhow!("no reason known")).exit, Exit::General);
    }

    #[tokio::test]
    async fn a_database_that_is_none_ends_the_start_with_its_own_code() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("peerd.db");
        std::fs::write(&path, "no database").unwrap();
        let refused = StartError::from(Registry::open(&path, &Options::default()).await.unwrap_err());
        assert_eq!(refused.exit, Exit::Data);
        assert!(refused.message.contains(path.to_str().unwrap()), "{refused}");
    }
}
