//! Watches a directory for the promise about final names: they appear whole, by one rename, or not at all.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use notify::event::{ModifyKind, RenameMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

/// Everything that happens to the names of one directory, from now on.
pub(crate) struct NameWatch {
    dir: PathBuf,
    events: Receiver<notify::Result<Event>>,
    _watcher: RecommendedWatcher,
}

impl NameWatch {
    /// Starts to watch; the directory is made when it is missing.
    pub(crate) fn on(dir: PathBuf) -> Self {
        std::fs::create_dir_all(&dir).expect("a directory");
        let (sender, events) = channel();
        let mut watcher = notify::recommended_watcher(sender).expect("a watcher");
        watcher.watch(&dir, RecursiveMode::NonRecursive).expect("a directory to watch");
        Self { dir, events, _watcher: watcher }
    }

    /// Asserts that this name appeared once, by being renamed into the directory, and that nothing was written to
    /// it there.
    pub(crate) fn assert_appeared_whole(self, name: &str) {
        // The kernel tells in order: once the marker is told, everything before it was.
        let marker = self.dir.join("marker");
        std::fs::write(&marker, "").expect("a marker");
        let path = self.dir.join(name);
        let mut seen = Vec::new();
        loop {
            let event = self.events.recv_timeout(PATIENCE).expect("the marker is told").expect("an event");
            if touches(&event, &marker) {
                break;
            }
            if touches(&event, &path) && !matches!(event.kind, EventKind::Access(_)) {
                seen.push(event.kind);
            }
        }
        // Reading an attribute is nothing; changing the bytes would be.
        seen.retain(|kind| !matches!(kind, EventKind::Modify(ModifyKind::Metadata(_))));
        assert_eq!(seen, [EventKind::Modify(ModifyKind::Name(RenameMode::To))], "{}", path.display());
        std::fs::remove_file(marker).expect("the marker");
    }
}

fn touches(event: &Event, path: &Path) -> bool {
    event.paths.iter().any(|touched| touched == path)
}

const PATIENCE: Duration = Duration::from_secs(60);
