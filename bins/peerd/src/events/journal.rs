//! The listener that writes the log: one line a fact.

use super::event::{Event, ImportStep, Reach, Retry, Step, Subject, Why};

/// Writes the line of an event, if it has one.
pub(super) fn write(event: &Event<'_>) {
    match event {
        Event::Download(of, step) => write_step(of, step),
        Event::Peer { peer, reach: Reach::Up } => tracing::info!(peer, "the peer is back"),
        Event::Peer { peer, reach: Reach::Down { reason } } => {
            tracing::warn!(peer, reason, "the peer is away; its downloads wait for it");
        }
        Event::Import(of, step) => write_import(of.id.get(), step),
        Event::DiskLow(room) => {
            let (free, min_free) = (room.free, room.min_free);
            tracing::warn!(free, min_free, "the disk is nearly full; the queue waits");
        }
        Event::DiskOk(room) => {
            tracing::info!(free = room.free, "the disk has room again; the queue goes on");
        }
        Event::ConfigReloaded(changes) => {
            let (applied, at_restart) = (changes.live.join(", "), changes.at_restart.join(", "));
            tracing::info!(applied, at_restart, "the configuration was read again");
        }
    }
}

fn write_step(of: &Subject<'_>, step: &Step<'_>) {
    let (id, peer) = (of.id.get(), of.peer);
    match step {
        Step::Created(row) => tracing::info!(
            download_id = id,
            peer,
            item = row.item.as_deref(),
            filename = row.filename.as_deref(),
            total = row.identity.total.map(|total| total.bytes),
            state = row.state.as_str(),
            "added"
        ),
        // "added" says it.
        Step::Queued(Why::Added) => {}
        Step::Queued(why) => tracing::info!(download_id = id, reason = why.as_str(), "in line"),
        Step::Claimed { durable } => tracing::info!(download_id = id, peer, durable, "downloading"),
        Step::Started { from, total, validator } => {
            tracing::info!(download_id = id, offset = from, total, validator, "receiving");
        }
        Step::Retrying(retry) => write_wait(id, retry, "trying again"),
        Step::Held(retry) => write_wait(id, retry, "waiting"),
        Step::Setback { range, attempt, delay, reason } => {
            let (from, until, delay_ms) = (range.start, range.end, delay.as_millis() as u64);
            tracing::warn!(download_id = id, from, until, attempt, delay_ms, reason, "a range has to wait");
        }
        Step::Unreadable(range) => {
            let (from, until) = (range.start, range.end);
            tracing::error!(
                download_id = id,
                from,
                until,
                "recorded bytes cannot be read; fetching them again"
            );
        }
        Step::Verifying => tracing::info!(download_id = id, "verifying"),
        Step::Restarted { reason, discarded } => {
            tracing::warn!(download_id = id, restart_reason = reason.as_str(), discarded, "starting over");
        }
        Step::TakenOver => tracing::debug!(download_id = id, "stopped: the row was taken over"),
        Step::Unrecorded => {
            tracing::warn!(download_id = id, "published, and not yet on record: to be looked at again");
        }
        Step::Paused { durable } => tracing::info!(download_id = id, durable, "paused"),
        Step::Completed { done, .. } => {
            tracing::info!(download_id = id, bytes = done.total, received = done.received, "completed");
        }
        Step::Failed { problem, retryable, .. } => {
            tracing::error!(download_id = id, error = problem.message, retryable, "failed");
        }
        Step::Cancelled => tracing::info!(download_id = id, "cancelled"),
        Step::Deleted { data } => tracing::info!(download_id = id, data, "deleted"),
        // Too many of them, or told by what comes next.
        Step::Received(_) | Step::Checkpointed { .. } | Step::Progress(_) | Step::Stopped => {}
    }
}

fn write_import(id: i64, step: &ImportStep<'_>) {
    match step {
        ImportStep::Queued { target, path } => {
            tracing::info!(download_id = id, target, path, "to be imported");
        }
        ImportStep::Done { target, path, confirmed, unlinked } => {
            tracing::info!(download_id = id, target, path, confirmed, unlinked, "imported");
        }
        ImportStep::Failed { target, reason } => {
            tracing::error!(download_id = id, target, reason, "not imported");
        }
    }
}

fn write_wait(id: i64, wait: &Retry<'_>, message: &'static str) {
    let Retry { attempt, max, delay, source, reason, .. } = *wait;
    let delay_ms = delay.as_millis() as u64;
    tracing::warn!(download_id = id, attempt, max, delay_ms, source = source.as_str(), reason, "{message}");
}
