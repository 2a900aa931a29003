#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
#![allow(clippy::single_range_in_vec_init, reason = "a list of one byte range is what is meant")]

mod answer;
mod board;
mod completed;
mod content;
mod coverage;
mod decide;
mod digest;
mod disk;
mod engine;
mod error;
mod event;
mod fetcher;
mod file_name;
mod identity;
mod lease;
mod ledger;
mod open;
mod part_file;
mod priority;
mod publish;
mod range_set;
mod redirect;
mod request;
#[cfg(feature = "reqwest")]
mod reqwest_transport;
mod restart_reason;
mod schedule;
mod sidecar;
mod stall;
mod start;
mod transport;

pub use answer::{AnswerHead, ContentRangeField, LengthField};
pub use board::WaitError;
pub use completed::{Completed, Verified};
pub use content::{Content, Reader, RequestHandle};
pub use coverage::Coverage;
pub use decide::{Asked, Decision, Take, decide};
pub use digest::{Digest, InvalidDigest};
pub use error::{
    AnswerError, AttemptError, FailedAttempt, FetchError, FetchErrorKind, LocalError, describe,
    is_transient_status,
};
pub use event::{Event, Phase, Progress};
pub use fetcher::{Download, Events, Fetcher};
pub use file_name::{UnusableName, file_name};
pub use identity::{Identity, InvalidValidator, TotalSource, UnknownTotalSource, Validator};
pub use ledger::{Layout, Ledger, LedgerError, MemoryLedger, Record, Restart, UnknownLayout};
pub use priority::Priority;
pub use range_set::RangeSet;
pub use redirect::{MAX_REDIRECTS, RedirectError};
pub use request::{Connections, FetchRequest, InvalidUrl, LowSpeed, Wanted, with_suffix};
#[cfg(feature = "reqwest")]
pub use reqwest_transport::ReqwestTransport;
pub use restart_reason::RestartReason;
pub use sidecar::SidecarLedger;
pub use transport::{BodyStream, BoxFuture, NetworkFailure, Transport, TransportError};
