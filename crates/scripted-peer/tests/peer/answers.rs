//! What each kind of answer puts on the wire.

use std::io::ErrorKind;
use std::time::Duration;

use crate::client::get;
use scripted_peer::{Answer, Representation, ScriptedPeer, seeded_bytes};

const LENGTH: u64 = 100_000;

#[tokio::test]
async fn an_honest_peer_sends_the_whole_with_its_validators() {
    let peer = serving().await;
    let came = get(&peer, "/file", "").await;
    assert_eq!(came.status(), "200");
    assert_eq!(came.header("etag"), Some("\"a\""));
    assert_eq!(came.header("last-modified"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    assert_eq!(came.header("accept-ranges"), Some("bytes"));
    assert_eq!(came.header("content-length"), Some("100000"));
    assert_eq!(came.header("content-type"), Some("application/octet-stream"));
    assert!(came.header("date").is_some());
    assert_eq!(came.body, seeded_bytes(7, 0..LENGTH));
}

#[tokio::test]
async fn an_honest_peer_sends_the_part_that_was_asked_for() {
    let peer = serving().await;
    let came = get(&peer, "/file", "Range: bytes=5-9\r\nIf-Range: \"a\"\r\n").await;
    assert_eq!((came.status(), came.header("content-range")), ("206", Some("bytes 5-9/100000")));
    assert_eq!((came.header("content-length"), &came.body), (Some("5"), &seeded_bytes(7, 5..10)));

    let came = get(&peer, "/file", "Range: bytes=5-9\r\nIf-Range: \"old\"\r\n").await;
    assert_eq!((came.status(), came.body.len()), ("200", 100_000));

    let came = get(&peer, "/file", "Range: bytes=100000-\r\n").await;
    assert_eq!((came.status(), came.header("content-range")), ("416", Some("bytes */100000")));

    let came = get(&peer, "/elsewhere", "").await;
    assert_eq!((came.status(), came.body.len()), ("404", 0));
}

#[tokio::test]
async fn a_bare_status_carries_what_the_script_gives_it_and_nothing_else() {
    let peer = serving().await;
    peer.script(
        "/file",
        [
            Answer::status(503).header("Retry-After", "2").body("busy"),
            Answer::redirect("/other"),
            Answer::status(204),
        ],
    );
    let came = get(&peer, "/file", "").await;
    assert_eq!((came.status(), came.header("retry-after"), came.header("etag")), ("503", Some("2"), None));
    assert_eq!((came.header("content-length"), came.body.as_slice()), (Some("4"), b"busy".as_slice()));
    let came = get(&peer, "/file", "").await;
    assert_eq!((came.status(), came.header("location")), ("302", Some("/other")));
    let came = get(&peer, "/file", "").await;
    assert_eq!((came.status(), came.header("content-length")), ("204", None));
}

#[tokio::test]
async fn ranges_can_be_ignored_shifted_and_cut() {
    for (answer, status, content_range, bytes) in [
        (Answer::ignore_range(), "200", None, 0..LENGTH),
        (Answer::ignore_if_range(), "206", Some("bytes 50-99/100000"), 50..100),
        (Answer::other_range(40..60), "206", Some("bytes 40-59/100000"), 40..60),
        (Answer::ignore_if_range().and(Answer::at_most(10)), "206", Some("bytes 50-59/100000"), 50..60),
        (Answer::ignore_if_range().and(Answer::relabel(200)), "200", Some("bytes 50-99/100000"), 50..100),
    ] {
        let peer = serving().await;
        peer.script("/file", [answer.clone()]);
        let came = get(&peer, "/file", "Range: bytes=50-99\r\nIf-Range: \"old\"\r\n").await;
        assert_eq!((came.status(), came.header("content-range")), (status, content_range), "{answer:?}");
        assert_eq!(came.body, seeded_bytes(7, bytes), "{answer:?}");
    }
}

#[tokio::test]
async fn a_claim_changes_one_figure_of_content_range_and_no_byte() {
    for (answer, content_range) in [
        (Answer::claim_start(51), "bytes 51-99/100000"),
        (Answer::claim_end(98), "bytes 50-98/100000"),
        (Answer::claim_total(100_001), "bytes 50-99/100001"),
        (Answer::claim_unknown_total(), "bytes 50-99/*"),
        (Answer::claim_start(1).and(Answer::claim_total(2)), "bytes 1-99/2"),
    ] {
        let peer = serving().await;
        peer.script("/file", [answer]);
        let came = get(&peer, "/file", "Range: bytes=50-99\r\n").await;
        assert_eq!((came.status(), came.header("content-range")), ("206", Some(content_range)));
        assert_eq!(came.body, seeded_bytes(7, 50..100), "{content_range}");
    }
}

#[tokio::test]
async fn multipart_wraps_the_one_part() {
    let peer = serving().await;
    peer.script("/file", [Answer::multipart()]);
    let came = get(&peer, "/file", "Range: bytes=50-99\r\n").await;
    assert_eq!((came.status(), came.header("content-range")), ("206", None));
    let boundary =
        came.header("content-type").unwrap().strip_prefix("multipart/byteranges; boundary=").unwrap();
    let head = format!(
        "--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes 50-99/100000\r\n\r\n"
    );
    let foot = format!("\r\n--{boundary}--\r\n");
    assert_eq!(came.body, [head.as_bytes(), &seeded_bytes(7, 50..100), foot.as_bytes()].concat());
    assert_eq!(came.header("content-length"), Some(came.body.len().to_string().as_str()));
}

#[tokio::test]
async fn the_body_can_be_longer_or_wrong_by_a_bit() {
    let peer = serving().await;
    peer.script("/file", [Answer::extra("more"), Answer::flip_at(1), Answer::encoding("gzip")]);
    let came = get(&peer, "/file", "Range: bytes=50-59\r\n").await;
    assert_eq!(came.header("content-range"), Some("bytes 50-59/100000"));
    assert_eq!(came.header("content-length"), Some("14"));
    assert_eq!(came.body, [seeded_bytes(7, 50..60), b"more".to_vec()].concat());

    let came = get(&peer, "/file", "Range: bytes=50-59\r\n").await;
    let mut flipped = seeded_bytes(7, 50..60);
    flipped[1] ^= 1;
    assert_eq!(came.body, flipped);

    let came = get(&peer, "/file", "").await;
    assert_eq!(came.header("content-encoding"), Some("gzip"));
    assert_eq!(came.body, seeded_bytes(7, 0..LENGTH), "only the label changes");
}

#[tokio::test]
async fn framing_can_be_missing_chunked_or_contradictory() {
    let peer = serving().await;
    peer.script("/file", [Answer::without_length(), Answer::chunked(), Answer::both_length_and_chunked()]);
    let came = get(&peer, "/file", "").await;
    assert_eq!((came.header("content-length"), came.header("transfer-encoding")), (None, None));
    assert_eq!((came.header("connection"), &came.body), (Some("close"), &seeded_bytes(7, 0..LENGTH)));

    let came = get(&peer, "/file", "").await;
    assert_eq!((came.header("content-length"), came.header("transfer-encoding")), (None, Some("chunked")));
    assert_eq!(unchunked(&came.body), (seeded_bytes(7, 0..LENGTH), true));

    let came = get(&peer, "/file", "").await;
    assert_eq!(came.header("content-length"), Some("100000"));
    assert_eq!(unchunked(&came.body), (seeded_bytes(7, 0..LENGTH), true));
}

#[tokio::test]
async fn header_fields_can_be_set_doubled_and_left_out() {
    let peer = serving().await;
    let answer =
        Answer::honest().header("ETag", "\"b\"").add_header("ETag", "\"c\"").without_header("Accept-Ranges");
    peer.script("/file", [answer, Answer::honest().header("Content-Length", "ten")]);
    let came = get(&peer, "/file", "").await;
    assert_eq!((came.headers("etag"), came.header("accept-ranges")), (vec!["\"b\"", "\"c\""], None));
    let came = get(&peer, "/file", "").await;
    assert_eq!(came.headers("content-length"), ["ten"]);
}

#[tokio::test]
async fn garbage_follows_the_message() {
    let peer = serving().await;
    peer.script("/file", [Answer::garbage_after("HTTP/1.1 200 \r\n")]);
    let came = get(&peer, "/file", "Range: bytes=0-9\r\n").await;
    assert_eq!(came.header("content-length"), Some("10"));
    assert_eq!(came.body, [seeded_bytes(7, 0..10), b"HTTP/1.1 200 \r\n".to_vec()].concat());
}

#[tokio::test]
async fn a_truncated_body_ends_in_order_after_the_promised_length_was_broken() {
    let peer = serving().await;
    peer.script("/file", [Answer::truncate_at(1234), Answer::chunked().and(Answer::truncate_at(1234))]);
    let came = get(&peer, "/file", "").await;
    came.end.as_ref().unwrap();
    assert_eq!((came.header("content-length"), &came.body), (Some("100000"), &seeded_bytes(7, 0..1234)));
    let came = get(&peer, "/file", "").await;
    came.end.as_ref().unwrap();
    assert_eq!(unchunked(&came.body), (seeded_bytes(7, 0..1234), false), "without its last chunk");
}

#[tokio::test]
async fn a_reset_comes_after_the_bytes_that_were_sent_before_it() {
    // Longer than the socket buffers of both sides, so that the reset could overtake.
    let length = 8_000_000;
    let peer = ScriptedPeer::start().await;
    peer.serve("/file", Representation::seeded(7, length + 1));
    peer.script("/file", [Answer::reset_at(length)]);
    let came = get(&peer, "/file", "").await;
    assert_eq!(came.end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    if cfg!(target_os = "linux") {
        assert_eq!(came.body.len() as u64, length);
    }
}

#[tokio::test]
async fn an_answer_can_end_before_it_begins() {
    let peer = serving().await;
    peer.script("/file", [Answer::close_before_head(), Answer::reset_before_head()]);
    let came = get(&peer, "/file", "").await;
    came.end.as_ref().unwrap();
    assert!(came.head.is_empty());
    let came = get(&peer, "/file", "").await;
    assert_eq!(came.end.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_dripping_answer_is_whole_in_the_end() {
    let peer = serving().await;
    peer.script(
        "/file",
        [
            Answer::drip(3, Duration::from_millis(1)).and(Answer::drip_head(50, Duration::from_millis(1))),
            Answer::rate(100_000_000),
        ],
    );
    let came = get(&peer, "/file", "Range: bytes=0-20\r\n").await;
    assert_eq!(came.body, seeded_bytes(7, 0..21));
    let came = get(&peer, "/file", "").await;
    assert_eq!(came.body, seeded_bytes(7, 0..LENGTH));

    peer.limit_rate(10_000_000);
    let came = get(&peer, "/file", "").await;
    assert_eq!(came.body, seeded_bytes(7, 0..LENGTH));
}

async fn serving() -> ScriptedPeer {
    let peer = ScriptedPeer::start().await;
    let representation = Representation::seeded(7, LENGTH);
    peer.serve("/file", representation.etag("\"a\"").last_modified("Sun, 06 Nov 1994 08:49:37 GMT"));
    peer
}

/// The payload of chunks, and whether the last one came.
fn unchunked(mut body: &[u8]) -> (Vec<u8>, bool) {
    let mut payload = Vec::new();
    while let Some(line) = body.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&body[..line]).unwrap(), 16).unwrap();
        if size == 0 {
            return (payload, true);
        }
        payload.extend_from_slice(&body[line + 2..line + 2 + size]);
        body = &body[line + 2 + size + 2..];
    }
    (payload, false)
}
