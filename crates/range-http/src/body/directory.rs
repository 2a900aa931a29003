//! Regular files below one directory, found by name.

use std::fs::{self, File};
use std::future::Future;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use http::{Request, Response, StatusCode};

use super::{FileSource, RangeBody, bare, refuse};
use crate::{MethodKind, Policy, RangeRequest};

/// Serves the regular files below a directory, and nothing else.
///
/// A name is a path of plain components joined by `/`. Names that could lead elsewhere do not exist here: those with an
/// empty component, `.` or `..`, an absolute one, or a NUL; hidden files, whose names begin with a dot; and symbolic
/// links that leave the directory. Directories are not listed.
///
/// Where a link leads is looked up before the file is opened. Whoever may rename things below the directory while it is
/// served can get in between, so give that right only to those who may read what the server may.
///
/// Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Directory {
    root: Arc<Path>,
}

impl Directory {
    /// The files below `root`, which is looked up anew for every request.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into().into() }
    }

    /// Answers a request by the file that its path names, percent-decoded, as `application/octet-stream`.
    ///
    /// Where there is none, or none to be had, the answer is a 404; a 405 for methods other than GET and HEAD; a 500 if
    /// the file system fails in another way. The validators are strong for files that have been left alone for two
    /// seconds at `now`. To send other fields, combine [`Directory::open`] and [`respond`](crate::respond).
    ///
    /// # Cancel safety
    /// Safe. A dropped future may still open the file, and then closes it.
    pub fn respond<B>(
        &self,
        request: &Request<B>,
        policy: &Policy,
        now: SystemTime,
    ) -> impl Future<Output = Response<RangeBody<FileSource>>> + Send + use<B> {
        let (directory, policy) = (self.clone(), policy.clone());
        let name = request.uri().path().strip_prefix('/').and_then(percent_decoded);
        let request = RangeRequest::new(request.method(), request.headers());
        async move {
            if crate::RequestView::method(&request) == MethodKind::Other {
                return refuse(&request);
            }
            match directory.open(&name.unwrap_or_default()).await {
                Ok(file) => {
                    let representation =
                        file.representation(now).with_content_type("application/octet-stream");
                    request.respond(&representation, &policy, file)
                }
                Err(error) => bare(match error.kind() {
                    io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => StatusCode::NOT_FOUND,
                    _ => StatusCode::INTERNAL_SERVER_ERROR,
                }),
            }
        }
    }

    /// Opens the file of this name on a blocking thread.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is no such file, if it is not a regular one, or if the name is none that
    /// could be; else what the file system says.
    ///
    /// # Cancel safety
    /// Safe. A dropped call may still open the file, and then closes it.
    pub async fn open(&self, name: &str) -> io::Result<FileSource> {
        if !is_plain(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let (root, name) = (self.root.clone(), PathBuf::from(name));
        tokio::task::spawn_blocking(move || open_below(&root, &name)).await.map_err(io::Error::other)?
    }
}

fn open_below(root: &Path, name: &Path) -> io::Result<FileSource> {
    let root = fs::canonicalize(root)?;
    let path = match fs::canonicalize(root.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(io::ErrorKind::NotFound.into());
        }
        path => path?,
    };
    // Asked before opening: to open a pipe would wait for somebody to write into it.
    if !path.starts_with(&root) || !fs::metadata(&path)?.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    FileSource::new(File::open(path)?)
}

/// Whether every component is the name of something that is not hidden, on any platform.
fn is_plain(name: &str) -> bool {
    name.split('/').all(|component| {
        let mut parsed = Path::new(component).components();
        let one = matches!(parsed.next(), Some(Component::Normal(only)) if only == component);
        let odd = component.contains('\0') || (cfg!(windows) && component.contains([':', '\\']));
        one && parsed.next().is_none() && !odd && !component.starts_with('.') && component.len() <= NAME_MAX
    })
}

/// The path with its `%41` as `A`; `None` if that is no text.
fn percent_decoded(path: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        let byte = if *byte == b'%' {
            let [high, low, after @ ..] = rest else { return None };
            rest = after;
            hex_digit(*high)? * 16 + hex_digit(*low)?
        } else {
            *byte
        };
        decoded.push(byte);
    }
    String::from_utf8(decoded).ok()
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// The longest name of a file that common file systems have, in bytes.
const NAME_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_names() {
        for plain in ["a", "a.txt", "a b", "a/b/c.d", "é", "a..b", "~", "x:1", &"n".repeat(NAME_MAX)] {
            assert!(is_plain(plain) || cfg!(windows), "{plain}");
        }
        for other in [
            "",
            "/",
            "/etc/passwd",
            "a/",
            "a//b",
            ".",
            "..",
            "../a",
            "a/..",
            "a/../b",
            "a/./b",
            ".hidden",
            "a/.hidden",
            "a\0b",
            &"n".repeat(NAME_MAX + 1),
        ] {
            assert!(!is_plain(other), "{other:?}");
        }
    }

    #[test]
    fn a_path_is_decoded_once() {
        for (path, expected) in [
            ("", Some("")),
            ("a%20b", Some("a b")),
            ("%2e%2E/%2f", Some("..//")),
            ("%252e", Some("%2e")),
            ("%C3%A9", Some("é")),
            ("%", None),
            ("a%2", None),
            ("%zz", None),
            ("%+1", None),
            ("%FF", None),
        ] {
            assert_eq!(percent_decoded(path).as_deref(), expected, "{path}");
        }
    }
}
