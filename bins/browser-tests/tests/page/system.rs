//! The daemon itself.

use browser_tests::{Browser, Machine, browse};

use super::log_in;

#[tokio::test]
async fn a_limit_is_shown_exactly_and_setting_one_leaves_the_other_alone() {
    let machine = Machine::sharing().start().await;
    browse("limits", machine.origin(), async |browser| {
        log_in(browser, &machine).await;
        machine.cli(["limits", "set", "--down", "1000B", "--up", "1536KiB"]).await;
        browser.click("[data-view=system]").await;
        holds(browser, "down", "1000 B/s").await;
        holds(browser, "up", "1.5 MiB/s").await;
        // Somebody else sets the one while the other is edited here.
        machine.cli(["limits", "set", "--up", "2MiB"]).await;
        browser.fill("#down", "0.5").await;
        browser.click("#limits button").await;
        browser
            .text("#limits-said", "says what holds", |text| text.contains("down 1 B/s, up 2.00 MiB/s"))
            .await;
        holds(browser, "down", "1 B/s").await;
        holds(browser, "up", "2 MiB/s").await;
        browser.is_content(&[]).await;
    })
    .await;
}

async fn holds(browser: &Browser, way: &str, limit: &str) {
    let shown = format!(
        "const [field, unit] = ['{way}', '{way}-unit'].map((id) => document.getElementById(id).value);
         return `${{field}} ${{unit}}` === '{limit}'"
    );
    browser.until(&format!("{way} is {limit}"), &shown).await;
}
