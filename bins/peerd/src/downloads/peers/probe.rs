//! Can we work with this peer: is it there, does it take our key, can an interrupted file go on, do the clocks agree.
//!
//! Every finding that is not good comes with what to do about it.

use std::time::SystemTime;

use http::header::{CONTENT_RANGE, DATE, ETAG, HeaderName, HeaderValue, LAST_MODIFIED, RANGE};
use http::{HeaderMap, StatusCode};
use range_http::EntityTag;
use resume_fetch::{NetworkFailure, TransportError};
use serde::{Deserialize, Serialize};

use super::asking::{AskError, Reply};
use super::offer::{OfferQuery, OfferedItem};
use super::{Peer, Peers};
use crate::tls::chain_remedy;

/// What was found out about a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// Whether nothing stands in the way.
    pub ok: bool,
    /// `peerd`, `original` for the system before it, or unknown.
    pub system: Option<&'static str>,
    /// Its version.
    pub version: Option<String>,
    /// What it calls itself.
    pub node: Option<String>,
    /// How long the first answer took.
    pub latency_ms: Option<u64>,
    /// How far its clock is ahead of ours, in seconds.
    pub clock_skew: Option<i64>,
    /// One by one.
    pub checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// `reach`, `key`, `items`, `ranges`, `validator`, `clock` or `privacy`.
    pub check: &'static str,
    /// How it came out.
    pub outcome: Outcome,
    /// What was seen.
    pub detail: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// It works, and not as well as it could.
    Warning,
    /// It does not work.
    Failed,
    /// Nothing to look at.
    Skipped,
}

#[derive(Deserialize)]
struct Handshake {
    version: Option<String>,
    name: Option<String>,
}

impl Peers {
    /// Looks at a peer from every side that matters; half a dozen small requests.
    ///
    /// # Cancel safety
    /// Safe. Nothing is changed.
    pub async fn probe(&self, name: &str, peer: &Peer) -> Probe {
        let mut probe = Probe::empty();
        if peer.config().key.is_some() && peer.config().url.is_plain_and_public() {
            let remedy = "have it answer under https, or reach it through a private network";
            probe.add("privacy", Outcome::Warning, "our key crosses the internet unencrypted", Some(remedy));
        }
        if let Err(error) = self.look_around(name, peer, &mut probe).await {
            // Everything behind the first wall would only fail in the same way.
            probe.failed_at("reach", name, &error);
        }
        probe.ok = probe.checks.iter().all(|check| check.outcome != Outcome::Failed);
        probe
    }

    async fn look_around(&self, name: &str, peer: &Peer, probe: &mut Probe) -> Result<(), AskError> {
        let begun = self.shared.clock.now();
        let ping = self.shared.ask(peer, "ping", &[], MAX_SMALL).await?;
        let took = self.shared.clock.now().saturating_duration_since(begun);
        probe.latency_ms = u64::try_from(took.as_millis()).ok();
        probe.add("reach", Outcome::Ok, format!("answers in {} ms", took.as_millis()), None);
        probe.clock(&ping.headers, self.shared.clock.wall());
        let handshake = self.shared.document(peer, "handshake", MAX_SMALL).await;
        match &handshake {
            Ok(reply) => probe.handshake(reply),
            Err(AskError::Status { status: StatusCode::NOT_FOUND, .. }) => probe.system = Some("original"),
            Err(error) => {
                probe.failed_at("key", name, error);
                return Ok(());
            }
        }
        let offer = match self.offer(peer, &OfferQuery { limit: 50, ..OfferQuery::default() }).await {
            Ok(offer) => offer,
            Err(error @ AskError::KeyRefused(_)) => {
                probe.failed_at("key", name, &error);
                return Ok(());
            }
            Err(error) => {
                probe.failed_at("items", name, &error);
                return Ok(());
            }
        };
        let about_key = match &peer.config().key {
            Some(_) => "our key is accepted",
            None => "it wants no key",
        };
        probe.add("key", Outcome::Ok, about_key, None);
        match offer.items.iter().find(|item| item.size.is_some_and(|size| size > 1)) {
            Some(item) => {
                probe.add("items", Outcome::Ok, "it offers files", None);
                self.look_at(peer, item, name, probe).await;
            }
            None => {
                let remedy = format!("ask what your key opens; list with: peerd peer items {name}");
                probe.add("items", Outcome::Skipped, "it offers no file to our key yet", Some(&remedy));
            }
        }
        Ok(())
    }

