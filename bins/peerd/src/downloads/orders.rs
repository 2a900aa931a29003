//! Orders of the operator: pause, resume, retry, cancel, delete.
//!
//! A running transfer is stopped first, in good order, so that its last bytes are on record; then the row changes.
//! Such an order is carried out to its end, whether or not whoever gave it still waits for the answer.

use std::num::NonZeroU64;
use std::sync::{Arc, PoisonError};

use download_registry::{
    Download, DownloadId, DownloadState, OperatorError, Priority, Registry, StorageError,
};
use thiserror::Error;

use super::{Downloads, Intent, Shared};
use crate::events::{Step, Why};
use crate::to_the_end::to_the_end;

/// Why an order was not carried out.
#[derive(Debug, Error)]
pub enum OrderError {
    /// The registry refused.
    #[error(transparent)]
    Registry(#[from] OperatorError),
    /// The row is changed, and its file could not be deleted.
    #[error("the file could not be deleted: {source}")]
    File {
        /// The cause.
        source: std::io::Error,
    },
}

impl Downloads {
    /// Stops a download and keeps what it has.
    ///
    /// # Errors
    /// [`OrderError`] when there is no such row, or its state does not allow it.
    pub async fn pause(&self, id: DownloadId) -> Result<Download, OrderError> {
        self.to_the_end(move |shared| async move {
            shared.stop_running(id, Intent::Pause).await;
            let row = shared.registry.pause(id, shared.now()).await?;
            // One that was claimed in between has nothing left to write; it only has to let go of the part.
            shared.stop_running(id, Intent::Pause).await;
            shared.tell(&row, Step::Paused { durable: row.durable });
            Ok(row)
        })
        .await
    }

    /// Puts a paused download back in line.
    ///
    /// # Errors
    /// As for [`Downloads::pause`].
    pub async fn resume(&self, id: DownloadId) -> Result<Download, OrderError> {
        let row = self.shared.registry.resume(id, self.shared.now()).await?;
        self.shared.tell(&row, Step::Queued(Why::Resumed));
        self.shared.wake.notify_one();
        Ok(row)
    }

    /// Tries a failed or waiting download again at once.
    ///
    /// # Errors
    /// As for [`Downloads::pause`].
    pub async fn retry(&self, id: DownloadId) -> Result<Download, OrderError> {
        let row = self.shared.registry.retry(id, self.shared.now()).await?;
        self.shared.tell(&row, Step::Queued(Why::Retried));
        self.shared.wake.notify_one();
        Ok(row)
    }

    /// Gives a download up and deletes its part. The row stays.
    ///
    /// # Errors
    /// As for [`Downloads::pause`].
    pub async fn cancel(&self, id: DownloadId) -> Result<Download, OrderError> {
        self.to_the_end(move |shared| async move {
            shared.stop_running(id, Intent::Cancel).await;
            let row = shared.registry.cancel(id, shared.now()).await?;
            shared.stop_running(id, Intent::Cancel).await;
            shared.tell(&row, Step::Cancelled);
            remove(row.part.clone()).await?;
            Ok(row)
        })
        .await
    }

    /// Deletes a row and its part; the published file only with `data`.
    ///
    /// # Errors
    /// As for [`Downloads::pause`].
    pub async fn delete(&self, id: DownloadId, data: bool) -> Result<Download, OrderError> {
        self.to_the_end(move |shared| async move {
            shared.stop_running(id, Intent::Cancel).await;
            let row = shared.registry.delete(id).await?;
            shared.stop_running(id, Intent::Cancel).await;
            shared.tell(&row, Step::Deleted { data });
            // The record goes first: a row without its part would be wrong, a part without its row is only waste.
            remove(row.part.clone()).await?;
            if data
                && row.state.is_published()
                && owns_target(&shared.registry, &row).await.map_err(OperatorError::from)?
            {
                remove(row.target.clone()).await?;
            }
            Ok(row)
        })
        .await
    }

    /// Moves a download in the queue.
    ///
    /// # Errors
    /// [`OrderError`] when there is no such row.
    pub async fn set_priority(&self, id: DownloadId, priority: Priority) -> Result<Download, OrderError> {
        let row = self.shared.registry.set_priority(id, priority, self.shared.now()).await?;
        self.shared.wake.notify_one();
        Ok(row)
    }

    /// Limits one download to so many bytes per second, at once; `None` for no limit of its own.
    ///
    /// # Errors
    /// [`OrderError`] when there is no such row.
    pub async fn set_limit(&self, id: DownloadId, limit: Option<u64>) -> Result<Download, OrderError> {
        let row = self.shared.registry.set_limit_down(id, limit, self.shared.now()).await?;
        if let Some(running) = self.shared.running().get(&id) {
            running.limit_down.set_rate(limit.and_then(NonZeroU64::new).into());
        }
        Ok(row)
    }

    /// Runs an order of several steps on its own: dropped half-way, it would leave a row that nobody works on and
    /// that is not in line either.
    async fn to_the_end<F>(&self, order: impl FnOnce(Arc<Shared>) -> F) -> Result<Download, OrderError>
    where
        F: Future<Output = Result<Download, OrderError>> + Send + 'static,
    {
        to_the_end(&self.shared.tasks, order(Arc::clone(&self.shared))).await
    }
}

impl Shared {
    /// Ends the transfer of a row, if one runs, and waits until its worker has let go of it.
    async fn stop_running(&self, id: DownloadId, intent: Intent) {
        let Some(running) = self.running().get(&id).cloned() else { return };
        *running.intent.lock().unwrap_or_else(PoisonError::into_inner) = intent;
        running.stop.cancel();
        running.done.cancelled().await;
    }
}

/// Whether the file at the target of a published row is the one it published, as far as the registry knows: a later
/// row may have replaced it, or be about to.
pub(crate) async fn owns_target(registry: &Registry, row: &Download) -> Result<bool, StorageError> {
    let Some(target) = row.target.as_deref() else { return Ok(false) };
    let latest = registry.latest_for_target(target).await?.filter(|latest| latest.id > row.id);
    Ok(latest.is_none_or(|later| !later.state.is_published() && later.state != DownloadState::Finalizing))
}

/// Deletes a file that belongs to a row; one that is gone already is as good. Large files take a while.
pub(super) async fn remove(path: Option<String>) -> Result<(), OrderError> {
    let Some(path) = path else { return Ok(()) };
    let removed = tokio::task::spawn_blocking({
        let path = path.clone();
        move || std::fs::remove_file(path)
    });
    match removed.await.unwrap_or_else(|_| Err(std::io::Error::other("the runtime is shutting down"))) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(path, error = %source, "could not be deleted");
            Err(OrderError::File { source })
        }
        _ => Ok(()),
    }
}
