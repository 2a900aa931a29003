//! Files to move: offered by a scripted peer, or lying in a shared folder.

use std::path::Path;

use scripted_peer::{Representation, ScriptedPeer, seeded_bytes};
use serde_json::json;

pub(crate) const MIB: u64 = 1 << 20;

/// Puts an item on the peer: what it says about it, and its bytes under a strong tag. Returns the path of the bytes.
///
/// The file is called `ID.bin` and holds the stream of `seed`.
pub(crate) fn offer(peer: &ScriptedPeer, id: &str, seed: u64, length: u64) -> String {
    offer_as(peer, id, &format!("{id}.bin"), seed, length)
}

/// As [`offer`], under a name of the peer's choice.
pub(crate) fn offer_as(peer: &ScriptedPeer, id: &str, filename: &str, seed: u64, length: u64) -> String {
    let metadata = json!({ "id": id, "title": id, "filename": filename, "size": length });
    let metadata = Representation::bytes(metadata.to_string()).content_type("application/json");
    peer.serve(&format!("/peer/items/{id}"), metadata);
    let path = format!("/peer/items/{id}/file");
    peer.serve(&path, Representation::seeded(seed, length).etag(format!("\"{id}-{seed}\"")));
    path
}

/// Writes the first `length` bytes of the stream of `seed`.
pub(crate) fn seeded_file(path: impl AsRef<Path>, seed: u64, length: u64) {
    std::fs::write(path, seeded_bytes(seed, 0..length)).expect("a file");
}
