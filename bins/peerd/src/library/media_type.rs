//! Media types by file name extension, for the few kinds of file a browser or a player treats better when
//! told.

use std::path::Path;

/// The media type of a file by its name, `application/octet-stream` if it tells nothing.
///
/// Types that a browser would run as a page of ours (HTML, SVG, scripts) are left out on purpose.
pub(crate) fn of(path: &Path) -> &'static str {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let extension = extension.to_ascii_lowercase();
    TYPES.iter().find(|(known, _)| *known == extension).map_or("application/octet-stream", |(_, kind)| kind)
}

const TYPES: &[(&str, &str)] = &[
    ("mkv", "video/matroska"),
    ("mp4", "video/mp4"),
    ("m4v", "video/mp4"),
    ("webm", "video/webm"),
    ("mov", "video/quicktime"),
    ("mpg", "video/mpeg"),
    ("mpeg", "video/mpeg"),
    ("ogv", "video/ogg"),
    ("mp3", "audio/mpeg"),
    ("m4a", "audio/mp4"),
    ("flac", "audio/flac"),
    ("ogg", "audio/ogg"),
    ("opus", "audio/ogg"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("png", "image/png"),
    ("webp", "image/webp"),
    ("pdf", "application/pdf"),
    ("epub", "application/epub+zip"),
    ("zip", "application/zip"),
    ("gz", "application/gzip"),
    ("zst", "application/zstd"),
    ("txt", "text/plain; charset=utf-8"),
    ("srt", "text/plain; charset=utf-8"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_extensions_are_told_and_pages_are_not() {
        for (name, kind) in [
            ("a.mkv", "video/matroska"),
            ("a/B.MP4", "video/mp4"),
            ("a.html", "application/octet-stream"),
            ("a.svg", "application/octet-stream"),
            ("mkv", "application/octet-stream"),
            (".mkv", "application/octet-stream"),
        ] {
            assert_eq!(of(Path::new(name)), kind, "{name}");
        }
    }
}
