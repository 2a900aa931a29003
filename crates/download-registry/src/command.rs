//! Writes in one line, whatever they write and whatever they answer.

use std::{future::Future, mem, pin::Pin};

use tokio::sync::oneshot;

use crate::{
    StorageError,
    recording::Recording,
    session::Session,
    writer::{Fault, Work},
};

/// A write whose types were forgotten, so that different ones can stand in one line.
pub(crate) trait Command: Send {
    /// Does the work and keeps its outcome; `false` asks to undo it.
    fn run<'a>(&'a mut self, db: &'a mut Session) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>>;

    /// Tells the caller the outcome, now that the fate of the transaction is known.
    fn settle(self: Box<Self>, committed: Result<(), StorageError>);

    /// The recording it is, if it is one: neighbours of that kind are done together.
    fn recording(&mut self) -> Option<&mut Recording> {
        None
    }
}

/// What came of a write, and who waits for it.
pub(crate) struct Answer<T, E> {
    pub(crate) outcome: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<T, E: From<StorageError>> Answer<T, E> {
    pub(crate) fn new(reply: oneshot::Sender<Result<T, E>>) -> Self {
        Self { outcome: None, reply }
    }

    pub(crate) fn settle(self, committed: Result<(), StorageError>) {
        let outcome = match (self.outcome, committed) {
            // Refused for its own reason: true whatever became of the others.
            (Some(Err(refusal)), _) => Err(refusal),
            (Some(Ok(done)), Ok(())) => Ok(done),
            (Some(Ok(_)) | None, Err(error)) => Err(error.into()),
            (None, Ok(())) => Err(StorageError::closed().into()),
        };
        // Nobody has to be waiting: the write stands either way.
        let _ = self.reply.send(outcome);
    }
}

/// One write with its types: the work, and who waits for what comes of it.
pub(crate) struct Order<T, E, F> {
    work: Option<F>,
    answer: Answer<T, E>,
}

impl<T, E: From<StorageError>, F> Order<T, E, F> {
    pub(crate) fn new(work: F, reply: oneshot::Sender<Result<T, E>>) -> Self {
        Self { work: Some(work), answer: Answer::new(reply) }
    }
}

impl<T, E, F> Command for Order<T, E, F>
where
    T: Send + 'static,
    E: From<StorageError> + Send + 'static,
    F: for<'c> FnOnce(&'c mut Session) -> Work<'c, T, E> + Send + 'static,
{
    fn run<'a>(&'a mut self, db: &'a mut Session) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(async move {
            let Some(work) = mem::take(&mut self.work) else { return false };
            let outcome = work(db).await.map_err(|fault| match fault {
                Fault::Refused(refusal) => refusal,
                Fault::Storage(error) => error.into(),
            });
            self.answer.outcome.insert(outcome).is_ok()
        })
    }

    fn settle(self: Box<Self>, committed: Result<(), StorageError>) {
        self.answer.settle(committed);
    }
}
