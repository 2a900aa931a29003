//! The order of things: whole and in place, told once, followed, confirmed, let go of.

use std::fs;

use serde_json::json;

use crate::arr::{FakeArr, KEY};
use crate::film_for;
use crate::support::{Call, DOWNLOADS, Receiver, Reply, eventually};

#[tokio::test]
async fn radarr_is_told_of_a_film_once_it_is_whole_and_in_place() {
    let radarr = FakeArr::radarr().await;
    let (_peer, home) = film_for(&radarr, json!({})).await;
    let daemon = home.start().await;
    let id = daemon.add("bob", "film").await;
    let row = daemon.until(id, "was imported", |row| row["state"] == "imported").await;
    let commands = radarr.commands();
    assert_eq!(commands.len(), 1, "{commands:?}");
    let path = home.completed("Film.2024.mkv");
    assert_eq!(commands[0].body, json!({ "name": "DownloadedMoviesScan", "path": path }));
    assert_eq!(commands[0].length, Some(1000), "whole, under its final name");
    for call in radarr.receiver().calls() {
        assert_eq!(call.header("x-api-key"), Some(KEY), "{call:?}");
        assert!(!call.query.contains(KEY), "a key in an address ends up in logs");
    }
    let import = &row["import"];
    assert_eq!(
        (&import["target"], &import["state"], &import["command_id"], &import["unlinked"]),
        (&json!("radarr"), &json!("done"), &json!(1), &json!(false)),
        "{import:#}"
    );
    assert!(path.exists(), "our copy stays unless somebody said otherwise");
    daemon.until_metric("peerd_imports_total{target=\"radarr\",result=\"done\"}", 1.0).await;
    assert!(!daemon.log.text().contains(KEY), "no log holds the key");
}

#[tokio::test]
async fn sonarr_gets_its_own_command_with_the_path_it_knows() {
    let sonarr = FakeArr::sonarr().await;
    let (_peer, home) = film_for(&sonarr, json!({})).await;
    let map = json!([
        { "from": home.as_ref(), "to": "/elsewhere" },
        { "from": home.path("completed"), "to": "/mnt/dl" },
    ]);
    let home = home.with(json!({ "import": { "sonarr": { "path_map": map } } }));
    let daemon = home.start().await;
    let id = daemon.add("bob", "film").await;
    daemon.until(id, "was imported", |row| row["state"] == "imported").await;
    let commands = sonarr.commands();
    assert_eq!(
        commands[0].body,
        json!({ "name": "DownloadedEpisodesScan", "path": "/mnt/dl/Film.2024.mkv" })
    );
    assert_eq!(daemon.row(id).await["import"]["path"], "/mnt/dl/Film.2024.mkv");
}

#[tokio::test]
async fn a_command_is_followed_and_a_file_counts_as_imported_once_the_history_shows_it() {
    let radarr = FakeArr::radarr().await;
    radarr.commands_are("started", None);
    let (_peer, home) = film_for(&radarr, json!({})).await;
    // An earlier film of the same name, long before this one.
    radarr.took(home.completed("Film.2024.mkv"), 3600);
    let daemon = home.start().await;
    let id = daemon.add("bob", "film").await;
    let running = daemon.until(id, "was running", |row| row["import"]["state"] == "running").await;
    assert_eq!(running["state"], "import_queued");
    radarr.commands_are("completed", None);
    let waits = daemon.until(id, "waited", |row| !row["import"]["reason"].is_null()).await;
    assert_eq!((&waits["state"], &waits["import"]["state"]), (&json!("import_queued"), &json!("confirming")));
    assert!(waits["import"]["reason"].as_str().expect("a reason").contains("history"), "{waits:#}");
    radarr.took(home.completed("Film.2024.mkv"), 0);
    let row = daemon.until(id, "was imported", |row| row["state"] == "imported").await;
    assert_eq!(row["import"]["reason"], json!(null));
    assert_eq!(radarr.commands().len(), 1, "once");
}

#[tokio::test]
async fn without_confirmation_the_end_of_the_command_is_enough_and_nothing_is_removed() {
    let radarr = FakeArr::radarr().await;
    radarr.take_nothing();
    let (_peer, home) = film_for(
        &radarr,
        json!({ "import": { "radarr": { "confirm": false } }, "downloads": { "unlink_after_import": true } }),
    )
    .await;
    let daemon = home.start().await;
    let id = daemon.add("bob", "film").await;
    daemon.until(id, "was imported", |row| row["state"] == "imported").await;
    assert!(home.completed("Film.2024.mkv").exists(), "nobody has shown that it has the file");
}

#[tokio::test]
async fn our_copy_goes_after_the_confirmation_and_nothing_else_does() {
    let radarr = FakeArr::radarr().await;
    radarr.take_nothing();
    let (_peer, home) = film_for(&radarr, json!({ "downloads": { "unlink_after_import": true } })).await;
    let daemon = home.start().await;
    let (film, neighbour) = (home.completed("Film.2024.mkv"), home.completed("neighbour.mkv"));
    fs::write(&neighbour, "n").unwrap();
    let id = daemon.add("bob", "film").await;
    daemon.until(id, "waited for the history", |row| row["import"]["state"] == "confirming").await;
    assert!(film.exists(), "not before the history shows it");
    radarr.took(&film, 0);
    let row = daemon.until(id, "was imported", |row| row["state"] == "imported").await;
    assert!(!film.exists() && neighbour.exists());
    assert_eq!(row["import"]["unlinked"], true);
}