    async fn look_at(&self, peer: &Peer, item: &OfferedItem, name: &str, probe: &mut Probe) {
        let path = Peer::file_path(&item.id);
        let first_byte: [(HeaderName, HeaderValue); 1] = [(RANGE, HeaderValue::from_static("bytes=0-0"))];
        match self.shared.ask(peer, &path, &first_byte, 1).await {
            Ok(reply) => probe.resumable(&reply),
            // A peer that ignores ranges sends more than the one byte.
            Err(AskError::Malformed(_)) => probe.no_ranges(),
            Err(error) => probe.failed_at("ranges", name, &error),
        }
    }
}

impl Probe {
    fn empty() -> Self {
        let (system, version, node, latency_ms, clock_skew) = (None, None, None, None, None);
        Self { ok: false, system, version, node, latency_ms, clock_skew, checks: Vec::new() }
    }

    fn add(
        &mut self,
        check: &'static str,
        outcome: Outcome,
        detail: impl Into<String>,
        remedy: Option<&str>,
    ) {
        self.checks.push(Check { check, outcome, detail: detail.into(), remedy: remedy.map(str::to_owned) });
    }

    fn failed_at(&mut self, check: &'static str, name: &str, error: &AskError) {
        let (check, remedy) = remedy(check, name, error);
        self.add(check, Outcome::Failed, resume_fetch::describe(error), Some(&remedy));
    }

    fn handshake(&mut self, reply: &Reply) {
        let Ok(said) = serde_json::from_slice::<Handshake>(&reply.body) else { return };
        // The original system of later days answers here, too, and with no name.
        self.system = Some(if said.name.is_some() { "peerd" } else { "original" });
        let bounded = |text: String| text.chars().filter(|c| !c.is_control()).take(100).collect();
        (self.version, self.node) = (said.version.map(bounded), said.name.map(bounded));
    }

    fn clock(&mut self, headers: &HeaderMap, now: SystemTime) {
        let Some(skew) = skew(headers, now) else {
            return self.add("clock", Outcome::Skipped, "it does not say what time it is", None);
        };
        self.clock_skew = Some(skew);
        let apart = skew.unsigned_abs();
        if apart <= MAX_SKEW {
            return self.add("clock", Outcome::Ok, "its clock agrees with ours", None);
        }
        let side = if skew > 0 { "ahead of" } else { "behind" };
        let detail = format!("its clock is {apart} s {side} ours");
        let remedy = "have both machines set their clocks by the network (NTP)";
        self.add("clock", Outcome::Warning, detail, Some(remedy));
    }

    fn resumable(&mut self, reply: &Reply) {
        if reply.status != StatusCode::PARTIAL_CONTENT || !reply.headers.contains_key(CONTENT_RANGE) {
            return self.no_ranges();
        }
        self.add("ranges", Outcome::Ok, "an interrupted file goes on where it stopped", None);
        let tag = reply.headers.get(ETAG).and_then(|tag| EntityTag::parse(tag.as_bytes()));
        match tag {
            Some(tag) if !tag.is_weak() => {
                self.add("validator", Outcome::Ok, "it tells one version of a file from another", None);
            }
            _ if reply.headers.contains_key(LAST_MODIFIED) => {
                let detail = "it tells versions of a file apart by the time of the last change only";
                self.add("validator", Outcome::Warning, detail, Some(WEAKENED));
            }
            _ => {
                let detail =
                    "it does not say which version of a file it sends: size and the last bytes are compared";
                let remedy = "have it run peerd, which tags every version; until then no file there should be \
                              changed in place";
                self.add("validator", Outcome::Warning, detail, Some(remedy));
            }
        }
    }

    fn no_ranges(&mut self) {
        let remedy = "whatever is between the two of you may take ranges away; else keep files from it small";
        let detail = "it ignores ranges: an interrupted file starts over";
        self.add("ranges", Outcome::Warning, detail, Some(remedy));
    }
}

