//! A directory serves the regular files below it, whatever a request calls them, and never anything else.

#![cfg(all(feature = "tokio", unix))]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{Method, Request, Response};
use http_body_util::BodyExt;
use range_http::{Directory, FileSource, Policy, RangeBody};
use tempfile::TempDir;

/// `served/` with a few files, and a secret beside it.
fn tree() -> (TempDir, Directory) {
    let outside = tempfile::tempdir().unwrap();
    let root = outside.path().join("served");
    for (name, content) in [
        ("file", "0123456789"),
        ("with space & é", "spaced"),
        ("sub/deep.txt", "deep"),
        (".hidden", "secret"),
        (".git/config", "secret"),
        ("../secret", "secret"),
        ("../served-too/file", "secret"),
    ] {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    symlink("file", root.join("link")).unwrap();
    symlink("../secret", root.join("escape")).unwrap();
    symlink("..", root.join("up")).unwrap();
    symlink("../served-too", root.join("beside")).unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
    (outside, Directory::new(root))
}

fn later() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(4_000_000_000)
}

async fn ask(files: &Directory, method: Method, path: &str, range: &str) -> Response<RangeBody<FileSource>> {
    let builder = Request::builder().method(method).uri(path);
    let builder = if range.is_empty() { builder } else { builder.header("range", range) };
    files.respond(&builder.body(()).unwrap(), &Policy::default(), later()).await
}

async fn get(files: &Directory, path: &str, range: &str) -> (u16, String) {
    let response = ask(files, Method::GET, path, range).await;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn ok(status: u16, body: &str) -> (u16, String) {
    (status, body.to_owned())
}

#[tokio::test]
async fn files_are_served_by_their_decoded_names() {
    let (_outside, files) = tree();
    for (path, range, expected) in [
        ("/file", "", ok(200, "0123456789")),
        ("/file", "bytes=2-4", ok(206, "234")),
        ("/file", "bytes=10-", ok(416, "")),
        ("/file?x=../secret", "bytes=-1", ok(206, "9")),
        ("/%66ile", "", ok(200, "0123456789")),
        ("/with%20space%20&%20%C3%A9", "", ok(200, "spaced")),
        ("/sub/deep.txt", "", ok(200, "deep")),
        ("/sub%2Fdeep.txt", "", ok(200, "deep")),
        ("/link", "bytes=0-0", ok(206, "0")),
    ] {
        assert_eq!(get(&files, path, range).await, expected, "{path}");
    }
    let response = ask(&files, Method::HEAD, "/file", "bytes=0-1").await;
    assert_eq!(response.headers()["content-length"], "10");
    assert_eq!(response.headers()["content-type"], "application/octet-stream", "browsers run nothing of it");
    assert!(!response.headers()["etag"].to_str().unwrap().starts_with("W/"), "old files have strong tags");
}

#[tokio::test]
async fn whatever_leads_elsewhere_is_not_found() {
    let (outside, files) = tree();
    let absolute = outside.path().join("secret");
    for path in [
        "/../secret",
        "/..%2fsecret",
        "/%2e%2e/secret",
        "/%2E%2E%2Fsecret",
        "/%252e%252e/secret",
        "/sub/../../secret",
        "/sub/../file",
        "/./file",
        "//file",
        "/sub//deep.txt",
        "/file/",
        "/file/x",
        "/%00",
        "/file%00.txt",
        "/..\\secret",
        "/%ff",
        "/%",
        "/.hidden",
        "/.git/config",
        "/escape",
        "/up/secret",
        "/up/served/file/../../secret",
        "/beside/file",
        "/dangling",
        "/missing",
        "/sub",
        "/",
        &absolute.display().to_string(),
        &format!("/{}", absolute.display()),
        &format!("/{}", "n".repeat(300)),
    ] {
        // Some of these no URI can hold: they are put to the directory as a name instead.
        let range = if path.len() % 2 == 0 { "bytes=0-1" } else { "" };
        if path.parse::<http::Uri>().is_ok() {
            assert_eq!(get(&files, path, range).await, ok(404, ""), "{path}");
        }
        let name = path.strip_prefix('/').unwrap();
        assert_eq!(files.open(name).await.unwrap_err().kind(), std::io::ErrorKind::NotFound, "{name}");
    }
    assert_eq!(get(&Directory::new(outside.path().join("none")), "/file", "").await.0, 404);
}

#[tokio::test]
async fn a_directory_answers_get_and_head_only() {
    let (_outside, files) = tree();
    for path in ["/file", "/missing"] {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let response = ask(&files, method, path, "bytes=0-1").await;
            assert_eq!(
                (response.status().as_u16(), &response.headers()["allow"]),
                (405, &"GET, HEAD".parse().unwrap())
            );
        }
    }
}

#[tokio::test]
async fn a_file_that_may_not_be_read_is_not_found_either() {
    let (outside, files) = tree();
    let path = outside.path().join("served/file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    // Root may read everything.
    let readable = fs::read(&path).is_ok();
    assert_eq!(get(&files, "/file", "").await.0, if readable { 200 } else { 404 });
}
