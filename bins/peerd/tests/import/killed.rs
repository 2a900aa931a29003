//! SIGKILL at every step: the next process knows what the last one was about to do.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::arr::FakeArr;
use crate::support::{Reply, with_registry};
use crate::{before_importers, film_for};

/// Waits for a stage of the import, as the row shows it.
fn is(stage: &'static str) -> impl Fn(&Value) -> bool {
    move |row| row["import"]["state"] == stage
}

#[tokio::test]
async fn killed_before_the_command_was_taken_it_is_given_by_the_next_process() {
    let radarr = FakeArr::radarr().await;
    let never = Arc::new(Notify::new());
    radarr.refuse([Reply::nothing().held(&never)]);
    let (_peer, home) = film_for(&radarr, json!({})).await;
    let daemon = home.start().await;
    let id = daemon.add("bob", "film").await;
    daemon.until(id, "was being told", is("sending")).await;
    radarr.until_tries(1).await;
    daemon.kill().await;
    let daemon = home.start().await;
    daemon.until(id, "was imported", |row| row["state"] == "imported").await;
    assert_eq!((radarr.tries(), radarr.commands().len()), (2, 1));
}

#[tokio::test]
async fn killed_before_the_answer_to_a_command_that_ran_it_is_not_given_twice() {
    let radarr = FakeArr::radarr().await;
    let never = Arc::new(Notify::new());
    // The command runs, and nobody hears of it.
    radarr.refuse([Reply::nothing().held(&never)]);
    let (_peer, home) = film_for(&radarr, json!({})).await;
    let daemon = home.start().await;
    let id = daemon.add("bob", "film").await;
    daemon.until(id, "was being told", is("sending")).await;
    radarr.until_tries(1).await;
    radarr.took(home.completed("Film.2024.mkv"), 0);
    daemon.kill().await;
    let daemon = home.start().await;
    daemon.until(id, "was imported", |row| row["state"] == "imported").await;
    assert_eq!(radarr.tries(), 1, "the history shows it");
}

#[tokio::test]
async fn killed_before_the_answer_to_a_command_that_runs_it_is_taken_up_there() {
    let radarr = FakeArr::radarr().await;
    radarr.commands_are("started", None);
    let (_peer, home) = film_for(&radarr, json!({})).await;
    let daemon = home.start().await;
    let id = daemon.add("bob", "film").await;
    daemon.until(id, "was running", is("running")).await;
    daemon.kill().await;
    // As it was a moment earlier: on its way, and no number known.
    let row = with_registry(&home, async |registry| {
        let id = download_registry::DownloadId::new(id.cast_signed());
        let row = registry.get(id).await.unwrap().unwrap();
        let mut note: Value = serde_json::from_str(row.import_state.as_deref().unwrap()).unwrap();
        (note["stage"], note["command_id"]) = (json!("sending"), json!(null));
        registry.set_import_state(id, &note.to_string(), row.updated_at).await.unwrap()
    });
    assert!(row.await.import_state.is_some());
    let daemon = home.start().await;
    daemon.until(id, "was running", is("running")).await;
    radarr.took(home.completed("Film.2024.mkv"), 0);
    radarr.commands_are("completed", None);
    daemon.until(id, "was imported", |row| row["state"] == "imported").await;
    assert_eq!(radarr.tries(), 1);
}

#[tokio::test]
async fn killed_while_the_command_runs_or_waits_for_confirmation_it_is_followed_to_its_end() {
    let radarr = FakeArr::radarr().await;
    radarr.commands_are("started", None);
    radarr.take_nothing();
    let (_peer, home) = film_for(&radarr, json!({ "downloads": { "unlink_after_import": true } })).await;
    let daemon = home.start().await;
    let id = daemon.add("bob", "film").await;
    daemon.until(id, "was running", is("running")).await;
    daemon.kill().await;
    let daemon = home.start().await;
    let row = daemon.until(id, "was running", is("running")).await;
    assert_eq!(row["state"], "import_queued");
    radarr.commands_are("completed", None);
    daemon.until(id, "waited for the history", is("confirming")).await;
    daemon.kill().await;
    radarr.took(home.completed("Film.2024.mkv"), 0);
    let daemon = home.start().await;
    daemon.until(id, "was imported", |row| row["state"] == "imported").await;
    assert_eq!(radarr.tries(), 1);
    assert!(!home.completed("Film.2024.mkv").exists());
}

#[tokio::test]
async fn killed_between_the_confirmation_and_the_end_our_copy_still_goes() {
    let radarr = FakeArr::radarr().await;
    radarr.take_nothing();
    let (_peer, home) = film_for(&radarr, json!({ "downloads": { "unlink_after_import": true } })).await;
    let daemon = home.start().await;
    let id = daemon.add("bob", "film").await;
    daemon.until(id, "waited for the history", is("confirming")).await;
    daemon.kill().await;
    with_registry(&home, async |registry| {
        let id = download_registry::DownloadId::new(id.cast_signed());
        let row = registry.get(id).await.unwrap().unwrap();
        let mut note: Value = serde_json::from_str(row.import_state.as_deref().unwrap()).unwrap();
        (note["stage"], note["confirmed"]) = (json!("confirmed"), json!(true));
        registry.set_import_state(id, &note.to_string(), row.updated_at).await.unwrap()
    })
    .await;
    let daemon = home.start().await;
    daemon.until(id, "was imported", |row| row["state"] == "imported").await;
    assert!(!home.completed("Film.2024.mkv").exists());
}

#[tokio::test]
async fn killed_between_the_rename_and_the_routing_the_film_is_handed_over_by_the_next_process() {
    let radarr = FakeArr::radarr().await;
    let (_peer, home) = film_for(&radarr, json!({})).await;
    // A row that is published and that nobody has looked at: by a daemon that knows no importer.
    let before = before_importers(&home);
    let daemon = home.start_with(&before).await;
    let id = daemon.add("bob", "film").await;
    daemon.until_state(id, "completed").await;
    daemon.kill().await;
    with_registry(&home, async |registry| {
        let log =
            registry.transitions(download_registry::DownloadId::new(id.cast_signed()), 100).await.unwrap();
        let published = log.iter().find(|entry| entry.event == "published").expect("an entry");
        registry.put_record("import", "log", &(published.seq - 1).to_string(), published.at).await.unwrap();
    })
    .await;
    let daemon = home.start().await;
    daemon.until(id, "was imported", |row| row["state"] == "imported").await;
    assert_eq!(radarr.commands().len(), 1);
}

#[tokio::test]
async fn a_time_that_was_named_is_waited_for_by_the_next_process_as_well() {
    let radarr = FakeArr::radarr().await;
    radarr.refuse([Reply::status(429).header("retry-after", "3600")]);
    let (_peer, home) = film_for(&radarr, json!({})).await;
    let daemon = home.start().await;
    let id = daemon.add("bob", "film").await;
    let due = |row: &Value| row["import"]["retry_at"].is_string();
    let before = daemon.until(id, "had a time", due).await;
    daemon.kill().await;
    let daemon = home.start().await;
    let after = daemon.row(id).await;
    assert_eq!(after["import"]["retry_at"], before["import"]["retry_at"]);
    assert_eq!(radarr.tries(), 1);
    // Somebody who cannot wait says so.
    daemon.cli(["import", "retry", &id.to_string()]).await.expect_code(0);
    daemon.until(id, "was imported", |row| row["state"] == "imported").await;
}
