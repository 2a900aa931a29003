//! The script, the record, and the ways to wait for both.

use std::io::ErrorKind;
use std::time::Duration;

use crate::client::{again, ask, get, read_exactly, read_to_end};
use scripted_peer::{Answer, Gate, Representation, ScriptedPeer, seeded_bytes};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::test]
async fn each_answer_is_used_once_and_then_the_peer_is_honest() {
    let peer = serving(7, 10).await;
    peer.script("/file", [Answer::status(500), Answer::status(503)]);
    assert_eq!(peer.unused("/file"), 2);
    for status in ["500", "503", "200", "200"] {
        assert_eq!(get(&peer, "/file", "").await.status(), status);
    }
    assert_eq!(peer.unused("/file"), 0);
}

#[tokio::test]
async fn a_lasting_answer_follows_the_script() {
    let peer = serving(7, 10).await;
    peer.always("/file", Answer::status(410));
    peer.script("/file", [Answer::status(500)]);
    for status in ["500", "410", "410"] {
        assert_eq!(get(&peer, "/file", "").await.status(), status);
    }
}

#[tokio::test]
async fn an_answer_can_wait_for_the_request_it_is_meant_for() {
    let peer = serving(7, 10).await;
    peer.once("/file", |request| {
        request.asked().is_some_and(|(start, _)| start > 4).then(|| Answer::status(503))
    });
    peer.script("/file", [Answer::status(500)]);
    for (range, status) in
        [("bytes=0-", "500"), ("bytes=4-", "206"), ("bytes=5-", "503"), ("bytes=5-", "206")]
    {
        assert_eq!(get(&peer, "/file", &format!("Range: {range}\r\n")).await.status(), status, "{range}");
    }
}

#[tokio::test]
async fn a_rule_holds_for_every_request_that_fits_and_knows_how_many_there_are() {
    let peer = serving(7, 10).await;
    let gate = Gate::closed();
    peer.script("/file", [Answer::hold_head(&gate)]);
    peer.whenever("/file", |request| (request.at_once > 1).then(|| Answer::status(429)));
    let mut first = ask(&peer, "/file", "Connection: close\r\n").await;
    gate.parked(1).await;
    for _ in 0..2 {
        assert_eq!(get(&peer, "/file", "").await.status(), "429");
    }
    gate.release();
    assert_eq!(read_to_end(&mut first).await.status(), "200");
    assert_eq!(get(&peer, "/file", "").await.status(), "200");
    assert_eq!(peer.most_at_once("/file"), 2);
}

#[tokio::test]
async fn head_is_honest_and_uses_no_answer() {
    let peer = serving(7, 10).await;
    peer.script("/file", [Answer::status(500)]);
    let mut stream = TcpStream::connect(peer.address()).await.unwrap();
    let request = b"HEAD /file HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let came = read_to_end(&mut stream).await;
    assert_eq!((came.status(), came.header("content-length"), came.body.len()), ("200", Some("10"), 0));
    assert_eq!(peer.unused("/file"), 1);
}

#[tokio::test]
async fn a_connection_carries_several_answers() {
    let peer = serving(7, 10).await;
    let mut stream = ask(&peer, "/file", "").await;
    assert_eq!(read_exactly(&mut stream, 10).await.1, seeded_bytes(7, 0..10));
    again(&mut stream, "/file", "Range: bytes=4-\r\n").await;
    assert_eq!(read_exactly(&mut stream, 6).await.1, seeded_bytes(7, 4..10));
    assert_eq!(peer.connections(), 1);
    let connections: Vec<_> = peer.requests("/file").iter().map(|it| it.connection).collect();
    assert_eq!(connections, [0, 0]);
}

