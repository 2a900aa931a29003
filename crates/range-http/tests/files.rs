//! A file that changes while it is sent is never taken for a whole one.

#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue, Method};
use http_body_util::BodyExt;
use range_http::{BodyError, FileSource, FileSourceError, Policy, RangeBody, respond};
use support::content;
use tempfile::TempDir;

const LEN: usize = 10_000;
const CHUNK: u32 = 1_000;

/// A file last written long ago, so that every change gets another time.
fn old_file(directory: &TempDir) -> PathBuf {
    let path = directory.path().join("file");
    fs::write(&path, content(LEN)).unwrap();
    let long_ago = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    File::options().append(true).open(&path).unwrap().set_modified(long_ago).unwrap();
    path
}

async fn body(path: &Path, range: &'static str) -> RangeBody<FileSource> {
    let source = FileSource::open(path).await.unwrap().with_chunk(CHUNK);
    let fields = HeaderMap::from_iter([(http::header::RANGE, HeaderValue::from_static(range))]);
    let representation = source.representation(UNIX_EPOCH + Duration::from_secs(1_800_000_000));
    respond(&Method::GET, &fields, &representation, &Policy::default(), source).into_body()
}

/// Receives one chunk, changes the file, and receives the rest.
async fn change_while_sending(change: impl FnOnce(&Path)) -> (Vec<u8>, Result<(), BodyError>) {
    let directory = tempfile::tempdir().unwrap();
    let path = old_file(&directory);
    let mut body = body(&path, "bytes=0-").await;
    let mut received = body.frame().await.unwrap().unwrap().into_data().unwrap().to_vec();
    change(&path);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => received.extend_from_slice(&frame.into_data().unwrap()),
            Err(error) => return (received, Err(error)),
        }
    }
    (received, Ok(()))
}

type Change<'a> = &'a dyn Fn(&Path);

/// actor-ts#1320 and many more: a file shrinks while it is sent, and a short body ends as if it were whole.
#[tokio::test]
async fn every_change_ends_the_body_with_an_error() {
    let overwrite = |path: &Path| {
        let mut file = OpenOptions::new().write(true).open(path).unwrap();
        file.seek(SeekFrom::Start(9_999)).unwrap();
        file.write_all(b"!").unwrap();
    };
    let replace = |path: &Path| {
        fs::write(path.with_extension("new"), content(LEN)).unwrap();
        fs::rename(path.with_extension("new"), path).unwrap();
    };
    let grow = |path: &Path| OpenOptions::new().append(true).open(path).unwrap().write_all(b"more").unwrap();
    let truncate = |path: &Path| OpenOptions::new().write(true).open(path).unwrap().set_len(5_000).unwrap();
    let changes: [(&str, Change<'_>); 5] = [
        ("truncated", &truncate),
        ("grown", &grow),
        ("overwritten at its end", &overwrite),
        ("replaced", &replace),
        ("removed", &|path| fs::remove_file(path).unwrap()),
    ];
    for (what, change) in changes {
        let (received, end) = change_while_sending(change).await;
        assert!(received.len() <= 2 * CHUNK as usize, "{what}: {} bytes went out", received.len());
        assert_eq!(received, content(LEN)[..received.len()], "{what}: what went out is the old file");
        let Err(BodyError::Source { source, .. }) = end else {
            panic!("{what}: the body ended with {end:?}")
        };
        assert!(matches!(source.downcast_ref(), Some(FileSourceError::Changed { .. })), "{what}: {source}");
    }
}

#[tokio::test]
async fn a_file_left_alone_is_sent_whole() {
    let (received, end) = change_while_sending(|_| {}).await;
    assert!(end.is_ok());
    assert_eq!(received, content(LEN));
}

#[tokio::test]
async fn ranges_at_the_edges_of_chunks_are_exact() {
    let directory = tempfile::tempdir().unwrap();
    let path = old_file(&directory);
    for (range, expected) in [
        ("bytes=0-999", 0..1_000),
        ("bytes=999-1000", 999..1_001),
        ("bytes=1000-1999", 1_000..2_000),
        ("bytes=1-9998", 1..9_999),
        ("bytes=-1", 9_999..10_000),
    ] {
        let bytes = body(&path, range).await.collect().await.unwrap().to_bytes();
        assert_eq!(bytes, content(LEN)[expected], "{range}");
    }
}

#[tokio::test]
async fn offsets_past_four_gibibytes_do_not_wrap() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sparse");
    let mut file = File::create(&path).unwrap();
    file.set_len(5 << 30).unwrap();
    file.seek(SeekFrom::Start((4 << 30) - 2)).unwrap();
    file.write_all(b"edge").unwrap();
    let bytes = body(&path, "bytes=4294967293-4294967298").await.collect().await.unwrap().to_bytes();
    assert_eq!(bytes, b"\0edge\0"[..]);
}

#[tokio::test]
async fn only_regular_files_are_served() {
    let directory = tempfile::tempdir().unwrap();
    assert!(FileSource::open(directory.path()).await.is_err());
    assert!(FileSource::open(directory.path().join("absent")).await.is_err());
}

#[test]
fn a_file_written_just_now_has_weak_validators() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fresh");
    fs::write(&path, content(LEN)).unwrap();
    let source = FileSource::new(File::open(&path).unwrap()).unwrap();
    let written = UNIX_EPOCH + Duration::from_nanos(source.stamp().mtime_ns as u64);
    let strength = |now: SystemTime| {
        let representation = source.representation(now);
        (representation.etag().map(range_http::EntityTag::is_weak), representation.is_settled())
    };
    assert_eq!(strength(written + Duration::from_secs(1)), (Some(true), false));
    assert_eq!(strength(written + Duration::from_secs(2)), (Some(false), true));
}
