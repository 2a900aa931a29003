//! What to fetch, where to put it, and within which bounds.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use range_http::EntityTag;
use retry_kit::{Layers, RetryPolicy};
use thiserror::Error;
use url::Url;

use crate::digest::Digest;
use crate::range_set::RangeSet;

/// One download: a URL, a target, and everything that bounds the work in between.
///
/// The defaults suit a large file from a peer; each method changes one of them.
#[derive(Clone)]
pub struct FetchRequest {
    pub(crate) url: Url,
    pub(crate) target: PathBuf,
    pub(crate) part: PathBuf,
    pub(crate) headers: HeaderMap,
    pub(crate) replace: bool,
    pub(crate) expected_total: Option<u64>,
    pub(crate) known_tag: Option<EntityTag>,
    pub(crate) digest: Option<Digest>,
    pub(crate) max_size: Option<u64>,
    pub(crate) response_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) low_speed: Option<LowSpeed>,
    pub(crate) checkpoint_bytes: u64,
    pub(crate) checkpoint_interval: Duration,
    pub(crate) retry: RetryPolicy,
    pub(crate) failures: u32,
    pub(crate) progress: u64,
    pub(crate) hold: Duration,
    pub(crate) limits: Layers,
    pub(crate) connections: Connections,
    pub(crate) wanted: Wanted,
}

/// How many transfers of one file run side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    limit: u8,
    pub(crate) adaptive: bool,
}

impl Connections {
    /// One at a time: the part file is a plain prefix of the file at every moment.
    pub const SEQUENTIAL: Self = Self { limit: 1, adaptive: false };
    /// The most there can be.
    pub const MAX: usize = 16;

    /// One at first, more while the rate rises, and of those as many as make the whole faster, up to `limit`. From 1 to
    /// [`Connections::MAX`]; what lies outside counts as the nearest.
    pub const fn adaptive(limit: usize) -> Self {
        Self { adaptive: limit > 1, ..Self::fixed(limit) }
    }

    /// As many as there is work for, up to `limit`, from the first answer on. From 1 to [`Connections::MAX`]; what
    /// lies outside counts as the nearest.
    pub const fn fixed(limit: usize) -> Self {
        let limit = if limit == 0 { 1 } else { limit };
        let limit = if limit > Self::MAX { Self::MAX } else { limit };
        Self { limit: limit as u8, adaptive: false }
    }

    /// The most there will be.
    pub const fn limit(self) -> usize {
        self.limit as usize
    }
}

/// Which bytes a download brings by itself, without anybody asking for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// All of them; then the file is verified and published.
    #[default]
    Whole,
    /// These offsets, as far as the file has them. The file is never published: part and record stay.
    Ranges(RangeSet),
    /// None: what living readers and requests want, until the download is stopped. Never published.
    OnDemand,
}

/// The slowest transfer that still counts as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LowSpeed {
    /// Bytes per second, averaged over the window.
    pub floor: u64,
    /// How long the average must stay below the floor.
    pub window: Duration,
}

/// Why a URL cannot be fetched.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidUrl {
    /// Not an absolute URL.
    #[error("not a URL: {0}")]
    Syntax(#[from] url::ParseError),
    /// Neither http nor https.
    #[error("the scheme must be http or https, not {0}")]
    Scheme(String),
    /// A name or password in the URL would end up in logs; a header does not.
    #[error("credentials belong into a header, not into the URL")]
    Credentials,
}

