//! At least once: how a download or an import ended is told after a crash, too.
//!
//! The log of the registry has every end. For each hook a record says up to where everything in it has been
//! delivered; it is written while the hook has nothing to do, so it may lag behind and never leads. What comes after
//! it is told again at the next start, or as soon as a hook that was too slow for it has caught up: once more than
//! necessary, perhaps, and never less.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use download_registry::{Download, Event as RowEvent, StorageError, Timestamp, Transition};
use retry_kit::Clock;
use serde_json::{Value, json};

use super::Shared;
use super::delivery::Delivery;
use crate::import;
use crate::moment::rfc3339;

/// What an earlier process may not have delivered: the log's entries after the first number, up to the second.
pub(super) struct Missed {
    hook: String,
    after: i64,
    to: i64,
}

/// Finds what is to be told again. Hooks that are new hear only what is new.
pub(super) async fn open(shared: &Shared) -> Result<Vec<Missed>, StorageError> {
    let known = shared.registry.records(KIND).await?;
    for (gone, _) in known.iter().filter(|(name, _)| !shared.hooks.contains_key(name)) {
        shared.registry.remove_record(KIND, gone).await?;
    }
    if shared.hooks.is_empty() {
        return Ok(Vec::new());
    }
    let newest = shared.registry.newest_transition().await?;
    let mut missed = Vec::new();
    for (name, hook) in &shared.hooks {
        let after = known.iter().find(|(known, _)| known == name).and_then(|(_, text)| text.parse().ok());
        hook.kept.store(after.unwrap_or(newest), Ordering::Relaxed);
        match after {
            Some(after) if after < newest => {
                hook.queue().replaying = true;
                missed.push(Missed { hook: name.clone(), after, to: newest });
            }
            Some(_) => {}
            None => put(shared, name, newest).await?,
        }
    }
    Ok(missed)
}

/// Tells again what is to be told again, as fast as the hooks take it.
pub(super) async fn replay(shared: Arc<Shared>, missed: Vec<Missed>) {
    for mut missed in missed {
        while let Err(error) = tell_again(&shared, &mut missed).await {
            tracing::warn!(hook = missed.hook, error = %resume_fetch::describe(&error), "the registry failed; trying again");
            shared.clock.sleep(PAUSE).await;
        }
        if let Some(hook) = shared.hooks.get(&missed.hook) {
            hook.queue().replaying = false;
        }
        shared.moved.notify_one();
    }
}

async fn tell_again(shared: &Shared, missed: &mut Missed) -> Result<(), StorageError> {
    let Some(hook) = shared.hooks.get(&missed.hook) else { return Ok(()) };
    let wants = |name: &str| hook.config.events.iter().any(|event| event.as_str() == name);
    while missed.after < missed.to {
        let page = shared.registry.transitions_after(missed.after, PAGE).await?;
        if page.transitions.is_empty() {
            return Ok(());
        }
        for transition in page.transitions.iter().take_while(|transition| transition.seq <= missed.to) {
            if let Some(name) = event(&transition.event).filter(|name| wants(name))
                && let Some(row) = shared.registry.get(transition.download).await?
            {
                while hook.queue().is_full() {
                    hook.room.notified().await;
                }
                let at = rfc3339(SystemTime::from(transition.at));
                let delivery = Delivery::new(name, None, at, &data(name, transition, &row)).again();
                shared.push(&missed.hook, hook, delivery);
            }
            missed.after = transition.seq;
        }
        missed.after = page.transitions.last().map_or(missed.to, |last| last.seq);
    }
    Ok(())
}

