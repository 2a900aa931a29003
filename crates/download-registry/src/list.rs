//! Looking at downloads: one, a page of many, or how many there are.

use std::{collections::BTreeMap, fmt, str::FromStr};

use sqlx::{QueryBuilder, Sqlite};
use thiserror::Error;

use crate::{
    Cursor, CursorError, Download, DownloadId, DownloadState, Registry, StorageError, UnknownWord,
    registry::read_error, rows, step::FIND,
};

/// Which downloads to list, and in which order.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    /// Only these states; empty means all.
    pub states: Vec<DownloadState>,
    /// Only this peer.
    pub peer: Option<String>,
    /// Only rows whose file name, item, peer or URL contains this text, in any case (ASCII).
    pub text: Option<String>,
    /// The order.
    pub sort: Sort,
    /// Where the page before ended.
    pub cursor: Option<Cursor>,
    /// Rows on a page, 1 to 1,000; 0 means 100.
    pub limit: u32,
}

/// The order of a list. Rows that are equal in it follow each other by number, so that no page loses one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Sort {
    /// Last enqueued first.
    #[default]
    Newest,
    /// First enqueued first.
    Oldest,
    /// By priority, then oldest first: the order in which the rows of a peer are served.
    Queue,
    /// By file name, A to Z in any case; rows without one first.
    Name,
    /// Last changed first.
    Updated,
    /// Largest first; rows of unknown size last.
    Size,
}

/// One page of a list.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Page {
    /// The rows.
    pub items: Vec<Download>,
    /// Where the next page starts, if there may be one.
    pub next: Option<Cursor>,
}

/// Why a list was not made.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum ListError {
    /// The cursor belongs to a list in another order.
    #[error(transparent)]
    Cursor(#[from] CursorError),
    /// The database refused.
    #[error("cannot list downloads")]
    Storage(#[from] StorageError),
}

impl Registry {
    /// Returns one row, or `None` if there is no such download.
    pub async fn get(&self, id: DownloadId) -> Result<Option<Download>, StorageError> {
        let query = sqlx::query(FIND).bind(id.get());
        let row = query.fetch_optional(self.readers()).await.map_err(read_error)?;
        row.as_ref().map(rows::download).transpose().map_err(read_error)
    }

    /// Returns the latest row that fetched this item of this peer, whatever became of it.
    pub async fn latest_for_item(&self, peer: &str, item: &str) -> Result<Option<Download>, StorageError> {
        let query = sqlx::query(LATEST_FOR_ITEM);
        let row = query.bind(peer).bind(item).fetch_optional(self.readers()).await.map_err(read_error)?;
        row.as_ref().map(rows::download).transpose().map_err(read_error)
    }

    /// Returns the latest row that was queued for this URL and not for an item of a peer, whatever became of it.
    pub async fn latest_for_url(&self, url: &str) -> Result<Option<Download>, StorageError> {
        let row =
            sqlx::query(LATEST_FOR_URL).bind(url).fetch_optional(self.readers()).await.map_err(read_error)?;
        row.as_ref().map(rows::download).transpose().map_err(read_error)
    }

    /// Returns the latest row that was to publish at this path, whatever became of it.
    pub async fn latest_for_target(&self, target: &str) -> Result<Option<Download>, StorageError> {
        let query = sqlx::query(LATEST_FOR_TARGET);
        let row = query.bind(target).fetch_optional(self.readers()).await.map_err(read_error)?;
        row.as_ref().map(rows::download).transpose().map_err(read_error)
    }

    /// Returns one page of a list.
    ///
    /// # Errors
    /// [`ListError::Cursor`] if the cursor belongs to a list in another order.
    pub async fn list(&self, query: &ListQuery) -> Result<Page, ListError> {
        if query.cursor.as_ref().is_some_and(|cursor| cursor.sort() != query.sort) {
            return Err(CursorError.into());
        }
        let limit = page_length(query);
        let lead = self.lead(query).await.map_err(read_error)?;
        let mut statement = select(query, lead);
        // One more than asked shows whether there is a next page.
        statement.push(" LIMIT ").push_bind(limit + 1);
        let found = statement.build().fetch_all(self.readers()).await.map_err(read_error)?;
        let items: Result<Vec<Download>, _> = found.iter().map(rows::download).collect();
        let mut items = items.map_err(read_error)?;
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = items.last().filter(|_| more).map(|last| Cursor::after(query.sort, last));
        Ok(Page { items, next })
    }

    /// Chooses the index that leads to a page which is filtered and in another order than that of the numbers.
    ///
    /// Walking along the order passes rows that do not fit, all the more the fewer fit; sorting what fits costs as much
    /// as there is of it. With the bound between the two, neither looks at more rows than the square root of rows on a
    /// page times rows in all.
    async fn lead(&self, query: &ListQuery) -> Result<Lead, sqlx::Error> {
        let by_number = matches!(query.sort, Sort::Newest | Sort::Oldest);
        if by_number || (query.states.is_empty() && query.peer.is_none()) {
            return Ok(Lead::Planner);
        }
        let rows: i64 = sqlx::query_scalar(ROWS).fetch_one(self.readers()).await?;
        let many = (i64::from(page_length(query)) * rows).isqrt().max(1);
        for mut count in fitting(query, many) {
            if count.build_query_scalar::<i64>().fetch_one(self.readers()).await? < many {
                return Ok(Lead::Filter);
            }
        }
        Ok(Lead::Order)
    }

    /// Counts the rows in each state; states without rows are there with zero.
    pub async fn counts(&self) -> Result<BTreeMap<DownloadState, u64>, StorageError> {
        let found = sqlx::query(COUNTS).fetch_all(self.readers()).await.map_err(read_error)?;
        let mut counts: BTreeMap<_, _> = DownloadState::ALL.into_iter().map(|state| (state, 0)).collect();
        for row in &found {
            let state = rows::word(row, "state").map_err(read_error)?;
            counts.insert(state, rows::number(row, "n").map_err(read_error)?);
        }
        Ok(counts)
    }
}

/// Rows on a page.
fn page_length(query: &ListQuery) -> u32 {
    if query.limit == 0 { DEFAULT_LIMIT } else { query.limit.min(MAX_LIMIT) }
}

/// Which index leads to the rows of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lead {
    /// The one the planner takes: it has no bad choice.
    Planner,
    /// That of the order.
    Order,
    /// That of what is asked for; the rows are sorted then.
    Filter,
}

