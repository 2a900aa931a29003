//! An answer of the admin or peer API, read to its end.

use reqwest::header::HeaderMap;
use serde_json::Value;

/// Status, fields and body of one answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) async fn to(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, body: response.text().await.expect("a whole body") }
    }

    /// The body as JSON; null when there is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    pub(crate) fn field(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a readable field"))
    }

    /// The last part of the type of a problem document, whose other members must agree with the answer.
    pub(crate) fn problem(&self) -> String {
        let document = self.json();
        assert_eq!(self.field("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(document["status"], self.status, "{self:?}");
        assert!(document["title"].is_string(), "{self:?}");
        let kind = document["type"].as_str().expect("a type");
        kind.strip_prefix("urn:peerd:problem:").expect("one of our problems").to_owned()
    }
}
