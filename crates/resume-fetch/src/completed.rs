//! What a finished download has to say for itself.

/// What a finished download came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    /// Complete-length in bytes; 0 when only a part was wanted and nobody said.
    pub total: u64,
    /// Whether the file has its final name. It has not when only a part of it was wanted.
    pub published: bool,
    /// New bytes this call received from the peer.
    pub received: u64,
    /// Bytes that were already held when this call began.
    pub resumed_from: u64,
    /// Restarts in this call.
    pub restarts: u32,
    /// How the whole was verified.
    pub verified: Verified,
}

/// What vouches for a file beyond its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// The caller's digest matches: that of the bytes as they were written, read back once, mostly while the rest
    /// arrived. A program that writes into the part meanwhile, or a disk that loses later what it took, is not noticed.
    Digest,
    /// The digest the peer itself announced (`Repr-Digest`, RFC 9530) matches, read in the same way: nothing was
    /// damaged on the way.
    PeerDigest,
    /// Every piece came under one strong validator, or in one piece.
    Validator,
    /// Pieces were joined by comparing their overlap: evidence, not proof.
    Overlap,
}
