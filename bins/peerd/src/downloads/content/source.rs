//! A source over a row: from its engine while one runs, else from the part as far as it is on record, else from the
//! published file; and from the next engine when the one before has gone.
//!
//! One generation is read. Bytes that do not belong to it, that nobody has recorded, or that were taken back while they
//! were being read never leave here: the read fails, and with it the response.

use std::fs::File;
use std::io::{self, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use download_registry::{Download, DownloadId};
use range_http::{FileSource, FileSourceError, Source};
use resume_fetch::{RangeSet, Reader, WaitError};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::Mutex;

use super::super::readers::Reading;
use super::super::{Engine, Shared};
use super::patience::Patience;
use super::{BODY_WAIT, ContentError, HEAD_WAIT, RACE, RETRY_AFTER, not_now};

/// Reads one generation of a row, waiting for what is missing. What it stands still for is fetched first.
pub struct RowSource {
    shared: Arc<Shared>,
    id: DownloadId,
    generation: u64,
    end: u64,
    place: Mutex<Place>,
}

/// Where the bytes come from at the moment.
struct Place {
    from: From,
    /// The engine that has ended: nothing more comes from it.
    dead: Option<u64>,
    /// Says to the scheduler that somebody stands still before this row; from the first missing byte on.
    reading: Option<Reading>,
    /// Bytes that were read before they were asked for.
    ahead: Option<(u64, Bytes)>,
}

enum From {
    Nowhere,
    Engine { reader: Box<Reader>, number: u64, at: u64 },
    Part { file: Arc<File>, recorded: RangeSet },
    Published(FileSource),
}

/// What a look at the row has found.
enum Found {
    Bytes(Bytes),
    /// A place to read from.
    Place,
    /// The bytes are missing, and nobody is at work on them.
    Nobody,
}

impl RowSource {
    pub(super) fn new(
        shared: Arc<Shared>,
        id: DownloadId,
        generation: u64,
        end: u64,
        published: Option<FileSource>,
    ) -> Self {
        let from = published.map_or(From::Nowhere, From::Published);
        let place = Mutex::new(Place { from, dead: None, reading: None, ahead: None });
        Self { shared, id, generation, end, place }
    }

    /// Waits for the byte at `at`, as long as a response can still say that it does not come: for ten seconds, or until
    /// it is certain that nobody is about to bring it. A row that brings other bytes meanwhile is waited for in the body.
    ///
    /// # Errors
    /// [`ContentError`]: nothing was promised yet.
    ///
    /// # Cancel safety
    /// Safe. What it has read is kept.
    pub async fn begin(&self, at: u64) -> Result<(), ContentError> {
        let mut place = self.place.lock().await;
        let patience = Patience::new(&self.shared, self.id, HEAD_WAIT);
        let first = tokio::select! {
            first = self.next(&mut place, at, FIRST.min(self.end.saturating_sub(at)), true) => Some(first?),
            () = patience.over() => None,
            () = self.shared.shutdown.cancelled() => return Err(ContentError::Stopping),
        };
        match first {
            Some(bytes) => place.ahead = Some((at, bytes)),
            None if patience.renewed() => {}
            None => return Err(not_now("nothing comes at the moment", RETRY_AFTER)),
        }
        Ok(())
    }

    /// The next bytes, at least one. With `early` it gives up where nobody is going to bring them soon.
    async fn next(&self, place: &mut Place, at: u64, max: u64, early: bool) -> Result<Bytes, ContentError> {
        loop {
            let mut turns = self.shared.turns.subscribe();
            if let Some(bytes) = self.read_on(place, at, max).await? {
                return Ok(bytes);
            }
            match self.look(place, at, max).await? {
                Found::Bytes(bytes) => return Ok(bytes),
                Found::Place => continue,
                Found::Nobody => {}
            }
            if early {
                self.shared.somebody_may_come(self.id).await?;
            }
            self.stand_still(place);
            // A channel of ours: it is never closed.
            let _ = turns.changed().await;
        }
    }

    /// Reads on where it read before; `None` when there is nothing to be had any more.
    async fn read_on(&self, place: &mut Place, at: u64, max: u64) -> Result<Option<Bytes>, ContentError> {
        let length = max.min(PIECE);
        match &mut place.from {
            From::Nowhere => Ok(None),
            From::Published(file) => match file.read_at(at, length).await {
                Ok(bytes) => Ok(Some(bytes)),
                Err(FileSourceError::Io(error)) => Err(ContentError::Unreadable(error)),
                Err(_) => Err(ContentError::Changed),
            },
            From::Part { file, recorded } => {
                let end = recorded.available_from(at).min(at.saturating_add(length));
                let file = Arc::clone(file);
                let bytes = if end > at { self.read_part(file, at..end).await? } else { None };
                if bytes.is_none() {
                    place.from = From::Nowhere;
                }
                Ok(bytes)
            }
            From::Engine { reader, number, at: next } => {
                let number = *number;
                let read = read(reader, next, at, length).await;
                // An engine that has done its work still has the file open, and anybody may write to that by now.
                if read.is_ok() && self.shared.engine_of(self.id).is_none_or(|engine| engine.number != number)
                {
                    place.from = From::Nowhere;
                    return Ok(None);
                }
                match read {
                    Ok(bytes) if bytes.is_empty() => Err(ContentError::Changed),
                    Ok(_) if reader.generation() != Some(self.generation) => Err(ContentError::Changed),
                    Ok(bytes) => Ok(Some(bytes)),
                    Err(error) => {
                        place.dead = Some(number);
                        place.from = From::Nowhere;
                        after(error).map(|()| None)
                    }
                }
            }
        }
    }

    /// Looks for a place with the byte at `at`.
    async fn look(&self, place: &mut Place, at: u64, max: u64) -> Result<Found, ContentError> {
        let row = self.shared.row_to_read(self.id).await?;
        if row.generation != self.generation {
            return Err(ContentError::Changed);
        }
        if row.state.is_published() {
            let content = self.shared.known(row).await?.ok_or(ContentError::Changed)?;
            // Whoever looks here was promised the generation, and not whatever is in its place by now.
            if !content.untouched {
                return Err(ContentError::Changed);
            }
            place.from = content.published.map_or(From::Nowhere, From::Published);
            return Ok(Found::Place);
        }
        let engine = self.shared.engine_of(self.id);
        if let Some(Engine { number, content }) = engine.filter(|engine| place.dead != Some(engine.number)) {
            match content.generation() {
                // It is reading its record, or is about to show it.
                Some(generation) if generation < self.generation => self.shared.clock.sleep(RACE).await,
                Some(generation) if generation > self.generation => return Err(ContentError::Changed),
                _ => {
                    let reader = Box::new(content.reader(at..self.end));
                    place.from = From::Engine { reader, number, at };
                    self.stand_still(place);
                }
            }
            return Ok(Found::Place);
        }
        self.recorded(place, &row, at, max).await
    }

    /// Reads what is on record of a row that nobody works on.
    async fn recorded(
        &self,
        place: &mut Place,
        row: &Download,
        at: u64,
        max: u64,
    ) -> Result<Found, ContentError> {
        let recorded = self.on_record().await?;
        let end = recorded.available_from(at).min(at.saturating_add(max.min(PIECE)));
        let Some(part) = row.part.as_deref().filter(|_| end > at) else { return Ok(Found::Nobody) };
        let part = PathBuf::from(part);
        let opened = blocking(move || open_part(&part)).await;
        // Whoever works on the row next finds out what has become of it.
        let Ok(file) = opened.map(Arc::new) else { return Ok(Found::Nobody) };
        match self.read_part(Arc::clone(&file), at..end).await? {
            Some(bytes) => {
                place.from = From::Part { file, recorded };
                Ok(Found::Bytes(bytes))
            }
            None => Ok(Found::Nobody),
        }
    }

    /// Takes recorded bytes out of the part; `None` when they are not there.
    ///
    /// Whoever shrinks a record does so before it touches the file. So bytes that are on record after they were read
    /// were what the record says when they were.
    async fn read_part(&self, file: Arc<File>, range: Range<u64>) -> Result<Option<Bytes>, ContentError> {
        let wanted = range.clone();
        let Ok(bytes) = blocking(move || take(&file, &wanted)).await else { return Ok(None) };
        let end = range.start + bytes.len() as u64;
        let still = self.on_record().await?.covers(&(range.start..end));
        Ok((still && !bytes.is_empty()).then(|| bytes.into()))
    }

    /// What is on record of the generation that is read.
    async fn on_record(&self) -> Result<RangeSet, ContentError> {
        let point = self.shared.registry.resume_point(self.id).await?;
        let point = point.filter(|point| point.generation == self.generation);
        Ok(point.map_or_else(RangeSet::new, |point| RangeSet::from_iter(point.ranges)))
    }

    fn stand_still(&self, place: &mut Place) {
        place.reading.get_or_insert_with(|| self.shared.reading(self.id));
    }
}

impl Source for RowSource {
    type Error = ContentError;

    async fn read_at(&self, at: u64, max: u64) -> Result<Bytes, ContentError> {
        let mut place = self.place.lock().await;
        if let Some((from, mut bytes)) = place.ahead.take()
            && from == at
        {
            bytes.truncate(usize::try_from(max).unwrap_or(usize::MAX));
            return Ok(bytes);
        }
        let patience = Patience::new(&self.shared, self.id, BODY_WAIT);
        let read = tokio::select! {
            read = self.next(&mut place, at, max, false) => read,
            () = patience.worn_out() => Err(ContentError::Stalled(BODY_WAIT)),
            () = self.shared.shutdown.cancelled() => Err(ContentError::Stopping),
        };
        if let Err(error) = &read {
            let (id, reason) = (self.id.get(), resume_fetch::describe(error));
            tracing::info!(download_id = id, at, reason, "a response ends before its length");
        }
        read
    }
}

/// What the end of an engine means for a reader of its row; `Ok` when another place may have the bytes.
fn after(error: WaitError) -> Result<(), ContentError> {
    match error {
        WaitError::Stopped | WaitError::Failed { .. } | WaitError::Finished => Ok(()),
        WaitError::Unreadable(reason) => Err(ContentError::Unreadable(io::Error::other(reason))),
        _ => Err(ContentError::Changed),
    }
}

/// Reads up to `length` bytes at `at`; `next` is where the reader stands.
async fn read(reader: &mut Reader, next: &mut u64, at: u64, length: u64) -> Result<Bytes, WaitError> {
    let attempt = async {
        if *next != at {
            reader.seek(SeekFrom::Start(at)).await?;
            *next = at;
        }
        let mut bytes = BytesMut::with_capacity(usize::try_from(length).unwrap_or(usize::MAX));
        reader.read_buf(&mut bytes).await?;
        *next += bytes.len() as u64;
        Ok::<_, io::Error>(bytes.freeze())
    };
    attempt
        .await
        .map_err(|error| error.downcast().unwrap_or_else(|other| WaitError::Unreadable(other.to_string())))
}

fn take(file: &File, range: &Range<u64>) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or(usize::MAX)];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], range.start + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if filled == 0 => return Err(error),
            Err(_) => break,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// The part itself, not a link in its place.
fn open_part(part: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags, open};
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Ok(File::from(open(part, flags, Mode::empty())?))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// Most bytes of one read.
const PIECE: u64 = 256 << 10;
/// Bytes read before the head goes out.
const FIRST: u64 = 16 << 10;
