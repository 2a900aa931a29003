//! Who works on what: claims, leases, and the fence around them.

use std::time::Duration;

use crate::{
    Download, DownloadId, Registry, StorageError, Timestamp, WorkerError,
    registry::read_error,
    rows,
    session::{Session, Through},
    writer::{Fault, refuse},
};

/// The proof that a worker holds a row. Every write of a worker carries it.
///
/// The epoch grows with every claim, so a worker that was paused, presumed dead or overtaken cannot write over whoever
/// came after it, however late it wakes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fence {
    id: DownloadId,
    epoch: u64,
}

/// Who asks for work, and for what.
#[derive(Debug, Clone)]
pub struct ClaimRequest<'a> {
    /// A name for the process that at most one process at a time has; the same after a restart.
    pub owner: &'a str,
    /// The time now.
    pub now: Timestamp,
    /// How long the claim stands without being renewed.
    pub lease_for: Duration,
    /// Peers that have enough to do already.
    pub exclude_peers: &'a [String],
}

/// A row handed to a worker.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Claim {
    /// The proof to write with.
    pub fence: Fence,
    /// The row as it is now.
    pub download: Download,
}

impl Registry {
    /// Hands out the next row that may run, or `None` if there is none.
    ///
    /// The highest priority goes first. Among equals, it is the turn of the peer (or of the rows without one) that has
    /// the fewest rows leased, so a thousand rows of one peer do not keep the only one of another waiting; then of the
    /// row that was enqueued first. A row that waited for a retry keeps its place. The row becomes `downloading` under a lease of `request.owner`. A dropped call may leave a claimed row
    /// with nobody; its lease runs out like any other.
    pub async fn claim_next(&self, request: &ClaimRequest<'_>) -> Result<Option<Claim>, StorageError> {
        let owner = request.owner.to_owned();
        let now = request.now.as_millis();
        let until = request.now.saturating_add(request.lease_for).as_millis();
        let exclude = json_array(request.exclude_peers);
        self.write(move |db| {
            Box::pin(async move {
                let query = sqlx::query(CLAIM).bind(owner).bind(now).bind(until).bind(exclude);
                let row = query.maybe(db.last()).await?;
                let download = row.as_ref().map(rows::download).transpose()?;
                Ok(download.map(Claim::new))
            })
        })
        .await
    }

    /// Hands out this row out of turn, or `None` if it is not in line or may not run yet. `exclude_peers` counts as it
    /// does for [`claim_next`](Self::claim_next).
    pub async fn claim(
        &self,
        id: DownloadId,
        request: &ClaimRequest<'_>,
    ) -> Result<Option<Claim>, StorageError> {
        let owner = request.owner.to_owned();
        let now = request.now.as_millis();
        let until = request.now.saturating_add(request.lease_for).as_millis();
        let exclude = json_array(request.exclude_peers);
        self.write(move |db| {
            Box::pin(async move {
                let query =
                    sqlx::query(CLAIM_ONE).bind(owner).bind(now).bind(until).bind(exclude).bind(id.get());
                let row = query.maybe(db.last()).await?;
                let download = row.as_ref().map(rows::download).transpose()?;
                Ok(download.map(Claim::new))
            })
        })
        .await
    }

    /// Returns the first moment after `now` at which a waiting row may run or a failed one comes back.
    ///
    /// Rows that are due already are not counted: what keeps them waiting is not the clock.
    pub async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StorageError> {
        let due: Option<i64> = sqlx::query_scalar(NEXT_DUE)
            .bind(now.as_millis())
            .fetch_one(self.readers())
            .await
            .map_err(read_error)?;
        Ok(due.map(Timestamp::from_millis))
    }

    /// Extends a lease to `until`.
    ///
    /// # Errors
    /// [`WorkerError::Fenced`] if it is over: stop writing to the part file.
    pub async fn renew(&self, fence: &Fence, until: Timestamp) -> Result<(), WorkerError> {
        let fence = *fence;
        self.write(move |db| Box::pin(async move { renew(db, fence, until).await })).await
    }
}

async fn renew(db: &mut Session, fence: Fence, until: Timestamp) -> Result<(), Fault<WorkerError>> {
    let renewed = sqlx::query(RENEW)
        .bind(fence.id.get())
        .bind(rows::stored(fence.epoch)?)
        .bind(until.as_millis())
        .run(db)
        .await?;
    if renewed == 0 { Err(refuse(fence.refusal())) } else { Ok(()) }
}

