//! Where the daemon's words go: stderr, one event a line, readable on a terminal and JSON elsewhere.

use std::fmt;
use std::io::IsTerminal;
use std::sync::Arc;

use tracing_subscriber::fmt::time::SystemTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, reload};

use crate::config::{LogConfig, LogFormat, LogLevel};

/// The log of the process; its level can be changed while it is written.
#[derive(Clone)]
pub struct Logging {
    verbosity: i8,
    set: Arc<dyn Fn(EnvFilter) + Send + Sync>,
}

/// Starts logging for the process. Later calls change nothing.
///
/// `verbosity` counts `-v` less `-q` and moves the configured level.
pub fn start(log: &LogConfig, verbosity: i8, colour: bool) -> Logging {
    let (filter, handle) = reload::Layer::new(filter(log.level, verbosity));
    let terminal = std::io::stderr().is_terminal();
    let text = match log.format {
        LogFormat::Auto => terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_timer(SystemTime);
    let layer = match text {
        true => layer.with_ansi(colour && terminal).with_target(false).boxed(),
        false => layer.json().flatten_event(true).with_span_list(false).boxed(),
    };
    let _ = tracing_subscriber::registry().with(filter).with(layer).try_init();
    Logging { verbosity, set: Arc::new(move |filter| drop(handle.reload(filter))) }
}

impl Logging {
    /// Changes the level, from the next line on.
    pub fn set_level(&self, level: LogLevel) {
        (self.set)(filter(level, self.verbosity));
    }
}

impl fmt::Debug for Logging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logging").field("verbosity", &self.verbosity).finish_non_exhaustive()
    }
}

fn filter(level: LogLevel, verbosity: i8) -> EnvFilter {
    let levels = ["error", "warn", "info", "debug", "trace"];
    let configured = levels.iter().position(|name| *name == level.as_str()).unwrap_or(2);
    let level = levels[configured.saturating_add_signed(verbosity.into()).min(levels.len() - 1)];
    // The HTTP stack and the database speak of every frame and statement below warn; that is for them.
    EnvFilter::new(format!(
        "{level},hyper=warn,hyper_util=warn,reqwest=warn,sqlx=warn,rustls=warn,notify=warn"
    ))
}
