//! The bytes of one answer, read only when they are sent.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::representation::Representation;

/// A list of stretches, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Body {
    stretches: Vec<Stretch>,
    flip_at: Option<u64>,
}

#[derive(Debug)]
enum Stretch {
    Fixed(Bytes),
    Of(Arc<Representation>, Range<u64>),
}

impl Body {
    pub(crate) fn of(representation: &Arc<Representation>, range: Range<u64>) -> Self {
        Self { stretches: vec![Stretch::Of(Arc::clone(representation), range)], flip_at: None }
    }

    pub(crate) fn append(&mut self, bytes: impl Into<Bytes>) {
        self.stretches.push(Stretch::Fixed(bytes.into()));
    }

    pub(crate) fn join(&mut self, other: Self) {
        self.stretches.extend(other.stretches);
    }

    /// Reads the byte there with its lowest bit flipped.
    pub(crate) fn flip_at(&mut self, at: Option<u64>) {
        self.flip_at = at;
    }

    pub(crate) fn length(&self) -> u64 {
        self.stretches.iter().map(Stretch::length).sum()
    }

    /// The bytes at `from..to` of the body.
    pub(crate) fn read(&self, from: u64, to: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut start = 0;
        for stretch in &self.stretches {
            let end = start + stretch.length();
            if from < end && start < to {
                bytes.extend_from_slice(&stretch.read(from.max(start) - start..to.min(end) - start));
            }
            start = end;
        }
        if let Some(at) = self.flip_at.filter(|at| (from..to).contains(at)) {
            bytes[(at - from) as usize] ^= 1;
        }
        bytes
    }
}

impl Stretch {
    fn length(&self) -> u64 {
        match self {
            Self::Fixed(bytes) => bytes.len() as u64,
            Self::Of(_, range) => range.end - range.start,
        }
    }

    fn read(&self, within: Range<u64>) -> Bytes {
        match self {
            Self::Fixed(bytes) => bytes.slice(within.start as usize..within.end as usize),
            Self::Of(representation, range) => {
                representation.read(range.start + within.start..range.start + within.end)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_reads_across_its_stretches() {
        let representation = Arc::new(Representation::seeded(1, 100));
        let mut body = Body::default();
        body.append("<<");
        body.join(Body::of(&representation, 10..20));
        body.append(">>");
        let whole = [b"<<".as_slice(), &representation.read(10..20), b">>"].concat();
        assert_eq!(body.length(), 14);
        for from in 0..14 {
            for to in from..=14 {
                assert_eq!(body.read(from, to), whole[from as usize..to as usize], "{from}..{to}");
            }
        }
        body.flip_at(Some(5));
        assert_eq!(body.read(5, 6)[0], whole[5] ^ 1);
    }
}
