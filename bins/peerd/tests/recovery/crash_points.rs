//! The real daemon, killed at every named step of a download's life.
//!
//! What is held is the database: a trigger of the test makes the daemon's next step last for ever, inside a transaction
//! that never commits. The process is then exactly after the step before it, however fast the machine is, and SIGKILL
//! ends it there. The trigger goes before the next start. The program under test knows nothing of all this.

use std::fs::File;
use std::os::unix::fs::FileExt;

use scripted_peer::{Answer, Gate, assert_same_bytes};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{asked_from, bob, home_of};
use crate::support::{DOWNLOADS, Daemon, Home, MIB, on_record, with_registry};

/// A place to die at.
struct Point {
    name: &'static str,
    /// The step that never comes to an end: a change of a table, and when.
    held: Option<&'static str>,
    /// How the row looks once the step before it is done. It cannot get any further.
    reached: fn(&Value) -> bool,
    /// What the next process asks for, as far as that is certain; `None` when it must not ask at all.
    asks: Option<Asks>,
}

enum Asks {
    FromNothing,
    FromTheRecord,
}

const POINTS: [Point; 7] = [
    Point {
        name: "row created",
        held: Some("UPDATE OF state ON download WHEN NEW.state = 'downloading'"),
        reached: |row| row["state"] == "queued",
        asks: Some(Asks::FromNothing),
    },
    Point {
        name: "lease claimed",
        held: Some("UPDATE OF generation ON download WHEN NEW.generation > OLD.generation"),
        reached: |row| row["state"] == "downloading" && row["validator"].is_null(),
        asks: Some(Asks::FromNothing),
    },
    Point {
        name: "generation begun",
        held: Some("INSERT ON download_range"),
        reached: |row| row["state"] == "downloading" && row["validator"].is_string() && row["durable"] == 0,
        asks: Some(Asks::FromNothing),
    },
    Point {
        name: "first range recorded",
        held: Some("UPDATE OF durable ON download WHEN OLD.durable > 0 AND NEW.durable > OLD.durable"),
        reached: |row| row["state"] == "downloading" && row["durable"].as_u64() > Some(0),
        asks: Some(Asks::FromTheRecord),
    },
    Point {
        name: "last range recorded",
        held: Some("UPDATE OF state ON download WHEN NEW.state = 'finalizing'"),
        reached: |row| row["state"] == "downloading" && row["durable"] == MIB,
        asks: None,
    },
    Point {
        name: "file renamed",
        held: Some("UPDATE OF state ON download WHEN NEW.state = 'completed'"),
        reached: |row| row["state"] == "finalizing" && renamed(row),
        asks: None,
    },
    Point { name: "row completed", held: None, reached: |row| row["state"] == "completed", asks: None },
];

#[tokio::test]
async fn a_daemon_that_dies_at_any_step_finishes_the_same_file_after_the_next_start() {
    for Point { name, held, reached, asks } in POINTS {
        let (peer, path) = bob().await;
        let home = small_steps(home_of(&peer));
        stop_at(&home, held).await;
        let daemon = home.start().await;
        let id = daemon.add("bob", "m").await;
        daemon.until(id, &format!("got to: {name}"), reached).await;
        daemon.kill().await;
        stop_at(&home, None).await;
        let row = on_record(&home, id).await;
        let published =
            row.state.as_str() == "completed" || held.is_some_and(|held| held.contains("'completed'"));
        assert_eq!(home.names("completed").len(), usize::from(published), "{name}: no early name");
        power_cut(&home, row.durable);
        let before = peer.requests(&path).len();

        let daemon = home.start().await;
        daemon.until_state(id, "completed").await;
        whole(&home, &daemon, name).await;
        let expected = match asks {
            Some(Asks::FromNothing) => vec![0],
            Some(Asks::FromTheRecord) => vec![row.durable],
            None => vec![],
        };
        assert_eq!(asked_from(&peer, &path, before), expected, "{name}");
    }
}

