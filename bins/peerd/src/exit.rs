//! Exit codes: a promise to the scripts that call us. The numbers follow `sysexits.h` where it has a name.

use std::process::ExitCode;

/// How a run of `peerd` ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Something went wrong that has no code of its own.
    General = 1,
    /// The command line is wrong.
    Usage = 2,
    /// Some of several failed.
    Some = 3,
    /// No such id or name on our own daemon.
    NotFound = 4,
    /// The download failed for good.
    Failed = 5,
    /// Bytes did not match the size or digest; or a database that is damaged, foreign or newer.
    Data = 65,
    /// The daemon or the peer cannot be reached.
    Unreachable = 69,
    /// The local disk refused.
    LocalIo = 74,
    /// Retries are used up, or a lock is held: try later.
    TryLater = 75,
    /// The key was refused.
    KeyRefused = 77,
    /// The configuration is invalid.
    Config = 78,
    /// Interrupted from the terminal; state is kept.
    Interrupted = 130,
    /// Terminated; state is kept.
    Terminated = 143,
}

impl Exit {
    /// Every one of them.
    pub const ALL: [Self; 14] = [
        Self::Done,
        Self::General,
        Self::Usage,
        Self::Some,
        Self::NotFound,
        Self::Failed,
        Self::Data,
        Self::Unreachable,
        Self::LocalIo,
        Self::TryLater,
        Self::KeyRefused,
        Self::Config,
        Self::Interrupted,
        Self::Terminated,
    ];
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}
