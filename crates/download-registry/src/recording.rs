//! Durable ranges of many workers, recorded together.
//!
//! This is the write a busy daemon makes most often, so it is made with two statements' worth of trips to the database
//! however many workers wait: one look at all rows and ranges concerned, a decision in memory, and one change of
//! everything that grew.

use std::{collections::BTreeMap, fmt::Write, future::Future, ops::Range, pin::Pin};

use sqlx::{
    AssertSqlSafe, Row, Sqlite,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};
use tokio::sync::oneshot;

use crate::{
    Fence, StorageError, Timestamp, WorkerError,
    command::{Answer, Command},
    rows,
    session::{Session, Through},
};

/// One worker's ranges, and who waits for them to be recorded.
pub(crate) struct Recording {
    fence: Fence,
    generation: u64,
    ranges: Vec<Range<u64>>,
    now: Timestamp,
    answer: Answer<u64, WorkerError>,
}

impl Recording {
    pub(crate) fn new(
        fence: Fence,
        generation: u64,
        ranges: Vec<Range<u64>>,
        now: Timestamp,
        reply: oneshot::Sender<Result<u64, WorkerError>>,
    ) -> Self {
        Self { fence, generation, ranges, now, answer: Answer::new(reply) }
    }
}

impl Command for Recording {
    fn run<'a>(&'a mut self, db: &'a mut Session) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(async move {
            let recorded = record(db, &mut [&mut *self]).await;
            if let Err(error) = recorded {
                self.answer.outcome = Some(Err(error.into()));
            }
            matches!(self.answer.outcome, Some(Ok(_)))
        })
    }

    fn settle(self: Box<Self>, committed: Result<(), StorageError>) {
        self.answer.settle(committed);
    }

    fn recording(&mut self) -> Option<&mut Recording> {
        Some(self)
    }
}

/// Records what may be recorded, and keeps for each recording what came of it. Refused ones change nothing.
///
/// # Errors
/// The database failed: nothing came of any of them, and what was done is to be undone.
pub(crate) async fn record(db: &mut Session, wanted: &mut [&mut Recording]) -> Result<(), StorageError> {
    let mut facts = look(db, wanted).await.map_err(|error| StorageError::from_sqlx(&error))?;
    let outcomes: Vec<_> = wanted.iter().map(|recording| facts.add(recording)).collect();
    let growth = facts.growth();
    if let Some(growth) = growth {
        let write = together(&[GO, COME, GROW]).bind(growth.gone).bind(growth.new).bind(growth.rows);
        write.run(db.last()).await.map_err(|error| StorageError::from_sqlx(&error))?;
    }
    for (recording, outcome) in wanted.iter_mut().zip(outcomes) {
        recording.answer.outcome = Some(outcome);
    }
    Ok(())
}

/// What the database says about the rows concerned, and about their ranges that touch a new one.
#[derive(Debug, Default)]
struct Facts {
    rows: BTreeMap<i64, Known>,
    /// By row and first byte, the end; and whether the database has it.
    ranges: BTreeMap<(i64, u64), (u64, bool)>,
    /// What the database has and is to lose: it became part of a longer one.
    gone: Vec<(i64, u64)>,
}

#[derive(Debug)]
struct Known {
    epoch: u64,
    held: bool,
    generation: u64,
    total: Option<u64>,
    durable: u64,
    /// When something was recorded just now.
    changed: Option<Timestamp>,
}

/// The change to make, as lists in JSON: one parameter for any number of rows.
struct Growth {
    gone: String,
    new: String,
    rows: String,
}

async fn look(db: &mut Session, wanted: &[&mut Recording]) -> Result<Facts, sqlx::Error> {
    let (mut ids, mut asked) = (List::default(), List::default());
    for recording in wanted {
        let id = recording.fence.id().get();
        ids.push(&[id]);
        for range in &recording.ranges {
            // One that the table cannot hold is refused further on.
            if let (Ok(start), Ok(end)) = (i64::try_from(range.start), i64::try_from(range.end)) {
                asked.push(&[id, start, end]);
            }
        }
    }
    let mut facts = Facts::default();
    for row in &together(&[LOOK_ROWS, LOOK_RANGES]).bind(ids.text()).bind(asked.text()).all(db).await? {
        facts.learn(row)?;
    }
    Ok(facts)
}

/// Several statements that travel together.
fn together(statements: &[&str]) -> Query<'static, Sqlite, SqliteArguments> {
    sqlx::query(AssertSqlSafe(statements.join(";")))
}

impl Facts {
    fn learn(&mut self, row: &SqliteRow) -> Result<(), sqlx::Error> {
        let id = row.try_get("id")?;
        if row.len() == RANGE_COLUMNS {
            let range = rows::range(row)?;
            self.ranges.insert((id, range.start), (range.end, true));
            return Ok(());
        }
        let known = Known {
            epoch: rows::number(row, "lease_epoch")?,
            held: row.try_get("held")?,
            generation: rows::number(row, "generation")?,
            total: rows::maybe_number(row, "total")?,
            durable: rows::number(row, "durable")?,
            changed: None,
        };
        self.rows.insert(id, known);
        Ok(())
    }

