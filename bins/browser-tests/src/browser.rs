//! A Chromium without a window, told what to do over WebDriver.

use std::panic::AssertUnwindSafe;
use std::process::Stdio;

use futures_util::FutureExt;
use serde_json::Value;
use tempfile::TempDir;
use thirtyfour::{
    By, ChromeCapabilities, ChromiumLikeCapabilities, DesiredCapabilities, Key, LoggingPrefsLogLevel,
    WebDriver, WebElement,
};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::{complaints, eventually, strangers};

/// A browser on the page of one daemon.
pub struct Browser {
    driver: WebDriver,
    origin: String,
}

/// Opens a fresh browser for `test`, and closes it whatever becomes of that. When it fails, the page as it was then is
/// kept as a picture in `$BROWSER_TESTS_OUT`, if that is set.
///
/// Afterwards nothing may have been asked of anybody but `origin`.
pub async fn browse(name: &str, origin: String, test: impl AsyncFnOnce(&Browser)) {
    // The second test of a process finds it there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let profile = tempfile::tempdir().expect("a profile");
    let (_driver, address) = chromedriver().await;
    let driver = WebDriver::new(address, flags(&profile)).await.expect("a browser");
    let browser = Browser { driver, origin };
    let outcome = AssertUnwindSafe(async {
        test(&browser).await;
        browser.asks_nobody_else().await;
    });
    let outcome = outcome.catch_unwind().await;
    if outcome.is_err() {
        browser.say_what_was_seen(name).await;
    }
    let closed = browser.driver.quit().await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
    closed.expect("a browser that can be closed");
}

impl Browser {
    /// Opens a page by its address.
    pub async fn open(&self, address: &str) {
        self.driver.goto(address).await.expect("a page");
    }

    /// Waits for an element that can be seen.
    pub async fn shown(&self, css: &str) -> WebElement {
        let found = eventually(async || self.visible(css).await).await;
        found.unwrap_or_else(|| panic!("{css} never appeared"))
    }

    /// Waits until no such element can be seen.
    pub async fn gone(&self, css: &str) {
        let gone = eventually(async || self.visible(css).await.is_none().then_some(())).await;
        assert!(gone.is_some(), "{css} never went away");
    }

    /// Clicks on an element as soon as it can be clicked.
    pub async fn click(&self, css: &str) {
        let mut last = None;
        let clicked = eventually(async || {
            // The page may put another one in its place at any moment.
            let clicked = self.visible(css).await?.click().await;
            clicked.map_err(|error| last = Some(error)).ok()
        });
        let clicked = clicked.await;
        assert!(clicked.is_some(), "{css} cannot be clicked: {last:?}");
    }

    /// Types into a field in place of what it holds.
    pub async fn fill(&self, css: &str, text: &str) {
        let mut last = None;
        let filled = eventually(async || {
            // The page may take it away, or empty it, at any moment.
            let field = self.visible(css).await?;
            field.clear().await.ok()?;
            field.send_keys(text).await.ok()?;
            last = field.value().await.ok()?;
            (last.as_deref() == Some(text)).then_some(())
        });
        let filled = filled.await;
        assert!(filled.is_some(), "{css} cannot be filled: it holds {last:?}");
    }

    /// Presses a key, wherever the focus is.
    pub async fn press(&self, key: Key) {
        self.driver.action_chain().send_keys(key).perform().await.expect("a keyboard");
    }

    /// Types a text, wherever the focus is.
    pub async fn type_in(&self, text: &str) {
        self.driver.action_chain().send_keys(text).perform().await.expect("a keyboard");
    }

    /// Goes on with Tab until the focus is on `css`, as whoever has no mouse does.
    pub async fn tab_to(&self, css: &str) {
        let focused = format!("return document.activeElement.matches({})", Value::from(css));
        for _ in 0..MOST_TABS {
            self.press(Key::Tab).await;
            if self.js(&focused).await == true {
                return;
            }
        }
        panic!("{css} cannot be reached with Tab");
    }

