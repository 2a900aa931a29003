//! Everything without a mouse.

use browser_tests::browse;
use thirtyfour::Key;

use super::{SLOW, add, friends, in_state, order};

#[tokio::test]
async fn a_download_is_paused_resumed_and_deleted_with_the_keyboard_alone() {
    let (_alice, bob) = friends(SLOW).await;
    browse("keyboard", bob.origin(), async |browser| {
        browser.open(&bob.origin()).await;
        // The field has the focus by itself.
        browser.until("the field has the focus", "return document.activeElement.id === 'key'").await;
        browser.type_in(&bob.key()).await;
        browser.press(Key::Enter).await;
        browser.shown("[data-view=queue]").await;
        let (_, row) = add(&bob, "large.bin").await;
        browser.shown(&in_state(&row, "downloading")).await;
        browser.tab_to(&order(&row, "pause")).await;
        browser.press(Key::Enter).await;
        browser.shown(&in_state(&row, "paused")).await;
        browser
            .until("the focus stays in the row", &format!("return !!document.activeElement.closest('{row}')"))
            .await;
        browser.tab_to(&order(&row, "resume")).await;
        browser.press(Key::Enter).await;
        browser.shown(&in_state(&row, "downloading")).await;
        browser.tab_to(&order(&row, "delete")).await;
        browser.press(Key::Enter).await;
        browser.shown("#confirm").await;
        browser.tab_to("#confirm [data-confirm=yes]").await;
        browser.press(Key::Enter).await;
        browser.gone(&row).await;
        browser.is_content(&["status of 401"]).await;
    })
    .await;
}
