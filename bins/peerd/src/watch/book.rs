//! What is known of the files in the folder, from one look to the next.
//!
//! A file is known by its name and its [`Stamp`]. One that changes is a new file: it waits until it is still, is
//! read, and what it asks for is decided anew. What a list asks for that is published already stays published, so
//! that a line can be added to one.

use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::time::{Duration, Instant};

use download_registry::{DownloadId, Timestamp};

use super::decide::Sight;
use super::folder::Stamp;
use crate::downloads::Hint;
use crate::stub::{Stub, Wanted};

/// The files of the folder.
#[derive(Debug, Default)]
pub(super) struct Book {
    files: BTreeMap<OsString, Entry>,
    last_serial: u64,
}

/// One file.
#[derive(Debug)]
pub(super) struct Entry {
    stamp: Stamp,
    serial: u64,
    /// Since when it is as it is, as far as we know.
    still_since: Instant,
    asked_at: Timestamp,
    content: Content,
    /// What it asked for before it changed, and got.
    had: HashSet<Wanted>,
    /// It could not be read, or not be taken out of the folder; tried again at this time.
    stuck_until: Option<Instant>,
}

#[derive(Debug)]
enum Content {
    /// Not read yet.
    Unread,
    /// Not ours.
    Foreign,
    Stub {
        wishes: Vec<Wish>,
        hint: Hint,
        flawed: bool,
    },
}

/// One thing a stub asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) wanted: Wanted,
    pub(super) status: Status,
}

/// How far it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// To be decided, from this time on if there is one. So often it was held up before.
    Undecided { after: Option<Instant>, tries: u32 },
    /// Its peer is not known; decided again at every look.
    UnknownPeer,
    /// On its way into the queue.
    Queueing { tries: u32 },
    /// This row fetches it.
    Followed(DownloadId),
    /// This row fetched it and failed, which was told.
    Failed(DownloadId),
    /// Nothing is done about it until the stub is dropped again.
    Left,
    /// Under its final name.
    Published,
}

/// Where a wish stands: the file, which of those that had its name, and the place in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) name: OsString,
    serial: u64,
    index: usize,
}

impl Book {
    /// Takes in what lies in the folder; the names that are new or have changed wait until they are still. `watched`
    /// says that the folder was looked at before, so that what is new was dropped since.
    pub(super) fn see(
        &mut self,
        files: Vec<(OsString, Stamp)>,
        watched: bool,
        now: Instant,
        wall: Timestamp,
    ) {
        let mut before = std::mem::take(&mut self.files);
        for (name, stamp) in files {
            let known = match before.remove(&name) {
                Some(entry) if entry.stamp == stamp => {
                    self.files.insert(name, entry);
                    continue;
                }
                known => known,
            };
            self.last_serial += 1;
            let entry = Entry {
                stamp,
                serial: self.last_serial,
                still_since: now,
                asked_at: if watched { wall } else { Timestamp::from_millis(stamp.changed_ms) },
                content: Content::Unread,
                had: known.map(Entry::published).unwrap_or_default(),
                stuck_until: None,
            };
            self.files.insert(name, entry);
        }
    }

    /// Forgets a file that was taken out of the folder.
    pub(super) fn forget(&mut self, name: &OsStr) {
        self.files.remove(name);
    }

    /// Forgets everything: the folder is not there.
    pub(super) fn clear(&mut self) {
        self.files.clear();
    }

    /// The files that were not read yet and have been still for so long.
    pub(super) fn to_read(&self, settle: Duration, now: Instant) -> Vec<(OsString, Stamp)> {
        let unread = self.files.iter().filter(|(_, entry)| matches!(entry.content, Content::Unread));
        let still = unread.filter(|(_, entry)| entry.still_since + settle <= now && entry.is_due(now));
        still.map(|(name, entry)| (name.clone(), entry.stamp)).collect()
    }

    /// Notes that a file is none of ours.
    pub(super) fn foreign(&mut self, name: &OsStr) {
        if let Some(entry) = self.files.get_mut(name) {
            entry.content = Content::Foreign;
        }
    }

    /// Notes what a stub says.
    pub(super) fn stub(&mut self, name: &OsStr, stub: &Stub) {
        let Some(entry) = self.files.get_mut(name) else { return };
        let (hint, flawed) = match stub {
            Stub::Torrent(torrent) => {
                let hint = Hint { filename: torrent.name.clone(), size: torrent.size, ask_later: false };
                (hint, false)
            }
            Stub::List(list) => (Hint::default(), !list.flaws.is_empty()),
        };
        let status = |wanted: &Wanted| match entry.had.contains(wanted) {
            true => Status::Published,
            false => Status::Undecided { after: None, tries: 0 },
        };
        let wishes =
            stub.wanted().into_iter().map(|wanted| Wish { status: status(&wanted), wanted }).collect();
        entry.content = Content::Stub { wishes, hint, flawed };
    }