#[tokio::test]
async fn a_daemon_that_dies_between_the_seal_and_the_rename_publishes_after_the_next_start() {
    let (peer, path) = bob().await;
    let home = small_steps(home_of(&peer));
    let gate = Gate::closed();
    peer.script(&path, [Answer::hold_at(900_000, &gate)]);
    stop_at(&home, Some("UPDATE OF state ON download WHEN OLD.state = 'finalizing'")).await;
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    gate.parked(1).await;
    // No rename can succeed before the directory is back, and the row cannot say that it failed.
    let (dir, away) = (home.path("completed"), home.path("elsewhere"));
    std::fs::rename(&dir, &away).expect("a directory to move");
    gate.release();
    daemon.until(id, "was sealed", |row| row["state"] == "finalizing").await;
    daemon.kill().await;
    std::fs::rename(&away, &dir).expect("a directory to move back");
    stop_at(&home, None).await;
    assert_eq!(on_record(&home, id).await.state.as_str(), "finalizing");
    assert_eq!(home.names("completed"), [] as [&str; 0]);
    assert_same_bytes(home.part(), 7, MIB);

    let daemon = home.start().await;
    daemon.until_state(id, "completed").await;
    whole(&home, &daemon, "sealed").await;
    assert_eq!(peer.requests(&path).len(), 1);
}

/// One checkpoint comes after another, of a little each.
fn small_steps(home: Home) -> Home {
    home.with(json!({ "downloads": { "checkpoint_bytes": "128KiB" } }))
}

/// One row, one file, and nothing else.
async fn whole(home: &Home, daemon: &Daemon, name: &str) {
    assert_same_bytes(home.completed("m.bin"), 7, MIB);
    assert_eq!(home.names("completed"), ["m.bin"], "{name}");
    assert_eq!(home.names("incomplete"), [] as [&str; 0], "{name}");
    let rows = daemon.get(DOWNLOADS).await.json()["downloads"].take();
    let rows = rows.as_array().expect("a list");
    assert_eq!(rows.len(), 1, "{name}: {rows:#?}");
    assert_eq!((&rows[0]["restarts"], &rows[0]["attempts"]), (&json!(0), &json!(0)), "{name}");
}

fn renamed(row: &Value) -> bool {
    row["target"].as_str().is_some_and(|target| std::path::Path::new(target).exists())
}

/// Overwrites what is in the part file and not on record: a disk without power would not have kept it.
fn power_cut(home: &Home, durable: u64) {
    for name in home.names("incomplete") {
        let part = File::options().write(true).open(home.path("incomplete").join(name)).expect("a part");
        let length = part.metadata().expect("a length").len();
        let lost = usize::try_from(length.saturating_sub(durable)).expect("a small file");
        part.write_all_at(&vec![0xAA; lost], durable).expect("room");
    }
}

/// Makes the daemon's next step of this kind last for ever; `None` lifts that. The daemon must not run.
async fn stop_at(home: &Home, step: Option<&str>) {
    with_registry(home, async |_| ()).await;
    let options = SqliteConnectOptions::new().filename(home.state().join("peerd.db"));
    let mut db: SqliteConnection = options.connect().await.expect("a database");
    let clear = "DROP TRIGGER IF EXISTS stop_here; DROP VIEW IF EXISTS for_ever;";
    let set = step.map(|step| {
        format!(
            "CREATE VIEW for_ever AS
                 WITH RECURSIVE again(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM again) SELECT count(*) AS n FROM again;
             CREATE TRIGGER stop_here BEFORE {step} BEGIN SELECT n FROM for_ever; END;"
        )
    });
    let script = AssertSqlSafe(format!("{clear} {}", set.unwrap_or_default()));
    sqlx::raw_sql(script).execute(&mut db).await.expect("a trigger");
    db.close().await.expect("a database to close");
}
