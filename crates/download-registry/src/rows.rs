//! Rows of the tables ↔ our types, in one place.

use std::{ops::Range, str::FromStr};

use sqlx::{Row, sqlite::SqliteRow};

use crate::{
    Digests, Download, DownloadId, Identity, Lease, Priority, Problem, Restart, StorageError, Timestamp,
    Total,
};

/// Reads a row of `download`.
pub(crate) fn download(row: &SqliteRow) -> Result<Download, sqlx::Error> {
    Ok(Download {
        id: DownloadId::new(row.try_get("id")?),
        peer: row.try_get("peer")?,
        item: row.try_get("item")?,
        url: row.try_get("url")?,
        filename: row.try_get("filename")?,
        target: row.try_get("target")?,
        part: row.try_get("part")?,
        state: word(row, "state")?,
        retryable: row.try_get("retryable")?,
        priority: Priority::new(row.try_get("priority")?).map_err(|error| decode("priority", error))?,
        identity: identity(row)?,
        generation: number(row, "generation")?,
        layout: word(row, "layout")?,
        durable: number(row, "durable")?,
        attempts: number(row, "attempts")?,
        attempts_mark: number(row, "attempts_mark")?,
        restarts: number(row, "restarts")?,
        last_restart: last_restart(row)?,
        retry_at: moment(row, "retry_at")?,
        limit_down: maybe_number(row, "limit_down")?,
        import: row.try_get("import")?,
        import_state: row.try_get("import_state")?,
        error: problem(row)?,
        digests: Digests { sha256: digest(row, "sha256")?, blake3: digest(row, "blake3")? },
        lease: lease(row)?,
        lease_epoch: number(row, "lease_epoch")?,
        created_at: required_moment(row, "created_at")?,
        updated_at: required_moment(row, "updated_at")?,
        completed_at: moment(row, "completed_at")?,
    })
}

/// Reads the identity columns of a row of `download`.
pub(crate) fn identity(row: &SqliteRow) -> Result<Identity, sqlx::Error> {
    let total = match maybe_number(row, "total")? {
        Some(bytes) => Some(Total { bytes, source: word(row, "total_source")? }),
        None => None,
    };
    Ok(Identity { total, validator: row.try_get("validator")? })
}

/// Reads a row of `download_range`.
pub(crate) fn range(row: &SqliteRow) -> Result<Range<u64>, sqlx::Error> {
    Ok(number(row, "start_at")?..number(row, "end_at")?)
}

/// Reads a number that our types know to be unsigned, of any width.
pub(crate) fn number<N: TryFrom<i64>>(row: &SqliteRow, column: &'static str) -> Result<N, sqlx::Error>
where
    N::Error: std::error::Error + Send + Sync + 'static,
{
    N::try_from(row.try_get::<i64, _>(column)?).map_err(|error| decode(column, error))
}

/// Reads a number that may be missing.
pub(crate) fn maybe_number<N: TryFrom<i64>>(
    row: &SqliteRow,
    column: &'static str,
) -> Result<Option<N>, sqlx::Error>
where
    N::Error: std::error::Error + Send + Sync + 'static,
{
    let value: Option<i64> = row.try_get(column)?;
    value.map(N::try_from).transpose().map_err(|error| decode(column, error))
}

/// Reads a word of one of our vocabularies.
pub(crate) fn word<W: FromStr>(row: &SqliteRow, column: &'static str) -> Result<W, sqlx::Error>
where
    W::Err: std::error::Error + Send + Sync + 'static,
{
    row.try_get::<&str, _>(column)?.parse().map_err(|error| decode(column, error))
}

/// Reads a moment that is always there.
pub(crate) fn required_moment(row: &SqliteRow, column: &'static str) -> Result<Timestamp, sqlx::Error> {
    Ok(Timestamp::from_millis(row.try_get(column)?))
}

/// Reads a moment that may be missing.
pub(crate) fn moment(row: &SqliteRow, column: &'static str) -> Result<Option<Timestamp>, sqlx::Error> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_millis))
}

/// Turns one of our numbers into one the table can hold.
pub(crate) fn stored(value: u64) -> Result<i64, StorageError> {
    i64::try_from(value).map_err(|_| StorageError::out_of_range(value))
}

/// Turns a number that may be missing into one the table can hold.
pub(crate) fn maybe_stored(value: Option<u64>) -> Result<Option<i64>, StorageError> {
    value.map(stored).transpose()
}

/// The identity columns as the table holds them.
pub(crate) struct StoredIdentity<'a> {
    pub(crate) total: Option<i64>,
    pub(crate) source: Option<&'static str>,
    pub(crate) validator: Option<&'a str>,
}

/// Turns an identity into what the table holds of it.
pub(crate) fn stored_identity(identity: &Identity) -> Result<StoredIdentity<'_>, StorageError> {
    Ok(StoredIdentity {
        total: maybe_stored(identity.total.map(|total| total.bytes))?,
        source: identity.total.map(|total| total.source.as_str()),
        validator: identity.validator.as_deref(),
    })
}

fn last_restart(row: &SqliteRow) -> Result<Option<(Restart, Timestamp)>, sqlx::Error> {
    let reason: Option<String> = row.try_get("last_restart_reason")?;
    let at = moment(row, "last_restart_at")?;
    let discarded = maybe_number(row, "last_restart_discarded")?.unwrap_or(0);
    Ok(reason.zip(at).map(|(reason, at)| (Restart { reason, discarded }, at)))
}

fn problem(row: &SqliteRow) -> Result<Option<Problem>, sqlx::Error> {
    let kind: Option<String> = row.try_get("error_kind")?;
    let message: Option<String> = row.try_get("error_message")?;
    Ok(kind.zip(message).map(|(kind, message)| Problem { kind, message }))
}

fn lease(row: &SqliteRow) -> Result<Option<Lease>, sqlx::Error> {
    let owner: Option<String> = row.try_get("lease_owner")?;
    Ok(owner.zip(moment(row, "lease_until")?).map(|(owner, until)| Lease { owner, until }))
}

fn digest(row: &SqliteRow, column: &'static str) -> Result<Option<[u8; 32]>, sqlx::Error> {
    let bytes: Option<&[u8]> = row.try_get(column)?;
    bytes.map(<[u8; 32]>::try_from).transpose().map_err(|error| decode(column, error))
}

fn decode(column: &str, error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: Box::new(error) }
}
