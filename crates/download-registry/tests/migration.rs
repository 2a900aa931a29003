//! A registry of every released schema is brought up to date, with everything that is in it.
//!
//! `schemas/` holds one dump of each, made by the version that released it.

#![allow(
    clippy::unwrap_used,
    clippy::single_range_in_vec_init,
    reason = "tests; one range is a list of ranges too"
)]

mod common;

use std::{collections::BTreeMap, fs, path::Path};

use common::{LEASE, at, open};
use download_registry::{
    ClaimRequest, Download, DownloadState as S, Layout, ListQuery, Options, Registry, Sort, TotalSource,
};
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection, sqlite::SqliteConnectOptions};

const RELEASED: [(i64, &str); 2] =
    [(1, include_str!("schemas/schema-1.sql")), (2, include_str!("schemas/schema-2.sql"))];

async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await.unwrap()
}

async fn restore(path: &Path, dump: &'static str) {
    let mut db = raw(path).await;
    sqlx::raw_sql(dump).execute(&mut db).await.unwrap();
    db.close().await.unwrap();
}

/// Everything the schema consists of, and the contents of the tables that belong to it.
async fn schema(path: &Path) -> Vec<String> {
    let mut db = raw(path).await;
    let query = "SELECT type || ' ' || name || ': ' || coalesce(sql, '') FROM sqlite_schema
                 WHERE name NOT LIKE 'sqlite_stat%' ORDER BY type, name";
    let mut all: Vec<String> = sqlx::query_scalar(query).fetch_all(&mut db).await.unwrap();
    for pragma in ["PRAGMA user_version", "PRAGMA application_id", "PRAGMA auto_vacuum"] {
        let value: i64 = sqlx::query_scalar(pragma).fetch_one(&mut db).await.unwrap();
        all.push(format!("{pragma} = {value}"));
    }
    for words in
        ["SELECT name FROM download_state", "SELECT name FROM total_source", "SELECT name FROM layout"]
    {
        let mut rows = sqlx::query(words).fetch_all(&mut db).await.unwrap();
        rows.sort_by_key(|row| row.get::<String, _>(0));
        all.extend(rows.iter().map(|row| format!("{words}: {}", row.get::<String, _>(0))));
    }
    db.close().await.unwrap();
    // White space at the end of a statement depends on how it was written down.
    all.iter().map(|line| line.trim_end().to_owned()).collect()
}

async fn rows(registry: &Registry) -> BTreeMap<String, Download> {
    let query = ListQuery { sort: Sort::Oldest, limit: 1000, ..ListQuery::default() };
    let rows = registry.list(&query).await.unwrap().items;
    rows.into_iter().map(|row| (row.item.clone().unwrap_or_default(), row)).collect()
}

#[tokio::test]
async fn every_released_schema_becomes_the_one_a_new_registry_has() {
    let new = open().await;
    let path = new.registry.path().to_owned();
    new.registry.close().await;
    let expected = schema(&path).await;
    for (version, dump) in RELEASED {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("registry.db");
        restore(&path, dump).await;
        let registry = Registry::open(&path, &Options::default()).await.unwrap();
        assert_eq!(registry.check().await.unwrap(), [""; 0], "schema {version}");
        registry.close().await;
        assert_eq!(schema(&path).await, expected, "schema {version}");
    }
}

#[tokio::test]
async fn every_row_of_a_released_schema_is_there_afterwards_and_goes_on() {
    for (version, dump) in RELEASED {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("registry.db");
        restore(&path, dump).await;
        let registry = Registry::open(&path, &Options::default()).await.unwrap();
        let rows = rows(&registry).await;
        let states: Vec<_> =
            rows.values().map(|row| (row.item.as_deref().unwrap_or(""), row.state)).collect();
        let expected = [
            ("", S::Queued),
            ("cancelled", S::Cancelled),
            ("downloading", S::Downloading),
            ("failed", S::Failed),
            ("finalizing", S::Finalizing),
            ("import-queued", S::ImportQueued),
            ("imported", S::Imported),
            ("paused", S::Paused),
            ("published", S::Completed),
            ("waiting", S::Waiting),
        ];
        assert_eq!(states, expected, "schema {version}");
        for row in rows.values() {
            let sources = registry.sources(row.id).await.unwrap();
            assert_eq!(sources.iter().map(|source| &source.url).collect::<Vec<_>>(), [&row.url]);
            assert!(!registry.transitions(row.id, 100).await.unwrap().is_empty());
        }
        let waiting = &rows["waiting"];
        assert_eq!((waiting.layout, waiting.attempts, waiting.retry_at), (Layout::Map, 1, Some(at(60_000))));
        assert_eq!(waiting.identity.total.unwrap().source, TotalSource::ContentRange);
        assert_eq!(registry.ranges(waiting.id).await.unwrap(), [0..10, 50..60]);
        let restarted = rows["downloading"].last_restart.clone().unwrap().0;
        assert_eq!((restarted.reason.as_str(), restarted.discarded), ("validator_changed", 30));
        assert_eq!(rows[""].digests.sha256, Some([7; 32]));
        assert_eq!(rows["paused"].priority.get(), 5);
        assert!(registry.record("peer", "bob").await.unwrap().unwrap().contains("bob.example"));
        assert!(registry.transitions_after(0, 0).await.unwrap().complete);

        // The process that held the leases is gone; a new one goes on where it was.
        let recovered = registry.recover("worker", at(100), LEASE).await.unwrap();
        assert_eq!(recovered.requeued, [rows["downloading"].id]);
        let done = registry.finish(&recovered.finalizing[0].fence, at(101)).await.unwrap();
        assert_eq!((done.id, done.state), (rows["finalizing"].id, S::Completed));
        let ask = ClaimRequest { owner: "worker", now: at(102), lease_for: LEASE, exclude_peers: &[] };
        let claim = registry.claim_next(&ask).await.unwrap().unwrap();
        assert_eq!((claim.download.id, claim.download.durable), (rows["downloading"].id, 20));
        assert_eq!(registry.check().await.unwrap(), [""; 0]);
        registry.close().await;
    }
}

#[tokio::test]
async fn the_copy_from_before_is_the_registry_as_it_was() {
    for (version, dump) in RELEASED {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("registry.db");
        restore(&path, dump).await;
        let before = schema(&path).await;
        let registry = Registry::open(&path, &Options::default()).await.unwrap();
        let after = rows(&registry).await;
        registry.close().await;

        let copy = dir.path().join(format!("registry.db.schema-{version}.bak"));
        assert_eq!(schema(&copy).await, before);
        // Put in its place, it is a registry of the old version, which a new one brings up to date once more.
        fs::rename(&copy, &path).unwrap();
        let registry = Registry::open(&path, &Options::default()).await.unwrap();
        assert_eq!(rows(&registry).await, after);
        registry.close().await;
    }
}
