//! The real libraries against real sockets: what a peer does to us, and the kind of failure it is taken for.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use scripted_peer::{Answer, Representation, ScriptedPeer};

use super::*;

fn transport() -> ReqwestTransport {
    ReqwestTransport::with_settings(TIMEOUT, reqwest::ClientBuilder::no_proxy).unwrap()
}

async fn failure_at(transport: &ReqwestTransport, url: &str) -> NetworkFailure {
    let request = http::Request::get(url).body(()).unwrap();
    match transport.get(request).await {
        Ok(_) => panic!("{url} answers"),
        Err(error) => error.failure,
    }
}

/// A port where `conversation` happens to everybody who connects.
fn somebody_who(conversation: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().for_each(|stream| conversation(stream.unwrap())));
    address.to_string()
}

/// Reads the first record of the handshake, and answers with `bytes`.
fn answering(bytes: &'static [u8]) -> String {
    somebody_who(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(bytes);
    })
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_told_apart_from_a_resolver_that_fails() {
    // No label has more than 63 octets (RFC 1035 §2.3.4): the C library knows without asking anybody.
    let url = format!("http://{}.example/", "a".repeat(64));
    assert_eq!(failure_at(&transport(), &url).await, NetworkFailure::UnknownHost);
}

/// Answers every lookup with this failure.
struct Resolver(fn() -> io::Error);

impl reqwest::dns::Resolve for Resolver {
    fn resolve(&self, _name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        Box::pin(std::future::ready(Err((self.0)().into())))
    }
}

#[tokio::test]
async fn only_the_words_for_an_unknown_name_make_it_one() {
    fn lookup(words: &str) -> io::Error {
        io::Error::other(format!("failed to lookup address information: {words}"))
    }
    for (resolver, expected, because) in [
        (
            Resolver(|| lookup("Name or service not known")),
            NetworkFailure::UnknownHost,
            "EAI_NONAME of glibc",
        ),
        (Resolver(|| lookup("Name does not resolve")), NetworkFailure::UnknownHost, "EAI_NONAME of musl"),
        (Resolver(|| lookup("Temporary failure in name resolution")), NetworkFailure::Dns, "EAI_AGAIN"),
        (Resolver(|| lookup("Non-recoverable failure in name resolution")), NetworkFailure::Dns, "SERVFAIL"),
        (Resolver(|| io::ErrorKind::TimedOut.into()), NetworkFailure::Dns, "a resolver of the caller's own"),
        (Resolver(|| io::ErrorKind::ConnectionRefused.into()), NetworkFailure::Dns, "not by the peer"),
    ] {
        let resolver = Arc::new(resolver);
        let settings =
            move |builder: reqwest::ClientBuilder| builder.no_proxy().dns_resolver(Arc::clone(&resolver));
        let transport = ReqwestTransport::with_settings(TIMEOUT, settings).unwrap();
        assert_eq!(failure_at(&transport, "http://peer.example/").await, expected, "{because}");
    }
}

#[tokio::test]
async fn nobody_there_and_nobody_in_time_are_no_connection() {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    assert_eq!(failure_at(&transport(), &format!("http://{port}/")).await, NetworkFailure::Connect);
    // The handshake is part of connecting: a peer that accepts and then says nothing is none.
    let silent = somebody_who(std::mem::forget);
    let short = Duration::from_millis(50);
    let impatient = ReqwestTransport::with_settings(short, reqwest::ClientBuilder::no_proxy).unwrap();
    let failure = failure_at(&impatient, &format!("https://{silent}/")).await;
    assert_eq!(failure, NetworkFailure::ConnectTimeout(short));
}

#[test]
fn dates_that_do_not_hold_are_told_from_what_has_to_be_changed() {
    use rustls::CertificateError::{Expired, NotValidForName, NotValidYet, Revoked, UnknownIssuer};
    for (error, expected) in [
        (Expired, NetworkFailure::CertificateDates),
        (NotValidYet, NetworkFailure::CertificateDates),
        (UnknownIssuer, NetworkFailure::Tls),
        (NotValidForName, NetworkFailure::Tls),
        (Revoked, NetworkFailure::Tls),
    ] {
        assert_eq!(failure::of_tls(&rustls::Error::InvalidCertificate(error.clone())), expected, "{error:?}");
    }
}