#[tokio::test]
async fn a_file_that_is_not_the_downloaded_one_any_more_stays() {
    let radarr = FakeArr::radarr().await;
    radarr.take_nothing();
    let (_peer, home) = film_for(&radarr, json!({ "downloads": { "unlink_after_import": true } })).await;
    let daemon = home.start().await;
    let film = home.completed("Film.2024.mkv");
    let id = daemon.add("bob", "film").await;
    daemon.until(id, "waited for the history", |row| row["import"]["state"] == "confirming").await;
    fs::write(&film, "somebody's notes").unwrap();
    radarr.took(&film, 0);
    let row = daemon.until(id, "was imported", |row| row["state"] == "imported").await;
    assert_eq!(fs::read_to_string(&film).unwrap(), "somebody's notes");
    assert!(row["import"]["reason"].as_str().expect("a reason").contains("our copy stays"), "{row:#}");
}

#[tokio::test]
async fn a_file_of_the_same_size_that_took_its_place_stays() {
    let radarr = FakeArr::radarr().await;
    radarr.take_nothing();
    let (_peer, home) = film_for(&radarr, json!({ "downloads": { "unlink_after_import": true } })).await;
    let daemon = home.start().await;
    let film = home.completed("Film.2024.mkv");
    let id = daemon.add("bob", "film").await;
    daemon.until(id, "waited for the history", |row| row["import"]["state"] == "confirming").await;
    fs::write(home.path("better"), [b'x'; 1000]).unwrap();
    fs::rename(home.path("better"), &film).unwrap();
    radarr.took(&film, 0);
    daemon.until(id, "was imported", |row| row["state"] == "imported").await;
    assert_eq!(fs::read(&film).unwrap(), [b'x'; 1000]);
}

#[tokio::test]
async fn nothing_is_told_of_a_download_that_does_not_end_well() {
    let radarr = FakeArr::radarr().await;
    let (peer, home) = film_for(&radarr, json!({})).await;
    peer.script("/peer/items/film/file", [scripted_peer::Answer::status(404)]);
    let daemon = home.start().await;
    let id = daemon.add("bob", "film").await;
    daemon.until_state(id, "failed").await;
    let answer = daemon.post(&format!("{DOWNLOADS}/{id}/import"), &json!({})).await;
    assert_eq!((answer.status, answer.problem().as_str()), (409, "wrong-state"));
    assert_eq!(radarr.receiver().calls().len(), 0);
}

#[tokio::test]
async fn the_hand_off_is_told_as_events_with_our_path_for_programs() {
    let (radarr, listener) = (FakeArr::radarr().await, Receiver::willing().await);
    radarr.refuse([Reply::status(400)]);
    let (_peer, home) = film_for(&radarr, json!({})).await;
    let map = json!([{ "from": home.path("completed"), "to": "/mnt/dl" }]);
    let out = home.path("out");
    let write = format!("echo \"$PEERD_EVENT $PEERD_PATH\" >> {}", out.display());
    let events = json!(["import.queued", "import.failed", "import.done"]);
    let home = home.with(json!({
        "import": { "radarr": { "path_map": map } },
        "hooks": {
            "web": { "url": listener.url("/"), "events": events },
            "program": { "command": ["/bin/sh", "-c", write], "events": events },
        },
    }));
    let daemon = home.start().await;
    let id = daemon.add("bob", "film").await;
    daemon.until(id, "was given up", |row| row["import"]["state"] == "failed").await;
    daemon.cli(["import", "retry", &id.to_string()]).await.expect_code(0);
    daemon.until(id, "was imported", |row| row["state"] == "imported").await;
    let told: Vec<_> = listener.until_calls(4).await.iter().map(Call::json).collect();
    let names: Vec<_> = told.iter().map(|told| told["event"].as_str().expect("a name")).collect();
    assert_eq!(names, ["import.queued", "import.failed", "import.queued", "import.done"]);
    assert!(told.iter().all(|told| told["download_id"] == id && told["target"] == "radarr"), "{told:#?}");
    assert!(told[1]["reason"].as_str().expect("a reason").contains("400"), "{:#}", told[1]);
    assert_eq!((&told[3]["path"], &told[3]["confirmed"]), (&json!("/mnt/dl/Film.2024.mkv"), &json!(true)));
    let lines = eventually(async || {
        let text = fs::read_to_string(&out).unwrap_or_default();
        (text.lines().count() == 4).then_some(text)
    });
    let ours = home.completed("Film.2024.mkv").display().to_string();
    let lines = lines.await.expect("four lines");
    assert!(lines.lines().all(|line| line.ends_with(&ours)), "{lines}");
}
