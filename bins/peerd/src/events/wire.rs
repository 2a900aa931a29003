//! An event as programs read it: its name and its data. SSE and `--json` share both.

use serde_json::{Value, json};

use super::event::{Event, ImportStep, Reach, Retry, Room, Step};
use crate::moment::rfc3339;

/// An event in the words of the API.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Such as `download.started`.
    pub name: &'static str,
    /// A JSON object.
    pub data: Value,
}

/// The event as the API tells it; `None` for what only the log and the metrics are told.
pub fn wire(event: &Event<'_>) -> Option<Told> {
    match event {
        Event::Download(of, step) => {
            let mut told = step.wire()?;
            told.data["download_id"] = of.id.get().into();
            Some(told)
        }
        Event::Peer { peer, reach: Reach::Up } => {
            Some(Told { name: "peer.up", data: json!({ "peer": peer }) })
        }
        Event::Peer { peer, reach: Reach::Down { reason } } => {
            Some(Told { name: "peer.down", data: json!({ "peer": peer, "reason": reason }) })
        }
        Event::Import(of, step) => {
            let mut told = import(step);
            told.data["download_id"] = of.id.get().into();
            Some(told)
        }
        Event::DiskLow(room) => Some(Told { name: "disk.low", data: room_data(room) }),
        Event::DiskOk(room) => Some(Told { name: "disk.ok", data: room_data(room) }),
        Event::ConfigReloaded(changes) => Some(Told {
            name: "config.reloaded",
            data: json!({ "applied": changes.live, "at_restart": changes.at_restart }),
        }),
    }
}

impl Step<'_> {
    /// The step without the download it happened to, as `peerd get --json` tells it.
    pub fn wire(&self) -> Option<Told> {
        let (name, data) = match self {
            Step::Created(row) => (
                "download.created",
                json!({
                    "state": row.state.as_str(), "peer": row.peer, "item": row.item, "filename": row.filename,
                    "total": row.identity.total.map(|total| total.bytes), "priority": row.priority.get(),
                }),
            ),
            Step::Queued(why) => ("download.queued", json!({ "reason": why.as_str() })),
            Step::Started { from, total, validator } => {
                ("download.started", json!({ "from": from, "total": total, "validator": validator }))
            }
            Step::Progress(now) => (
                "download.progress",
                json!({
                    "written": now.written, "durable": now.durable, "total": now.total,
                    "rate": now.rate.round(), "eta": now.eta.map(|eta| eta.as_secs()),
                    "connections": now.connections,
                }),
            ),
            Step::Retrying(retry) | Step::Held(retry) => ("download.retrying", retry_data(retry)),
            Step::Restarted { reason, discarded } => {
                ("download.restarted", json!({ "reason": reason.as_str(), "discarded": discarded }))
            }
            Step::Paused { durable } => ("download.paused", json!({ "durable": durable })),
            Step::Completed { path, done } => (
                "download.completed",
                json!({
                    "path": path, "total": done.total, "received": done.received,
                    "resumed_from": done.resumed_from, "restarts": done.restarts,
                }),
            ),
            Step::Failed { problem, retryable, retry_at, durable } => (
                "download.failed",
                json!({
                    "error": { "kind": problem.kind, "message": problem.message }, "retryable": retryable,
                    "retry_at": retry_at.map(|at| rfc3339(at.into())), "durable": durable,
                }),
            ),
            Step::Cancelled => ("download.cancelled", json!({})),
            Step::Deleted { data } => ("download.deleted", json!({ "data": data })),
            Step::Claimed { .. }
            | Step::Received(_)
            | Step::Checkpointed { .. }
            | Step::Setback { .. }
            | Step::Unreadable(_)
            | Step::Verifying
            | Step::Stopped
            | Step::TakenOver
            | Step::Unrecorded => return None,
        };
        Some(Told { name, data })
    }
}

fn import(step: &ImportStep<'_>) -> Told {
    let (name, data) = match step {
        ImportStep::Queued { target, path } => ("import.queued", json!({ "target": target, "path": path })),
        ImportStep::Done { target, path, confirmed, unlinked } => (
            "import.done",
            json!({ "target": target, "path": path, "confirmed": confirmed, "unlinked": unlinked }),
        ),
        ImportStep::Failed { target, reason } => {
            ("import.failed", json!({ "target": target, "reason": reason }))
        }
    };
    Told { name, data }
}

fn retry_data(retry: &Retry<'_>) -> Value {
    json!({
        "attempt": retry.attempt, "max": retry.max,
        "delay_ms": u64::try_from(retry.delay.as_millis()).unwrap_or(u64::MAX),
        "reason": retry.reason, "source": retry.source.as_str(),
    })
}

fn room_data(room: &Room) -> Value {
    json!({ "free": room.free, "min_free": room.min_free })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use download_registry::DownloadId;
    use resume_fetch::Progress;
    use retry_kit::DelaySource;

    use super::*;
    use crate::config::Changes;

    fn told(step: Step<'_>) -> Option<Told> {
        wire(&Event::Download(DownloadId::new(7).into(), step))
    }

    #[test]
    fn an_event_of_a_download_has_the_promised_name_and_fields() {
        let now = Progress {
            written: 20,
            durable: 10,
            total: Some(30),
            rate: 4.6,
            eta: Some(Duration::from_millis(2500)),
            connections: 2,
            ..Progress::default()
        };
        assert_eq!(
            told(Step::Progress(&now)),
            Some(Told {
                name: "download.progress",
                data: json!({
                    "download_id": 7, "written": 20, "durable": 10, "total": 30, "rate": 5.0, "eta": 2,
                    "connections": 2,
                }),
            })
        );
        let retry = Retry {
            attempt: 1,
            max: 5,
            delay: Duration::from_secs(2),
            source: DelaySource::RetryAfter,
            reason: "the peer answered 429",
            parked: true,
        };
        let expected = json!({
            "download_id": 7, "attempt": 1, "max": 5, "delay_ms": 2000, "reason": "the peer answered 429",
            "source": "retry-after",
        });
        assert_eq!(
            told(Step::Retrying(retry)),
            Some(Told { name: "download.retrying", data: expected.clone() })
        );
        assert_eq!(
            told(Step::Held(retry)).map(|told| told.data),
            Some(expected),
            "a wait of ours looks the same"
        );
    }

    #[test]
    fn a_reload_tells_which_keys_hold_and_which_wait() {
        let changes = Changes { live: vec!["limits.up".into()], at_restart: vec!["server.listen".into()] };
        let data = json!({ "applied": ["limits.up"], "at_restart": ["server.listen"] });
        assert_eq!(wire(&Event::ConfigReloaded(&changes)), Some(Told { name: "config.reloaded", data }));
    }

    #[test]
    fn what_only_the_log_and_the_metrics_want_is_told_to_nobody_else() {
        for step in
            [Step::Claimed { durable: 0 }, Step::Received(5), Step::Verifying, Step::Stopped, Step::TakenOver]
        {
            assert_eq!(told(step), None, "{step:?}");
        }
    }
}
