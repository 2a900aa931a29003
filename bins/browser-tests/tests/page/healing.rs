//! The daemon goes away and comes back, and the page in between.

use browser_tests::browse;
use thirtyfour::Key;

use super::{SLOW, add, friends, friends_with, in_state, log_in};

/// What a browser says of a daemon that is not there.
const AWAY: [&str; 5] =
    ["ERR_CONNECTION", "ERR_INCOMPLETE_CHUNKED", "ERR_EMPTY_RESPONSE", "ERR_NETWORK", "status of 503"];

#[tokio::test]
async fn a_page_that_needs_no_key_goes_on_by_itself_when_the_daemon_is_back() {
    let (_alice, mut bob) = friends_with(SLOW, "[admin]\nrequire_key = false\n").await;
    browse("restart", bob.origin(), async |browser| {
        browser.open(&bob.origin()).await;
        browser.shown("[data-view=queue]").await;
        let (_, row) = add(&bob, "large.bin").await;
        browser.shown(&in_state(&row, "downloading")).await;
        browser.js("window.sameDocument = true").await;
        bob.stop().await;
        browser.shown("#link[data-state=reconnecting]").await;
        browser.shown(&row).await;
        bob.run().await;
        browser
            .until("it is live again", "return document.getElementById('link').dataset.state === 'live'")
            .await;
        let bar = format!("document.querySelector('{row} progress').value");
        let before = browser.js(&format!("return {bar}")).await;
        browser.until("the bar moves on", &format!("return {bar} > {before}")).await;
        assert_eq!(browser.js("return window.sameDocument").await, true, "nobody loaded it again");
        browser.is_content(&AWAY).await;
    })
    .await;
}

#[tokio::test]
async fn a_restart_ends_the_session_and_the_key_brings_everything_back_without_a_reload() {
    let (_alice, mut bob) = friends(SLOW).await;
    browse("restart-key", bob.origin(), async |browser| {
        log_in(browser, &bob).await;
        let (_, row) = add(&bob, "large.bin").await;
        browser.shown(&in_state(&row, "downloading")).await;
        browser.js("window.sameDocument = true").await;
        bob.restart().await;
        browser.fill("#key", &bob.key()).await;
        browser.press(Key::Enter).await;
        browser.shown(&in_state(&row, "downloading")).await;
        let bar = format!("document.querySelector('{row} progress').value");
        browser.until("the bar moves", &format!("return {bar} > 0")).await;
        assert_eq!(browser.js("return window.sameDocument").await, true, "nobody loaded it again");
        let expected: Vec<_> = AWAY.into_iter().chain(["status of 401"]).collect();
        browser.is_content(&expected).await;
    })
    .await;
}
