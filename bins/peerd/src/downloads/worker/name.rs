//! Another file has the row's final name: with `on_conflict = "rename"` the row takes the next free one.

use download_registry::{Metadata, WorkerError};
use resume_fetch::{FetchError, FetchErrorKind};

use super::Worker;
use super::end::{End, failed};
use crate::config::OnConflict;
use crate::downloads::intake::Candidates;
use crate::failure::Failure;

impl Worker {
    /// Whether the engine found the name taken and another one is welcome.
    pub(super) fn may_take_another_name(&self, error: &FetchError) -> bool {
        let taken = matches!(error.kind, FetchErrorKind::AlreadyExists(_));
        taken && self.shared.settings().on_conflict == OnConflict::Rename
    }

    /// Puts the next free name on record, before any file gets it. The part stays where it is.
    pub(super) async fn take_another_name(&mut self) -> Result<(), End> {
        let mut names = Candidates::new(self.row.filename.clone().unwrap_or_default());
        loop {
            let (name, target) = match self.shared.free_target(&mut names).await {
                Ok(free) => free,
                Err(error) => return Err(failed(Failure::DestinationExists, error.to_string(), false)),
            };
            let placed = Metadata {
                filename: Some(name),
                target: Some(target.to_string_lossy().into_owned()),
                ..Metadata::default()
            };
            match self.shared.registry.describe(&self.fence, &placed, self.shared.now()).await {
                Ok(row) => {
                    let filename = row.filename.as_deref();
                    tracing::info!(
                        download_id = row.id.get(),
                        filename,
                        "another file has its name; it gets this one"
                    );
                    self.row = row;
                    return Ok(());
                }
                Err(WorkerError::Fenced { .. }) => return Err(End::Fenced),
                Err(WorkerError::Conflict(conflict)) if self.shared.may_rename(&conflict) => {}
                Err(error) => return Err(failed(Failure::LocalIo, resume_fetch::describe(&error), true)),
            }
        }
    }
}
