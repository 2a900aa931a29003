//! How the database means to answer what is asked often: by an index, and without sorting what it finds.
//!
//! Asked of an empty registry and of one with a few thousand rows and statistics about them, for the planner changes
//! its mind with what it knows.

use sqlx::{AssertSqlSafe, Row};

use crate::{
    Cursor, DownloadState, ListQuery, NewDownload, Registry, Sort, StorageError, Timestamp, claim, history,
    list::{self, Lead},
    operator, parts, ranges, recording, recovery, retention,
    session::Through,
    sources, step,
};

/// Statements, and what must be in the plan of each.
const STATEMENTS: &[(&str, &[&str])] = &[
    (
        claim::CLAIM,
        &[
            "SEARCH download USING COVERING INDEX download_lane (peer>?)",
            "SEARCH download USING COVERING INDEX download_lane (peer=?)",
            "SEARCH next USING INTEGER PRIMARY KEY (rowid=?)",
            "SCAN busy USING INDEX download_lease",
            "SEARCH download USING INTEGER PRIMARY KEY (rowid=?)",
        ],
    ),
    (claim::CLAIM_ONE, &["SEARCH download USING INTEGER PRIMARY KEY (rowid=?)"]),
    (claim::NEXT_DUE, &["SEARCH download USING COVERING INDEX download_due (retry_at>?)"]),
    (claim::RENEW, &["SEARCH download USING INTEGER PRIMARY KEY (rowid=?)"]),
    (step::STEP, &["SEARCH download USING INTEGER PRIMARY KEY (rowid=?)"]),
    (
        step::CONFLICT,
        &[
            "SEARCH download USING INDEX download_live_target (target=?)",
            "SEARCH download USING INDEX download_live_part (part=?)",
            "SEARCH download USING INDEX download_live_item (peer=? AND item=?)",
        ],
    ),
    (ranges::LOAD, &["SEARCH download_range USING PRIMARY KEY (download_id=?)"]),
    (
        ranges::TAKE_OVERLAPPING,
        &["SEARCH download_range USING PRIMARY KEY (download_id=? AND start_at>? AND start_at<?)"],
    ),
    (recovery::LOST, &["SCAN download USING INDEX download_lease"]),
    (recovery::DUE, &["SEARCH download USING INDEX download_due (retry_at<?)"]),
    (operator::HURRY, &["SEARCH download USING INDEX download_lane (peer=?)"]),
    (retention::PRUNE, &["SEARCH download USING INDEX download_finished (updated_at<?)"]),
    (sources::LOAD, &["SEARCH source USING PRIMARY KEY (download_id=?)"]),
    (history::ATTEMPTS, &["SEARCH attempt USING PRIMARY KEY (download_id=?)"]),
    (history::TRANSITIONS, &["SEARCH transition USING INDEX transition_by_download (download_id=?)"]),
    (history::AFTER, &["SEARCH transition USING INTEGER PRIMARY KEY (rowid>?)"]),
    (list::LATEST_FOR_ITEM, &["SEARCH download USING INDEX download_by_item (peer=? AND item=?)"]),
    (list::LATEST_FOR_TARGET, &["SEARCH download USING INDEX download_by_target (target=?)"]),
    (parts::BEGUN, &["SCAN download USING INDEX download_begun"]),
    (parts::AT, &["SEARCH download USING INDEX download_by_part (part=?)"]),
    (
        parts::OUTSIDE,
        &[
            "SEARCH download USING INDEX download_by_part (part<?)",
            "SEARCH download USING INDEX download_by_part (part>?)",
        ],
    ),
    (list::COUNTS, &["SCAN state_count"]),
    (list::LATEST_FOR_URL, &["SEARCH download USING INDEX download_by_url (url=?)"]),
    (recording::LOOK_ROWS, &["SEARCH download USING INTEGER PRIMARY KEY (rowid=?)"]),
    (
        recording::LOOK_RANGES,
        &["SEARCH stored USING PRIMARY KEY (download_id=? AND start_at>? AND start_at<?)"],
    ),
    (recording::GO, &["SEARCH download_range USING PRIMARY KEY (download_id=? AND start_at=?)"]),
    (recording::GROW, &["SEARCH download USING INTEGER PRIMARY KEY (rowid=?)"]),
    ("SELECT * FROM download WHERE id = ?1", &["SEARCH download USING INTEGER PRIMARY KEY (rowid=?)"]),
];

