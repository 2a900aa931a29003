//! Getting in, and out.

use browser_tests::{Machine, browse};
use thirtyfour::Key;

use super::link;

async fn alone() -> Machine {
    Machine::sharing().start().await
}

#[tokio::test]
async fn a_link_logs_in_once_and_leaves_nothing_in_the_address() {
    let machine = alone().await;
    browse("link", machine.origin(), async |browser| {
        let link = link(&machine).await;
        browser.open(&link).await;
        browser.shown("[data-view=queue]").await;
        assert!(
            !browser.js("return location.href").await.to_string().contains("token"),
            "nor in the history"
        );
        browser.is_content(&[]).await;
        browser.click("#log-out").await;
        browser.shown("#key").await;
        browser.gone("[data-view=queue]").await;
        browser.open("about:blank").await;
        browser.open(&link).await;
        browser.shown("#key").await;
        browser.is_content(&["status of 401"]).await;
    })
    .await;
}

#[tokio::test]
async fn the_key_logs_in_and_a_wrong_one_is_told_so() {
    let machine = alone().await;
    browse("key", machine.origin(), async |browser| {
        browser.open(&machine.origin()).await;
        browser.fill("#key", "not the key").await;
        browser.press(Key::Enter).await;
        browser.text("#notice", "says that it is wrong", |text| text.to_lowercase().contains("key")).await;
        browser.gone("[data-view=queue]").await;
        browser.fill("#key", &machine.key()).await;
        browser.click("#log-in button").await;
        browser.shown("[data-view=queue]").await;
        browser.gone("#notice").await;
        assert_eq!(browser.js("return document.getElementById('key').value").await, "", "it is kept nowhere");
        assert_eq!(browser.js("return document.cookie").await, "", "no script gets hold of the session");
        browser.click("#log-out").await;
        browser.shown("#key").await;
        browser.open(&machine.origin()).await;
        browser.shown("#key").await;
        browser.is_content(&["status of 401"]).await;
    })
    .await;
}
