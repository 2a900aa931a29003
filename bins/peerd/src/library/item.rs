//! What a shared file is called and what is told about it.
//!
//! The id names a path within a share and nothing else: it is the same after a restart, after a rescan and
//! after the file changed. What the file is *right now* is its [`FileStamp`], and the entity tag is made of
//! that alone.

use std::fs::Metadata;
use std::path::Path;
use std::time::SystemTime;

use range_http::FileStamp;
use serde::{Serialize, Serializer};

use super::base32;
use crate::moment::rfc3339;

/// What the peer API tells about one shared file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// `SHARE:TAG`, stable for a path within a share.
    pub id: String,
    /// The file name without its extension.
    pub title: String,
    /// The file name; bytes that are not UTF-8 show as U+FFFD.
    pub filename: String,
    /// Complete-length in bytes.
    pub size: u64,
    /// Last modification, in UTC with whole seconds.
    #[serde(serialize_with = "as_rfc3339")]
    pub modified: SystemTime,
    /// The entity tag with its quotes, the same that the file itself is served with.
    pub etag: String,
    /// The share it is in.
    pub share: String,
}

impl Item {
    pub(super) fn new(share: &str, tag: Tag, path: &Path, metadata: &Metadata, now: SystemTime) -> Self {
        let stamp = FileStamp::of(metadata);
        let lossy = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        Self {
            id: format!("{share}:{}", tag.as_str()),
            title: lossy(path.file_stem()),
            filename: lossy(path.file_name()),
            size: stamp.len,
            modified: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
            etag: stamp.entity_tag(stamp.is_still(now)).to_string(),
            share: share.to_owned(),
        }
    }
}

/// The second half of an id: one hundred bits of a digest of the path within the share.
///
/// A digest instead of the path keeps ids short, opaque and free of characters that need escaping.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Tag([u8; Tag::LEN]);

impl Tag {
    const LEN: usize = 20;

    /// The tag of a path within a share, as bytes.
    pub(super) fn of(path: &[u8]) -> Self {
        let text = base32::encode(blake3::hash(path).as_bytes());
        Self::parse(&text[..Self::LEN]).expect("a digest has more than twenty characters of base32")
    }

    /// Splits an id at its last colon; `None` for text that no share of ours could have named.
    pub(super) fn split_id(id: &str) -> Option<(&str, Self)> {
        let (share, tag) = id.rsplit_once(':')?;
        Some((share, Self::parse(tag)?))
    }

    fn parse(text: &str) -> Option<Self> {
        base32::is_encoded(text).then_some(Self(text.as_bytes().try_into().ok()?))
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a tag is made of ASCII only")
    }
}

impl std::fmt::Debug for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

fn as_rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&rfc3339(*time))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_id_is_a_function_of_the_path_alone() {
        assert_eq!(Tag::of(b"a/b.mkv"), Tag::of(b"a/b.mkv"));
        assert_ne!(Tag::of(b"a/b.mkv"), Tag::of(b"a/c.mkv"));
        assert_eq!(
            Tag::split_id("movies:hd:abcdefghijklmnopqrst").map(|(share, _)| share),
            Some("movies:hd")
        );
    }

    #[test]
    fn text_that_is_no_id_of_ours_is_not_taken_for_one() {
        for id in [
            "",
            "movies",
            "movies:",
            "movies:short",
            "movies:ABCDEFGHIJKLMNOPQRST",
            "movies:abcdefghijklmnopqrs/",
        ] {
            assert_eq!(Tag::split_id(id), None, "{id:?}");
        }
    }

    #[test]
    fn a_listed_item_has_the_fields_of_the_peer_api() {
        let file = tempfile::tempfile().expect("a temporary file");
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_millis(5500)).expect("a modification time");
        let metadata = file.metadata().expect("metadata");
        let path = "x/Big Film.mkv";
        let item =
            Item::new("movies", Tag::of(path.as_bytes()), path.as_ref(), &metadata, SystemTime::UNIX_EPOCH);
        let json = serde_json::to_value(&item).expect("an item is plain JSON");
        assert_eq!(json["title"], "Big Film");
        assert_eq!(json["filename"], "Big Film.mkv");
        assert_eq!(json["modified"], "1970-01-01T00:00:05Z");
        assert_eq!(json["id"].as_str().map(str::len), Some("movies:".len() + Tag::LEN));
    }
}
