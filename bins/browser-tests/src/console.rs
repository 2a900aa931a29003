//! What the browser wrote down: its console, and the requests it sent. Judged here, without a browser.

use serde_json::Value;
use thirtyfour::BrowserLogEntry;
use url::Url;

/// What is wrong on the console: every warning and error that none of `expected` is a part of.
///
/// A refused connection and an answer from 400 on are errors to a browser; a test that causes them expects them.
pub fn complaints(console: &[BrowserLogEntry], expected: &[&str]) -> Vec<String> {
    let bad = |entry: &&BrowserLogEntry| matches!(entry.level.as_str(), "SEVERE" | "WARNING");
    let unexpected = |message: &&String| !expected.iter().any(|part| message.contains(part));
    console.iter().filter(bad).map(|entry| &entry.message).filter(unexpected).cloned().collect()
}

/// The addresses that were asked for and are not of `origin`, out of the log of the network.
pub fn strangers(network: &[BrowserLogEntry], origin: &str) -> Vec<String> {
    network.iter().filter_map(|entry| requested(&entry.message)).filter(|url| !is_ours(url, origin)).collect()
}

/// The address of a request that is about to be sent.
fn requested(message: &str) -> Option<String> {
    let event: Value = serde_json::from_str(message).ok()?;
    let event = event.get("message")?;
    let sent = event.get("method")? == "Network.requestWillBeSent";
    sent.then(|| event.pointer("/params/request/url")?.as_str().map(str::to_owned))?
}

/// Whether nobody else learns of it: it is of our origin, or leads nowhere outside of the browser, as the page does that
/// it shows before it is told to open another.
fn is_ours(url: &str, origin: &str) -> bool {
    Url::parse(url).is_ok_and(|url| {
        matches!(url.scheme(), "data" | "about" | "chrome") || url.origin().ascii_serialization() == origin
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(level: &str, message: impl Into<String>) -> BrowserLogEntry {
        BrowserLogEntry { level: level.into(), message: message.into(), timestamp: 0, source: None }
    }

    #[test]
    fn errors_and_warnings_count_unless_they_were_expected() {
        let console = [
            entry("INFO", "hello"),
            entry("SEVERE", "api/v1/session - the server responded with a status of 401"),
            entry("WARNING", "odd"),
            entry("SEVERE", "Refused to load the image because it violates the Content Security Policy"),
        ];
        assert_eq!(complaints(&console, &[]).len(), 3);
        let left = complaints(&console, &["status of 401", "odd"]);
        assert!(left.len() == 1 && left[0].contains("Content Security Policy"), "{left:?}");
    }

    #[test]
    fn a_request_to_anybody_else_is_found_whatever_its_address_looks_like() {
        let asked = |method: &str, url: &str| {
            let params = json!({ "request": { "url": url } });
            entry("INFO", json!({ "message": { "method": method, "params": params } }).to_string())
        };
        let sent = |url| asked("Network.requestWillBeSent", url);
        let network = [
            entry("INFO", "no JSON"),
            sent("http://127.0.0.1:5281/ui/main.js"),
            sent("data:image/svg+xml,x"),
            sent("chrome://resources/js/util.js"),
            asked("Network.responseReceived", "http://elsewhere/"),
            sent("http://127.0.0.1:52810/"),
            sent("http://127.0.0.1:5281.example/"),
            sent("https://fonts.example/a.woff2"),
        ];
        let found = strangers(&network, "http://127.0.0.1:5281");
        assert_eq!(
            found,
            ["http://127.0.0.1:52810/", "http://127.0.0.1:5281.example/", "https://fonts.example/a.woff2"]
        );
    }
}