/// Few rows are sorted where these are asked: the heads of the lanes, the rows on lease, the sources of one row.
const SORTED: [&str; 3] = [claim::CLAIM, recovery::LOST, sources::LOAD];

#[tokio::test]
async fn what_is_asked_often_is_found_by_an_index() {
    let (_dir, registry) = open().await;
    for knowledge in ["empty", "full"] {
        if knowledge == "full" {
            fill(&registry).await.unwrap();
        }
        for &(statement, expected) in STATEMENTS {
            let plan = plan(&registry, statement).await;
            for step in expected {
                assert!(
                    plan.iter().any(|line| line == step),
                    "{knowledge}: {step} of {statement}: {plan:#?}"
                );
            }
            let sorts = plan.iter().any(|line| line.contains("TEMP B-TREE"));
            assert!(!sorts || SORTED.contains(&statement), "{knowledge}: {statement}: {plan:#?}");
            let scans =
                plan.iter().filter(|line| line.starts_with("SCAN download") && !line.contains("INDEX"));
            assert_eq!(scans.count(), 0, "{knowledge}: {statement}: {plan:#?}");
        }
    }
}

#[tokio::test]
async fn every_page_of_every_order_begins_in_an_index_and_sorts_nothing() {
    let (_dir, registry) = open().await;
    let new = NewDownload { url: "https://example.org/".to_owned(), ..NewDownload::default() };
    let row = registry.enqueue(&new, Timestamp::from_millis(0)).await.unwrap();
    for knowledge in ["empty", "full"] {
        if knowledge == "full" {
            fill(&registry).await.unwrap();
        }
        for (sort, first, next) in [
            (Sort::Newest, "SCAN download", "SEARCH download USING INTEGER PRIMARY KEY (rowid<?)"),
            (Sort::Oldest, "SCAN download", "SEARCH download USING INTEGER PRIMARY KEY (rowid>?)"),
            (
                Sort::Queue,
                "SCAN download USING INDEX download_by_priority",
                "download_by_priority (priority<?)",
            ),
            (Sort::Name, "SCAN download USING INDEX download_by_name", "download_by_name (<expr>>?)"),
            (
                Sort::Updated,
                "SCAN download USING INDEX download_by_update",
                "download_by_update (updated_at<?)",
            ),
            (Sort::Size, "SCAN download USING INDEX download_by_size", "download_by_size (<expr><?)"),
        ] {
            let plan = page_plan(&registry, ListQuery { sort, ..ListQuery::default() }).await;
            assert_eq!(plan, [first], "{knowledge}: {sort}");
            let cursor = Some(Cursor::after(sort, &row));
            let plan = page_plan(&registry, ListQuery { sort, cursor, ..ListQuery::default() }).await;
            assert!(plan.len() == 1 && plan[0].ends_with(next), "{knowledge}: {sort}: {plan:?}");
        }
        let failed = ListQuery { states: vec![DownloadState::Failed], ..ListQuery::default() };
        let plan = page_plan(&registry, failed).await;
        assert_eq!(plan, ["SEARCH download USING INDEX download_by_state (state=?)"], "{knowledge}");
    }
}

