//! A peer of the original system: no handshake, no validators, and an item described by name and size alone.

use peerd::stub::{Prefix, Torrent};
use scripted_peer::{Answer, RecordedRequest, Representation, ScriptedPeer, assert_same_bytes};
use serde_json::json;

use super::support::MIB;
use super::{drop_file, gone, id_of, rows, watching};

#[tokio::test]
async fn a_stub_of_the_original_system_is_fetched_from_a_peer_of_it_and_resumed_where_it_was_cut() {
    let jack = ScriptedPeer::start().await;
    let (item, path) = ("/peer/items/conn%3Amovie%3A42", "/peer/items/conn%3Amovie%3A42/file");
    let described = json!({
        "id": "conn:movie:42", "title": "Big.Buck.Bunny.2008", "filename": "Big.Buck.Bunny.2008.mkv",
        "category": 2000, "size": 2 * MIB,
    });
    jack.serve(item, Representation::bytes(described.to_string()));
    jack.serve(path, Representation::seeded(7, 2 * MIB));
    jack.script(path, [Answer::truncate_at(MIB + 5)]);
    let home = watching(&jack);
    let daemon = home.start().await;
    // As it names its peers, and as it writes its stubs.
    let id = id_of(&jack);
    let stub = format!(
        "d7:comment27:jack:{id}:conn:movie:424:infod6:lengthi{}e4:name19:Big.Buck.Bunny.200812:piece lengthi16777216e\
         6:pieces20:{}ee",
        2 * MIB,
        "\0".repeat(20)
    );
    let stub = drop_file(&home, "Big.Buck.Bunny.2008.torrent", stub);
    gone(&stub, &daemon).await;
    assert_same_bytes(home.completed("Big.Buck.Bunny.2008.mkv"), 7, 2 * MIB);
    assert!(jack.requests("/handshake").is_empty(), "it has none");
    let asked: Vec<_> = jack.requests(path).iter().filter_map(RecordedRequest::asked).collect();
    assert!(asked.iter().any(|(start, _)| *start > 0 && *start <= MIB + 5), "resumed: {asked:?}");
    let row = &rows(&daemon).await[0];
    assert_eq!((row["restarts"].as_u64(), row["validator"].as_str()), (Some(0), None));
}

#[tokio::test]
async fn where_the_peer_says_neither_name_nor_size_the_stub_does() {
    let jack = ScriptedPeer::start().await;
    jack.serve("/peer/items/m", Representation::bytes("{}"));
    jack.serve("/peer/items/m/file", Representation::seeded(7, 1000));
    jack.always("/peer/items/m/file", Answer::chunked());
    let home = watching(&jack);
    let daemon = home.start().await;
    let stub = Torrent {
        prefix: Prefix::Jack,
        peer: "bob".into(),
        item: "m".into(),
        name: Some("Film.mkv".into()),
        size: Some(1000),
    };
    let stub = drop_file(&home, "Film.torrent", stub.to_bytes());
    gone(&stub, &daemon).await;
    assert_same_bytes(home.completed("Film.mkv"), 7, 1000);
}
