//! The file at the peer, version by version: bytes that follow from version and offset and cost nothing.

use std::ops::Range;
use std::sync::LazyLock;

use bytes::Bytes;
use resume_fetch::{Identity, Validator};

/// One version of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) number: usize,
    pub(crate) size: u64,
}

impl Version {
    /// Its bytes in `range`, which must lie within it.
    pub(crate) fn bytes(self, range: Range<u64>) -> Bytes {
        assert!(range.end <= self.size, "{range:?} of {self:?}");
        let base = self.number * SHIFT;
        POOL.slice(base + range.start as usize..base + range.end as usize)
    }

    /// Whether these are its bytes at `offset`.
    pub(crate) fn has(self, offset: u64, bytes: &[u8]) -> bool {
        let end = offset + bytes.len() as u64;
        end <= self.size && self.bytes(offset..end) == bytes
    }

    /// Its entity tag.
    pub(crate) fn tag(self, weak: bool) -> String {
        format!("{}\"v{}\"", if weak { "W/" } else { "" }, self.number)
    }
}

/// The number of the version that `identity` names by its tag.
pub(crate) fn number_of(identity: &Identity) -> Option<usize> {
    let Some(Validator::Tag(tag)) = &identity.validator else { return None };
    tag.to_string().trim_start_matches("W/").trim_matches('"').strip_prefix('v')?.parse().ok()
}

/// Every version is a window on the same random bytes, each a little further on, so that none has another's byte at
/// any offset but by chance.
static POOL: LazyLock<Bytes> = LazyLock::new(|| {
    let mut bytes = vec![0; LARGEST as usize + VERSIONS * SHIFT];
    fastrand::Rng::with_seed(4).fill(&mut bytes);
    bytes.into()
});

/// No file is larger.
pub(crate) const LARGEST: u64 = 12 << 20;
/// There are no more versions in one run.
pub(crate) const VERSIONS: usize = 12;
/// A prime, so that no chunk size lines two versions up.
const SHIFT: usize = 65_537;