#[tokio::test]
async fn the_record_tells_what_was_asked_and_what_was_sent() {
    let peer = serving(7, 100_000).await;
    peer.script("/file", [Answer::truncate_at(1000)]);
    get(&peer, "/other", "").await;
    get(&peer, "/file?token=1", "X-Api-Key: k\r\nRange: bytes=10-\r\n").await;
    let requests = peer.wait_for_finished("/file", 1).await;
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!((request.order, request.connection, request.method.as_str()), (1, 1, "GET"));
    assert_eq!((request.path.as_str(), request.query.as_deref()), ("/file", Some("token=1")));
    assert_eq!((request.header("x-api-key"), request.range()), (Some("k"), Some("bytes=10-")));
    assert_eq!(request.asked(), Some((10, None)));
    assert_eq!((request.status, request.body_bytes), (Some(206), 1000));
    assert!(request.finished && !request.hung_up);
    assert_eq!(peer.all_requests().len(), 2);
}

#[tokio::test]
async fn a_client_that_leaves_a_stalled_answer_is_seen_leaving() {
    let peer = serving(7, 100_000).await;
    peer.script("/file", [Answer::stall_at(10), Answer::stall_before_head()]);
    let mut stream = ask(&peer, "/file", "").await;
    read_exactly(&mut stream, 10).await;
    assert!(!peer.requests("/file")[0].finished);
    drop(stream);
    let requests = peer.wait_until("/file", "a hang-up", |requests| requests[0].hung_up).await;
    assert_eq!(requests[0].body_bytes, 10);

    let stream = ask(&peer, "/file", "").await;
    peer.wait_for_requests("/file", 2).await;
    drop(stream);
    let requests = peer.wait_for_finished("/file", 2).await;
    assert_eq!((requests[1].status, requests[1].hung_up), (None, true));
}

#[tokio::test]
async fn a_client_that_leaves_a_long_body_is_seen_leaving() {
    let peer = serving(7, 1 << 40).await;
    let mut stream = ask(&peer, "/file", "").await;
    read_exactly(&mut stream, 10).await;
    drop(stream);
    let requests = peer.wait_for_finished("/file", 1).await;
    assert!(requests[0].hung_up);
    assert!(requests[0].body_bytes < 1 << 30, "{} bytes were sent to nobody", requests[0].body_bytes);
}

#[tokio::test]
async fn a_gate_parks_an_answer_before_its_head() {
    let peer = serving(7, 10).await;
    let gate = Gate::closed();
    peer.script("/file", [Answer::hold_head(&gate), Answer::hold_head(&gate)]);
    let (mut one, mut two) = (ask(&peer, "/file", "").await, ask(&peer, "/file", "").await);
    gate.parked(2).await;
    assert!(peer.requests("/file").iter().all(|request| request.status.is_none()));
    assert_eq!(peer.most_connections(), 2);
    gate.release();
    for stream in [&mut one, &mut two] {
        assert_eq!(read_exactly(stream, 10).await.1, seeded_bytes(7, 0..10));
    }
}

#[tokio::test]
async fn a_gate_parks_an_answer_within_its_body() {
    let peer = serving(7, 100_000).await;
    let (early, late) = (Gate::closed(), Gate::closed());
    peer.script("/file", [Answer::hold_at(60_000, &late).and(Answer::hold_at(0, &early))]);
    let mut stream = ask(&peer, "/file", "").await;
    early.parked(1).await;
    let request = &peer.requests("/file")[0];
    assert_eq!((request.status, request.body_bytes), (Some(200), 0));
    early.release();
    late.parked(1).await;
    assert_eq!(peer.requests("/file")[0].body_bytes, 60_000);
    read_exactly(&mut stream, 60_000).await;
    late.release();
    let mut rest = vec![0; 40_000];
    stream.read_exact(&mut rest).await.unwrap();
    assert_eq!(rest, seeded_bytes(7, 60_000..100_000));
}

#[tokio::test]
async fn a_client_that_leaves_a_gate_is_parked_no_longer() {
    let peer = serving(7, 10).await;
    let gate = Gate::closed();
    peer.always("/file", Answer::hold_head(&gate));
    let stream = ask(&peer, "/file", "").await;
    gate.parked(1).await;
    drop(stream);
    assert!(peer.wait_for_finished("/file", 1).await[0].hung_up);
    let _second = ask(&peer, "/file", "").await;
    gate.parked(1).await;
    gate.release();
    gate.hold();
    let _third = ask(&peer, "/file", "").await;
    gate.parked(1).await;
}