impl FetchRequest {
    /// A download of `url` to `target`, through `target` with `.part` behind it.
    ///
    /// # Errors
    /// [`InvalidUrl`] when the URL is not an absolute http or https URL without credentials.
    pub fn new(url: &str, target: impl Into<PathBuf>) -> Result<Self, InvalidUrl> {
        let mut url = Url::parse(url)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(InvalidUrl::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidUrl::Credentials);
        }
        url.set_fragment(None);
        let target = target.into();
        let part = with_suffix(&target, ".part");
        Ok(Self {
            url,
            target,
            part,
            headers: HeaderMap::new(),
            replace: false,
            expected_total: None,
            known_tag: None,
            digest: None,
            max_size: None,
            response_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            low_speed: Some(LowSpeed { floor: 1024, window: Duration::from_secs(30) }),
            checkpoint_bytes: 16 << 20,
            checkpoint_interval: Duration::from_secs(2),
            retry: RetryPolicy::default(),
            failures: 0,
            progress: 0,
            hold: Duration::MAX,
            limits: Layers::default(),
            connections: Connections::adaptive(4),
            wanted: Wanted::Whole,
        })
    }

    /// Puts the growing data at `part` instead. It must be on the target's filesystem.
    pub fn part(mut self, part: impl Into<PathBuf>) -> Self {
        self.part = part.into();
        self
    }

    /// Sends a header with every request to the URL's own origin. A redirect elsewhere goes without it.
    pub fn header(mut self, name: HeaderName, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        self.headers.append(name, value);
        self
    }

    /// Replaces an existing target instead of refusing.
    pub fn replace(mut self, replace: bool) -> Self {
        self.replace = replace;
        self
    }

    /// Insists on a complete-length in bytes; any other is refused before a byte is written.
    pub fn expect_size(mut self, total: Option<u64>) -> Self {
        self.expected_total = total;
        self
    }

    /// The strong entity tag the caller knows. With a size it lets a part file without a ledger be continued.
    pub fn known_tag(mut self, tag: Option<EntityTag>) -> Self {
        self.known_tag = tag.filter(|tag| !tag.is_weak());
        self
    }

    /// Publishes only what has this digest.
    pub fn expect_digest(mut self, digest: Option<Digest>) -> Self {
        self.digest = digest;
        self
    }

    /// Refuses files of more bytes than this, by what the peer announces and by what arrives; `None` for any size.
    pub fn max_size(mut self, max: Option<u64>) -> Self {
        self.max_size = max;
        self
    }

    /// How long to wait for a whole response head. 30 s by default.
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout;
        self
    }

    /// How long a body may be silent. 60 s by default. Waiting for a rate limit or our own disk does not count.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// Ends an attempt that brings fewer bytes than this; `None` never does. 1 KiB/s over 30 s by default.
    pub fn low_speed(mut self, low_speed: Option<LowSpeed>) -> Self {
        self.low_speed = low_speed.filter(|low| low.floor > 0);
        self
    }

    /// Bounds what a crash makes us ask for again: at most `bytes` are written and not yet on record (0: no bound), or
    /// 16 KiB for each of the connections there may be and two more, where that is more; and none for longer than
    /// `interval` plus the time a sync takes. 16 MiB and 2 s by default.
    ///
    /// Syncing begins at three eighths of it, or before, beside the transfer; a disk that cannot keep up slows the
    /// transfer down.
    pub fn checkpoint(mut self, bytes: u64, interval: Duration) -> Self {
        self.checkpoint_bytes = if bytes == 0 { u64::MAX } else { bytes };
        self.checkpoint_interval = interval;
        self
    }

    /// When to try again.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Continues a count of failures from an earlier call.
    pub fn failures_so_far(mut self, failures: u32) -> Self {
        self.failures = failures;
        self
    }

    /// Counts bytes that became durable after the last of those failures, in an earlier call: with what this one brings,
    /// they may make the count start over.
    pub fn progress_so_far(mut self, bytes: u64) -> Self {
        self.progress = bytes;
        self
    }

    /// Longest wait spent inside the call. A longer one ends it with
    /// [`Deferred`](crate::FetchErrorKind::Deferred), so that a queue can use the time for others. Endless by default.
    pub fn hold_at_most(mut self, hold: Duration) -> Self {
        self.hold = hold;
        self
    }

    /// Rate limits every received byte passes, outermost first. None by default.
    pub fn limits(mut self, limits: Layers) -> Self {
        self.limits = limits;
        self
    }

    /// How many transfers run side by side. Up to four by default, as far as they help.
    ///
    /// A peer that ignores ranges, or has no strong validator to join pieces by, gets one at a time whatever this says,
    /// and so does a file under 1 MiB.
    pub fn connections(mut self, connections: Connections) -> Self {
        self.connections = connections;
        self
    }

    /// Which bytes to bring by itself. The whole file by default.
    pub fn want(mut self, wanted: Wanted) -> Self {
        self.wanted = wanted;
        self
    }

    /// The URL, with its query left out: safe to show.
    pub fn display_url(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.into()
    }

    /// Where the file will be.
    pub fn target_path(&self) -> &Path {
        &self.target
    }

    /// Where the data grows.
    pub fn part_path(&self) -> &Path {
        &self.part
    }
}

impl std::fmt::Debug for FetchRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FetchRequest")
            .field("url", &self.display_url())
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

/// `path` with `suffix` behind its last component.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_with_secrets_is_refused_or_hidden() {
        let refused = |url| FetchRequest::new(url, "x").unwrap_err();
        assert_eq!(refused("http://me:pw@host/x"), InvalidUrl::Credentials);
        assert_eq!(refused("ftp://host/x"), InvalidUrl::Scheme("ftp".into()));
        assert!(matches!(refused("host/x"), InvalidUrl::Syntax(_)));
        let request = FetchRequest::new("http://host/x?token=secret#frag", "x").unwrap();
        assert!(!format!("{request:?}").contains("secret"));
    }

    #[test]
    fn the_part_stands_beside_its_target() {
        let request = FetchRequest::new("http://host/x", "/data/film.mkv").unwrap();
        assert_eq!(request.part_path(), Path::new("/data/film.mkv.part"));
    }
}
