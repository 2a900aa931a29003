//! The query of a list: search words, filters, cursor and limit.

use http::Uri;
use url::form_urlencoded;

use super::problem::Problem;

pub use crate::library::Page;

/// A query, decoded once.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the query of a request; percent-encoding that is not UTF-8 shows as U+FFFD.
    pub fn of(uri: &Uri) -> Self {
        Self(form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect())
    }

    /// The first value of this name that is not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, value)| known == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// How many items a page may hold: `limit`, [`DEFAULT_LIMIT`] without, [`MAX_LIMIT`] at most.
    ///
    /// # Errors
    /// 400 if it is not a number above zero.
    pub fn limit(&self) -> Result<usize, Problem> {
        match self.get("limit").map(str::parse::<usize>) {
            None => Ok(DEFAULT_LIMIT),
            Some(Ok(limit)) if limit > 0 => Ok(limit.min(MAX_LIMIT)),
            Some(_) => Err(Problem::bad_request("limit must be a whole number above zero")),
        }
    }
}

/// Items in a page when nobody says how many.
pub const DEFAULT_LIMIT: usize = 100;

/// Items in a page, whoever asks.
pub const MAX_LIMIT: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(query: &str) -> Result<usize, u16> {
        let uri: Uri = format!("/items?{query}").parse().expect("a target");
        Query::of(&uri).limit().map_err(|problem| problem.status().as_u16())
    }

    #[test]
    fn a_limit_is_a_number_above_zero_within_bounds() {
        for (query, expected) in [
            ("", Ok(100)),
            ("limit=", Ok(100)),
            ("limit=7", Ok(7)),
            ("limit=100000", Ok(1000)),
            ("limit=0", Err(400)),
            ("limit=-1", Err(400)),
            ("limit=abc", Err(400)),
            ("limit=99999999999999999999999", Err(400)),
        ] {
            assert_eq!(limit(query), expected, "{query}");
        }
    }

    #[test]
    fn values_are_decoded() {
        let query = Query::of(&Uri::from_static("/items?q=big+film%20%C3%BC&share=a&share=b"));
        assert_eq!(query.get("q"), Some("big film ü"));
        assert_eq!(query.get("share"), Some("a"));
        assert_eq!(query.get("cursor"), None);
    }
}
