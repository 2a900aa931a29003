//! The API of Radarr and Sonarr (v3), as far as handing a file over needs it.
//!
//! Every call is bounded in time and in what it reads. No redirect is followed: the key goes to the configured address
//! and nowhere else.

mod answer;
mod error;

use std::time::{Duration, SystemTime};

use bytes::BytesMut;
use futures_util::TryStreamExt;
use http::Method;
use http::header::{DATE, HeaderValue};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_json::{Value, json};
use url::Url;

use self::error::refusal;
use crate::config::{ImportConfig, ImportKind};
use crate::outbound::root_cause;

pub(super) use self::answer::{Command, CommandState, History, Record, Status};
pub(super) use self::error::{ArrError, tidy};

/// One Radarr or Sonarr.
#[derive(Clone, Debug)]
pub(super) struct Arr {
    http: reqwest::Client,
    base: Url,
    key: HeaderValue,
    kind: ImportKind,
}

impl Arr {
    pub(super) fn new(
        http: reqwest::Client,
        config: &ImportConfig,
    ) -> Result<Self, http::header::InvalidHeaderValue> {
        let mut key = HeaderValue::from_str(config.key.expose())?;
        key.set_sensitive(true);
        Ok(Self { http, base: config.url.base().clone(), key, kind: config.kind })
    }

    pub(super) async fn status(&self) -> Result<Status, ArrError> {
        Ok(self.get("api/v3/system/status", &[]).await?.0)
    }

    /// Tells it to look at this one file.
    pub(super) async fn scan(&self, path: &str) -> Result<Command, ArrError> {
        let body = json!({ "name": self.command_name(), "path": path });
        Ok(self.call(Method::POST, "api/v3/command", &[], Some(body)).await?.0)
    }

    pub(super) async fn command(&self, id: i64) -> Result<Command, ArrError> {
        Ok(self.get(&format!("api/v3/command/{id}"), &[]).await?.0)
    }

    /// The commands it remembers.
    pub(super) async fn commands(&self) -> Result<Vec<Command>, ArrError> {
        Ok(self.get("api/v3/command", &[]).await?.0)
    }

    /// A page of what was imported, and what time it is there.
    pub(super) async fn imported(&self, page: u32) -> Result<(History, Option<SystemTime>), ArrError> {
        let page = page.to_string();
        let query = [
            ("page", page.as_str()),
            ("pageSize", PAGE_SIZE),
            ("sortKey", "date"),
            ("sortDirection", "descending"),
            // downloadFolderImported, in both of them.
            ("eventType", "3"),
        ];
        self.get("api/v3/history", &query).await
    }

    /// The folders in a folder; empty where there is none.
    pub(super) async fn folders(&self, path: &str) -> Result<Vec<String>, ArrError> {
        #[derive(Deserialize)]
        struct Listing {
            directories: Vec<Folder>,
        }
        #[derive(Deserialize)]
        struct Folder {
            path: String,
        }
        let (listing, _) = self.get::<Listing>("api/v3/filesystem", &[("path", path)]).await?;
        Ok(listing.directories.into_iter().map(|folder| folder.path).collect())
    }

    /// The command that makes it look at a path.
    pub(super) const fn command_name(&self) -> &'static str {
        match self.kind {
            ImportKind::Radarr => "DownloadedMoviesScan",
            ImportKind::Sonarr => "DownloadedEpisodesScan",
        }
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<(T, Option<SystemTime>), ArrError> {
        self.call(Method::GET, path, query, None).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<Value>,
    ) -> Result<(T, Option<SystemTime>), ArrError> {
        let mut url = self.base.join(path).map_err(|error| ArrError::Odd(error.to_string()))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request =
            self.http.request(method, url).header("x-api-key", self.key.clone()).timeout(TIMEOUT);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.map_err(unanswered)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut text = BytesMut::new();
        let mut stream = response.bytes_stream();
        while let Some(bytes) = stream.try_next().await.map_err(unanswered)? {
            if text.len() + bytes.len() > MAX_ANSWER {
                return Err(ArrError::Odd(format!("it is longer than {} MiB", MAX_ANSWER >> 20)));
            }
            text.extend_from_slice(&bytes);
        }
        if !status.is_success() {
            return Err(refusal(status, &headers, &text));
        }
        let date = headers.get(DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
        match serde_json::from_slice(&text) {
            Ok(answer) => Ok((answer, date)),
            // Never the text itself: it may be somebody's login page.
            Err(error) => Err(ArrError::Odd(misread(&error))),
        }
    }
}

/// Where an answer cannot be read, and why; serde's own words repeat what stands there, however long.
fn misread(error: &serde_json::Error) -> String {
    let why = match error.classify() {
        Category::Syntax => "it is not JSON",
        Category::Eof => "its JSON ends in the middle",
        Category::Data | Category::Io => "its JSON does not say what it should",
    };
    format!("{why} (line {}, column {})", error.line(), error.column())
}

fn unanswered(error: reqwest::Error) -> ArrError {
    let error = error.without_url();
    let said = match error.is_timeout() && !error.is_connect() {
        true => format!("none within {} s", TIMEOUT.as_secs()),
        false => root_cause(&error),
    };
    if error.is_connect() { ArrError::Unreachable(said) } else { ArrError::Cut(said) }
}

/// For one call, from connecting to the last byte.
const TIMEOUT: Duration = Duration::from_secs(30);
const MAX_ANSWER: usize = 8 << 20;
/// Records on a page of history.
const PAGE_SIZE: &str = "100";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_cannot_be_read_is_told_by_its_place_and_not_repeated() {
        let misread = |text: &str| misread(&serde_json::from_str::<Command>(text).unwrap_err());
        let stranger = format!("{{\"id\": \"{}\"}}", "password".repeat(1000));
        assert_eq!(misread(&stranger), "its JSON does not say what it should (line 1, column 8009)");
        assert_eq!(misread("\n<html>"), "it is not JSON (line 2, column 1)");
        assert_eq!(misread("{\"id\":"), "its JSON ends in the middle (line 1, column 6)");
    }
}
