//! Notices files that come and go.
//!
//! Only what changes the set of paths matters here: sizes and tags are looked up afresh each time they are
//! told. So a file that grows costs nothing, and one that is renamed into place is offered a moment later.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

use notify::event::ModifyKind;
use notify::{Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};

use super::Library;
use super::share::Share;

/// Walks a share now, after every change, and every `every`. Never returns; drop it to stop.
pub(super) async fn follow(library: &Library, share: &Arc<Share>, every: Duration) {
    let changed = Arc::new(Notify::new());
    let mut watched: Option<Watched> = None;
    loop {
        let began = Instant::now();
        library.walk(share).await.ok();
        let took = began.elapsed();
        // Another directory under the same path, a disk that was mounted say, is not the one we watch.
        if watched.as_ref().is_none_or(|watched| watched.identity != identity(share)) {
            watched = Watched::start(share, &changed).await;
            if watched.as_ref().is_some_and(|watched| watched.watcher.is_some()) {
                // What changed between the walk and the watch was seen by neither.
                changed.notify_one();
            }
        }
        if timeout(every, changed.notified()).await.is_ok() {
            settle(&changed, began + took * REST).await;
        }
    }
}

/// Waits until changes pause, so that copying a thousand files is one walk; and until `earliest`, so that
/// walking a large share is a small part of what the disk does. Changes without a pause do not put the walk
/// off for ever.
async fn settle(changed: &Notify, earliest: Instant) {
    let latest = earliest.max(Instant::now() + LONGEST);
    while timeout_at((Instant::now() + PAUSE).min(latest), changed.notified()).await.is_ok() {}
    while timeout_at(earliest, changed.notified()).await.is_ok() {}
}

/// A watch over one directory, or the fact that it cannot be watched; dropping it ends it.
struct Watched {
    identity: Option<(u64, u64)>,
    watcher: Option<RecommendedWatcher>,
}

impl Watched {
    /// Asks the system to tell of changes. `None` if it cannot, which is logged: the walks by the clock
    /// remain.
    async fn start(share: &Arc<Share>, changed: &Arc<Notify>) -> Option<Self> {
        let (watched, changed) = (Arc::clone(share), Arc::clone(changed));
        // A watch is set on every directory, so this takes about as long as a walk.
        let starting = tokio::task::spawn_blocking(move || {
            let identity = Some(identity(&watched)?);
            let root = watched.spec().root.clone();
            let config = Config::default().with_follow_symlinks(watched.spec().follow_symlinks);
            let listener = move |event: notify::Result<Event>| {
                if event.is_ok_and(|event| !matters(&event, &watched)) {
                    return;
                }
                changed.notify_one();
            };
            let started = RecommendedWatcher::new(listener, config).and_then(|mut watcher| {
                watcher.watch(&root, RecursiveMode::Recursive)?;
                Ok(watcher)
            });
            Some((identity, started))
        });
        let (identity, started) = starting.await.ok()??;
        if let Err(error) = &started {
            tracing::warn!(
                share = share.name(),
                error = error as &dyn std::error::Error,
                "changes in a share are noticed late: it cannot be watched"
            );
        }
        Some(Self { identity, watcher: started.ok() })
    }
}

/// Whether an event can change which paths are offered.
fn matters(event: &Event, share: &Share) -> bool {
    if event.need_rescan() {
        return true;
    }
    let of_content = matches!(
        event.kind,
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_))
    );
    !of_content && (event.paths.is_empty() || event.paths.iter().any(|path| share.concerns(path)))
}

/// Device and inode of the shared directory; `None` if it is not there.
fn identity(share: &Share) -> Option<(u64, u64)> {
    fs::metadata(&share.spec().root).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// How long changes must pause before a walk.
const PAUSE: Duration = Duration::from_millis(200);

/// How long changes without a pause put a walk off.
const LONGEST: Duration = Duration::from_secs(3);

/// After a walk, so many times its length pass before changes cause the next.
const REST: u32 = 10;

#[cfg(test)]
mod tests {
    use notify::event::{AccessKind, CreateKind, DataChange, Flag, RemoveKind, RenameMode};

    use super::*;
    use crate::library::ShareSpec;

    fn share() -> Share {
        let exclude = vec!["**/.*".into(), "**/*.part".into()];
        let spec = ShareSpec {
            name: "s".into(),
            root: "/share".into(),
            include: vec!["**".into()],
            exclude,
            follow_symlinks: false,
        };
        Share::new(spec).expect("the patterns are well formed")
    }

    #[test]
    fn what_changes_the_set_of_offered_paths_matters_and_nothing_else() {
        let event = |kind, paths: &[&str]| {
            paths.iter().fold(Event::new(kind), |event, path| event.add_path(format!("/share/{path}").into()))
        };
        let created = EventKind::Create(CreateKind::File);
        let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::Both));
        for (event, expected, because) in [
            (event(created, &["a.mkv"]), true, "a new file"),
            (event(created, &["a.part"]), false, "a new file that is not offered"),
            (
                event(created, &[".tmp/a.mkv"]),
                true,
                "what is beneath a hidden directory is not told apart here",
            ),
            (event(renamed, &["a.part", "a.mkv"]), true, "a part that became a file"),
            (event(EventKind::Remove(RemoveKind::File), &["a.mkv"]), true, "a file that is gone"),
            (
                event(EventKind::Modify(ModifyKind::Data(DataChange::Any)), &["a.mkv"]),
                false,
                "a file that grows",
            ),
            (event(EventKind::Access(AccessKind::Any), &["a.mkv"]), false, "a file that is read"),
            (event(EventKind::Other, &[]).set_flag(Flag::Rescan), true, "the system lost events"),
        ] {
            assert_eq!(matters(&event, &share()), expected, "{because}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_walk_waits_for_a_pause_but_not_for_ever() {
        let changed = Arc::new(Notify::new());
        let start = Instant::now();
        settle(&changed, start).await;
        assert_eq!(start.elapsed(), PAUSE, "nothing more happened");
        let (start, busy) = (Instant::now(), Arc::clone(&changed));
        let changing = tokio::spawn(async move {
            loop {
                timeout(PAUSE / 2, std::future::pending::<()>()).await.ok();
                busy.notify_one();
            }
        });
        settle(&changed, start).await;
        assert!(start.elapsed() <= LONGEST + PAUSE, "{:?}", start.elapsed());
        changing.abort();
        let start = Instant::now();
        settle(&changed, start + 10 * LONGEST).await;
        assert!(start.elapsed() >= 10 * LONGEST, "the last walk was a long one");
    }
}
