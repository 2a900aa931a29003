//! Before the first request: whether the work is done already, and whether it can be done at all.
//!
//! Nothing is created until the target is known to be free, and nothing that is on record is believed before the part
//! file is locked: until then another process may be changing it.

use std::fs::{File, Metadata};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use retry_kit::SharedClock;
use tokio_util::sync::CancellationToken;

use crate::digest::Digest;
use crate::disk::{blocking, existing, same_file};
use crate::error::{FetchErrorKind, LocalError};
use crate::ledger::{Ledger, Record};
use crate::part_file::PartFile;
use crate::publish::{check_reachable, sync_names};
use crate::request::FetchRequest;

/// What there is to begin with.
pub(crate) enum Opened {
    /// An earlier call had renamed the file and did not live to say so.
    Published {
        /// Its complete-length.
        total: u64,
        /// The number its bytes are on record under.
        generation: u64,
    },
    /// The part file, locked, and what is on record about it.
    Part(PartFile, Option<Record>),
}

/// Finds out where the download stands and takes the part file's lock.
pub(crate) async fn open(
    request: &FetchRequest,
    ledger: &dyn Ledger,
    clock: &SharedClock,
    stop: &CancellationToken,
) -> Result<Opened, FetchErrorKind> {
    let record = ledger.load().await?;
    let generation = |record: Option<Record>| record.map_or(1, |record| record.generation);
    if let Look::Published(total) = look(request, record.as_ref(), None, stop).await? {
        ledger.finish().await?;
        return Ok(Opened::Published { total, generation: generation(record) });
    }
    let part = lock(request, clock, stop).await?;
    // Whoever had the lock before may have come to an end meanwhile: look again, this time at what will stay so.
    let record = ledger.load().await?;
    match look(request, record.as_ref(), Some(&part), stop).await {
        Ok(Look::Unfinished) => Ok(Opened::Part(part, record)),
        Ok(Look::Published(total)) => {
            discard(part).await;
            ledger.finish().await?;
            Ok(Opened::Published { total, generation: generation(record) })
        }
        Err(error) => {
            discard(part).await;
            Err(error)
        }
    }
}

/// Waits a moment for the lock: a download of this process that was dropped may still have a write on its way.
async fn lock(
    request: &FetchRequest,
    clock: &SharedClock,
    stop: &CancellationToken,
) -> Result<PartFile, FetchErrorKind> {
    let mut tries = LOCK_TRIES;
    loop {
        let (part, target) = (request.part.clone(), request.target.clone());
        match on_disk(request, move || PartFile::open(part, Some(&target)).map_err(FetchErrorKind::from))
            .await
        {
            Err(FetchErrorKind::Local(LocalError::Busy(_))) if tries > 0 => tries -= 1,
            result => return result,
        }
        if stop.run_until_cancelled(clock.sleep(LOCK_PAUSE)).await.is_none() {
            return Err(FetchErrorKind::Stopped);
        }
    }
}

async fn discard(part: PartFile) {
    // If it stays, so does an empty file; the next download takes it over.
    let _ = blocking(move || Ok(part.remove_if_empty())).await;
}

enum Look {
    Unfinished,
    Published(u64),
}

/// Looks at the target, the record and the names on the disk.
async fn look(
    request: &FetchRequest,
    record: Option<&Record>,
    locked: Option<&PartFile>,
    stop: &CancellationToken,
) -> Result<Look, FetchErrorKind> {
    let sealed = record.filter(|record| record.sealed).and_then(|record| record.identity.total);
    let (part, target, locked) = (request.part.clone(), request.target.clone(), locked.cloned());
    let (replace, digest, stop) = (request.replace, request.digest, stop.clone());
    on_disk(request, move || {
        let at_target = existing(&target).map_err(LocalError::io("look at", &target))?;
        if let (Some(total), Some(meta)) = (sealed, &at_target) {
            if locked.is_none() && is_twin(&part, meta)? {
                // To be settled under the lock: whoever holds it may be about to.
                return Ok(Look::Unfinished);
            }
            let candidate = Candidate { part: &part, target: &target, locked: locked.as_ref(), total, meta };
            if candidate.was_published(replace, digest, &stop)? {
                // The rename may have been seen by us and still be news to the disk.
                sync_names(&part, &target)?;
                return Ok(Look::Published(total));
            }
        }
        if at_target.is_some() && !replace {
            return Err(FetchErrorKind::AlreadyExists(target));
        }
        check_reachable(&part, &target)?;
        Ok(Look::Unfinished)
    })
    .await
}

/// A file under the final name of a download that was sealed: is it ours?
struct Candidate<'a> {
    part: &'a Path,
    target: &'a Path,
    locked: Option<&'a PartFile>,
    total: u64,
    meta: &'a Metadata,
}

impl Candidate<'_> {
    fn was_published(
        &self,
        replace: bool,
        digest: Option<Digest>,
        stop: &CancellationToken,
    ) -> Result<bool, FetchErrorKind> {
        if !self.meta.is_file() || self.meta.len() != self.total {
            return Ok(false);
        }
        if is_twin(self.part, self.meta)? {
            // The crash came between the second name and the end of the first.
            std::fs::remove_file(self.part).map_err(LocalError::io("remove", self.part))?;
            return Ok(true);
        }
        match existing(self.part).map_err(LocalError::io("look at", self.part))? {
            // An empty part is the one we have just made to have something to lock.
            Some(part) if part.len() > 0 || self.locked.is_none() => Ok(false),
            _ => match digest {
                Some(digest) => self.has(digest, stop),
                // With `replace`, an old file of the same size could stand there as well, and only a download tells.
                None => Ok(!replace),
            },
        }
    }

    fn has(&self, digest: Digest, stop: &CancellationToken) -> Result<bool, FetchErrorKind> {
        let file = File::open(self.target).map_err(LocalError::io("open", self.target))?;
        let read = |buffer: &mut [u8], at| {
            file.read_exact_at(buffer, at).map_err(LocalError::io("read", self.target))
        };
        match digest.verify(self.total, stop, read) {
            Ok(()) => Ok(true),
            Err(FetchErrorKind::DigestMismatch { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Whether the part file and the file under the final name are one.
fn is_twin(part: &Path, target: &Metadata) -> Result<bool, LocalError> {
    Ok(existing(part).map_err(LocalError::io("look at", part))?.is_some_and(|part| same_file(&part, target)))
}

async fn on_disk<T: Send + 'static>(
    request: &FetchRequest,
    work: impl FnOnce() -> Result<T, FetchErrorKind> + Send + 'static,
) -> Result<T, FetchErrorKind> {
    let outcome = blocking(move || Ok(work())).await;
    outcome.unwrap_or_else(|error| Err(LocalError::io("work on", &request.part)(error).into()))
}

/// How often, and how long apart, a lock that is held is tried again.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(50);