    /// The wish that stands there; `None` when the file has changed or gone.
    pub(super) fn wish(&mut self, key: &Key) -> Option<&mut Wish> {
        let entry = self.files.get_mut(&key.name).filter(|entry| entry.serial == key.serial)?;
        match &mut entry.content {
            Content::Stub { wishes, .. } => wishes.get_mut(key.index),
            _ => None,
        }
    }

    /// What there is to know about a wish before it is decided: what it is, the sight, and what its stub says of it.
    pub(super) fn facts(&self, key: &Key) -> Option<(Wish, Sight, Hint)> {
        let entry = self.files.get(&key.name).filter(|entry| entry.serial == key.serial)?;
        let Content::Stub { wishes, hint, .. } = &entry.content else { return None };
        let wish = wishes.get(key.index)?.clone();
        let sight = match wish.status {
            Status::Undecided { .. } | Status::UnknownPeer | Status::Queueing { .. } => {
                Sight::Asked(entry.asked_at)
            }
            Status::Followed(_) | Status::Failed(_) | Status::Left | Status::Published => Sight::Known,
        };
        Some((wish, sight, hint.clone()))
    }

    /// The wishes whose status is picked.
    pub(super) fn wishes(&self, pick: impl Fn(Status) -> bool) -> Vec<Key> {
        let mut keys = Vec::new();
        for (name, entry) in &self.files {
            let Content::Stub { wishes, .. } = &entry.content else { continue };
            let picked = wishes.iter().enumerate().filter(|(_, wish)| pick(wish.status));
            keys.extend(picked.map(|(index, _)| Key { name: name.clone(), serial: entry.serial, index }));
        }
        keys
    }

    /// Notes that the disk refused to let a file be read or taken out, which is tried again at this time; tells
    /// whether that is news.
    pub(super) fn stuck(&mut self, name: &OsStr, until: Instant) -> bool {
        self.files.get_mut(name).is_some_and(|entry| entry.stuck_until.replace(until).is_none())
    }

    /// The stubs whose every wish is published.
    pub(super) fn done(&self, now: Instant) -> Vec<(OsString, Stamp)> {
        let is_done = |entry: &Entry| match &entry.content {
            Content::Stub { wishes, flawed: false, .. } => {
                wishes.iter().all(|wish| wish.status == Status::Published)
            }
            _ => false,
        };
        let done = self.files.iter().filter(|(_, entry)| entry.is_due(now) && is_done(entry));
        done.map(|(name, entry)| (name.clone(), entry.stamp)).collect()
    }

    /// When there is something to do, if nothing happens before.
    pub(super) fn look_again(&self, settle: Duration) -> Option<Instant> {
        let times = self.files.values().flat_map(|entry| match &entry.content {
            Content::Unread => vec![entry.stuck_until.unwrap_or(entry.still_since + settle)],
            Content::Foreign => Vec::new(),
            Content::Stub { wishes, .. } => wishes
                .iter()
                .filter_map(|wish| match wish.status {
                    Status::Undecided { after, .. } => after,
                    _ => None,
                })
                .collect(),
        });
        times.min()
    }
}

impl Entry {
    fn is_due(&self, now: Instant) -> bool {
        self.stuck_until.is_none_or(|until| until <= now)
    }

    /// What it asked for and got.
    fn published(self) -> HashSet<Wanted> {
        match self.content {
            // Changed again before it was read.
            Content::Unread => self.had,
            Content::Foreign => HashSet::new(),
            Content::Stub { wishes, .. } => wishes
                .into_iter()
                .filter(|wish| wish.status == Status::Published)
                .map(|wish| wish.wanted)
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::stub::Kind;

    const SETTLE: Duration = Duration::from_secs(1);

    /// A folder, the book about it, and a clock that is moved by hand.
    struct Bench {
        dir: tempfile::TempDir,
        book: Book,
        now: Instant,
        wall: i64,
    }

    impl Bench {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            Self { dir, book: Book::default(), now: Instant::now(), wall: 1000 }
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.dir.path().join(name), text).unwrap();
        }

        /// Looks at the folder a second after the last look.
        fn look(&mut self, watched: bool) {
            self.now += SETTLE;
            self.wall += 1000;
            let files = super::super::folder::list(self.dir.path()).unwrap().files;
            self.book.see(files, watched, self.now, Timestamp::from_millis(self.wall));
        }

        fn to_read(&self) -> Vec<OsString> {
            self.book.to_read(SETTLE, self.now).into_iter().map(|(name, _)| name).collect()
        }

        fn read(&mut self, name: &str) {
            let bytes = fs::read(self.dir.path().join(name)).unwrap();
            let stub = Stub::read(Kind::of(OsStr::new(name)).unwrap(), &bytes).unwrap();
            self.book.stub(OsStr::new(name), &stub);
        }

        fn all(&self) -> Vec<Key> {
            self.book.wishes(|_| true)
        }

        fn set(&mut self, key: &Key, status: Status) {
            self.book.wish(key).unwrap().status = status;
        }
    }

