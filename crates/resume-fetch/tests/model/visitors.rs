//! Those who read, ask and wait while the download runs: every answer they get is held against the file.

use std::io::{self, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use futures_util::FutureExt;
use resume_fetch::{Content, Priority, Reader, RequestHandle, WaitError};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::task::JoinHandle;

use crate::source::Version;
use crate::world::World;

/// Somebody with a reader.
pub(crate) struct Visitor {
    world: Arc<World>,
    range: Range<u64>,
    /// Not in the middle of something.
    reader: Option<Reader>,
    doing: Option<JoinHandle<(Reader, Deed)>>,
    /// The versions that everything read so far may be of; `None` before the first byte.
    versions: Option<Vec<Version>>,
}

/// What came of one thing a visitor did.
#[derive(Debug)]
enum Deed {
    Read { at: u64, bytes: Vec<u8>, outcome: io::Result<usize> },
    Sought { to: SeekFrom, before: u64, outcome: io::Result<u64> },
}

impl Visitor {
    pub(crate) fn new(world: &Arc<World>, content: &Content, range: Range<u64>, ahead: Option<u64>) -> Self {
        let reader = content.reader(range.clone());
        let reader = match ahead {
            Some(ahead) => reader.read_ahead(ahead),
            None => reader,
        };
        Self { world: Arc::clone(world), range, reader: Some(reader), doing: None, versions: None }
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.doing.is_some()
    }

    /// Whether it knows how long the file is.
    pub(crate) fn knows_the_total(&mut self) -> bool {
        self.reader.as_mut().is_some_and(|reader| reader.total().is_some())
    }

    /// Begins to read up to `length` bytes.
    pub(crate) fn read(&mut self, length: usize) {
        let Some(mut reader) = self.reader.take() else { return };
        self.doing = Some(tokio::spawn(async move {
            let at = reader.stream_position().await.unwrap_or(u64::MAX);
            let mut bytes = vec![0; length];
            let outcome = reader.read(&mut bytes).await;
            bytes.truncate(outcome.as_ref().map_or(0, |read| *read));
            (reader, Deed::Read { at, bytes, outcome })
        }));
    }

    /// Begins to go somewhere else.
    pub(crate) fn seek(&mut self, to: SeekFrom) {
        let Some(mut reader) = self.reader.take() else { return };
        self.doing = Some(tokio::spawn(async move {
            let before = reader.stream_position().await.unwrap_or(u64::MAX);
            let outcome = reader.seek(to).await;
            (reader, Deed::Sought { to, before, outcome })
        }));
    }

    /// Looks whether what it does is done. `false` when it will not come back: its reader has nothing more to say.
    pub(crate) fn look(&mut self, versions: &[Version]) -> bool {
        let Some(done) = self.doing.as_mut().filter(|doing| doing.is_finished()) else { return true };
        let Some(Ok((reader, deed))) = done.now_or_never() else {
            self.world.blame(|| "a reader panicked".to_owned());
            return false;
        };
        self.doing = None;
        self.reader = Some(reader);
        match deed {
            Deed::Read { at, bytes, outcome: Ok(_) } => {
                self.has_read(at, &bytes, versions);
                true
            }
            Deed::Sought { to, before, outcome: Ok(at) } => {
                let expected = match to {
                    SeekFrom::Start(at) => Some(at),
                    SeekFrom::Current(by) => before.checked_add_signed(by),
                    SeekFrom::End(_) => None,
                };
                self.world.expect(expected.is_none_or(|expected| expected == at), || {
                    format!("a seek to {to:?} from {before} of {:?} arrives at {at}", self.range)
                });
                true
            }
            Deed::Sought { outcome: Err(error), .. } if error.kind() == io::ErrorKind::InvalidInput => true,
            Deed::Read { outcome: Err(error), .. } | Deed::Sought { outcome: Err(error), .. } => {
                self.world.note(|| format!("reader of {:?}: {error}", self.range));
                let reason = error.downcast::<WaitError>();
                let known = !matches!(reason, Err(_) | Ok(WaitError::Unreadable(_)));
                self.world.expect(known, || format!("a reader fails with {reason:?}"));
                false
            }
        }
    }

    fn has_read(&mut self, at: u64, bytes: &[u8], versions: &[Version]) {
        let end = at + bytes.len() as u64;
        self.world.note(|| format!("reader of {:?}: {at}..{end}", self.range));
        self.world.expect(end <= self.range.end.max(at), || format!("{at}..{end} of {:?}", self.range));
        if bytes.is_empty() && at >= self.range.end {
            // The end of the range is the same in every version, and in one that nobody has seen yet.
            return;
        }
        let before = self.versions.take().unwrap_or_else(|| versions.to_vec());
        let fits = |version: &Version| match bytes {
            // The end of the file, and nothing else, reads as nothing.
            [] => at >= version.size,
            bytes => version.has(at, bytes),
        };
        let still: Vec<_> = before.iter().copied().filter(fits).collect();
        self.world.expect(!still.is_empty(), || {
            let zeros = bytes.iter().filter(|byte| **byte == 0).count();
            format!("{at}..{end} of {:?} is of none of {before:?}; {zeros} zeros", self.range)
        });
        self.versions = Some(still);
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        // Also in the middle of something: that is how a connection that is cut looks.
        if let Some(doing) = &self.doing {
            doing.abort();
        }
    }
}

/// Somebody who asked for a range, and may wait for it.
pub(crate) struct Asker {
    world: Arc<World>,
    /// Of the download that was asked, which may be over by now.
    content: Content,
    range: Range<u64>,
    wish: Option<RequestHandle>,
    waiting: Option<Waiting>,
}

/// What comes of a wait, with the wish that it was for, if there is one.
type Waiting = JoinHandle<(Option<RequestHandle>, Result<(), WaitError>)>;

impl Asker {
    /// With a wish that stays.
    pub(crate) fn new(world: &Arc<World>, content: &Content, range: Range<u64>, priority: Priority) -> Self {
        let wish = Some(content.request(range.clone(), priority));
        Self { world: Arc::clone(world), content: content.clone(), range, wish, waiting: None }
    }

    /// With a wish that lasts as long as the wait.
    pub(crate) fn waiting(world: &Arc<World>, content: &Content, range: Range<u64>) -> Self {
        let (watch, asked, wanted) = (Arc::clone(world), content.clone(), range.clone());
        let waiting = tokio::spawn(async move {
            let outcome = asked.wait_for(wanted.clone()).await;
            watch.stir();
            check_held(&watch, &asked, &wanted, &outcome);
            (None, outcome)
        });
        let (world, content) = (Arc::clone(world), content.clone());
        Self { world, content, range, wish: None, waiting: Some(waiting) }
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.waiting.is_some()
    }

    pub(crate) fn set_priority(&self, priority: Priority) {
        self.wish.iter().for_each(|wish| wish.set_priority(priority));
    }

    /// Waits for what was asked for.
    pub(crate) fn wait(&mut self) {
        let Some(mut wish) = self.wish.take() else { return };
        let (watch, content) = (Arc::clone(&self.world), self.content.clone());
        self.waiting = Some(tokio::spawn(async move {
            let outcome = wish.done().await;
            watch.stir();
            check_held(&watch, &content, &wish.range(), &outcome);
            (Some(wish), outcome)
        }));
    }

    /// Looks whether the wait is over. `false` when there is nothing left to ask.
    pub(crate) fn look(&mut self) -> bool {
        let Some(done) = self.waiting.as_mut().filter(|waiting| waiting.is_finished()) else { return true };
        let Some(Ok((wish, outcome))) = done.now_or_never() else {
            self.world.blame(|| "somebody who waited panicked".to_owned());
            return false;
        };
        self.waiting = None;
        self.wish = wish;
        self.world.note(|| format!("wait for {:?}: {outcome:?}", self.range));
        self.wish.is_some() && outcome.is_ok()
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        if let Some(waiting) = &self.waiting {
            waiting.abort();
        }
    }
}

/// Who is told that bytes are there finds them there.
fn check_held(world: &World, content: &Content, range: &Range<u64>, outcome: &Result<(), WaitError>) {
    let total = content.total();
    let clipped = range.start..total.map_or(range.end, |total| range.end.min(total));
    match outcome {
        Ok(()) => world.expect(clipped.is_empty() || content.held().covers(&clipped), || {
            format!("{range:?} is said to be there: {:?} of {total:?}", content.held())
        }),
        Err(WaitError::PastTheEnd { total: end }) => {
            world.expect(range.start >= *end, || format!("{range:?} is not past {end}"));
        }
        Err(_) => {}
    }
}
