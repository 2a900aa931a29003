//! The web page of peerd in a real browser, against real daemons: `scripts/browser-tests` installs Chromium and its
//! driver, makes a film, and runs what is in `tests/`.
//!
//! [`Machine`] is one user's machine with a daemon on it, [`Browser`] a Chromium that is told what to do over WebDriver.
//! [`complaints`] and [`strangers`] judge what the browser wrote down meanwhile: nothing may be wrong on the console, and
//! nothing may be asked of anybody but the daemon.
//!
//! Tests wait for conditions within a generous bound, and say what they saw when one never came. Without the feature
//! `chromium` there is nothing here.
#![cfg(feature = "chromium")]

mod browser;
mod console;
mod machine;
mod patience;

pub use browser::{Browser, browse};
pub use console::{complaints, strangers};
pub use machine::{Machine, SECRET};
pub use patience::eventually;
