//! The files of certificates and keys a configuration names: whoever renews one does so without touching the
//! configuration.

use std::collections::BTreeMap;
use std::path::Path;

use super::Config;
use super::key_path::KeyPath;
use crate::tls::{PemFlaw, open_file};

/// What each of the files holds, by the setting that names it. One that cannot be read is left out.
pub(crate) fn digests(config: &Config) -> BTreeMap<KeyPath, blake3::Hash> {
    let ours = config.server.tls_files().into_iter().flat_map(|(certificate, key)| {
        [(KeyPath::new(["server", "tls_cert"]), certificate), (KeyPath::new(["server", "tls_key"]), key)]
    });
    let theirs = config
        .peers
        .iter()
        .filter_map(|(name, peer)| Some((KeyPath::new(["peers", name, "ca_file"]), peer.ca_file()?)));
    ours.chain(theirs).filter_map(|(path, file)| Some((path, digest(file).ok()?))).collect()
}

fn digest(file: &Path) -> Result<blake3::Hash, PemFlaw> {
    use std::io::Read;
    let mut bytes = Vec::new();
    open_file(file)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(blake3::hash(&bytes))
}

/// More than a file of certificates may have.
const MAX_BYTES: u64 = 1 << 20;
