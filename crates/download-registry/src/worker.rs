//! What a worker that holds a lease tells about its download.

use crate::{
    Download, Event, Fence, Problem, Registry, Timestamp, WorkerError,
    ranges::load_ranges,
    session::{Session, Through},
    step::{Step, held},
    writer::{Fault, refuse},
};

/// A try that failed, and what comes next.
#[derive(Debug, Clone)]
pub struct FailedTry {
    /// What went wrong.
    pub problem: Problem,
    /// Durable bytes since the last failure that start the count of failures over; 0 means they never do.
    pub reset_bytes: u64,
    /// What to do now. [`Download::attempts_after_failure`] tells the count beforehand.
    pub next: Next,
}

/// What comes after a failed try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The same worker tries again at once, under the same lease.
    TryAgain,
    /// The row waits; the lease is given back.
    Wait {
        /// When it may run again.
        until: Timestamp,
    },
    /// The row fails; the lease is given back.
    GiveUp {
        /// Whether trying again may help.
        retryable: bool,
        /// When it comes back by itself, if it does.
        retry_at: Option<Timestamp>,
    },
}

impl Registry {
    /// Counts a failed try, does what comes next, and returns the row with the new count.
    ///
    /// The count is that of failures without enough durable progress in between. While finalizing, only
    /// [`Next::Wait`] and [`Next::GiveUp`] make sense.
    pub async fn record_failure(
        &self,
        fence: &Fence,
        failed: &FailedTry,
        now: Timestamp,
    ) -> Result<Download, WorkerError> {
        let (fence, failed) = (*fence, failed.clone());
        self.write(move |db| Box::pin(async move { record_failure(db, fence, &failed, now).await })).await
    }

    /// Lets a row wait without counting a failure: the peer asked for patience, or the disk is full.
    pub async fn wait(
        &self,
        fence: &Fence,
        until: Timestamp,
        problem: &Problem,
        now: Timestamp,
    ) -> Result<Download, WorkerError> {
        let (fence, problem) = (*fence, problem.clone());
        self.write(move |db| {
            Box::pin(async move {
                let row = held(db, fence).await?;
                let step = Step::new(Event::RetryScheduled).because(&problem).retry_at(Some(until));
                step.take(db, &row, now).await
            })
        })
        .await
    }

    /// Gives a row back in good order, to be claimed again at once: the process is about to end, say.
    pub async fn release(&self, fence: &Fence, now: Timestamp) -> Result<Download, WorkerError> {
        let fence = *fence;
        self.write(move |db| {
            Box::pin(async move {
                let row = held(db, fence).await?;
                Step::new(Event::Released).take(db, &row, now).await
            })
        })
        .await
    }

    /// Says that every byte is durable: the row is `finalizing` from here on, and fetches nothing more.
    ///
    /// # Errors
    /// [`WorkerError::Incomplete`] if the recorded ranges do not cover the total, or there is no total.
    pub async fn seal(&self, fence: &Fence, now: Timestamp) -> Result<Download, WorkerError> {
        let fence = *fence;
        self.write(move |db| Box::pin(async move { seal(db, fence, now).await })).await
    }

    /// Says that the file has its final name and that the directory was synced: the row is `completed`.
    pub async fn finish(&self, fence: &Fence, now: Timestamp) -> Result<Download, WorkerError> {
        let fence = *fence;
        self.write(move |db| Box::pin(async move { finish(db, fence, now).await })).await
    }
}

async fn record_failure(
    db: &mut Session,
    fence: Fence,
    failed: &FailedTry,
    now: Timestamp,
) -> Result<Download, Fault<WorkerError>> {
    let row = held(db, fence).await?;
    let step = match failed.next {
        Next::TryAgain => Step::new(Event::AttemptFailed),
        Next::Wait { until } => Step::new(Event::RetryScheduled).retry_at(Some(until)),
        Next::GiveUp { retryable, retry_at } => {
            Step::new(Event::Failed).retryable(retryable).retry_at(retry_at)
        }
    };
    let count = row.attempts_after_failure(failed.reset_bytes);
    step.because(&failed.problem).attempts(count, row.durable).take(db, &row, now).await
}

async fn seal(db: &mut Session, fence: Fence, now: Timestamp) -> Result<Download, Fault<WorkerError>> {
    let row = held(db, fence).await?;
    let total = row.identity.total.map(|total| total.bytes);
    // Ranges lie apart, so the whole is one of them. A count alone would not see a hole that something else made up for.
    let whole = match (total, &load_ranges(db, row.id).await?[..]) {
        (Some(0), []) => true,
        (Some(total), [only]) => *only == (0..total),
        _ => false,
    };
    if !whole || total != Some(row.durable) {
        return Err(refuse(WorkerError::Incomplete { durable: row.durable, total }));
    }
    Step::new(Event::Sealed).take(db, &row, now).await
}

async fn finish(db: &mut Session, fence: Fence, now: Timestamp) -> Result<Download, Fault<WorkerError>> {
    let row = held(db, fence).await?;
    let done = Step::new(Event::Published).take::<WorkerError>(db, &row, now).await?;
    // The part file is gone; from here the total says what there is.
    sqlx::query("DELETE FROM download_range WHERE download_id = ?1").bind(row.id.get()).run(db).await?;
    Ok(done)
}
