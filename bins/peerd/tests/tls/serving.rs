//! What is promised in the clear is kept under TLS, over HTTP/1.1 and over HTTP/2.

use std::sync::Arc;

use futures_util::future::join_all;
use http::{Method, Version};
use scripted_peer::seeded_bytes;

use crate::asking::{BOTH, Connection, Speaks, handshake};
use crate::certificates::Authority;
use crate::serving_kit::{Daemon, KEY, SCOPED, Setup};

const SIZE: u64 = 1 << 20;
const KEYED: (&str, &str) = ("x-api-key", KEY);

/// A daemon under TLS with a file of a mebibyte, `film`.
pub(crate) async fn daemon(setup: Setup) -> (Daemon, Authority) {
    let authority = Authority::new();
    let setup = Setup { tls: Arc::new(authority.pair().terms()), ..setup };
    (setup.file("film", seeded_bytes(7, 0..SIZE)).start().await, authority)
}

#[tokio::test]
async fn ranges_and_validators_mean_the_same_over_both() {
    let (daemon, authority) = daemon(Setup::default()).await;
    for speaks in BOTH {
        let mut connection = Connection::open(daemon.address, authority.der(), speaks).await;
        let route = connection.route(KEY, "film").await;
        let whole = connection.get(&route, &[KEYED]).await;
        let version = if speaks == Speaks::Http2 { Version::HTTP_2 } else { Version::HTTP_11 };
        assert_eq!((whole.status, whole.version), (200, version));
        assert_eq!(whole.body, seeded_bytes(7, 0..SIZE), "{speaks:?}");
        let tag = whole.field("etag").to_owned();
        assert!(tag.starts_with('"'), "a strong tag: {tag}");

        let head = connection.ask(Method::HEAD, &route, &[KEYED]).await;
        assert_eq!((head.status, head.field("content-length"), head.body.len()), (200, "1048576", 0));
        let part = connection.get(&route, &[KEYED, ("range", "bytes=0-99")]).await;
        assert_eq!((part.status, part.field("content-range")), (206, "bytes 0-99/1048576"));
        assert_eq!(part.body, seeded_bytes(7, 0..100));
        let rest = [KEYED, ("range", "bytes=1000000-"), ("if-range", &tag)];
        let rest = connection.get(&route, &rest).await;
        assert_eq!((rest.status, rest.body), (206, seeded_bytes(7, 1_000_000..SIZE).into()));
        let other = [KEYED, ("range", "bytes=1000000-"), ("if-range", "\"another\"")];
        let other = connection.get(&route, &other).await;
        assert_eq!((other.status, other.body.len()), (200, 1 << 20), "another file: all of it");
        let beyond = connection.get(&route, &[KEYED, ("range", "bytes=1048576-")]).await;
        assert_eq!((beyond.status, beyond.field("content-range")), (416, "bytes */1048576"));
        let same = connection.get(&route, &[KEYED, ("if-none-match", &tag)]).await;
        assert_eq!((same.status, same.body.len()), (304, 0));
        assert_eq!(connection.get(&route, &[]).await.status, 401);
        assert_eq!(connection.get("/nowhere", &[KEYED]).await.status, 404);
    }
}

#[tokio::test]
async fn whoever_offers_nothing_is_answered_over_http_1() {
    let (daemon, authority) = daemon(Setup::default()).await;
    for (offered, agreed) in
        [(&["h2", "http/1.1"][..], Some("h2")), (&["http/1.1"], Some("http/1.1")), (&[], None)]
    {
        let stream = handshake(daemon.address, authority.der(), offered).await.expect("a handshake");
        assert_eq!(stream.get_ref().1.alpn_protocol(), agreed.map(str::as_bytes), "{offered:?}");
    }
    handshake(daemon.address, authority.der(), &["gopher"]).await.expect_err("nothing in common");
}

#[tokio::test]
async fn head_has_the_fields_of_get_and_no_content_whatever_is_asked_for() {
    let (daemon, authority) = daemon(Setup::default()).await;
    let mut connection = Connection::open(daemon.address, authority.der(), Speaks::Http2).await;
    for path in ["/ping", "/handshake", "/peer/items", "/nowhere"] {
        let get = connection.get(path, &[KEYED]).await;
        let head = connection.ask(Method::HEAD, path, &[KEYED]).await;
        assert_eq!((get.status, head.body.len()), (head.status, 0), "{path}");
        assert_eq!(head.field("content-length"), get.body.len().to_string(), "{path}");
        assert_eq!(head.field("connection"), "", "{path}: HTTP/2 has no such field");
    }
}

#[tokio::test]
async fn thousands_of_single_bytes_come_over_one_connection() {
    let (daemon, authority) = daemon(Setup::default()).await;
    let mut connection = Connection::open(daemon.address, authority.der(), Speaks::Http2).await;
    let route = connection.route(KEY, "film").await;
    let content = seeded_bytes(7, 0..SIZE);
    let asked = join_all((0..8).map(|lane| {
        let mut connection = connection.another();
        let (route, content) = (route.clone(), content.clone());
        async move {
            for turn in 0..250_u64 {
                let at = (lane * 250 + turn) * 500;
                let answer = connection.get(&route, &[KEYED, ("range", &format!("bytes={at}-{at}"))]).await;
                assert_eq!((answer.status, &answer.body[..]), (206, &content[at as usize..][..1]), "{at}");
            }
        }
    }));
    asked.await;
}

#[tokio::test]
async fn a_request_that_names_two_hosts_is_refused() {
    let (daemon, authority) = daemon(Setup::default()).await;
    let mut connection = Connection::open(daemon.address, authority.der(), Speaks::Http2).await;
    assert_eq!(connection.get("/ping", &[("host", "elsewhere.example")]).await.status, 400);
    let same = format!("localhost:{}", daemon.address.port());
    assert_eq!(connection.get("/ping", &[("host", &same)]).await.status, 200);
}

#[tokio::test]
async fn a_key_has_its_connections_however_many_streams_are_on_them() {
    let (daemon, authority) = daemon(Setup { connections_per_key: 1, ..Setup::default() }).await;
    let open = || Connection::open(daemon.address, authority.der(), Speaks::Http2);
    let (mut first, mut second) = (open().await, open().await);
    for _ in 0..3 {
        assert_eq!(first.get("/handshake", &[KEYED]).await.status, 200);
    }
    assert_eq!(first.get("/handshake", &[("x-api-key", SCOPED)]).await.status, 200, "another key's");
    let refused = second.get("/handshake", &[KEYED]).await;
    assert_eq!((refused.status, refused.field("connection")), (429, ""));
    assert_eq!(
        second.get("/handshake", &[("x-api-key", SCOPED)]).await.status,
        429,
        "both are used on the first"
    );
    assert_eq!(second.get("/ping", &[]).await.status, 200);
    drop(first);
    while second.get("/handshake", &[KEYED]).await.status != 200 {
        tokio::task::yield_now().await;
    }
}
