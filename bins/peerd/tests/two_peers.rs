//! Two peers: a file moves whole, under the right name, to whoever has the key, and to nobody else.

#[path = "two_peers/names.rs"]
mod names;
mod support;
#[path = "two_peers/transfer.rs"]
mod transfer;
