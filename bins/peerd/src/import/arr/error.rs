//! How a call fails, and what that says about the next one.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::header::{DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use serde_json::Value;
use thiserror::Error;

use crate::import::patience::Weight;

/// Why a call brought nothing.
#[derive(Clone, Debug, Error)]
pub(in crate::import) enum ArrError {
    /// Nobody took the request.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// The request was on its way, and no whole answer came.
    #[error("gave no whole answer: {0}")]
    Cut(String),
    /// The key is wrong.
    #[error("refused the key ({0})")]
    Key(StatusCode),
    /// An answer that says no, or not now.
    #[error("answered {status}{}", said.as_deref().map_or_else(String::new, |said| format!(": {said}")))]
    Status { status: StatusCode, said: Option<String>, wait: Option<Duration> },
    /// An answer that sends us elsewhere.
    #[error("answered {0}, which leads to another address; the configured one must be the importer itself")]
    Redirect(StatusCode),
    /// An answer that is none.
    #[error("gave an answer that cannot be read: {0}")]
    Odd(String),
}

impl ArrError {
    /// What it says about trying again.
    pub(in crate::import) fn weight(&self) -> Weight {
        match self {
            Self::Unreachable(_) | Self::Cut(_) => Weight::Away,
            Self::Key(_) | Self::Redirect(_) => Weight::Final,
            Self::Odd(_) => Weight::Fault,
            Self::Status { status, .. } => match status.as_u16() {
                // The last three are what stands before an importer says while that one is away.
                408 | 425 | 429 | 502..=504 => Weight::Away,
                500.. => Weight::Fault,
                _ => Weight::Final,
            },
        }
    }

    /// How long it asks us to wait.
    pub(in crate::import) fn wait(&self) -> Option<Duration> {
        match self {
            Self::Status { wait, .. } => *wait,
            _ => None,
        }
    }

    /// Whether the importer may have acted on the request all the same.
    pub(in crate::import) fn is_in_doubt(&self) -> bool {
        match self {
            Self::Cut(_) | Self::Odd(_) => true,
            Self::Status { status, .. } => matches!(status.as_u16(), 502..=504),
            Self::Unreachable(_) | Self::Key(_) | Self::Redirect(_) => false,
        }
    }

    pub(in crate::import) fn is_not_found(&self) -> bool {
        matches!(self, Self::Status { status: StatusCode::NOT_FOUND, .. })
    }
}

pub(super) fn refusal(status: StatusCode, headers: &HeaderMap, text: &[u8]) -> ArrError {
    match status.as_u16() {
        300..=399 => ArrError::Redirect(status),
        401 | 403 => ArrError::Key(status),
        _ => {
            let date = headers.get(DATE).map(HeaderValue::as_bytes);
            let wait = retry_kit::retry_after(headers.get_all(RETRY_AFTER), date, SystemTime::now());
            ArrError::Status { status, said: said(text), wait }
        }
    }
}

/// What a refusal says: `{"message": …}`, or a list of `{"errorMessage": …}` about single fields.
fn said(text: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(text).ok()?;
    let messages = match &answer {
        Value::Array(errors) => {
            errors.iter().filter_map(|error| error.get("errorMessage")?.as_str()).collect()
        }
        answer => vec![answer.get("message")?.as_str()?],
    };
    let said = tidy(&messages.join("; "));
    (!said.is_empty()).then_some(said)
}

/// A text of a stranger, fit for a line of a log: no control characters, not too long.
pub(in crate::import) fn tidy(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_SAID).collect();
    line.trim().to_owned()
}

const MAX_SAID: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16) -> ArrError {
        refusal(StatusCode::from_u16(code).unwrap(), &HeaderMap::new(), b"")
    }

    #[test]
    fn a_refusal_is_final_a_fault_or_passes() {
        for (code, weight) in [
            (301, Weight::Final),
            (400, Weight::Final),
            (401, Weight::Final),
            (404, Weight::Final),
            (408, Weight::Away),
            (429, Weight::Away),
            (500, Weight::Fault),
            (501, Weight::Fault),
            (502, Weight::Away),
            (503, Weight::Away),
            (504, Weight::Away),
        ] {
            assert_eq!(status(code).weight(), weight, "{code}");
        }
        assert!(status(504).is_in_doubt() && !status(500).is_in_doubt() && !status(429).is_in_doubt());
    }

    #[test]
    fn what_a_refusal_says_is_told_in_one_short_line() {
        for (text, expected) in [
            (r#"{"message": "no\nsuch folder"}"#, Some("no such folder")),
            (
                r#"[{"propertyName": "Path", "errorMessage": "Path does not exist"}]"#,
                Some("Path does not exist"),
            ),
            (r#"{"message": ""}"#, None),
            (r#"{"message": 7}"#, None),
            ("<html>", None),
            ("", None),
        ] {
            assert_eq!(said(text.as_bytes()).as_deref(), expected, "{text}");
        }
        assert_eq!(tidy(&"x".repeat(1000)).len(), 300);
    }
}
