//! What the history of an importer proves.

use std::time::Duration;

use download_registry::Timestamp;
use retry_kit::{Clock, SharedClock};

use super::arr::{Arr, ArrError, Record};
use super::{date, path_map};

/// What an importer took, as far back as it was asked.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    /// The paths files were taken from, and when, by the importer's clock.
    files: Vec<(String, Timestamp)>,
    /// What has to be added to its times to get ours, in milliseconds.
    ahead: i64,
}

impl Taken {
    /// Reads the history back to `since` (our time).
    pub(super) async fn read(arr: &Arr, since: Timestamp, clock: &SharedClock) -> Result<Self, ArrError> {
        let mut taken = Self { files: Vec::new(), ahead: 0 };
        let mut seen = 0;
        for page in 1..=MAX_PAGES {
            let (history, date) = arr.imported(page).await?;
            if let Some(date) = date {
                taken.ahead = Timestamp::from(clock.wall()).as_millis() - Timestamp::from(date).as_millis();
            }
            let oldest = history.records.last().and_then(|record| date::parse(&record.date));
            let enough = oldest.is_some_and(|oldest| taken.ours(oldest) < since.saturating_sub(SLACK));
            seen += history.records.len() as u64;
            taken.files.extend(history.records.iter().filter_map(file));
            if enough || history.records.is_empty() || seen >= history.total_records {
                break;
            }
        }
        Ok(taken)
    }

    /// Whether it took the file at `path`, which is there since `since`.
    ///
    /// An earlier file of the same name may stand in the history as well, so the time counts; its clock is not ours,
    /// so the time is corrected by the difference its own answer shows.
    pub(super) fn shows(&self, path: &str, since: Timestamp) -> bool {
        let since = since.saturating_sub(SLACK);
        self.files.iter().any(|(from, at)| self.ours(*at) >= since && path_map::same(from, path))
    }

    /// A time of the importer by our clock.
    fn ours(&self, theirs: Timestamp) -> Timestamp {
        Timestamp::from_millis(theirs.as_millis().saturating_add(self.ahead))
    }
}

fn file(record: &Record) -> Option<(String, Timestamp)> {
    Some((record.imported_from()?.to_owned(), date::parse(&record.date)?))
}

/// Both their `Date` and the times in the history may be cut to whole seconds.
const SLACK: Duration = Duration::from_secs(2);
const MAX_PAGES: u32 = 50;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn taken(path: &str, date: &str, ahead: i64) -> Taken {
        let record =
            json!({ "eventType": "downloadFolderImported", "date": date, "data": { "droppedPath": path } });
        Taken { files: file(&serde_json::from_value(record).unwrap()).into_iter().collect(), ahead }
    }

    #[test]
    fn an_import_counts_if_it_is_of_this_path_and_not_older_than_the_file() {
        let published = date::parse("2024-05-01T12:00:00.9Z").unwrap();
        let hour = 3_600_000;
        for (path, date, ahead, counts, because) in [
            ("/in/a.mkv", "2024-05-01T12:00:30Z", 0, true, "after it was published"),
            ("/in/a.mkv", "2024-05-01T12:00:00Z", 0, true, "its fraction was cut off"),
            ("/in/b.mkv", "2024-05-01T12:00:30Z", 0, false, "another file"),
            ("/in/a.mkv", "2024-05-01T11:59:00Z", 0, false, "an earlier file of that name"),
            ("/in/a.mkv", "2024-05-01T11:00:30Z", hour, true, "its clock is an hour behind"),
            ("/in/a.mkv", "2024-05-01T12:30:00Z", -hour, false, "its clock is an hour ahead"),
            ("/in/a.mkv", "yesterday", 0, false, "nobody knows when"),
        ] {
            assert_eq!(taken(path, date, ahead).shows("/in/a.mkv", published), counts, "{because}");
        }
    }
}
