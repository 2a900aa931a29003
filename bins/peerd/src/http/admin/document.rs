//! Request bodies: a bounded JSON object, taken apart field by field, so that every refusal names its field.

use http::{Request, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::config::ByteSize;
use crate::http::body::BoxError;
use crate::http::problem::Problem;

/// The fields of a request that are not looked at yet.
#[derive(Debug)]
pub(super) struct Document(Map<String, Value>);

impl Document {
    /// Reads a body of at most [`MAX_DOCUMENT`] bytes; none at all is an object without fields.
    pub(super) async fn read(request: Request<Incoming>) -> Result<Self, Problem> {
        let body = Limited::new(request.into_body(), MAX_DOCUMENT).collect();
        let bytes = body.await.map_err(|error| unreadable(&error))?.to_bytes();
        Self::parse(&bytes)
    }

    fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        let text = if bytes.is_empty() { b"{}" } else { bytes };
        match serde_json::from_slice(text) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(refused("the body is no JSON object")),
            Err(error) => Err(Problem::bad_request(format!("the body is no JSON document: {error}"))),
        }
    }

    /// Takes a field. Missing and null are the same: nothing is said about it.
    pub(super) fn take<T: DeserializeOwned>(&mut self, field: &str) -> Result<Option<T>, Problem> {
        Ok(self.take_nullable(field)?.flatten())
    }

    /// Takes a field in which null says something else than leaving it out.
    pub(super) fn take_nullable<T: DeserializeOwned>(
        &mut self,
        field: &str,
    ) -> Result<Option<Option<T>>, Problem> {
        let Some(value) = self.0.remove(field) else { return Ok(None) };
        serde_json::from_value(value).map(Some).map_err(|error| invalid(field, error))
    }

    /// The same for two documents that say the same, however they are spelled.
    pub(super) fn fingerprint(&self) -> blake3::Hash {
        blake3::hash(&serde_json::to_vec(&self.0).unwrap_or_default())
    }

    /// Refuses what nobody took.
    pub(super) fn end(self) -> Result<(), Problem> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(field) => Err(invalid(field, "there is no such field")),
        }
    }
}

/// Bytes per second, written as a number or as a size such as `3MiB`; 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate(u64);

impl Rate {
    /// The limit it sets.
    pub(super) fn limit(self) -> Option<u64> {
        Some(self.0).filter(|rate| *rate > 0)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = ByteSize::deserialize(deserializer)?.bytes();
        if bytes > MAX_RATE {
            return Err(D::Error::custom(format!("a rate is at most {MAX_RATE} bytes per second")));
        }
        Ok(Self(bytes))
    }
}

/// 422 for the value of a field that cannot be used.
pub(super) fn invalid(field: &str, reason: impl std::fmt::Display) -> Problem {
    refused(&format!("{field}: {reason}")).with_member("field", field)
}

/// 422 for a document whose parts do not go together.
pub(super) fn refused(detail: &str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "A value cannot be used").with_detail(detail)
}

fn unreadable(error: &BoxError) -> Problem {
    if error.is::<LengthLimitError>() {
        let title = "The request body is too large";
        return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", title).closing();
    }
    Problem::bad_request("the body ended early").closing()
}

const MAX_DOCUMENT: usize = 64 << 10;
/// The largest number a column of the registry holds.
const MAX_RATE: u64 = i64::MAX as u64;

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(text: &str) -> Result<Option<Option<Rate>>, Value> {
        let mut document = Document::parse(text.as_bytes()).expect("an object");
        let problem = |problem: Problem| serde_json::from_str(&problem.document()).expect("JSON");
        document.take_nullable("limit_down").map_err(problem)
    }

    #[test]
    fn a_rate_is_a_number_or_a_size_and_null_is_not_the_same_as_nothing() {
        for (text, expected) in [
            ("{}", None),
            ("", None),
            (r#"{"limit_down": null}"#, Some(None)),
            (r#"{"limit_down": 5000}"#, Some(Some(Rate(5000)))),
            (r#"{"limit_down": "3MiB"}"#, Some(Some(Rate(3 << 20)))),
            (r#"{"limit_down": "0"}"#, Some(Some(Rate(0)))),
        ] {
            assert_eq!(rate(text), Ok(expected), "{text}");
        }
        assert_eq!((Rate(0).limit(), Rate(7).limit()), (None, Some(7)));
    }

    #[test]
    fn a_refusal_names_its_field() {
        for value in ["\"fast\"", "-1", "1.5", "18446744073709551615", "[]", "\"3MiB/s\"", "true"] {
            let problem = rate(&format!(r#"{{"limit_down": {value}}}"#)).expect_err(value);
            assert_eq!(
                (&problem["status"], &problem["field"]),
                (&422.into(), &"limit_down".into()),
                "{value}"
            );
            assert!(problem["detail"].as_str().expect("a detail").starts_with("limit_down: "), "{problem}");
        }
        let left = Document::parse(br#"{"colour": 1}"#).expect("an object").end().expect_err("a stray field");
        assert!(left.document().contains(r#""field":"colour""#));
    }
}
