//! Who reads from us.

use browser_tests::browse;

use super::{SLOW, add, friends, log_in};

#[tokio::test]
async fn a_friend_who_fetches_is_seen_until_they_stop() {
    let (alice, bob) = friends(SLOW).await;
    browse("sharing", alice.origin(), async |browser| {
        log_in(browser, &alice).await;
        browser.click("[data-view=sharing]").await;
        browser.text("#transfers", "says that nobody reads", |text| text.contains("Nobody")).await;
        let (id, _) = add(&bob, "large.bin").await;
        let seen = |text: &str| text.contains("large.bin") && text.contains("friend");
        browser.text("#transfers", "shows what the friend fetches", seen).await;
        bob.cli(["pause", &id]).await;
        browser.text("#transfers", "says that nobody reads any more", |text| text.contains("Nobody")).await;
        browser.is_content(&[]).await;
    })
    .await;
}