/// Keeps on record how far the hooks have come, for as long as it is polled; what they lost they are told again.
pub(super) async fn keep(shared: Arc<Shared>) {
    loop {
        shared.moved.notified().await;
        let kept = async {
            let newest = shared.registry.newest_transition().await?;
            // A row is on record a moment before its event is told. Who was idle after this pause has all that came
            // before.
            shared.clock.sleep(PAUSE).await;
            let lost = lost(&shared, newest);
            if !lost.is_empty() {
                shared.spawn("retelling", replay(Arc::clone(&shared), lost));
            }
            record(&shared, newest).await
        };
        if let Err(error) = kept.await {
            tracing::warn!(error = %resume_fetch::describe(&error), "how far hooks have come cannot be recorded");
        }
    }
}

/// What hooks that have caught up were too slow for.
fn lost(shared: &Shared, newest: i64) -> Vec<Missed> {
    let late = shared.hooks.iter().filter(|(_, hook)| hook.queue().take_lost_ending());
    let missed = late.map(|(name, hook)| {
        let after = hook.kept.load(Ordering::Relaxed);
        Missed { hook: name.clone(), after, to: newest }
    });
    missed.collect()
}

/// As [`keep`] once, when nothing moves any more. `newest` was read before the hooks were stopped: what came later
/// they may not have heard.
pub(super) async fn settle(shared: &Shared, newest: Result<i64, StorageError>) {
    let settled = async { record(shared, newest?).await };
    if let Err(error) = settled.await {
        tracing::warn!(error = %resume_fetch::describe(&error), "hooks are told again what they know");
    }
}

async fn record(shared: &Shared, newest: i64) -> Result<(), StorageError> {
    for (name, hook) in shared.hooks.iter().filter(|(_, hook)| hook.queue().is_idle()) {
        if hook.kept.load(Ordering::Relaxed) != newest {
            put(shared, name, newest).await?;
            hook.kept.store(newest, Ordering::Relaxed);
        }
    }
    Ok(())
}

async fn put(shared: &Shared, name: &str, seq: i64) -> Result<(), StorageError> {
    let now = Timestamp::from(shared.clock.wall());
    shared.registry.put_record(KIND, name, &seq.to_string(), now).await
}

/// Whether an event says how something ended.
pub(super) fn is_ending(name: &str) -> bool {
    ENDINGS.iter().any(|(_, ending)| *ending == name)
}

/// The event that told of an entry of the log, for those that end something.
fn event(logged: &str) -> Option<&'static str> {
    ENDINGS.into_iter().find(|(event, _)| event.as_str() == logged).map(|(_, name)| name)
}

/// The data of that event, as far as it is still known.
fn data(name: &str, transition: &Transition, row: &Download) -> Value {
    let mut data = match name {
        "download.completed" => json!({
            "path": row.target, "total": row.identity.total.map(|total| total.bytes),
            "received": null, "resumed_from": null, "restarts": row.restarts,
        }),
        "download.failed" => {
            let kind = transition.reason.as_deref();
            let error = row.error.as_ref().filter(|error| Some(error.kind.as_str()) == kind);
            json!({
                "error": { "kind": kind, "message": error.map(|error| error.message.as_str()) },
                "retryable": row.retryable,
                "retry_at": row.retry_at.map(|at| rfc3339(SystemTime::from(at))),
                "durable": transition.durable,
            })
        }
        "import.done" | "import.failed" => {
            let shown = import::shown(row);
            let mut data = json!({ "target": shown["target"] });
            let fields: &[&str] = if name == "import.done" { &["path", "unlinked"] } else { &["reason"] };
            for field in fields {
                data[*field] = shown[*field].clone();
            }
            data
        }
        _ => json!({}),
    };
    data["download_id"] = transition.download.get().into();
    data
}

const ENDINGS: [(RowEvent, &str); 5] = [
    (RowEvent::Published, "download.completed"),
    (RowEvent::Failed, "download.failed"),
    (RowEvent::Cancelled, "download.cancelled"),
    (RowEvent::Imported, "import.done"),
    (RowEvent::ImportFailed, "import.failed"),
];
const KIND: &str = "hook";
const PAGE: u32 = 500;
const PAUSE: Duration = Duration::from_secs(1);
