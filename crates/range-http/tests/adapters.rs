//! The same answers through axum, tower and a socket.

#![cfg(all(feature = "axum", feature = "tower", feature = "tokio"))]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::convert::Infallible;
use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use axum::extract::FromRequestParts;
use axum::response::IntoResponse;
use http::{Method, Request, StatusCode, request};
use http_body_util::BodyExt;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use range_http::client::{AnswerHead, Append, Asked, decide};
use range_http::{
    EntityTag, FileSource, MemSource, Multi, Policy, RangeBody, RangeRequest, Reason, Representation,
    ServeSource, respond,
};
use support::{content, representation};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower_service::Service;

fn request(method: Method, path: &str, fields: &[(&'static str, &str)]) -> Request<()> {
    let builder = Request::builder().method(method).uri(path);
    fields.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value)).body(()).unwrap()
}

async fn find(head: request::Parts) -> Option<(Representation, MemSource)> {
    (head.uri.path() == "/file").then(|| (representation(10_000), MemSource::new(content(10_000))))
}

async fn call<F, Found>(service: &mut ServeSource<F>, request: Request<()>) -> (u16, Vec<u8>)
where
    F: Fn(request::Parts) -> Found,
    Found: Future<Output = Option<(Representation, MemSource)>> + Send + 'static,
{
    let response = service.call(request).await.unwrap();
    let status = response.status().as_u16();
    (status, response.into_body().collect().await.unwrap().to_bytes().to_vec())
}

#[tokio::test]
async fn a_tower_service_serves_what_its_function_finds() {
    let mut service = ServeSource::new(find);
    let bytes = content(10_000);
    let get = |fields| request(Method::GET, "/file", fields);
    assert_eq!(call(&mut service, get(&[])).await, (200, bytes.clone()));
    assert_eq!(call(&mut service, get(&[("range", "bytes=5-8")])).await, (206, bytes[5..9].to_vec()));
    assert_eq!(call(&mut service, get(&[("range", "bytes=10000-")])).await, (416, vec![]));
    let (status, body) = call(&mut service, get(&[("range", "bytes=0-0,-1")])).await;
    assert!(status == 206 && body.starts_with(b"--"));
    let mut plain = service.clone().with_policy(Policy::new().with_multi(Multi::Ignore));
    assert_eq!(call(&mut plain, get(&[("range", "bytes=0-0,-1")])).await.0, 200);
}

/// RFC 9110 §13.2.1: conditions and ranges mean nothing where there is no representation.
#[tokio::test]
async fn what_is_not_found_is_404_under_every_condition() {
    let mut service = ServeSource::new(find);
    for fields in [&[("range", "bytes=0-4")][..], &[("if-match", "\"x\"")], &[("if-none-match", "*")]] {
        assert_eq!(call(&mut service, request(Method::GET, "/other", fields)).await, (404, vec![]));
    }
    let refused = service.call(request(Method::POST, "/file", &[])).await.unwrap();
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["allow"]),
        (405, &"GET, HEAD".parse().unwrap())
    );
}

#[tokio::test]
async fn an_axum_handler_extracts_the_request_and_returns_the_answer() {
    let (mut head, ()) =
        request(Method::GET, "/", &[("range", "bytes=2-3"), ("cookie", "secret")]).into_parts();
    let extracted = RangeRequest::from_request_parts(&mut head, &()).await.unwrap();
    let answer = extracted.respond(&representation(10), &Policy::default(), MemSource::new(content(10)));
    let response = answer.into_response();
    assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(response.extensions().get(), Some(&Reason::SingleRange));
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), content(10)[2..4]);
}

#[test]
fn a_response_head_is_judged_as_received() {
    let (head, _) = respond(
        &Method::GET,
        request(Method::GET, "/", &[("range", "bytes=4-")]).headers(),
        &representation(10),
        &Policy::default(),
        MemSource::default(),
    )
    .into_parts();
    let etag = EntityTag::parse(support::TAG.as_bytes());
    let asked = Asked { start: 4, ranged: true, complete: Some(10), etag: etag.as_ref(), ..Asked::default() };
    let verdict = decide(&asked, &AnswerHead::of(head.status, &head.headers));
    assert!(matches!(verdict, Append::Proven(part) if part.range.len() == 6), "{verdict:?}");
    let mut twice = head.headers;
    twice.append("content-range", "bytes 4-9/10".parse().unwrap());
    assert!(matches!(decide(&asked, &AnswerHead::of(head.status, &twice)), Append::Restart(_)));
}

/// Answers one request on loopback from `path` and returns everything the client received, and whether it was whole.
async fn download(path: PathBuf, during: impl FnOnce()) -> (Vec<u8>, usize) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = service_fn(move |request: Request<hyper::body::Incoming>| {
            let source = FileSource::new(File::open(&path).unwrap()).unwrap().with_chunk(64 * 1024);
            let representation = source.representation(UNIX_EPOCH + Duration::from_secs(1_800_000_000));
            let answer: RangeBodyResponse =
                respond(request.method(), request.headers(), &representation, &Policy::default(), source);
            async move { Ok::<_, Infallible>(answer) }
        });
        http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
    });
    let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut received = vec![0; 4096];
    let first = client.read(&mut received).await.unwrap();
    received.truncate(first);
    during();
    client.read_to_end(&mut received).await.unwrap();
    let _ = server.await.unwrap();
    let end = received.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let head = String::from_utf8(received[..end].to_vec()).unwrap();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    (received.split_off(end), length)
}

type RangeBodyResponse = http::Response<RangeBody<FileSource>>;

#[tokio::test]
async fn a_client_sees_a_changed_file_as_a_cut_connection() {
    const LEN: usize = 32 << 20;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let file = vec![7; LEN];
    std::fs::write(&path, &file).unwrap();
    let (body, length) = download(path.clone(), || {}).await;
    assert!(length == LEN && body == file, "left alone it arrives whole");
    let truncate = || File::options().write(true).open(&path).unwrap().set_len(1 << 20).unwrap();
    let (body, length) = download(path.clone(), truncate).await;
    assert_eq!(length, LEN, "the head promised all of it");
    assert!(body.len() < LEN && body == file[..body.len()], "{} bytes arrived", body.len());
}
