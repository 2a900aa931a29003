//! The queue: adding, pausing, resuming, reordering and deleting, with the bar moving meanwhile.

use browser_tests::browse;
use serde_json::Value;

use super::{FILM, SLOW, add, friends, in_state, log_in, order, row};

#[tokio::test]
async fn a_download_is_found_at_the_peer_and_moves_stops_goes_on_and_goes() {
    let (_alice, bob) = friends(SLOW).await;
    let item = bob.item("large.bin").await;
    browse("queue", bob.origin(), async |browser| {
        log_in(browser, &bob).await;
        browser.click("[data-view=peers]").await;
        browser.click("[data-peer=alice] [data-order=browse]").await;
        browser.click(&format!("[data-item=\"{item}\"] [data-order=download]")).await;
        browser.click("[data-view=queue]").await;
        let row = row("1");
        browser.shown(&in_state(&row, "downloading")).await;

        // The bar moves, and moves on.
        let bar = format!("document.querySelector('{row} progress').value");
        browser.until("the bar moves", &format!("return {bar} > 0")).await;
        let before = browser.js(&format!("return {bar}")).await;
        browser.until("the bar moves on", &format!("return {bar} > {before}")).await;

        browser.click(&order(&row, "pause")).await;
        browser.shown(&in_state(&row, "paused")).await;
        let halted = bob.row("1").await;
        assert_eq!(halted["state"], "paused");
        assert!(
            halted["written"].as_u64() > Some(0) && halted["written"].as_u64() < Some(8 << 20),
            "{halted}"
        );
        browser.click(&order(&row, "resume")).await;
        browser.shown(&in_state(&row, "downloading")).await;
        let halted = 100.0 * halted["written"].as_f64().expect("a number") / f64::from(8 << 20);
        browser.until("it goes on from there", &format!("return {bar} > {halted}")).await;

        // More of it is behind its name: a map of what is here, and there it can be moved forward.
        browser.click(&order(&row, "details")).await;
        browser.shown(&format!("{row} canvas")).await;
        browser.click(&order(&row, "raise")).await;
        browser.text(&format!("{row} output"), "shows the priority", |text| text == "1").await;
        assert_eq!(bob.row("1").await["priority"], 1);

        assert_eq!(bob.names("state/incomplete").len(), 1, "{:?}", bob.names("state/incomplete"));
        browser.click(&order(&row, "delete")).await;
        browser.shown("#confirm").await;
        browser.click("#confirm [data-confirm=no]").await;
        browser.gone("#confirm").await;
        browser.shown(&row).await;
        browser.click(&order(&row, "delete")).await;
        browser.click("#confirm [data-confirm=yes]").await;
        browser.gone(&row).await;
        assert_eq!(bob.names("state/incomplete"), Vec::<String>::new(), "its bytes are gone, too");
        let left: Value = serde_json::from_str(&bob.cli(["ls", "--json"]).await).expect("JSON");
        assert_eq!(left, Value::Array(Vec::new()));
        browser.is_content(&[]).await;
    })
    .await;
}

#[tokio::test]
async fn what_is_typed_in_is_added_and_what_is_there_already_is_not_added_twice() {
    let (_alice, bob) = friends(SLOW).await;
    let item = format!("alice/{}", bob.item("large.bin").await);
    browse("add", bob.origin(), async |browser| {
        log_in(browser, &bob).await;
        browser.fill("#add-what", &item).await;
        browser.click("#add button").await;
        let row = row("1");
        browser.text(&row, "names the file", |text| text.contains("large.bin")).await;
        browser.fill("#add-what", &item).await;
        browser.click("#add button").await;
        browser.text("#add-said", "says that it is there", |text| text.contains("already")).await;
        browser.fill("#add-what", "nonsense").await;
        browser.click("#add button").await;
        browser.text("#add-said", "says what to write", |text| text.contains("PEER/ITEM")).await;
        browser.is_content(&["status of 409"]).await;
    })
    .await;
}

#[tokio::test]
async fn a_download_runs_to_its_end_before_the_eyes_of_whoever_looks() {
    let (_alice, bob) = friends("4MiB").await;
    browse("whole", bob.origin(), async |browser| {
        log_in(browser, &bob).await;
        let (id, row) = add(&bob, FILM).await;
        browser.shown(&in_state(&row, "completed")).await;
        browser.open(&format!("{}/api/v1/downloads/{id}/content", bob.origin())).await;
        let plays = "return (document.querySelector('video')?.readyState ?? 0) > 1";
        browser.until("it plays by its address, too", plays).await;
        browser.open(&bob.origin()).await;
        browser.shown(&in_state(&row, "completed")).await;
        browser.gone(&format!("{row} progress")).await;
        assert_eq!(bob.names("state/completed"), [FILM]);
        // Its file is not deleted with the row, unless one says so.
        browser.click(&order(&row, "delete")).await;
        browser.click("#confirm [data-confirm=yes]").await;
        browser.gone(&row).await;
        assert_eq!(bob.names("state/completed"), [FILM]);
        browser.is_content(&[]).await;
    })
    .await;
}