/// Counts the rows each filter lets through, up to `many`.
fn fitting(query: &ListQuery, many: i64) -> Vec<QueryBuilder<Sqlite>> {
    let mut counts = Vec::new();
    if let Some(peer) = &query.peer {
        let mut sql = QueryBuilder::new("SELECT count(*) FROM (SELECT 1 FROM download WHERE peer = ");
        sql.push_bind(peer.clone());
        counts.push(sql);
    }
    if !query.states.is_empty() {
        let mut sql = QueryBuilder::new("SELECT count(*) FROM (SELECT 1 FROM download WHERE ");
        push_states(&mut sql, &query.states);
        counts.push(sql);
    }
    for sql in &mut counts {
        sql.push(" LIMIT ").push_bind(many).push(")");
    }
    counts
}

fn push_states(sql: &mut QueryBuilder<Sqlite>, states: &[DownloadState]) {
    sql.push("state IN (");
    let mut list = sql.separated(", ");
    for state in states {
        list.push_bind(state.as_str());
    }
    sql.push(")");
}

/// Puts a statement together from constants; everything a caller said is bound.
pub(crate) fn select(query: &ListQuery, lead: Lead) -> QueryBuilder<Sqlite> {
    // A sign in front of a column keeps the planner from its index.
    let (filter, ordering) = match lead {
        Lead::Planner => ("", ""),
        Lead::Order => ("+", ""),
        Lead::Filter => ("", "+"),
    };
    let mut sql = QueryBuilder::new("SELECT * FROM download WHERE true");
    if let Some(states) = merged(query) {
        push_merged(&mut sql, query, states);
    } else if !query.states.is_empty() {
        sql.push(" AND ").push(filter);
        push_states(&mut sql, &query.states);
    }
    if let Some(peer) = &query.peer {
        sql.push(" AND ").push(filter).push("peer = ").push_bind(peer.clone());
    }
    if let Some(text) = &query.text {
        let pattern = like_pattern(text);
        sql.push(" AND (");
        for (n, column) in ["filename", "item", "peer", "url"].into_iter().enumerate() {
            sql.push(if n == 0 { "" } else { " OR " }).push(column).push(" LIKE ");
            sql.push_bind(pattern.clone()).push(" ESCAPE '\\'");
        }
        sql.push(")");
    }
    let (key, descending, id_descending) = query.sort.columns();
    let from = |descending| if descending { " <= " } else { " >= " };
    let after = |descending| if descending { " < " } else { " > " };
    if let Some(cursor) = &query.cursor {
        if key != "id" {
            // Said twice, so that the index is entered at the place where the page before ended.
            sql.push(" AND ").push(ordering).push(key).push(from(descending));
            cursor.bind_key(&mut sql);
            sql.push(" AND (").push(key).push(after(descending));
            cursor.bind_key(&mut sql);
            sql.push(" OR id").push(after(id_descending)).push_bind(cursor.id()).push(")");
        } else {
            sql.push(" AND id").push(after(id_descending)).push_bind(cursor.id());
        }
    }
    let order = |descending| if descending { " DESC" } else { " ASC" };
    sql.push(" ORDER BY ").push(ordering).push(key).push(order(descending));
    if key != "id" {
        sql.push(", id").push(order(id_descending));
    }
    sql
}