    /// Adds one worker's ranges, all or none, and returns how many bytes of its row are durable then.
    fn add(&mut self, wanted: &Recording) -> Result<u64, WorkerError> {
        let id = wanted.fence.id().get();
        let row = self.rows.get(&id).filter(|row| row.held && row.epoch == wanted.fence.epoch());
        let Known { generation, total, durable, .. } = *row.ok_or_else(|| wanted.fence.refusal())?;
        if generation != wanted.generation {
            return Err(WorkerError::StaleGeneration { asked: wanted.generation, current: generation });
        }
        for range in &wanted.ranges {
            if range.is_empty() || total.is_some_and(|total| range.end > total) {
                return Err(WorkerError::OutOfBounds { start: range.start, end: range.end, total });
            }
            rows::stored(range.end)?;
        }
        let grown: u64 = wanted.ranges.iter().map(|range| self.union(id, range)).sum();
        let durable = durable + grown;
        if let Some(row) = self.rows.get_mut(&id) {
            (row.durable, row.changed) = (durable, Some(wanted.now));
        }
        Ok(durable)
    }

    /// Adds one range to those of its row and returns how many bytes that added.
    fn union(&mut self, id: i64, range: &Range<u64>) -> u64 {
        let mut hull = range.clone();
        let mut before = 0;
        // They lie apart: the first one from behind that does not reach the new one is the last to look at.
        let below = self.ranges.range((id, 0)..=(id, range.end)).rev();
        let touching: Vec<_> = below
            .map(|(&(_, start), &(end, stored))| (start, end, stored))
            .take_while(|(_, end, _)| *end >= range.start)
            .collect();
        if let [(start, end, _)] = touching[..]
            && start <= range.start
            && range.end <= end
        {
            return 0;
        }
        for (start, end, stored) in touching {
            before += end - start;
            hull = hull.start.min(start)..hull.end.max(end);
            self.ranges.remove(&(id, start));
            if stored {
                self.gone.push((id, start));
            }
        }
        self.ranges.insert((id, hull.start), (hull.end, false));
        (hull.end - hull.start) - before
    }

    /// Tells what is to be changed, if anything is.
    fn growth(&self) -> Option<Growth> {
        let (mut gone, mut new, mut rows) = (List::default(), List::default(), List::default());
        for (&id, row) in &self.rows {
            if let Some(at) = row.changed {
                rows.push(&[id, row.durable.cast_signed(), at.as_millis()]);
            }
        }
        for &(id, start) in &self.gone {
            gone.push(&[id, start.cast_signed()]);
        }
        for (&(id, start), &(end, stored)) in &self.ranges {
            if !stored {
                new.push(&[id, start.cast_signed(), end.cast_signed()]);
            }
        }
        if rows.0.is_empty() {
            return None;
        }
        Some(Growth { gone: gone.text(), new: new.text(), rows: rows.text() })
    }
}

/// Rows of numbers on their way to `json_each`.
#[derive(Default)]
struct List(String);

impl List {
    fn push(&mut self, numbers: &[i64]) {
        for (n, number) in numbers.iter().enumerate() {
            let opening = match (n, self.0.is_empty()) {
                (0, true) => "[[",
                (0, false) => ",[",
                _ => ",",
            };
            let _ = write!(self.0, "{opening}{number}");
        }
        self.0.push(']');
    }

    fn text(mut self) -> String {
        self.0.push_str(if self.0.is_empty() { "[]" } else { "]" });
        self.0
    }
}

/// Columns of the second question; the first has more.
const RANGE_COLUMNS: usize = 3;

pub(crate) const LOOK_ROWS: &str = "
    SELECT id, lease_epoch, lease_owner IS NOT NULL AS held, generation, total, durable FROM download
    WHERE id IN (SELECT value ->> 0 FROM json_each(?1))";

// Recorded ranges lie apart, so of those that begin at or before a new one only the last can reach it: the search
// begins at that row and not at the first of the download.
pub(crate) const LOOK_RANGES: &str = "
    SELECT stored.download_id AS id, stored.start_at, stored.end_at
    FROM json_each(?2) AS asked
    CROSS JOIN download_range AS stored ON stored.download_id = asked.value ->> 0
        AND stored.start_at <= asked.value ->> 2 AND stored.end_at >= asked.value ->> 1
        AND stored.start_at >= coalesce(
            (SELECT max(start_at) FROM download_range
             WHERE download_id = asked.value ->> 0 AND start_at <= asked.value ->> 1), asked.value ->> 1)";

pub(crate) const GO: &str = "
    DELETE FROM download_range
    WHERE (download_id, start_at) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?1))";

pub(crate) const COME: &str = "
    INSERT INTO download_range (download_id, start_at, end_at)
    SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?2)";

pub(crate) const GROW: &str = "
    UPDATE download SET durable = grown.durable, updated_at = grown.at
    FROM (SELECT value ->> 0 AS id, value ->> 1 AS durable, value ->> 2 AS at FROM json_each(?3)) AS grown
    WHERE download.id = grown.id";
