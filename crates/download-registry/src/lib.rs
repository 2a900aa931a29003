#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod alarm;
mod claim;
mod command;
mod cursor;
mod download;
mod enqueue;
mod error;
mod event;
mod filesystem;
mod folding;
mod generation;
mod history;
mod inspection;
mod layout;
mod list;
mod lock;
mod maintenance;
mod observer;
mod open;
mod open_error;
mod operator;
mod parts;
mod place;
#[cfg(test)]
mod plans;
mod ranges;
mod recording;
mod records;
mod recovery;
mod registry;
mod retention;
mod rows;
mod schema;
mod session;
mod soundness;
mod sources;
mod state;
mod step;
mod time;
mod values;
mod worker;
mod writer;

pub use self::{
    claim::{Claim, ClaimRequest, Fence},
    cursor::{Cursor, CursorError},
    download::{Download, DownloadId, Lease, Metadata, NewDownload},
    error::{Claimed, Conflict, EnqueueError, OperatorError, StorageError, StorageErrorKind, WorkerError},
    event::Event,
    filesystem::network_filesystem,
    generation::ResumePoint,
    history::{Attempt, LogPage, Transition},
    inspection::Inspection,
    layout::Layout,
    list::{ListError, ListQuery, Page, Sort},
    lock::{LockError, StateLock},
    observer::WriteObserver,
    open_error::OpenError,
    parts::Part,
    recovery::Recovered,
    registry::{Options, Registry},
    sources::{Source, SourceReport},
    state::{DownloadState, IllegalTransition, UnknownWord},
    time::Timestamp,
    values::{Digests, Identity, Priority, PriorityOutOfRange, Problem, Restart, Total, TotalSource},
    worker::{FailedTry, Next},
};
