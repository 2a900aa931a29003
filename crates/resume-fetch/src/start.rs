//! Where to begin: what the record, the part file and the caller together prove (pure).

use crate::error::AnswerError;
use crate::identity::{Identity, TotalSource, Validator};
use crate::ledger::{Layout, Record};
use crate::range_set::RangeSet;
use crate::request::FetchRequest;
use crate::restart_reason::RestartReason;

/// What is found before the first request.
pub(crate) struct Found {
    /// The ledger's record.
    pub(crate) record: Option<Record>,
    /// Length of the part file in bytes; 0 when there is none.
    pub(crate) part_len: u64,
}

/// How the download begins.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// From nothing.
    Fresh,
    /// From the record as it stands.
    Resume(Record),
    /// From a record that has to be written first, its layout too, because the old one does not describe the disk.
    Rebase(Record),
    /// From bytes that only the caller vouches for; their end is compared with what the peer sends.
    Adopt(Record),
    /// From nothing, but what is there stays until a whole body is ready to take its place.
    GiveUp {
        /// What the bytes were on record as, if they were.
        record: Option<Record>,
        /// Why they are of no use.
        reason: RestartReason,
    },
    /// Not at all.
    Refuse(AnswerError),
}

/// Decides how to begin.
pub(crate) fn start(found: Found, request: &FetchRequest) -> Start {
    let Found { record, part_len } = found;
    match record {
        Some(record) => continued(record, part_len, request),
        None if part_len == 0 => Start::Fresh,
        None => orphan(part_len, request),
    }
}

fn continued(mut record: Record, part_len: u64, request: &FetchRequest) -> Start {
    // Truth about bytes is the smaller of record and disk: recorded bytes the disk lost are fetched again.
    let lost = part_len..u64::MAX;
    let intact = record.durable.gaps(lost.clone()).eq([lost.clone()]);
    record.durable.remove(&lost);
    if record.durable.is_empty() {
        // Nothing that a limit or a wish of the caller could contradict: the peer is asked as if for the first time.
    } else if let Some(size) =
        record.identity.total.filter(|total| request.max_size.is_some_and(|max| *total > max))
    {
        return Start::Refuse(AnswerError::TooLarge { size, max: request.max_size.unwrap_or_default() });
    } else if let Some(reason) = unwanted(&record.identity, request) {
        return Start::GiveUp { record: Some(record), reason };
    }
    if intact {
        return Start::Resume(record);
    }
    record.generation += 1;
    record.sealed = false;
    if !is_prefix(&record.durable) {
        record.layout = Layout::Map;
    }
    Start::Rebase(record)
}

/// Whether the bytes are one run from 0, so that the length of a file of them says how many there are.
fn is_prefix(durable: &RangeSet) -> bool {
    durable.available_from(0) == durable.len()
}

/// Why the recorded bytes cannot be the ones the caller describes now.
fn unwanted(identity: &Identity, request: &FetchRequest) -> Option<RestartReason> {
    let other_size =
        request.expected_total.is_some_and(|wanted| identity.total.is_some_and(|total| total != wanted));
    let other_tag = request.known_tag.as_ref().is_some_and(|wanted| match &identity.validator {
        Some(Validator::Tag(tag)) => !tag.is_weak() && !tag.strong_eq(wanted),
        _ => false,
    });
    match (other_tag, other_size) {
        (true, _) => Some(RestartReason::ValidatorChanged),
        (false, true) => Some(RestartReason::ContentRangeMismatch),
        (false, false) => None,
    }
}

/// A part file that nothing vouches for. It is continued only when the caller brings the proof: a digest that will
/// judge the whole, or a strong validator and the complete-length.
fn orphan(part_len: u64, request: &FetchRequest) -> Start {
    let give_up = |reason| Start::GiveUp { record: None, reason };
    let total = request.expected_total;
    if request.digest.is_none() && (request.known_tag.is_none() || total.is_none()) {
        return give_up(RestartReason::Orphan);
    }
    if total.is_some_and(|total| part_len > total) {
        return give_up(RestartReason::PartOversize);
    }
    // A tag says what the peer has, not what this file holds, and a length is easily had without the bytes: at least
    // its end is fetched again and compared. A digest needs no such sample.
    let kept = if request.digest.is_some() { part_len } else { part_len.saturating_sub(RESAMPLED) };
    if kept == 0 {
        return give_up(RestartReason::Orphan);
    }
    let identity = Identity {
        total,
        total_source: total.map(|_| TotalSource::Request),
        validator: request.known_tag.clone().map(Validator::Tag),
    };
    let mut durable = RangeSet::new();
    durable.insert(0..kept);
    Start::Adopt(Record { generation: 1, identity, durable, ..Record::default() })
}

