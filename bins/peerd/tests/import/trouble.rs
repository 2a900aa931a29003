//! Importers that are away, overloaded, broken, or hostile.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::arr::FakeArr;
use crate::support::{DOWNLOADS, Receiver, Reply, offer_as};
use crate::{before_importers, film_for};

#[tokio::test]
async fn an_importer_that_is_overloaded_or_broken_is_told_again() {
    let radarr = FakeArr::radarr().await;
    radarr.refuse([500, 503, 429, 502].map(Reply::status));
    let (_peer, home) = film_for(&radarr, json!({})).await;
    let daemon = home.start().await;
    let id = daemon.add("bob", "film").await;
    daemon.until(id, "was imported", |row| row["state"] == "imported").await;
    assert_eq!((radarr.tries(), radarr.commands().len()), (5, 1));
    daemon.until_metric("peerd_imports_total{target=\"radarr\",result=\"retried\"}", 4.0).await;
}

#[tokio::test]
async fn an_importer_that_says_no_is_not_asked_again_until_somebody_wants_it() {
    for (status, said) in
        [(400, "Path does not exist"), (401, "the key"), (404, "NotFound"), (302, "another address")]
    {
        let radarr = FakeArr::radarr().await;
        let refusal = Reply { status, ..Reply::json(&json!({ "message": said })) };
        radarr.refuse([refusal.header("location", "http://127.0.0.1:1/api/v3/command")]);
        let (_peer, home) = film_for(&radarr, json!({})).await;
        let daemon = home.start().await;
        let id = daemon.add("bob", "film").await;
        let row = daemon.until(id, "was given up", |row| row["import"]["state"] == "failed").await;
        assert_eq!(row["state"], "completed", "the file is whole all the same");
        let reason = row["import"]["reason"].as_str().expect("a reason");
        assert!(reason.starts_with("radarr ") && reason.contains(said), "{status}: {reason}");
        assert_eq!(radarr.tries(), 1, "{status}");
        daemon.until_metric("peerd_imports_total{target=\"radarr\",result=\"failed\"}", 1.0).await;

        daemon.cli(["import", "retry", &id.to_string()]).await.expect_code(0);
        daemon.until(id, "was imported", |row| row["state"] == "imported").await;
        assert_eq!(radarr.tries(), 2);
    }
}

#[tokio::test]
async fn an_importer_that_is_away_is_waited_for() {
    let radarr = FakeArr::radarr().await;
    let (_peer, home) = film_for(&radarr, json!({})).await;
    radarr.receiver().go_away();
    let daemon = home.start().await;
    let id = daemon.add("bob", "film").await;
    let waits = |row: &Value| row["import"]["attempts"].as_u64() > Some(2);
    let row = daemon.until(id, "waited", waits).await;
    assert_eq!(row["state"], "import_queued");
    assert!(row["import"]["reason"].as_str().expect("a reason").contains("cannot be reached"), "{row:#}");
    assert!(row["import"]["retry_at"].is_string(), "{row:#}");
    radarr.receiver().come_back().await;
    daemon.until(id, "was imported", |row| row["state"] == "imported").await;
    assert_eq!(radarr.tries(), 1);
}

#[tokio::test]
async fn a_command_that_fails_is_given_again_and_at_last_no_more() {
    let radarr = FakeArr::radarr().await;
    radarr.commands_are("failed", Some("the film folder\nis missing"));
    let fast = json!({ "downloads": { "retry_failed_every": "20ms" } });
    let (_peer, home) = film_for(&radarr, fast).await;
    let daemon = home.start().await;
    let id = daemon.add("bob", "film").await;
    let row = daemon.until(id, "was given up", |row| row["import"]["state"] == "failed").await;
    let reason = row["import"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("the command failed: the film folder is missing"), "{reason}");
    assert_eq!(radarr.commands().len(), 12, "an importer that cannot is left in peace");
    assert_eq!(row["state"], "completed");
}

#[tokio::test]
async fn an_import_that_never_comes_to_an_end_is_given_up() {
    let radarr = FakeArr::radarr().await;
    radarr.take_nothing();
    let short = json!({ "downloads": { "give_up_after": "1s" } });
    let (_peer, home) = film_for(&radarr, short).await;
    let daemon = home.start().await;
    let id = daemon.add("bob", "film").await;
    let row = daemon.until(id, "was given up", |row| row["import"]["state"] == "failed").await;
    assert!(row["import"]["reason"].as_str().expect("a reason").contains("history"), "{row:#}");
    assert_eq!(radarr.commands().len(), 1);
    assert!(home.completed("Film.2024.mkv").exists());
}

