//! Who takes a download: whom it names, or the first whose rule matches, or nobody.

use serde_json::json;

use crate::arr::FakeArr;
use crate::support::{DOWNLOADS, offer_as};
use crate::{before_importers, film_for};

#[tokio::test]
async fn films_go_to_radarr_and_episodes_to_sonarr() {
    let (radarr, sonarr) = (FakeArr::radarr().await, FakeArr::sonarr().await);
    let (peer, home) = film_for(&radarr, json!({})).await;
    offer_as(&peer, "episode", "Show.S01E02.mkv", 8, 1000);
    let mut series = sonarr.config();
    series["when"] = json!({ "names": ["*S[0-9][0-9]E[0-9]*"] });
    let films = json!({ "names": ["*.20[0-9][0-9].*"], "peers": ["b*"] });
    let home = home.with(json!({ "import": { "radarr": { "when": films }, "sonarr": series } }));
    let daemon = home.start().await;
    let (film, episode) = (daemon.add("bob", "film").await, daemon.add("bob", "episode").await);
    for id in [film, episode] {
        daemon.until(id, "was imported", |row| row["state"] == "imported").await;
    }
    let paths = |arr: &FakeArr| arr.commands().into_iter().map(|given| given.path).collect::<Vec<_>>();
    assert_eq!(paths(&radarr), [home.completed("Film.2024.mkv").to_str().unwrap()]);
    assert_eq!(paths(&sonarr), [home.completed("Show.S01E02.mkv").to_str().unwrap()]);
}

#[tokio::test]
async fn what_two_would_take_goes_to_the_first_by_name_alone() {
    let (radarr, sonarr) = (FakeArr::radarr().await, FakeArr::sonarr().await);
    let (_peer, home) = film_for(&radarr, json!({})).await;
    let home = home.with(json!({ "import": { "sonarr": sonarr.config() } }));
    let daemon = home.start().await;
    let id = daemon.add("bob", "film").await;
    daemon.until(id, "was imported", |row| row["state"] == "imported").await;
    assert_eq!((radarr.tries(), sonarr.receiver().calls().len()), (1, 0));
}

#[tokio::test]
async fn a_download_may_name_its_importer_or_none() {
    let (radarr, sonarr) = (FakeArr::radarr().await, FakeArr::sonarr().await);
    let (peer, home) = film_for(&radarr, json!({})).await;
    for item in ["a", "b", "c"] {
        offer_as(&peer, item, &format!("{item}.mkv"), 8, 100);
    }
    let mut series = sonarr.config();
    series["when"] = json!({ "peers": [] });
    let home = home.with(json!({ "import": { "sonarr": series } }));
    let daemon = home.start().await;
    let named = daemon.add_with(json!({ "peer": "bob", "item": "a", "import": "sonarr" })).await;
    let row = daemon.until(named, "was imported", |row| row["state"] == "imported").await;
    assert_eq!(row["import"]["target"], "sonarr");
    let nobody = daemon.add_with(json!({ "peer": "bob", "item": "b", "import": "none" })).await;
    let row = daemon.until_state(nobody, "completed").await;
    assert_eq!(row["import"], json!(null));
    let refused = daemon.post(DOWNLOADS, &json!({ "peer": "bob", "item": "c", "import": "lidarr" })).await;
    assert_eq!((refused.status, &refused.json()["field"]), (422, &json!("import")), "{refused:?}");
    let told = daemon.cli(["add", "bob/c", "--import", "sonarr"]).await.expect_code(0);
    let id = told.stdout.trim().parse().expect("an id");
    daemon.until(id, "was imported", |row| row["state"] == "imported").await;
    assert_eq!(radarr.tries(), 0);
    assert_eq!(sonarr.tries(), 2);
}

#[tokio::test]
async fn what_was_finished_before_there_was_an_importer_is_not_handed_over_later() {
    let radarr = FakeArr::radarr().await;
    let (peer, home) = film_for(&radarr, json!({})).await;
    offer_as(&peer, "new", "New.2025.mkv", 8, 100);
    let before = before_importers(&home);
    let daemon = home.start_with(&before).await;
    let old = daemon.add("bob", "film").await;
    daemon.until_state(old, "completed").await;
    daemon.terminate().await;
    let daemon = home.start().await;
    let new = daemon.add("bob", "new").await;
    daemon.until(new, "was imported", |row| row["state"] == "imported").await;
    assert_eq!(daemon.row(old).await["state"], "completed");
    assert_eq!(radarr.tries(), 1);
}
