//! Playing a film that is still arriving.

use browser_tests::browse;

use super::{FILM, SLOW, add, friends, in_state, log_in, order};

#[tokio::test]
async fn a_film_plays_while_it_arrives_and_a_seek_goes_ahead_of_the_rest() {
    let (_alice, bob) = friends(SLOW).await;
    browse("playing", bob.origin(), async |browser| {
        log_in(browser, &bob).await;
        let (id, row) = add(&bob, FILM).await;
        browser.shown(&in_state(&row, "downloading")).await;
        browser.click(&order(&row, "play")).await;
        browser.shown("#player video").await;
        let arriving = format!("document.querySelector('{row}').dataset.state === 'downloading'");
        let at = "document.querySelector('#player video').currentTime";
        let plays = format!("return {at} > 0.5 && {arriving}");
        browser.until("it plays while it arrives", &plays).await;

        // To a scene that cannot have arrived yet: the rest waits until this is here.
        let video = "document.querySelector('#player video')";
        let length = browser.js(&format!("return {video}.duration")).await.as_f64().expect("its length");
        assert!((110.0..130.0).contains(&length), "{length} s");
        let (from, until) = (length - 12.0, length - 11.5);
        let before = bob.row(&id).await;
        let share =
            before["written"].as_f64().zip(before["total"].as_f64()).map(|(written, total)| written / total);
        assert!(share < Some(from / length), "{before}");
        browser.js(&format!("{video}.currentTime = {from}")).await;
        let plays = format!("return {at} > {until} && {arriving}");
        browser.until("it plays there while the rest arrives", &plays).await;
        let row = bob.row(&id).await;
        assert_eq!(row["state"], "downloading");
        assert!(row["written"].as_u64() < row["total"].as_u64(), "{row}");
        assert_eq!(browser.js(&format!("return {video}.error")).await, serde_json::Value::Null);

        // Nobody reads any more once it is closed.
        browser.click("#player [data-order=close]").await;
        browser.gone("#player").await;
        bob.cli(["limits", "set", "--down", "0"]).await;
        browser.shown(&format!("li[data-id=\"{id}\"][data-state=completed]")).await;
        browser.is_content(&[]).await;
    })
    .await;
}