#[tokio::test]
async fn a_certificate_nobody_vouches_for_is_permanent() {
    let pem = include_bytes!("tests/self_signed.pem");
    // Installs the provider the server needs as well.
    let transport = transport();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(pem).unwrap()],
            PrivateKeyDer::from_pem_slice(pem).unwrap(),
        )
        .unwrap();
    let config = Arc::new(config);
    let peer = somebody_who(move |mut stream| {
        let mut tls = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        let _ = tls.complete_io(&mut stream);
    });
    let url = format!("https://{peer}/");
    assert_eq!(failure_at(&transport, &url).await, NetworkFailure::Tls);
    assert!(!TransportError::new(NetworkFailure::Tls).is_transient());
}

#[tokio::test]
async fn a_handshake_that_fails_is_permanent_only_when_it_would_fail_again() {
    // An alert record: type 21, TLS 1.2, two bytes: fatal, and why (RFC 8446 §6).
    for (answer, expected, because) in [
        (&b"\x15\x03\x03\x00\x02\x02\x46"[..], NetworkFailure::Tls, "protocol_version"),
        (b"\x15\x03\x03\x00\x02\x02\x28", NetworkFailure::Tls, "handshake_failure"),
        (b"\x15\x03\x03\x00\x02\x02\x70", NetworkFailure::Tls, "unrecognized_name"),
        (b"\x15\x03\x03\x00\x02\x02\x50", NetworkFailure::Broken, "internal_error may pass"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", NetworkFailure::Protocol, "no TLS at all"),
        (b"", NetworkFailure::Connect, "closed in the middle of it"),
    ] {
        let failure = failure_at(&transport(), &format!("https://{}/", answering(answer))).await;
        assert_eq!(failure, expected, "{because}");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_a_fault_of_the_protocol_and_a_cut_one_is_not() {
    for (answer, expected, because) in [
        (&b"220 mail.example ESMTP\r\n"[..], NetworkFailure::Protocol, "another protocol"),
        (b"\x15\x03\x03\x00\x02\x02\x46", NetworkFailure::Protocol, "TLS"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1e6\r\n\r\n", NetworkFailure::Protocol, "no length"),
        (b"HTTP/1.1 200 OK\r\nContent-Len", NetworkFailure::Broken, "cut in its head"),
        (b"", NetworkFailure::Broken, "closed before its head"),
    ] {
        let failure = failure_at(&transport(), &format!("http://{}/", answering(answer))).await;
        assert_eq!(failure, expected, "{because}");
    }
}

#[tokio::test]
async fn the_end_of_a_body_says_whether_it_was_cut_or_malformed() {
    for (answer, expected) in [
        (&b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"[..], NetworkFailure::Broken),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", NetworkFailure::Broken),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n",
            NetworkFailure::Protocol,
        ),
    ] {
        let url = format!("http://{}/", answering(answer));
        let body = transport().get(http::Request::get(url).body(()).unwrap()).await.unwrap().into_body();
        let error = body.try_for_each(|_| std::future::ready(Ok(()))).await.unwrap_err();
        assert_eq!(error.failure, expected, "{}", String::from_utf8_lossy(answer));
    }
}

#[tokio::test]
async fn a_request_that_wants_a_connection_of_its_own_gets_one() {
    let peer = ScriptedPeer::start().await;
    peer.serve("/x", Representation::seeded(1, 10));
    peer.script("/x", [Answer::status(421)]);
    let transport = transport();
    for fresh in [false, false, true, true] {
        let options = if fresh { "close" } else { "keep-alive" };
        let request = http::Request::get(peer.url("/x")).header("connection", options).body(()).unwrap();
        let body = transport.get(request).await.unwrap().into_body();
        body.try_for_each(|_| std::future::ready(Ok(()))).await.unwrap();
    }
    let connections: Vec<_> = peer.requests("/x").iter().map(|request| request.connection).collect();
    assert_eq!(connections, [0, 0, 1, 2], "idle ones are used again, but not for those");
}

const TIMEOUT: Duration = Duration::from_secs(10);
