//! Where the bytes of a download may come from.
//!
//! A URL says where to ask, not what the bytes are: those are identified by their total and validator, and by the
//! generation they were recorded for. So an address whose token expired, or whose host is gone, is replaced by another
//! and nothing that is durable is lost; whether the other one has the same bytes shows when it answers.

use std::collections::BTreeSet;

use sqlx::{Row, sqlite::SqliteRow};

use crate::{
    Download, DownloadId, Fence, OperatorError, Registry, StorageError, Timestamp, WorkerError,
    operator::existing,
    registry::read_error,
    rows,
    session::{Session, Through},
    step::held,
    writer::{Fault, refuse},
};

/// One address a download may be fetched from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Source {
    /// The address.
    pub url: String,
    /// The validator it last answered with, as it sent it.
    pub validator: Option<String>,
    /// Whether it serves ranges; `None` until it showed.
    pub supports_ranges: Option<bool>,
    /// Until when it is not to be asked, and why.
    pub disabled: Option<(Timestamp, String)>,
    /// When something about it was last written.
    pub updated_at: Timestamp,
}

/// What a worker learnt from a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceReport {
    /// It answered. A source that was disabled is not any more.
    Answered {
        /// The validator it sent; `None` leaves what is known.
        validator: Option<String>,
        /// Whether it served a range; `None` leaves what is known.
        supports_ranges: Option<bool>,
    },
    /// It is not to be asked for a while.
    Disabled {
        /// Until when.
        until: Timestamp,
        /// A stable word, such as `not-found`.
        reason: String,
    },
}

impl Registry {
    /// Returns the sources of a download, the preferred one first; empty if there is no such row.
    ///
    /// A new download has one: the URL it was enqueued with.
    pub async fn sources(&self, id: DownloadId) -> Result<Vec<Source>, StorageError> {
        let query = sqlx::query(LOAD).bind(id.get());
        let found = query.fetch_all(self.readers()).await.map_err(read_error)?;
        found.iter().map(source).collect::<Result<_, _>>().map_err(read_error)
    }

    /// Replaces the addresses of a download by `urls`, the preferred one first, and returns the row.
    ///
    /// The first one becomes [`Download::url`]. Total, validator, generation and durable ranges stay as they are, and
    /// so does what is known of an address that was listed before. A worker that holds the row goes on with the
    /// addresses it was given.
    ///
    /// # Errors
    /// [`OperatorError::Sources`] if there is none, one is empty, or one is listed twice; [`OperatorError::NotFound`].
    pub async fn replace_sources(
        &self,
        id: DownloadId,
        urls: &[String],
        now: Timestamp,
    ) -> Result<Download, OperatorError> {
        let urls = urls.to_vec();
        self.write(move |db| Box::pin(async move { replace(db, id, &urls, now).await })).await
    }

    /// Writes down what the worker learnt from a source, and tells whether it is still listed.
    ///
    /// # Errors
    /// [`WorkerError::Fenced`].
    pub async fn report_source(
        &self,
        fence: &Fence,
        url: &str,
        report: &SourceReport,
        now: Timestamp,
    ) -> Result<bool, WorkerError> {
        let (fence, url, report) = (*fence, url.to_owned(), report.clone());
        self.write(move |db| Box::pin(async move { write_report(db, fence, &url, &report, now).await })).await
    }
}

async fn replace(
    db: &mut Session,
    id: DownloadId,
    urls: &[String],
    now: Timestamp,
) -> Result<Download, Fault<OperatorError>> {
    existing(db, id).await?;
    let distinct: BTreeSet<&String> = urls.iter().filter(|url| !url.is_empty()).collect();
    let Some(first) = urls.first().filter(|_| distinct.len() == urls.len()) else {
        return Err(refuse(OperatorError::Sources));
    };
    let before = sqlx::query(LOAD).bind(id.get()).all(db).await?;
    for gone in before.iter().map(source).collect::<Result<Vec<_>, _>>()? {
        if !distinct.contains(&gone.url) {
            sqlx::query(REMOVE).bind(id.get()).bind(gone.url).run(db).await?;
        }
    }
    for (place, url) in (1_i64..).zip(urls) {
        sqlx::query(PUT).bind(id.get()).bind(url).bind(place).bind(now.as_millis()).run(db).await?;
    }
    let row = sqlx::query(PREFER).bind(id.get()).bind(first).bind(now.as_millis()).one(db).await?;
    Ok(rows::download(&row)?)
}

async fn write_report(
    db: &mut Session,
    fence: Fence,
    url: &str,
    report: &SourceReport,
    now: Timestamp,
) -> Result<bool, Fault<WorkerError>> {
    let row = held(db, fence).await?;
    let id = row.id.get();
    let query = match report {
        SourceReport::Answered { validator, supports_ranges } => {
            sqlx::query(ANSWERED).bind(id).bind(url).bind(validator.as_deref()).bind(*supports_ranges)
        }
        SourceReport::Disabled { until, reason } => {
            sqlx::query(DISABLED).bind(id).bind(url).bind(until.as_millis()).bind(reason)
        }
    };
    let changed = query.bind(now.as_millis()).run(db).await?;
    Ok(changed > 0)
}

impl Source {
    /// Tells whether it may be asked at `now`.
    #[must_use]
    pub fn is_usable(&self, now: Timestamp) -> bool {
        self.disabled.as_ref().is_none_or(|(until, _)| *until <= now)
    }
}

fn source(row: &SqliteRow) -> Result<Source, sqlx::Error> {
    let until = rows::moment(row, "disabled_until")?;
    let reason: Option<String> = row.try_get("disabled_reason")?;
    Ok(Source {
        url: row.try_get("url")?,
        validator: row.try_get("validator")?,
        supports_ranges: row.try_get("supports_ranges")?,
        disabled: until.zip(reason),
        updated_at: rows::required_moment(row, "updated_at")?,
    })
}

pub(crate) const LOAD: &str = "SELECT * FROM source WHERE download_id = ?1 ORDER BY n";

const REMOVE: &str = "DELETE FROM source WHERE download_id = ?1 AND url = ?2";

const PUT: &str = "
    INSERT INTO source (download_id, url, n, updated_at) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (download_id, url) DO UPDATE SET n = excluded.n";

const PREFER: &str = "UPDATE download SET url = ?2, updated_at = ?3 WHERE id = ?1 RETURNING *";

const ANSWERED: &str = "
    UPDATE source SET
        validator = coalesce(?3, validator), supports_ranges = coalesce(?4, supports_ranges),
        disabled_until = NULL, disabled_reason = NULL, updated_at = ?5
    WHERE download_id = ?1 AND url = ?2";

const DISABLED: &str = "
    UPDATE source SET disabled_until = ?3, disabled_reason = ?4, updated_at = ?5
    WHERE download_id = ?1 AND url = ?2";