    #[test]
    fn a_file_is_read_when_it_has_been_still_for_so_long() {
        let mut bench = Bench::new();
        bench.write("a.peerd", "bob/");
        bench.look(true);
        assert!(bench.to_read().is_empty(), "seen for the first time");
        assert_eq!(bench.book.look_again(SETTLE), Some(bench.now + SETTLE));
        bench.write("a.peerd", "bob/1");
        bench.look(true);
        assert!(bench.to_read().is_empty(), "it has changed");
        bench.look(true);
        assert_eq!(bench.to_read(), ["a.peerd"]);
        bench.read("a.peerd");
        bench.look(true);
        assert!(bench.to_read().is_empty(), "once");
        assert_eq!(bench.book.look_again(SETTLE), None);
    }

    #[test]
    fn what_appears_while_watching_was_dropped_then_and_what_was_there_when_it_says() {
        let mut bench = Bench::new();
        bench.write("found.peerd", "bob/1");
        bench.look(false);
        bench.write("dropped.peerd", "bob/2");
        bench.look(true);
        let dropped_at = Timestamp::from_millis(bench.wall);
        bench.look(true);
        for name in ["found.peerd", "dropped.peerd"] {
            bench.read(name);
        }
        let sights: Vec<_> = bench.all().iter().map(|key| bench.book.facts(key).unwrap().1).collect();
        let Sight::Asked(found_at) = sights[1] else { panic!("{sights:?}") };
        assert_eq!(sights[0], Sight::Asked(dropped_at), "by our clock");
        assert!(found_at.as_millis() > 1_600_000_000_000, "by the clock of the disk");
    }

    #[test]
    fn a_file_that_changed_is_another_one_and_its_wishes_are_decided_anew() {
        let mut bench = Bench::new();
        bench.write("a.peerd", "bob/1\nbob/2\n");
        bench.look(true);
        bench.read("a.peerd");
        let [first, second] = &bench.all()[..] else { panic!() };
        bench.set(first, Status::Published);
        bench.set(second, Status::Followed(DownloadId::new(7)));
        assert!(bench.book.done(bench.now).is_empty());
        bench.write("a.peerd", "bob/1\nbob/2\nbob/3\n");
        bench.look(true);
        assert!(bench.book.wish(first).is_none(), "what is under way belongs to the file before");
        bench.read("a.peerd");
        let undecided = Status::Undecided { after: None, tries: 0 };
        let statuses: Vec<_> =
            bench.all().iter().map(|key| bench.book.facts(key).unwrap().0.status).collect();
        assert_eq!(statuses, [Status::Published, undecided, undecided], "what it got, it has");
    }

    #[test]
    fn a_stub_is_done_when_all_it_asks_for_is_published() {
        let mut bench = Bench::new();
        bench.write("a.peerd", "bob/1\nbob/2\n");
        bench.write("flawed.peerd", "bob/3\nnonsense\n");
        bench.look(true);
        for name in ["a.peerd", "flawed.peerd"] {
            bench.read(name);
        }
        for (done, key) in bench.all().iter().enumerate() {
            assert_eq!(bench.book.done(bench.now).len(), usize::from(done >= 2), "after {done}");
            bench.set(key, Status::Published);
        }
        let (name, _) = bench.book.done(bench.now).remove(0);
        assert_eq!(name, "a.peerd", "a list with a flaw is never done");
        assert!(bench.book.stuck(&name, bench.now + SETTLE), "the first time is news");
        assert!(bench.book.done(bench.now).is_empty());
        bench.now += SETTLE;
        assert_eq!(bench.book.done(bench.now).len(), 1);
        assert!(!bench.book.stuck(&name, bench.now), "the second is not");
    }

    #[test]
    fn a_file_that_is_gone_is_forgotten_and_new_when_it_comes_back() {
        let mut bench = Bench::new();
        bench.write("a.peerd", "bob/1\n");
        bench.look(true);
        bench.read("a.peerd");
        let key = bench.all().remove(0);
        bench.set(&key, Status::Left);
        let (here, there) = (bench.dir.path().join("a.peerd"), bench.dir.path().join(".elsewhere"));
        fs::rename(&here, &there).unwrap();
        bench.look(true);
        assert!(bench.all().is_empty() && bench.book.wish(&key).is_none());
        fs::rename(&there, &here).unwrap();
        bench.look(true);
        bench.look(true);
        assert_eq!(bench.to_read(), [Path::new("a.peerd")]);
    }
}
