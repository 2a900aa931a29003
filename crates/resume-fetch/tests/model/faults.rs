//! What can go wrong at the peer, and how likely it is.

use std::time::Duration;

/// What the peer does to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing: the answer is what the field's words ask for.
    None,
    /// An error status, with how long to stay away.
    Status(u16, Option<u64>),
    /// Nobody listens.
    Refused,
    /// The connection breaks before the answer.
    Broken,
    /// No answer, ever.
    Mute,
    /// The body ends cleanly after so many bytes, before its promised end.
    Cut(u64),
    /// The connection breaks after so many bytes of the body.
    Reset(u64),
    /// Nothing comes any more after so many bytes of the body.
    Stall(u64),
    /// A legal 206 that ends before what was asked for does.
    Short(u64),
    /// 200 with everything, whatever was asked for.
    IgnoresRange,
    /// 200 with everything, and no word on how much that is.
    Chunked,
    /// A 206 that begins this many bytes from where it should.
    Shifted(i64),
    /// The body begins in frames of a few bytes.
    Drip,
}

/// How the peer is, for as long as it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mood {
    /// Of a hundred requests so many meet a fault.
    pub(crate) faults: u32,
    /// Its tags are weak.
    pub(crate) weak: bool,
    /// It has never heard of ranges.
    pub(crate) ignores_ranges: bool,
    /// It answers 503 to more requests at a time than this.
    pub(crate) most: usize,
    /// An empty file answers a range with 416 instead of the whole.
    pub(crate) strict_about_nothing: bool,
}

impl Mood {
    /// As a peer should be.
    pub(crate) const HONEST: Self =
        Self { faults: 0, weak: false, ignores_ranges: false, most: usize::MAX, strict_about_nothing: false };

    /// Some mood or other, more often a good one than a bad one.
    pub(crate) fn any(rng: &mut fastrand::Rng) -> Self {
        Self {
            faults: [0, 10, 30, 60][rng.usize(0..4)],
            weak: rng.u8(0..6) == 0,
            ignores_ranges: rng.u8(0..8) == 0,
            most: if rng.u8(0..6) == 0 { rng.usize(1..4) } else { usize::MAX },
            strict_about_nothing: rng.bool(),
        }
    }

    /// What becomes of the next request; `length` is that of the body it will get.
    pub(crate) fn fault(&self, length: u64, rng: &mut fastrand::Rng) -> Fault {
        if rng.u32(0..100) >= self.faults {
            return Fault::None;
        }
        let somewhere = rng.u64(0..=length);
        match rng.u8(0..20) {
            0 => Fault::Status(503, None),
            1 => Fault::Status(503, Some(rng.u64(0..400))),
            2 => Fault::Status(429, Some(rng.u64(1..30))),
            3 => Fault::Status(500, None),
            4 if rng.u8(0..8) == 0 => Fault::Status(404, None),
            4 | 5 => Fault::Refused,
            6 => Fault::Broken,
            7 => Fault::Mute,
            8..=10 => Fault::Cut(somewhere),
            11 | 12 => Fault::Reset(somewhere),
            13 | 14 => Fault::Stall(somewhere),
            15 | 16 => Fault::Short(rng.u64(1..=length.max(1))),
            17 => [Fault::IgnoresRange, Fault::Chunked][rng.usize(0..2)],
            18 => Fault::Shifted([-100, -1, 1, 4096][rng.usize(0..4)]),
            _ => Fault::Drip,
        }
    }
}

/// How long nothing happens between two events, most of the time.
pub(crate) fn a_moment(rng: &mut fastrand::Rng) -> Duration {
    Duration::from_millis([1, 20, 150, 700][rng.usize(0..4)])
}
