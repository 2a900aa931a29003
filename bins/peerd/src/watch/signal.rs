//! Hears from the system when something in the folder changes.

use std::path::Path;
use std::sync::Arc;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// The ear at one folder; dropping it, or starting it at another, ends it.
#[derive(Default)]
pub(super) struct Signal {
    watcher: Option<RecommendedWatcher>,
}

impl Signal {
    /// Wakes `changed` when something happens in `dir`. If the system cannot tell, that is logged, and looking
    /// every so often remains.
    pub(super) fn start(&mut self, dir: &Path, changed: &Arc<Notify>) {
        let changed = Arc::clone(changed);
        let listener = move |event: notify::Result<Event>| {
            if event.is_ok_and(|event| !matters(&event)) {
                return;
            }
            changed.notify_one();
        };
        let started = notify::recommended_watcher(listener).and_then(|mut watcher| {
            watcher.watch(dir, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        if let Err(error) = &started {
            let error = error as &dyn std::error::Error;
            tracing::warn!(dir = %dir.display(), error, "stubs are noticed late: the folder cannot be watched");
        }
        self.watcher = started.ok();
    }
}

/// Whether an event can be more than somebody reading; we read, too.
fn matters(event: &Event) -> bool {
    match event.kind {
        _ if event.need_rescan() => true,
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, DataChange, Flag, MetadataKind, ModifyKind, RenameMode};

    use super::*;

    #[test]
    fn reading_a_stub_is_no_reason_to_look_again() {
        for (kind, expected) in [
            (EventKind::Access(AccessKind::Open(AccessMode::Any)), false),
            (EventKind::Access(AccessKind::Close(AccessMode::Read)), false),
            (EventKind::Access(AccessKind::Close(AccessMode::Write)), true),
            (EventKind::Create(CreateKind::File), true),
            (EventKind::Modify(ModifyKind::Data(DataChange::Any)), true),
            (EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)), true),
            (EventKind::Modify(ModifyKind::Name(RenameMode::To)), true),
        ] {
            assert_eq!(matters(&Event::new(kind)), expected, "{kind:?}");
        }
        assert!(matters(&Event::new(EventKind::Access(AccessKind::Any)).set_flag(Flag::Rescan)));
    }
}