impl Fence {
    /// Returns the row it stands for.
    #[must_use]
    pub fn id(&self) -> DownloadId {
        self.id
    }

    /// Returns which claim on the row it stands for, counted from 1.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(crate) fn refusal(self) -> WorkerError {
        WorkerError::Fenced { id: self.id, epoch: self.epoch }
    }
}

impl Claim {
    pub(crate) fn new(download: Download) -> Self {
        Self { fence: Fence { id: download.id, epoch: download.lease_epoch }, download }
    }
}

/// Writes strings as a JSON array: one parameter for a list of any length.
pub(crate) fn json_array<S: AsRef<str>>(strings: &[S]) -> String {
    let mut json = String::from("[");
    for (n, string) in strings.iter().enumerate() {
        json.push_str(if n == 0 { "\"" } else { ",\"" });
        for c in string.as_ref().chars() {
            match c {
                '"' | '\\' => json.extend(['\\', c]),
                c if c < ' ' => json.push_str(&format!("\\u{:04x}", u32::from(c))),
                c => json.push(c),
            }
        }
        json.push('"');
    }
    json.push(']');
    json
}

// One statement: between finding the row and taking it there is no moment for anyone else.
//
// The peers with rows in line are found by jumping through the index from one to the next; after the last comes NULL,
// which is the lane of the rows without a peer. So a claim costs as much as there are peers, not rows. The indexes are
// named because the planner, which cannot know how many rows are in line, may prefer to sort them all.
pub(crate) const CLAIM: &str = "
    WITH RECURSIVE
        lane (peer) AS (
            SELECT min(peer) FROM download INDEXED BY download_lane
            WHERE state IN ('queued', 'waiting') AND peer > ''
            UNION ALL
            SELECT (SELECT min(peer) FROM download INDEXED BY download_lane
                    WHERE state IN ('queued', 'waiting') AND peer > lane.peer)
            FROM lane WHERE lane.peer IS NOT NULL),
        head (id, peer) AS MATERIALIZED (
            SELECT (SELECT id FROM download INDEXED BY download_lane
                    WHERE state IN ('queued', 'waiting') AND peer IS lane.peer
                      AND (retry_at IS NULL OR retry_at <= ?2)
                    ORDER BY priority DESC, id
                    LIMIT 1),
                   lane.peer
            FROM lane
            WHERE lane.peer IS NULL OR lane.peer NOT IN (SELECT value FROM json_each(?4)))
    UPDATE download SET
        state = 'downloading', last_event = 'claimed', last_reason = NULL, updated_at = ?2,
        lease_owner = ?1, lease_epoch = lease_epoch + 1, lease_until = ?3, retry_at = NULL
    WHERE id = (
        SELECT head.id FROM head CROSS JOIN download AS next ON next.id = head.id
        ORDER BY next.priority DESC,
                 (SELECT count(*) FROM download AS busy INDEXED BY download_lease
                  WHERE busy.lease_owner IS NOT NULL AND busy.peer IS head.peer),
                 head.id
        LIMIT 1)
    RETURNING *";

pub(crate) const CLAIM_ONE: &str = "
    UPDATE download SET
        state = 'downloading', last_event = 'claimed', last_reason = NULL, updated_at = ?2,
        lease_owner = ?1, lease_epoch = lease_epoch + 1, lease_until = ?3, retry_at = NULL
    WHERE id = ?5 AND state IN ('queued', 'waiting') AND (retry_at IS NULL OR retry_at <= ?2)
      AND (peer IS NULL OR peer NOT IN (SELECT value FROM json_each(?4)))
    RETURNING *";

pub(crate) const NEXT_DUE: &str = "SELECT min(retry_at) FROM download WHERE retry_at > ?1";

pub(crate) const RENEW: &str = "
    UPDATE download SET lease_until = max(lease_until, ?3)
    WHERE id = ?1 AND lease_epoch = ?2 AND lease_owner IS NOT NULL";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_peer_name_survives_the_trip_through_json() {
        assert_eq!(json_array::<&str>(&[]), "[]");
        assert_eq!(json_array(&["bob", "a\"b\\c", "tab\there"]), r#"["bob","a\"b\\c","tab\u0009here"]"#);
    }
}