#[tokio::test]
async fn a_page_of_several_states_or_of_one_peer_passes_no_row_of_another() {
    let (_dir, registry) = open().await;
    let new = NewDownload { url: "https://example.org/".to_owned(), ..NewDownload::default() };
    let row = registry.enqueue(&new, Timestamp::from_millis(0)).await.unwrap();
    for knowledge in ["empty", "full"] {
        if knowledge == "full" {
            fill(&registry).await.unwrap();
        }
        for sort in [Sort::Newest, Sort::Oldest] {
            for cursor in [None, Some(Cursor::after(sort, &row))] {
                let states = vec![DownloadState::Failed, DownloadState::Queued];
                let query = ListQuery { states, sort, cursor: cursor.clone(), ..ListQuery::default() };
                let plan = page_plan(&registry, query).await;
                let found = |step: &str| plan.iter().filter(|line| line.contains(step)).count();
                assert_eq!(found("download_by_state (state=?"), 2, "{knowledge}: {plan:#?}");
                assert_eq!(found("INTEGER PRIMARY KEY (rowid=?"), 1, "{knowledge}: {plan:#?}");
                assert_eq!(found("SCAN download"), 0, "{knowledge}: {plan:#?}");

                let peer = Some("peer 1".to_owned());
                let plan =
                    page_plan(&registry, ListQuery { peer, sort, cursor, ..ListQuery::default() }).await;
                assert!(
                    plan.len() == 1 && plan[0].contains("INDEX download_by_peer (peer=?"),
                    "{knowledge}: {plan:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_filtered_page_in_another_order_is_led_by_the_index_that_was_chosen() {
    let (_dir, registry) = open().await;
    let new = NewDownload { url: "https://example.org/".to_owned(), ..NewDownload::default() };
    let row = registry.enqueue(&new, Timestamp::from_millis(0)).await.unwrap();
    for knowledge in ["empty", "full"] {
        if knowledge == "full" {
            fill(&registry).await.unwrap();
        }
        for (sort, index) in [
            (Sort::Queue, "download_by_priority"),
            (Sort::Name, "download_by_name"),
            (Sort::Updated, "download_by_update"),
            (Sort::Size, "download_by_size"),
        ] {
            for cursor in [None, Some(Cursor::after(sort, &row))] {
                let states = vec![DownloadState::Failed, DownloadState::Queued];
                let of_states = ListQuery { states, sort, cursor: cursor.clone(), ..ListQuery::default() };
                let peer = Some("peer 1".to_owned());
                let of_peer = ListQuery { peer, sort, cursor, ..ListQuery::default() };
                for (query, filter) in [(of_states, "download_by_state"), (of_peer, "download_by_peer")] {
                    let along = led_plan(&registry, query.clone(), Lead::Order).await;
                    assert!(along.len() == 1 && along[0].contains(index), "{knowledge}: {sort}: {along:?}");
                    let sorted = led_plan(&registry, query, Lead::Filter).await;
                    assert!(sorted[0].contains(filter), "{knowledge}: {sort}: {sorted:?}");
                }
            }
        }
    }
}

async fn open() -> (tempfile::TempDir, Registry) {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::open(dir.path().join("registry.db"), &Default::default()).await.unwrap();
    (dir, registry)
}

async fn page_plan(registry: &Registry, query: ListQuery) -> Vec<String> {
    led_plan(registry, query, Lead::Planner).await
}

async fn led_plan(registry: &Registry, query: ListQuery, lead: Lead) -> Vec<String> {
    let mut statement = list::select(&query, lead);
    statement.push(" LIMIT 100");
    plan(registry, statement.sql().as_str()).await
}

async fn plan(registry: &Registry, statement: &str) -> Vec<String> {
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
    let plan = sqlx::query(explain).fetch_all(registry.readers()).await.unwrap();
    plan.iter().map(|row| row.get("detail")).collect()
}

/// A few thousand rows as a busy registry has them, and statistics about them.
async fn fill(registry: &Registry) -> Result<(), StorageError> {
    registry
        .write(|db| {
            Box::pin(async move {
                sqlx::query(FILL).run(db).await?;
                Ok(())
            })
        })
        .await
}

const FILL: &str = "
    WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 3000)
    INSERT INTO download (peer, item, url, filename, target, part, state, last_event, retry_at, created_at, updated_at)
    SELECT 'peer ' || (n % 3), 'item ' || n, 'https://example.org/' || n, 'name ' || n, '/data/' || n,
           '/part/' || n, CASE n % 5 WHEN 0 THEN 'failed' WHEN 1 THEN 'waiting' WHEN 2 THEN 'cancelled' ELSE 'queued' END,
           'enqueued', CASE WHEN n % 5 < 2 THEN n END, 0, n
    FROM n;
    UPDATE download SET state = 'downloading', lease_owner = 'me', lease_until = 1, retry_at = NULL
    WHERE state = 'queued' AND id % 700 = 3;
    INSERT INTO download_range SELECT id, 0, 10 FROM download;
    ANALYZE;";