/// Bytes at the end of an adopted part that are fetched again although they are there.
const RESAMPLED: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use range_http::EntityTag;
    use std::ops::Range;

    fn request() -> FetchRequest {
        FetchRequest::new("http://peer/x", "x").unwrap()
    }

    fn record(durable: &[Range<u64>]) -> Record {
        Record { generation: 3, durable: durable.iter().cloned().collect(), ..Record::default() }
    }

    fn begin(record: Option<Record>, part_len: u64, request: &FetchRequest) -> Start {
        start(Found { record, part_len }, request)
    }

    fn tag(text: &str) -> Option<EntityTag> {
        EntityTag::parse(text.as_bytes())
    }

    #[test]
    fn bytes_count_only_where_record_and_disk_agree() {
        let plain = record(&[0..100]);
        assert_eq!(begin(Some(plain.clone()), 100, &request()), Start::Resume(plain.clone()));
        assert_eq!(
            begin(Some(plain.clone()), 999, &request()),
            Start::Resume(plain),
            "an unrecorded tail is nothing"
        );
        let Start::Rebase(shorter) = begin(Some(record(&[0..100, 200..300])), 250, &request()) else {
            panic!("the disk lost bytes the record claims")
        };
        assert_eq!(shorter.durable.iter().collect::<Vec<_>>(), [0..100, 200..250]);
        assert_eq!(shorter.generation, 4, "late writes of the old record must not count");
    }

    #[test]
    fn a_record_keeps_its_layout_and_what_has_a_hole_is_never_called_a_prefix() {
        use Layout::{Map, Prefix};
        for (held, layout, part_len, expected, because) in [
            (&[0..100][..], Prefix, 100, (false, Prefix), "it is as it was"),
            (&[0..100], Map, 100, (false, Map), "also where one run is left"),
            (&[0..100], Prefix, 40, (true, Prefix), "a shorter prefix is one"),
            (&[0..100, 200..300], Map, 250, (true, Map), "the hole is still there"),
            (&[0..100, 200..300], Map, 100, (true, Map), "a map stays one, whatever remains"),
            (&[0..100, 200..300], Prefix, 250, (true, Map), "no prefix has holes"),
            (&[10..100], Prefix, 50, (true, Map), "nor does one begin behind the start"),
            (&[10..100], Prefix, 0, (true, Prefix), "of nothing there is nothing to say"),
        ] {
            let found = match begin(Some(Record { layout, ..record(held) }), part_len, &request()) {
                Start::Resume(record) => (false, record.layout),
                Start::Rebase(record) => (true, record.layout),
                other => panic!("{because}: {other:?}"),
            };
            assert_eq!(found, expected, "{because}");
        }
    }

    #[test]
    fn an_orphan_is_given_up_unless_the_caller_brings_a_proof() {
        const LEN: u64 = 1 << 20;
        let orphan = |request: &FetchRequest| begin(None, LEN, request);
        let lost = |reason| Start::GiveUp { record: None, reason };
        let digest = Digest::sha256(&"0".repeat(64)).ok();
        assert_eq!(orphan(&request()), lost(RestartReason::Orphan));
        assert_eq!(orphan(&request().known_tag(tag("\"a\""))), lost(RestartReason::Orphan), "no size");
        assert_eq!(
            orphan(&request().expect_size(Some(2 * LEN))),
            lost(RestartReason::Orphan),
            "no validator"
        );
        let Start::Adopt(adopted) = orphan(&request().expect_digest(digest)) else {
            panic!("a digest is proof enough")
        };
        assert!(adopted.durable.covers(&(0..LEN)), "a digest judges every byte");
        let both = request().known_tag(tag("\"a\"")).expect_size(Some(LEN));
        let Start::Adopt(adopted) = orphan(&both) else { panic!("tag and size are proof enough") };
        assert!(adopted.identity.is_proof());
        assert!(!adopted.durable.covers(&(0..LEN)), "a full length alone never finishes a file");
        assert_eq!(orphan(&both.clone().expect_size(Some(LEN - 1))), lost(RestartReason::PartOversize));
        assert_eq!(
            begin(None, RESAMPLED, &both),
            lost(RestartReason::Orphan),
            "too short to be worth a sample"
        );
    }

    #[test]
    fn recorded_bytes_are_kept_until_a_body_replaces_them_when_the_caller_now_wants_others() {
        let held = Record {
            identity: Identity {
                total: Some(200),
                total_source: None,
                validator: tag("\"a\"").map(Validator::Tag),
            },
            ..record(&[0..100])
        };
        let begin = |request: &FetchRequest| begin(Some(held.clone()), 100, request);
        let given_up = |reason| Start::GiveUp { record: Some(held.clone()), reason };
        assert_eq!(begin(&request().expect_size(Some(300))), given_up(RestartReason::ContentRangeMismatch));
        assert_eq!(begin(&request().known_tag(tag("\"b\""))), given_up(RestartReason::ValidatorChanged));
        let same = request().expect_size(Some(200)).known_tag(tag("\"a\""));
        assert_eq!(begin(&same), Start::Resume(held.clone()));
        let refused = AnswerError::TooLarge { size: 200, max: 199 };
        assert_eq!(
            begin(&request().max_size(Some(199))),
            Start::Refuse(refused),
            "no request is needed to know"
        );
    }

    #[test]
    fn nothing_on_disk_and_nothing_on_record_is_simply_new() {
        assert_eq!(begin(None, 0, &request()), Start::Fresh);
    }
}