/// Several states by number: an index has the rows of each in that order, so the page is put together from the first
/// rows of each, however many rows are in other states. For a filter that could reject these, that would not do.
fn merged(query: &ListQuery) -> Option<&[DownloadState]> {
    let by_number = matches!(query.sort, Sort::Newest | Sort::Oldest);
    (by_number && query.states.len() > 1 && query.peer.is_none() && query.text.is_none())
        .then_some(&query.states)
}

fn push_merged(sql: &mut QueryBuilder<Sqlite>, query: &ListQuery, states: &[DownloadState]) {
    let (after, order) = if query.sort == Sort::Newest { (" < ", " DESC") } else { (" > ", " ASC") };
    sql.push(" AND id IN (");
    for (n, state) in states.iter().enumerate() {
        sql.push(if n == 0 { "" } else { " UNION ALL " });
        sql.push("SELECT id FROM (SELECT id FROM download WHERE state = ").push_bind(state.as_str());
        if let Some(cursor) = &query.cursor {
            sql.push(" AND id").push(after).push_bind(cursor.id());
        }
        sql.push(" ORDER BY id").push(order).push(" LIMIT ").push_bind(page_length(query) + 1).push(")");
    }
    sql.push(")");
}

/// Finds `text` anywhere, taking its wildcards as what they are.
fn like_pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

impl Sort {
    /// Every order.
    pub const ALL: [Self; 6] =
        [Self::Newest, Self::Oldest, Self::Queue, Self::Name, Self::Updated, Self::Size];

    /// Returns the word people use for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::Oldest => "oldest",
            Self::Queue => "queue",
            Self::Name => "name",
            Self::Updated => "updated",
            Self::Size => "size",
        }
    }

    /// The expression to sort by, whether it falls, and whether numbers fall among equals.
    fn columns(self) -> (&'static str, bool, bool) {
        match self {
            Self::Newest => ("id", true, true),
            Self::Oldest => ("id", false, false),
            Self::Queue => ("priority", true, false),
            Self::Name => ("coalesce(filename, '') COLLATE NOCASE", false, false),
            Self::Updated => ("updated_at", true, true),
            Self::Size => ("coalesce(total, -1)", true, true),
        }
    }
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Sort {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL.into_iter().find(|sort| sort.as_str() == word);
        found.ok_or_else(|| UnknownWord { what: "sort order", word: word.to_owned() })
    }
}

pub(crate) const LATEST_FOR_ITEM: &str =
    "SELECT * FROM download WHERE peer = ?1 AND item = ?2 ORDER BY id DESC LIMIT 1";

pub(crate) const LATEST_FOR_URL: &str =
    "SELECT * FROM download WHERE url = ?1 AND item IS NULL ORDER BY id DESC LIMIT 1";

pub(crate) const LATEST_FOR_TARGET: &str =
    "SELECT * FROM download WHERE target = ?1 ORDER BY id DESC LIMIT 1";

pub(crate) const COUNTS: &str = "SELECT state, n FROM state_count";

const ROWS: &str = "SELECT coalesce(sum(n), 0) FROM state_count";

const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_in_a_search_are_plain_text() {
        assert_eq!(like_pattern(r"100%_\"), r"%100\%\_\\%");
    }
}
