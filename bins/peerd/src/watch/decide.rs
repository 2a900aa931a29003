//! What a stub asks for, what the registry knows of it, and what follows.

use download_registry::{Download, DownloadId, DownloadState, Timestamp};

/// What we know of the stub itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// It was dropped, or touched, at this time, and nothing was decided since.
    Asked(Timestamp),
    /// What it asks for was decided before.
    Known,
}

/// The latest row of what a stub asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: DownloadId,
    pub(super) state: DownloadState,
    /// When it came into that state, or a little later.
    pub(super) since: Timestamp,
    /// Whether the file it published is still where it was published, as long as it was.
    pub(super) file_is_there: bool,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nobody fetches it: queue it.
    Enqueue,
    /// A row does: wait for its end.
    Follow(DownloadId),
    /// A row did, and failed; the stub was dropped again, so it is tried again.
    Retry(DownloadId),
    /// It is published.
    Done,
    /// Its row failed: wait for somebody to try again, or for the row to come back by itself.
    Failed(DownloadId),
    /// Somebody called it off, and the stub was not dropped since.
    Cancelled,
    /// Its row is gone, and the stub was not dropped since.
    Forgotten,
}

/// Decides what follows from one wish of a stub.
///
/// A crash may come between any two steps. What was decided before it is decided again, because it depends on the row
/// and on the time the stub was dropped alone: a row that ended after that time ended on behalf of this stub.
pub(super) fn decide(row: Option<&Row>, sight: Sight) -> Next {
    let Some(row) = row else {
        return if sight == Sight::Known { Next::Forgotten } else { Next::Enqueue };
    };
    let dropped_since = matches!(sight, Sight::Asked(at) if at > row.since);
    match row.state {
        state if state.is_live() => Next::Follow(row.id),
        // The file may have been taken to a library by now; whoever asks again afterwards wants it once more.
        state if state.is_published() && dropped_since && !row.file_is_there => Next::Enqueue,
        state if state.is_published() => Next::Done,
        DownloadState::Failed if dropped_since => Next::Retry(row.id),
        DownloadState::Failed => Next::Failed(row.id),
        _ if dropped_since => Next::Enqueue,
        _ => Next::Cancelled,
    }
}

impl Row {
    /// What of a row matters here. `file_is_there` is for the caller to find out.
    pub(super) fn new(row: &Download, file_is_there: bool) -> Self {
        let since = row.completed_at.unwrap_or(row.updated_at);
        Self { id: row.id, state: row.state, since, file_is_there }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_and_every_sight_has_one_answer() {
        use DownloadState as S;
        let (id, since) = (DownloadId::new(7), Timestamp::from_millis(1000));
        let [before, after] = [1000, 1001].map(|at| Sight::Asked(Timestamp::from_millis(at)));
        let (there, moved) = (true, false);
        for (state, file, sight, expected, because) in [
            (None, there, before, Next::Enqueue, "nobody fetches it"),
            (None, there, Sight::Known, Next::Forgotten, "somebody removed its row, and meant it"),
            (Some(S::Queued), there, after, Next::Follow(id), "a duplicate does nothing"),
            (Some(S::Downloading), there, before, Next::Follow(id), "found after a restart"),
            (Some(S::Waiting), there, after, Next::Follow(id), "the peer's patience is not overruled"),
            (Some(S::Paused), there, after, Next::Follow(id), "the operator's word holds"),
            (Some(S::Finalizing), there, Sight::Known, Next::Follow(id), "not published yet"),
            (Some(S::Completed), there, Sight::Known, Next::Done, "published"),
            (Some(S::Completed), moved, Sight::Known, Next::Done, "published, and moved on at once"),
            (Some(S::Completed), moved, before, Next::Done, "died between publishing and removing the stub"),
            (Some(S::Completed), there, after, Next::Done, "it is there: nothing to fetch"),
            (Some(S::Completed), moved, after, Next::Enqueue, "asked for again after it had gone"),
            (Some(S::ImportQueued), moved, Sight::Known, Next::Done, "published long ago"),
            (Some(S::Imported), moved, before, Next::Done, "published long ago"),
            (Some(S::Imported), moved, after, Next::Enqueue, "asked for again"),
            (Some(S::Failed), there, after, Next::Retry(id), "dropped again: the same row"),
            (Some(S::Failed), there, before, Next::Failed(id), "a restart is no second request"),
            (Some(S::Failed), there, Sight::Known, Next::Failed(id), "decided already"),
            (Some(S::Cancelled), there, after, Next::Enqueue, "asked for again"),
            (Some(S::Cancelled), there, before, Next::Cancelled, "called off after it was asked for"),
            (Some(S::Cancelled), there, Sight::Known, Next::Cancelled, "called off after it was asked for"),
        ] {
            let row = state.map(|state| Row { id, state, since, file_is_there: file });
            assert_eq!(decide(row.as_ref(), sight), expected, "{state:?}, {sight:?}: {because}");
        }
    }
}
