//! Names to publish under: taken from the caller as they are, from a peer cleaned, and told apart where they are taken.

use resume_fetch::{FetchRequest, InvalidUrl, file_name};
use url::Url;

use super::request::AddError;
use crate::downloads::peers::Metadata;

/// `film.mkv`, `film (1).mkv`, `film (2).mkv`, …
pub(in crate::downloads) struct Candidates {
    stem: String,
    extension: String,
    next: u32,
}

impl Candidates {
    pub(in crate::downloads) fn new(name: String) -> Self {
        let dot = name.rfind('.').filter(|dot| *dot > 0).unwrap_or(name.len());
        let extension = name[dot..].to_owned();
        let mut stem = name;
        stem.truncate(dot);
        Self { stem, extension, next: 0 }
    }

    pub(in crate::downloads) fn next_name(&mut self) -> String {
        let number = self.next;
        self.next += 1;
        match number {
            0 => format!("{}{}", self.stem, self.extension),
            number => format!("{} ({number}){}", self.stem, self.extension),
        }
    }
}

/// A name the caller gives is taken as it is, or not at all.
pub(super) fn plain_name(name: &str) -> Result<String, AddError> {
    match file_name(name) {
        Ok(clean) if clean == name => Ok(clean),
        _ => Err(AddError::Invalid { field: "filename", reason: "not a plain file name".to_owned() }),
    }
}

/// A peer's name is cleaned; when nothing of it is left, the source gives one that stays the same.
pub(super) fn usable_name(metadata: &Metadata, url: &str) -> String {
    let suggested = metadata.filename.as_deref().unwrap_or_default();
    file_name(suggested)
        .unwrap_or_else(|_| format!("download-{}", &blake3::hash(url.as_bytes()).to_hex()[..12]))
}

pub(super) fn name_in_url(url: &str) -> Result<String, AddError> {
    FetchRequest::new(url, "")?;
    let parsed = Url::parse(url).map_err(InvalidUrl::Syntax)?;
    let last = parsed.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or_default();
    Ok(percent_encoding::percent_decode_str(last).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_count_up_before_the_extension() {
        let mut names = Candidates::new("film.2024.mkv".into());
        assert_eq!(
            [names.next_name(), names.next_name(), names.next_name()],
            ["film.2024.mkv", "film.2024 (1).mkv", "film.2024 (2).mkv"]
        );
        assert_eq!(Candidates { next: 1, ..Candidates::new("README".into()) }.next_name(), "README (1)");
    }

    #[test]
    fn a_callers_name_is_refused_where_a_peers_is_cleaned() {
        assert!(plain_name("../x").is_err() && plain_name("").is_err());
        assert_eq!(plain_name("film.mkv").unwrap(), "film.mkv");
        let from_peer = |name: Option<&str>| {
            usable_name(&Metadata { filename: name.map(str::to_owned), size: None }, "http://bob/x")
        };
        assert_eq!(from_peer(Some("../../x.mkv")), "x.mkv");
        assert!(from_peer(Some("..")).starts_with("download-"));
        assert_eq!(from_peer(None), from_peer(Some("/")), "the same source gets the same name");
    }

    #[test]
    fn a_url_names_its_file_and_bad_ones_are_refused() {
        assert_eq!(name_in_url("http://bob/a/film%20one.mkv?token=x").unwrap(), "film one.mkv");
        assert!(matches!(name_in_url("ftp://bob/x"), Err(AddError::Invalid { field: "url", .. })));
    }
}