#[tokio::test]
async fn hostile_answers_are_errors_and_nothing_more() {
    let huge = || Reply::text(vec![b' '; 9 << 20]);
    for (reply, said) in [
        (Reply::text("<html>log in</html>"), "cannot be read"),
        (Reply::text(r#"{"id": "seven"}"#), "cannot be read"),
        (Reply::text(json!({ "id": "seven".repeat(100_000) }).to_string()), "cannot be read"),
        (Reply::text("[]"), "cannot be read"),
        (huge(), "longer than 8 MiB"),
        (Reply::nothing(), "no whole answer"),
    ] {
        let radarr = FakeArr::radarr().await;
        radarr.keep_commands_secret();
        radarr.refuse([reply]);
        let (_peer, home) =
            film_for(&radarr, json!({ "downloads": { "retry_base": "1s", "retry_max": "1s" } })).await;
        let daemon = home.start().await;
        let id = daemon.add("bob", "film").await;
        let why = |line: &Value| match line["message"] == "the import is tried again" {
            true => line["reason"].as_str().map(str::to_owned),
            false => None,
        };
        let reason = daemon.log.wait_for("why it is tried again", why).await;
        assert!(reason.contains(said) && reason.len() < 200, "{said}: {reason}");
        daemon.until(id, "was imported", |row| row["state"] == "imported").await;
    }
}

#[tokio::test]
async fn the_key_is_not_sent_where_a_redirect_leads() {
    let radarr = FakeArr::radarr().await;
    let thief = Receiver::willing().await;
    radarr.refuse(
        [307, 308].map(|status| Reply::status(status).header("location", thief.url("/api/v3/command"))),
    );
    let (_peer, home) = film_for(&radarr, json!({})).await;
    let daemon = home.start().await;
    let id = daemon.add("bob", "film").await;
    daemon.until(id, "was given up", |row| row["import"]["state"] == "failed").await;
    assert_eq!(thief.calls().len(), 0);
}

#[tokio::test]
async fn a_row_deleted_while_its_importer_thinks_is_gone() {
    let radarr = FakeArr::radarr().await;
    let release = Arc::new(Notify::new());
    radarr.refuse([Reply::status(500).held(&release)]);
    let (_peer, home) = film_for(&radarr, json!({})).await;
    let daemon = home.start().await;
    let id = daemon.add("bob", "film").await;
    radarr.until_tries(1).await;
    assert_eq!(daemon.delete(id, "").await.status, 204);
    release.notify_one();
    let done = crate::support::eventually(async || {
        let imports = daemon.get("/api/v1/imports").await.json();
        (imports["imports"][0]["waiting"] == 0).then_some(())
    });
    assert_eq!(done.await, Some(()), "{}", daemon.log.tail());
    assert_eq!(daemon.get(&format!("{DOWNLOADS}/{id}")).await.status, 404);
    assert_eq!(radarr.tries(), 1);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_an_importer() {
    let radarr = FakeArr::radarr().await;
    let never = Arc::new(Notify::new());
    radarr.refuse([Reply::status(200).held(&never)]);
    let (_peer, home) = film_for(&radarr, json!({ "server": { "shutdown_grace": "55s" } })).await;
    let daemon = home.start().await;
    let id = daemon.add("bob", "film").await;
    radarr.until_tries(1).await;
    let (status, log) = daemon.terminate().await;
    assert!(status.success(), "{}", log.tail());
    let daemon = home.start().await;
    daemon.until(id, "was imported", |row| row["state"] == "imported").await;
    assert_eq!(radarr.commands().len(), 1);
}

#[tokio::test]
async fn many_files_wait_for_an_importer_that_is_away_and_each_is_handed_over_once() {
    let radarr = FakeArr::radarr().await;
    let (peer, home) = film_for(&radarr, json!({})).await;
    let items: Vec<_> = (0..20).map(|n| format!("film{n}")).collect();
    for item in &items {
        offer_as(&peer, item, &format!("{item}.2024.mkv"), 9, 500);
    }
    radarr.receiver().go_away();
    let daemon = home.start().await;
    let mut ids = Vec::new();
    for item in &items {
        ids.push(daemon.add("bob", item).await);
    }
    for id in &ids {
        daemon.until(*id, "waited", |row| row["import"]["attempts"].as_u64() > Some(0)).await;
    }
    radarr.receiver().come_back().await;
    for id in &ids {
        daemon.until(*id, "was imported", |row| row["state"] == "imported").await;
    }
    let mut paths: Vec<_> = radarr.commands().into_iter().map(|given| given.path).collect();
    paths.sort();
    paths.dedup();
    assert_eq!((paths.len(), radarr.tries()), (20, 20));
}

#[tokio::test]
async fn a_row_whose_importer_is_not_configured_any_more_says_so() {
    let radarr = FakeArr::radarr().await;
    radarr.take_nothing();
    let (_peer, home) = film_for(&radarr, json!({})).await;
    let daemon = home.start().await;
    let id = daemon.add("bob", "film").await;
    daemon.until(id, "waited for the history", |row| row["import"]["state"] == "confirming").await;
    daemon.kill().await;
    let renamed = json!({ "import": { "films": radarr.config(), "radarr": null } });
    let home = home.with(renamed);
    let daemon = home.start().await;
    let row = daemon.until(id, "was given up", |row| row["import"]["state"] == "failed").await;
    assert_eq!(row["import"]["reason"], "no importer is called radarr any more");
    radarr.took(home.completed("Film.2024.mkv"), 0);
    daemon.cli(["import", "retry", &id.to_string()]).await.expect_code(0);
    let row = daemon.until(id, "was imported", |row| row["state"] == "imported").await;
    assert_eq!(row["import"]["target"], "films");
}

#[tokio::test]
async fn without_any_importer_left_a_row_that_waited_for_one_says_so() {
    let radarr = FakeArr::radarr().await;
    radarr.take_nothing();
    let (_peer, home) = film_for(&radarr, json!({})).await;
    let before = before_importers(&home);
    let daemon = home.start().await;
    let id = daemon.add("bob", "film").await;
    daemon.until(id, "waited for the history", |row| row["import"]["state"] == "confirming").await;
    daemon.kill().await;
    let daemon = home.start_with(&before).await;
    let row = daemon.until(id, "was given up", |row| row["import"]["state"] == "failed").await;
    assert_eq!(row["import"]["reason"], "no importer is called radarr any more");
    assert_eq!(row["state"], "completed");
}

#[tokio::test]
async fn a_file_that_is_moved_before_the_history_says_so_counts_once_it_does() {
    let radarr = FakeArr::radarr().await;
    let (_peer, home) = film_for(&radarr, json!({ "downloads": { "retry_max": "1s" } })).await;
    radarr.receiver().go_away();
    let daemon = home.start().await;
    let id = daemon.add("bob", "film").await;
    daemon.until(id, "waited", |row| row["import"]["attempts"].as_u64() > Some(0)).await;
    std::fs::remove_file(home.completed("Film.2024.mkv")).unwrap();
    away_once_more(&radarr).await;
    let missed = |row: &Value| row["import"]["reason"].as_str().is_some_and(|why| why.contains("not there"));
    let row = daemon.until(id, "was missed", missed).await;
    assert_eq!(row["state"], "import_queued");
    radarr.took(home.completed("Film.2024.mkv"), 0);
    daemon.until(id, "was imported", |row| row["state"] == "imported").await;
    assert!(radarr.commands().is_empty());
}

/// Comes back, and refuses the one command that may be on its way since before the file went.
async fn away_once_more(radarr: &FakeArr) {
    radarr.refuse([Reply::status(503)]);
    radarr.receiver().come_back().await;
}

#[tokio::test]
async fn a_file_that_is_gone_for_good_is_given_up_in_the_end() {
    let radarr = FakeArr::radarr().await;
    let (_peer, home) = film_for(&radarr, json!({})).await;
    radarr.receiver().go_away();
    let daemon = home.start().await;
    let id = daemon.add("bob", "film").await;
    daemon.until(id, "waited", |row| row["import"]["attempts"].as_u64() > Some(0)).await;
    std::fs::remove_file(home.completed("Film.2024.mkv")).unwrap();
    away_once_more(&radarr).await;
    let row = daemon.until(id, "was given up", |row| row["import"]["state"] == "failed").await;
    assert!(row["import"]["reason"].as_str().expect("a reason").contains("not there any more"), "{row:#}");
}

#[tokio::test]
async fn a_disk_that_is_not_mounted_fails_no_import() {
    let radarr = FakeArr::radarr().await;
    let (_peer, home) = film_for(&radarr, json!({})).await;
    radarr.receiver().go_away();
    let daemon = home.start().await;
    let id = daemon.add("bob", "film").await;
    daemon.until(id, "waited", |row| row["import"]["attempts"].as_u64() > Some(0)).await;
    std::fs::rename(home.path("completed"), home.path("unmounted")).unwrap();
    away_once_more(&radarr).await;
    let tries = |row: &Value| {
        let why = row["import"]["reason"].as_str().unwrap_or_default();
        why.contains("is its disk mounted?") && row["import"]["attempts"].as_u64() > Some(20)
    };
    daemon.until(id, "waited for its disk", tries).await;
    std::fs::rename(home.path("unmounted"), home.path("completed")).unwrap();
    daemon.until(id, "was imported", |row| row["state"] == "imported").await;
}
