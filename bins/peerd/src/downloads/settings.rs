//! What the download service goes by: the `[downloads]` and `[limits]` sections, resolved.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use resume_fetch::{Connections, FetchRequest, LowSpeed};
use retry_kit::{PolicyError, RetryPolicy};

use crate::config::{Config, OnConflict, ResolvedPaths};

/// The settings of the download service.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether anything is downloaded at all.
    pub enabled: bool,
    /// Where finished files get their names.
    pub dir: PathBuf,
    /// Where unfinished ones grow; on the same filesystem.
    pub incomplete_dir: PathBuf,
    /// What to do about an existing destination.
    pub on_conflict: OnConflict,
    /// Downloads that run at once.
    pub max_concurrent: usize,
    /// When to try again.
    pub retry: RetryPolicy,
    /// How soon a download that ran out of attempts comes back by itself.
    pub retry_failed_every: Duration,
    /// How long after its creation it stops coming back.
    pub give_up_after: Duration,
    /// How long rows that are over are kept; `None` for ever.
    pub keep_history: Option<Duration>,
    /// Longest time to the whole response head.
    pub response_timeout: Duration,
    /// Longest silence in a body.
    pub idle_timeout: Duration,
    /// Fewest bytes per second over the window.
    pub low_speed: Option<LowSpeed>,
    /// Largest file in bytes.
    pub max_size: Option<u64>,
    /// Free bytes below which nothing new is started.
    pub min_free: u64,
    /// New bytes after which they are made durable.
    pub checkpoint_bytes: u64,
    /// Transfers of one file side by side.
    pub connections: Connections,
    /// Time after which they are made durable.
    pub checkpoint_interval: Duration,
    /// Bytes per second over all downloads.
    pub limit_down: Option<NonZeroU64>,
}

impl Settings {
    /// Takes the settings out of a checked configuration.
    ///
    /// # Errors
    /// When the retry settings contradict each other; the configuration's own check finds that first.
    pub fn new(config: &Config, paths: &ResolvedPaths) -> Result<Self, PolicyError> {
        let downloads = &config.downloads;
        let retry = RetryPolicy::builder()
            .max_attempts(downloads.max_attempts)
            .base(downloads.retry_base)
            .cap(downloads.retry_max)
            .max_retry_after(downloads.max_retry_after)
            .attempts_reset_bytes(downloads.attempts_reset_bytes.bytes())
            .build()?;
        Ok(Self {
            enabled: downloads.enabled,
            dir: paths.downloads.clone(),
            incomplete_dir: paths.incomplete.clone(),
            on_conflict: downloads.on_conflict,
            max_concurrent: downloads.max_concurrent as usize,
            retry,
            retry_failed_every: downloads.retry_failed_every,
            give_up_after: downloads.give_up_after,
            keep_history: Some(downloads.keep_history).filter(|keep| !keep.is_zero()),
            response_timeout: downloads.response_timeout,
            idle_timeout: downloads.idle_timeout,
            low_speed: downloads.low_speed.limit().map(|floor| LowSpeed { floor, window: LOW_SPEED_WINDOW }),
            max_size: downloads.max_size.limit(),
            min_free: downloads.min_free.bytes(),
            connections: Connections::adaptive(downloads.connections as usize),
            checkpoint_bytes: downloads.checkpoint_bytes.bytes(),
            checkpoint_interval: downloads.checkpoint_interval,
            limit_down: config.limits.down.limit().and_then(NonZeroU64::new),
        })
    }

    /// Puts every bound that is the same for all downloads on a request.
    pub(super) fn bound(&self, request: FetchRequest) -> FetchRequest {
        request
            .replace(self.on_conflict == OnConflict::Replace)
            .max_size(self.max_size)
            .response_timeout(self.response_timeout)
            .idle_timeout(self.idle_timeout)
            .low_speed(self.low_speed)
            .checkpoint(self.checkpoint_bytes, self.checkpoint_interval)
            .retry(self.retry.clone())
            .connections(self.connections)
            .hold_at_most(HOLD)
    }
}

/// Retrying waits longer than this give the permit back, so that slow peers cannot block the queue.
const HOLD: Duration = Duration::from_secs(1);
const LOW_SPEED_WINDOW: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ByteSize;

    fn settings(config: &Config) -> Settings {
        let [state, downloads, incomplete, registry] = ["/s", "/d", "/i", "/s/peerd.db"].map(PathBuf::from);
        Settings::new(config, &ResolvedPaths { state, downloads, incomplete, registry }).unwrap()
    }

    #[test]
    fn without_a_configuration_the_documented_defaults_hold() {
        let settings = settings(&Config::default());
        assert_eq!((settings.max_concurrent, settings.retry.max_attempts.get()), (3, 5));
        assert_eq!((settings.max_size, settings.limit_down), (Some(100 << 30), None));
        assert_eq!(settings.connections, Connections::adaptive(4));
        assert_eq!(
            (settings.checkpoint_bytes, settings.checkpoint_interval),
            (16 << 20, Duration::from_secs(2))
        );
        assert_eq!(settings.keep_history, Some(Duration::from_secs(90 * 24 * 3600)));
        assert_eq!(settings.low_speed, Some(LowSpeed { floor: 1024, window: Duration::from_secs(30) }));
    }

    #[test]
    fn a_bound_of_zero_is_none() {
        let mut config = Config::default();
        config.downloads.max_size = ByteSize(0);
        config.downloads.low_speed = ByteSize(0);
        config.limits.down = ByteSize(0);
        config.downloads.keep_history = Duration::ZERO;
        let settings = settings(&config);
        assert_eq!(settings.keep_history, None);
        assert_eq!((settings.max_size, settings.low_speed, settings.limit_down), (None, None, None));
    }

    #[test]
    fn retry_settings_that_contradict_each_other_are_refused() {
        let mut config = Config::default();
        config.downloads.retry_max = config.downloads.retry_base / 2;
        let paths = ["/s", "/d", "/i", "/s/peerd.db"].map(PathBuf::from);
        let [state, downloads, incomplete, registry] = paths;
        assert!(Settings::new(&config, &ResolvedPaths { state, downloads, incomplete, registry }).is_err());
    }
}
