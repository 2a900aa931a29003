//! What was answered survives a kill; what another process holds is seen.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use common::{LEASE, at, new};
use download_registry::{DownloadId, LockError, Options, Registry, StateLock};
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};

const ROLE: &str = "REGISTRY_TEST_ROLE";
const DIR: &str = "REGISTRY_TEST_DIR";

/// Not a test of its own: the body of the processes the tests below start and kill.
#[test]
fn child() {
    let (Ok(role), Ok(dir)) = (std::env::var(ROLE), std::env::var(DIR)) else { return };
    let _lock = StateLock::acquire(&dir).unwrap();
    println!("locked");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    match role.as_str() {
        "write" => runtime.block_on(write_until_killed(Path::new(&dir))),
        "open" => drop(runtime.block_on(open(Path::new(&dir)))),
        _ => {}
    }
    let _ = std::io::stdin().read_line(&mut String::new());
}

async fn open(dir: &Path) -> Registry {
    Registry::open(dir.join("registry.db"), &Options::default()).await.unwrap()
}

/// Enqueues from several tasks at once, so that the kill meets commits that are shared.
async fn write_until_killed(dir: &Path) {
    let registry = open(dir).await;
    let tasks: Vec<_> = (0..4)
        .map(|task| {
            let registry = registry.clone();
            tokio::spawn(async move {
                for n in 0.. {
                    let row = registry.enqueue(&new(&format!("{task}-{n}")), at(n)).await.unwrap();
                    println!("id {}", row.id);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

fn start(role: &str, dir: &Path) -> (Child, impl Iterator<Item = String> + use<>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .env(DIR, dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    (child, lines)
}

#[tokio::test]
async fn a_write_that_was_answered_is_there_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut answered = BTreeSet::new();
    for round in 1..=3 {
        let (mut child, mut lines) = start("write", dir.path());
        let ids = lines.by_ref().filter_map(|line| line.strip_prefix("id ")?.parse::<DownloadId>().ok());
        answered.extend(ids.take(25));
        child.kill().unwrap();
        child.wait().unwrap();

        let _lock = StateLock::acquire(dir.path()).unwrap();
        let registry = open(dir.path()).await;
        for id in &answered {
            assert!(registry.get(*id).await.unwrap().is_some(), "round {round}: {id} was lost");
        }
        assert!(registry.check().await.unwrap().is_empty());
        // Makes room for the next round's rows of the same names.
        while let Some(claim) = registry
            .claim_next(&download_registry::ClaimRequest {
                owner: "t",
                now: at(0),
                lease_for: LEASE,
                exclude_peers: &[],
            })
            .await
            .unwrap()
        {
            registry.cancel(claim.fence.id(), at(0)).await.unwrap();
        }
        registry.close().await;
    }
    assert_eq!(answered.len(), 75);
}

#[tokio::test]
async fn a_kill_while_the_schema_changes_leaves_the_old_one_or_the_new_one() {
    for moment in ["registry.db.schema-1.bak.new", "registry.db.schema-1.bak"] {
        let dir = tempfile::tempdir().unwrap();
        let options =
            SqliteConnectOptions::new().filename(dir.path().join("registry.db")).create_if_missing(true);
        let mut db = options.connect().await.unwrap();
        sqlx::raw_sql(include_str!("schemas/schema-1.sql")).execute(&mut db).await.unwrap();
        db.close().await.unwrap();

        let (mut child, _lines) = start("open", dir.path());
        while !dir.path().join(moment).exists() && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let registry = open(dir.path()).await;
        assert_eq!(registry.list(&Default::default()).await.unwrap().items.len(), 10, "{moment}");
        assert!(registry.check().await.unwrap().is_empty(), "{moment}");
        registry.close().await;
    }
}

#[test]
fn a_directory_another_process_works_in_is_refused_until_that_process_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let (mut child, mut lines) = start("hold", dir.path());
    assert!(lines.any(|line| line.ends_with("locked")));

    let refused = StateLock::acquire(dir.path()).unwrap_err();
    assert!(
        matches!(&refused, LockError::Held { pid: Some(pid), path } if *pid == child.id() && path.starts_with(dir.path())),
        "{refused:?}"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    StateLock::acquire(dir.path()).unwrap();
}
