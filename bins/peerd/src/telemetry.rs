//! Where the daemon's words go: stderr, one event a line, readable on a terminal and JSON elsewhere.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::SystemTime;

use crate::config::{LogConfig, LogFormat};

/// Starts logging for the process. Later calls change nothing.
///
/// `verbosity` counts `-v` less `-q` and moves the configured level.
pub fn start(log: &LogConfig, verbosity: i8, colour: bool) {
    let levels = ["error", "warn", "info", "debug", "trace"];
    let configured = levels.iter().position(|level| *level == log.level.as_str()).unwrap_or(2);
    let level = levels[configured.saturating_add_signed(verbosity.into()).min(levels.len() - 1)];
    // The HTTP stack and the database speak of every frame and statement below warn; that is for them.
    let filter = EnvFilter::new(format!(
        "{level},hyper=warn,hyper_util=warn,reqwest=warn,sqlx=warn,rustls=warn,notify=warn"
    ));
    let terminal = std::io::stderr().is_terminal();
    let text = match log.format {
        LogFormat::Auto => terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_timer(SystemTime);
    let _ = match text {
        true => builder.with_ansi(colour && terminal).with_target(false).try_init(),
        false => builder.json().flatten_event(true).try_init(),
    };
}
