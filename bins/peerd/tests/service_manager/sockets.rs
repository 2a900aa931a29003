//! Sockets that listen before the daemon is there.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::manager::handing;
use crate::support::{Daemon, Home, Output};

fn listener(ip: Ipv4Addr) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((ip, 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

/// Another handle to the same socket, to be handed out.
fn handle(listener: &TcpListener) -> OwnedFd {
    listener.try_clone().expect("a second handle").into()
}

/// Runs a daemon that must refuse these sockets, and returns what it says.
async fn refused(home: &Home, sockets: Vec<(OwnedFd, &str)>) -> String {
    Output::of(handing(&home.serve(), sockets, "$$")).await.expect_code(78).stderr
}

#[tokio::test]
async fn each_socket_is_what_its_name_says_and_the_addresses_of_the_file_are_not_bound() {
    // Another address than any the daemon would choose by itself.
    let ((peer, at), (admin, admin_at)) = (listener(Ipv4Addr::LOCALHOST), listener(Ipv4Addr::LOCALHOST));
    let taken = listener(Ipv4Addr::LOCALHOST);
    let home = Home::sharing().with(json!({ "server": { "listen": [taken.1.to_string()] } }));
    let sockets = vec![(handle(&admin), "admin"), (handle(&peer), "peer")];
    let daemon = Daemon::start(&home, handing(&home.serve(), sockets, "$$")).await;
    assert_eq!((daemon.peer, daemon.admin), (at, admin_at));
    assert_eq!(daemon.ask("/handshake").await.status, 200);
    assert_eq!(daemon.get("/readyz").await.status, 200);
    let system = daemon.get("/api/v1/system").await.json();
    assert_eq!(system["listeners"], json!({ "peer": [at], "admin": [admin_at] }));
    let warning = daemon.log.text();
    assert!(warning.contains("has no effect") && warning.contains(&taken.1.to_string()), "{warning}");
}

#[tokio::test]
async fn one_listener_may_be_passed_and_the_other_bound() {
    let (peer, at) = listener(Ipv4Addr::LOCALHOST);
    let home = Home::new();
    let daemon = Daemon::start(&home, handing(&home.serve(), vec![(handle(&peer), "peer")], "$$")).await;
    assert_eq!(daemon.peer, at);
    assert_eq!(daemon.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn who_calls_between_two_daemons_is_answered_by_the_second() {
    let (peer, at) = listener(Ipv4Addr::LOCALHOST);
    let home = Home::new();
    let start =
        async || Daemon::start(&home, handing(&home.serve(), vec![(handle(&peer), "peer")], "$$")).await;
    start().await.terminate().await;
    let mut between = tokio::net::TcpStream::connect(at).await.expect("nobody is refused");
    let request = b"GET /ping HTTP/1.1\r\nHost: peerd\r\nConnection: close\r\n\r\n";
    between.write_all(request).await.expect("a request");
    let _second = start().await;
    let mut answer = String::new();
    between.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn sockets_of_another_process_are_not_ours() {
    let (peer, at) = listener(Ipv4Addr::LOCALHOST);
    let home = Home::new();
    let daemon = Daemon::start(&home, handing(&home.serve(), vec![(handle(&peer), "peer")], "1")).await;
    assert_ne!(daemon.peer, at);
}

#[tokio::test]
async fn a_socket_of_no_use_ends_the_start_and_is_named() {
    let home = Home::new();
    let (tcp, _) = listener(Ipv4Addr::LOCALHOST);
    let said = refused(&home, vec![(handle(&tcp), "web")]).await;
    assert!(said.contains("\"web\"") && said.contains("FileDescriptorName="), "{said}");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let unix = UnixListener::bind(home.path("unix")).expect("a socket");
    let client = std::net::TcpStream::connect(tcp.local_addr().expect("an address")).expect("a connection");
    let file = std::fs::File::open("/dev/null").expect("a file");
    let useless: [(&str, OwnedFd); 4] = [
        ("a datagram socket", udp.into()),
        ("a socket of this machine alone", unix.into()),
        ("a connection", client.into()),
        ("a file", file.into()),
    ];
    for (what, socket) in useless {
        let said = refused(&home, vec![(socket, "admin")]).await;
        assert!(said.contains("\"admin\"") && said.contains("no TCP listener"), "{what}: {said}");
    }
}

#[tokio::test]
async fn keys_are_waived_by_where_the_sockets_listen_and_not_by_what_the_file_says() {
    let everywhere = listener(Ipv4Addr::UNSPECIFIED);
    let (here, _) = listener(Ipv4Addr::LOCALHOST);
    for (waived, name) in [("auth", "peer"), ("admin", "admin")] {
        let open = Home::new().with(json!({ waived: { "require_key": false } }));
        let said = refused(&open, vec![(handle(&everywhere.0), name)]).await;
        let named = format!("{waived}.require_key: cannot be false");
        assert!(said.contains(&named) && said.contains(&everywhere.1.to_string()), "{said}");
        // The file alone would be refused; the socket that takes its place is not reached from elsewhere.
        let section = if name == "peer" { "server" } else { "admin" };
        let more: Value = json!({ section: { "listen": ["0.0.0.0:0"] } });
        let home = Home::new().with(json!({ waived: { "require_key": false } })).with(more);
        home.refused().await.expect_code(78);
        Daemon::start(&home, handing(&home.serve(), vec![(handle(&here), name)], "$$"))
            .await
            .terminate()
            .await;
    }
}
