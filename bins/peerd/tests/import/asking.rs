//! `peerd import` and its routes.

use serde_json::json;

use crate::arr::FakeArr;
use crate::film_for;
use crate::support::{DOWNLOADS, Receiver, Reply};

#[tokio::test]
async fn an_importer_is_asked_who_it_is_and_whether_it_sees_our_files() {
    let radarr = FakeArr::radarr().await;
    let (_peer, home) = film_for(&radarr, json!({})).await;
    let map = |to: &str| json!({ "import": { "radarr": { "path_map": [{ "from": home.path("completed"), "to": to }] } } });
    let (seen, unseen) = (map("/mnt/dl"), map("/mnt/nowhere"));
    let home = home.with(seen);
    let daemon = home.start().await;
    let output = daemon.cli(["import", "test", "radarr"]).await.expect_code(0);
    assert!(output.stdout.contains("Radarr 5.14.0.9383") && output.stdout.contains("/mnt/dl"), "{output:?}");
    let probe = daemon.cli(["import", "test", "radarr", "--json"]).await.expect_code(0).json();
    assert_eq!((&probe["ok"], &probe["path_visible"]), (&json!(true), &json!(true)), "{probe:#}");
    let unknown = daemon.cli(["import", "test", "lidarr"]).await.expect_code(4);
    assert!(unknown.stderr.contains("lidarr") && unknown.stderr.contains("restart"), "{unknown:?}");
    daemon.terminate().await;

    let home = home.with(unseen);
    let daemon = home.start().await;
    let output = daemon.cli(["import", "test", "radarr"]).await.expect_code(1);
    assert!(output.stderr.contains("does not see /mnt/nowhere"), "{output:?}");
}

#[tokio::test]
async fn what_is_wrong_with_an_importer_has_a_code_of_its_own() {
    let (radarr, sonarr) = (FakeArr::radarr().await, FakeArr::sonarr().await);
    let thief = Receiver::start(|_| Reply::status(302).header("location", "http://elsewhere.invalid/")).await;
    let gone = Receiver::willing().await;
    gone.go_away();
    let (_peer, home) = film_for(&radarr, json!({})).await;
    let other = |url: String, key: &str| json!({ "kind": "radarr", "url": url, "key": key });
    let home = home.with(json!({ "import": {
        "key": other(radarr.receiver().url(""), "wrong"),
        "app": other(sonarr.receiver().url(""), crate::arr::KEY),
        "moved": other(thief.url("/base"), "k"),
        "gone": other(gone.url(""), "k"),
    } }));
    let daemon = home.start().await;
    for (name, code, said) in [
        ("key", 77, "refused the key"),
        ("app", 1, "Sonarr answers there, not radarr"),
        ("moved", 1, "another address"),
        ("gone", 69, "cannot be reached"),
    ] {
        let output = daemon.cli(["import", "test", name]).await.expect_code(code);
        assert!(output.stderr.contains(said), "{name}: {output:?}");
    }
    assert_eq!(thief.calls()[0].path, "/base/api/v3/system/status", "its URL base is kept");
}

#[tokio::test]
async fn the_list_shows_importers_and_what_they_have_not_taken() {
    let radarr = FakeArr::radarr().await;
    radarr.take_nothing();
    let (_peer, home) = film_for(&radarr, json!({})).await;
    let daemon = home.start().await;
    let id = daemon.add("bob", "film").await;
    daemon.until(id, "said why", |row| row["import"]["reason"].is_string()).await;
    let importers = daemon.cli(["import", "ls", "--json"]).await.expect_code(0).json();
    let expected = json!([{
        "name": "radarr", "kind": "radarr", "url": radarr.receiver().url(""), "confirm": true, "path_map": [],
        "when": { "peers": ["*"], "names": ["**"] }, "waiting": 1,
    }]);
    assert_eq!(importers, expected, "and no key");
    let text = daemon.cli(["import", "ls"]).await.expect_code(0).stdout;
    assert!(
        text.contains("1 waiting") && text.contains("Film.2024.mkv") && text.contains("confirming"),
        "{text}"
    );
}

#[tokio::test]
async fn a_download_is_handed_over_once_more_to_whom_one_likes() {
    let (radarr, sonarr) = (FakeArr::radarr().await, FakeArr::sonarr().await);
    let (_peer, home) = film_for(&radarr, json!({})).await;
    let home =
        home.with(json!({ "import": { "sonarr": sonarr.config(), "radarr": { "when": { "peers": [] } } } }));
    sonarr.refuse([Reply::status(400)]);
    let daemon = home.start().await;
    let id = daemon.add("bob", "film").await;
    daemon.until(id, "was given up", |row| row["import"]["state"] == "failed").await;
    let path = format!("{DOWNLOADS}/{id}/import");
    let unknown = daemon.post(&path, &json!({ "import": "lidarr" })).await;
    assert_eq!((unknown.status, &unknown.json()["field"]), (422, &json!("import")));
    daemon.cli(["import", "retry", &id.to_string(), "--to", "radarr"]).await.expect_code(0);
    let row = daemon.until(id, "was imported", |row| row["state"] == "imported").await;
    assert_eq!(row["import"]["target"], "radarr");
    let over = daemon.post(&path, &json!({})).await;
    assert_eq!((over.status, over.problem().as_str()), (409, "wrong-state"), "it is there already");
    daemon.cli(["import", "retry", "999"]).await.expect_code(4);
}