#[tokio::test]
async fn an_answer_under_way_keeps_the_representation_it_began_with() {
    let peer = serving(7, 100_000).await;
    let gate = Gate::closed();
    peer.script("/file", [Answer::hold_at(10, &gate)]);
    let mut stream = ask(&peer, "/file", "").await;
    gate.parked(1).await;
    peer.replace("/file", Representation::seeded(8, 50));
    gate.release();
    assert_eq!(read_exactly(&mut stream, 100_000).await.1, seeded_bytes(7, 0..100_000));
    assert_eq!(get(&peer, "/file", "").await.body, seeded_bytes(8, 0..50));
}

#[tokio::test]
async fn an_answer_held_before_its_head_carries_what_the_path_names_when_it_goes_on() {
    let peer = serving(7, 10).await;
    let gate = Gate::closed();
    peer.script("/file", [Answer::hold_head(&gate)]);
    let mut stream = ask(&peer, "/file", "Connection: close\r\n").await;
    gate.parked(1).await;
    peer.replace("/file", Representation::seeded(8, 50));
    gate.release();
    assert_eq!(read_to_end(&mut stream).await.body, seeded_bytes(8, 0..50));
}

#[tokio::test]
async fn a_script_can_change_the_representation_between_two_answers() {
    let peer = serving(7, 10).await;
    let changed = Representation::seeded(8, 50).etag("\"b\"");
    peer.script("/file", [Answer::truncate_at(4).and(Answer::then_serve(changed))]);
    assert_eq!(get(&peer, "/file", "").await.body, seeded_bytes(7, 0..4));
    let came = get(&peer, "/file", "Range: bytes=4-\r\nIf-Range: \"a\"\r\n").await;
    assert_eq!(
        (came.status(), came.header("etag"), &came.body),
        ("200", Some("\"b\""), &seeded_bytes(8, 0..50))
    );
}

#[tokio::test]
#[should_panic(expected = "nothing was served under /fiel")]
async fn a_misspelt_path_cannot_be_replaced() {
    serving(7, 10).await.replace("/fiel", Representation::seeded(8, 10));
}

#[tokio::test]
async fn a_peer_that_went_away_refuses_and_comes_back_on_its_port() {
    let peer = serving(7, 100_000).await;
    peer.script("/file", [Answer::stall_at(10), Answer::status(503)]);
    let mut cut = ask(&peer, "/file", "").await;
    read_exactly(&mut cut, 10).await;
    for _ in 0..3 {
        peer.go_away().await;
        assert_eq!(
            TcpStream::connect(peer.address()).await.unwrap_err().kind(),
            ErrorKind::ConnectionRefused
        );
        peer.come_back().await;
    }
    assert_eq!(cut.read(&mut [0; 10]).await.unwrap_or(0), 0, "its connections were cut");
    let request = &peer.wait_for_finished("/file", 1).await[0];
    assert!(!request.hung_up, "the client did not leave");
    assert_eq!(get(&peer, "/file", "").await.status(), "503", "the script goes on");
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "waited in vain for 2 requests at /file. The peer saw:\n  nothing")]
async fn a_wait_in_vain_tells_what_was_seen() {
    // The paused clock makes the minute short.
    serving(7, 10).await.wait_for_requests("/file", 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_are_answered_side_by_side() {
    let peer = std::sync::Arc::new(serving(7, 300_000).await);
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..32_u64 {
        let peer = std::sync::Arc::clone(&peer);
        clients.spawn(async move {
            let came = get(&peer, "/file", &format!("Range: bytes={number}-\r\n")).await;
            assert_eq!(came.body, seeded_bytes(7, number..300_000));
        });
    }
    tokio::time::timeout(Duration::from_secs(60), clients.join_all()).await.unwrap();
    let mut orders: Vec<_> = peer.requests("/file").iter().map(|request| request.order).collect();
    orders.sort_unstable();
    assert_eq!(orders, (0..32).collect::<Vec<_>>());
}

async fn serving(seed: u64, length: u64) -> ScriptedPeer {
    let peer = ScriptedPeer::start().await;
    peer.serve("/file", Representation::seeded(seed, length).etag("\"a\""));
    peer
}