    /// Waits until a text is as `enough` wants it.
    pub async fn text(&self, css: &str, what: &str, enough: impl Fn(&str) -> bool) -> String {
        let mut last = String::new();
        let found = eventually(async || {
            last = self.visible(css).await?.text().await.ok()?;
            enough(&last).then(|| last.clone())
        });
        match found.await {
            Some(text) => text,
            None => panic!("{css} never {what}; it says {last:?}"),
        }
    }

    /// Runs the body of a function in the page, and returns its value.
    pub async fn js(&self, body: &str) -> Value {
        self.driver.execute(body, Vec::new()).await.expect("a script that runs").json().clone()
    }

    /// Waits until a script returns `true`.
    pub async fn until(&self, what: &str, body: &str) {
        let mut last = Value::Null;
        let met = eventually(async || {
            last = self.js(body).await;
            (last == true).then_some(())
        });
        assert!(met.await.is_some(), "{what}: never; the last answer was {last}");
    }

    /// Fails if anything is wrong on the console but what was to be expected. What was read is forgotten.
    pub async fn is_content(&self, expected: &[&str]) {
        let console = self.driver.browser_log().await.expect("a console");
        let complaints = complaints(&console, expected);
        assert!(complaints.is_empty(), "on the console: {complaints:#?}");
    }

    async fn asks_nobody_else(&self) {
        let network = self.driver.get_log("performance").await.expect("a log of the network");
        assert!(network.iter().any(|entry| entry.message.contains(&self.origin)), "it is kept");
        let strangers = strangers(&network, &self.origin);
        assert!(strangers.is_empty(), "asked of others: {strangers:#?}");
    }

    async fn visible(&self, css: &str) -> Option<WebElement> {
        for element in self.driver.find_all(By::Css(css)).await.ok()? {
            if element.is_displayed().await.unwrap_or(false) {
                return Some(element);
            }
        }
        None
    }

    async fn say_what_was_seen(&self, name: &str) {
        let (address, text) =
            (self.driver.current_url().await, self.js("return document.body.innerText").await);
        let console = self.driver.browser_log().await.unwrap_or_default();
        let console: Vec<_> = console.iter().map(|entry| &entry.message).collect();
        eprintln!("{name}: at {address:?} the page says {text:#}\nits console: {console:#?}");
        if let Some(dir) = std::env::var_os("BROWSER_TESTS_OUT") {
            let picture = std::path::Path::new(&dir).join(format!("{name}.png"));
            if self.driver.screenshot(&picture).await.is_ok() {
                eprintln!("{name}: a picture of it is {}", picture.display());
            }
        }
    }
}

/// Starts the driver on a port of its own choice. It chooses one that is free on one address family, and ends when it is
/// not free on the other: then it is asked to choose again.
async fn chromedriver() -> (Child, String) {
    for _ in 0..CHOICES {
        if let Some(driver) = chromedriver_once().await {
            return driver;
        }
    }
    panic!("chromedriver did not start");
}

async fn chromedriver_once() -> Option<(Child, String)> {
    let mut command = Command::new("chromedriver");
    command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut driver = command.kill_on_drop(true).spawn().expect("chromedriver: run scripts/browser-tests");
    let mut lines = BufReader::new(driver.stdout.take().expect("a pipe")).lines();
    while let Some(line) = lines.next_line().await.expect("readable output") {
        let started = line.strip_prefix("ChromeDriver was started successfully on port ");
        if let Some(port) = started.and_then(|rest| rest.strip_suffix('.')) {
            let address = format!("http://127.0.0.1:{port}");
            // Somebody has to read what else it says.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Some((driver, address));
        }
    }
    None
}

/// Ports the driver may choose before it is taken for broken.
const CHOICES: usize = 10;

fn flags(profile: &TempDir) -> ChromeCapabilities {
    let mut flags = DesiredCapabilities::chrome();
    let profile = format!("--user-data-dir={}", profile.path().display());
    for flag in FLAGS.into_iter().chain([profile.as_str()]) {
        flags.add_arg(flag).expect("a flag");
    }
    for log in ["browser", "performance"] {
        flags.set_logging_prefs(log, LoggingPrefsLogLevel::All).expect("a log");
    }
    flags
}

/// No window, no sandbox (containers have none to give), and no errands of its own.
const FLAGS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
];
/// More than any page here has places to stop at.
const MOST_TABS: usize = 200;