/// Which check an error belongs to, and what helps.
fn remedy(check: &'static str, name: &str, error: &AskError) -> (&'static str, String) {
    match error {
        AskError::KeyRefused(_) => {
            let again = format!(
                "ask its owner for a new key, then: peerd peer rm {name}, and peerd peer add {name} …"
            );
            ("key", again)
        }
        AskError::Transport(error) => (check, unreached(name, error)),
        AskError::Timeout(_) => {
            (check, "see whether it is overloaded, or a firewall drops what we send".to_owned())
        }
        AskError::Status { status, .. } if status.as_u16() == 429 => {
            (check, "wait a little: it says that we ask too often".to_owned())
        }
        AskError::Status { status, .. } if status.is_server_error() => {
            (check, "ask its owner to look at its log".to_owned())
        }
        _ => (check, "see whether the address leads to a peer, and not to something else".to_owned()),
    }
}

fn unreached(name: &str, error: &TransportError) -> String {
    if let Some(remedy) = chain_remedy(error, Some(name)) {
        return remedy;
    }
    let help = match error.failure {
        NetworkFailure::Dns => "see whether this machine can resolve names at all",
        NetworkFailure::UnknownHost => "see whether the host name is spelled right",
        NetworkFailure::Connect => "see whether it runs, and listens on more than loopback (server.listen)",
        NetworkFailure::ConnectTimeout(_) => {
            "see whether it is switched on, and whether a firewall is in between"
        }
        NetworkFailure::Tls => {
            "see whether http is meant, and whether its certificate is valid for this name"
        }
        NetworkFailure::Protocol => "see whether https is meant, and whether the port is the right one",
        _ => "try again; if it stays like this, ask its owner to look at its log",
    };
    help.to_owned()
}

/// How far the peer's clock is ahead, in seconds.
fn skew(headers: &HeaderMap, now: SystemTime) -> Option<i64> {
    let date = range_http::HttpDate::parse(headers.get(DATE)?.as_bytes())?;
    let now = range_http::HttpDate::from_system_time(now)?;
    date.unix_seconds().checked_sub(now.unix_seconds())
}

/// A proxy that compresses weakens the tag of all it passes on (RFC 9110 §8.8.3.3).
const WEAKENED: &str = "if a proxy is in between, have it pass files on uncompressed; a file that was written within \
                        the last two seconds has no better tag yet";
/// Bytes of an answer that holds a few words.
const MAX_SMALL: usize = 64 << 10;
/// Seconds two clocks may be apart before waits named by date go wrong.
pub(crate) const MAX_SKEW: u64 = 60;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn reply(status: u16, fields: &[(&'static str, &'static str)]) -> Reply {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        Reply { status: StatusCode::from_u16(status).unwrap(), headers, body: bytes::Bytes::new() }
    }

    #[test]
    fn resuming_is_judged_by_range_and_validator() {
        use Outcome::{Ok, Warning};
        let range = ("content-range", "bytes 0-0/10");
        for (reply, expected) in [
            (reply(206, &[range, ("etag", "\"a\"")]), vec![("ranges", Ok), ("validator", Ok)]),
            (reply(206, &[range, ("etag", "W/\"a\"")]), vec![("ranges", Ok), ("validator", Warning)]),
            (reply(206, &[range]), vec![("ranges", Ok), ("validator", Warning)]),
            (reply(206, &[]), vec![("ranges", Warning)]),
            (reply(200, &[("etag", "\"a\"")]), vec![("ranges", Warning)]),
        ] {
            let mut probe = Probe::empty();
            probe.resumable(&reply);
            let found: Vec<_> = probe.checks.iter().map(|check| (check.check, check.outcome)).collect();
            assert_eq!(found, expected, "{reply:?}");
        }
    }

    #[test]
    fn clocks_may_be_a_minute_apart() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (date, skew, outcome) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0), Outcome::Ok),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60), Outcome::Ok),
            ("Sun, 06 Nov 1994 08:50:38 GMT", Some(61), Outcome::Warning),
            ("Sun, 06 Nov 1994 07:49:37 GMT", Some(-3600), Outcome::Warning),
            ("yesterday", None, Outcome::Skipped),
        ] {
            let mut probe = Probe::empty();
            probe.clock(&reply(200, &[("date", date)]).headers, now);
            assert_eq!((probe.clock_skew, probe.checks[0].outcome), (skew, outcome), "{date}");
        }
    }
}
