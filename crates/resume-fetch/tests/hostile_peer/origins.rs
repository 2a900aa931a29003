//! Redirects to other origins: what may go there, and what may come from there.

use http::{HeaderName, HeaderValue};
use resume_fetch::RestartReason;
use scripted_peer::{Answer, Representation, ScriptedPeer};

use crate::HALF;
use crate::common::{FILE, KIB, Lab, MIB, OTHER, SEED, file};

fn secret() -> (HeaderName, HeaderValue) {
    (HeaderName::from_static("x-api-key"), HeaderValue::from_static("s3cret"))
}

#[tokio::test]
async fn the_callers_headers_stay_at_the_origin_they_were_meant_for() {
    let lab = Lab::new(file()).await;
    let stranger = ScriptedPeer::start().await;
    stranger.serve("/x", file());
    lab.peer.serve("/near", file());
    lab.peer.always("/near", Answer::redirect(stranger.url("/x")));
    lab.peer.always(FILE, Answer::redirect("/near"));
    let (name, value) = secret();
    let request =
        lab.request().header(name, value).header(http::header::COOKIE, HeaderValue::from_static("c=1"));
    lab.fetch(request).await.done();
    lab.published(SEED, MIB);
    for path in [FILE, "/near"] {
        assert_eq!(lab.peer.requests(path)[0].header("x-api-key"), Some("s3cret"), "{path} is home");
    }
    let away = &stranger.requests("/x")[0];
    assert_eq!((away.header("x-api-key"), away.header("cookie")), (None, None));
    assert_eq!(away.header("accept-encoding"), Some("identity"), "what the engine itself needs goes along");
    assert_eq!(away.header("referer"), None);
}

#[tokio::test]
async fn headers_dropped_on_the_way_out_do_not_come_back_with_the_way_home() {
    let lab = Lab::new(file()).await;
    let stranger = ScriptedPeer::start().await;
    stranger.always("/x", Answer::redirect(lab.peer.url("/back")));
    lab.peer.serve("/back", file());
    lab.peer.always(FILE, Answer::redirect(stranger.url("/x")));
    let (name, value) = secret();
    lab.fetch(lab.request().header(name, value)).await.done();
    assert_eq!(lab.peer.requests("/back")[0].header("x-api-key"), None, "a stranger chose this address");
}

#[tokio::test]
async fn bytes_from_another_origin_are_compared_however_equal_their_tag_is() {
    let lab = Lab::holding(HALF).await;
    let stranger = ScriptedPeer::start().await;
    stranger.serve("/x", Representation::seeded(OTHER, MIB).etag("\"a\""));
    lab.peer.script(FILE, [Answer::redirect(stranger.url("/x"))]);
    let fetched = lab.run().await;
    assert_eq!(fetched.restarts(), [(RestartReason::OverlapMismatch, HALF)]);
    assert_eq!(stranger.requests("/x")[0].asked(), Some((HALF - 64 * KIB, None)));
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn the_same_bytes_from_another_origin_continue_the_part() {
    let lab = Lab::holding(HALF).await;
    let mirror = ScriptedPeer::start().await;
    mirror.serve("/x", file());
    lab.peer.always(FILE, Answer::redirect(mirror.url("/x")));
    let fetched = lab.run().await;
    assert_eq!(fetched.restarts(), []);
    assert_eq!(mirror.requests("/x")[0].header("if-range"), Some("\"a\""));
    assert_eq!(fetched.done().received, MIB - HALF);
    lab.published(SEED, MIB);
}
