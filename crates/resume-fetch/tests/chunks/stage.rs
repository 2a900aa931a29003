//! A file in pieces with holes between them, and ways to look at a download from the outside.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use resume_fetch::{
    BoxFuture, Connections, Content, Download, FetchRequest, Identity, Ledger, LedgerError, RangeSet, Record,
    Restart, Wanted,
};
use scripted_peer::{RecordedRequest, Representation, seeded_bytes};

use crate::common::{FILE, KIB, Lab, MIB, SEED, drive};

/// Too small to be split.
pub(crate) const PIECE: u64 = 64 * KIB;
/// More than three for each of four slots.
pub(crate) const COUNT: u64 = 13;

/// The `n`-th piece. Between two of them is a hole of the same length.
pub(crate) fn piece(n: u64) -> Range<u64> {
    2 * n * PIECE..(2 * n + 1) * PIECE
}

/// The hole behind the `n`-th piece; behind the last one of [`COUNT`] it reaches to the end of the file.
pub(crate) fn hole(n: u64) -> Range<u64> {
    let end = if n + 1 == COUNT { total(COUNT) } else { piece(n + 1).start };
    piece(n).end..end
}

pub(crate) fn pieces(count: u64) -> RangeSet {
    (0..count).map(piece).collect()
}

/// A length that is no multiple of anything, and enough for several connections.
pub(crate) fn total(count: u64) -> u64 {
    (2 * count * PIECE).max(MIB) + 777
}

/// A file of `count` pieces with holes, under the strong tag `"a"`.
pub(crate) fn in_pieces(count: u64) -> Representation {
    Representation::seeded(SEED, total(count)).etag("\"a\"")
}

/// A peer with a file of [`COUNT`] pieces.
pub(crate) async fn lab() -> Lab {
    Lab::new(in_pieces(COUNT)).await
}

/// The pieces and nothing else, over up to four connections.
pub(crate) fn only_pieces(lab: &Lab) -> FetchRequest {
    lab.request().want(Wanted::Ranges(pieces(COUNT))).connections(Connections::fixed(4))
}

/// Everything, over up to four connections.
pub(crate) fn everything(lab: &Lab) -> FetchRequest {
    lab.request().connections(Connections::fixed(4))
}

/// A peer with a file of [`COUNT`] pieces, all of which an earlier run has brought. The holes are missing.
pub(crate) async fn lab_with_pieces() -> Lab {
    let lab = lab().await;
    drive(lab.start(only_pieces(&lab))).await.done();
    assert_eq!(lab.record().await.unwrap().durable, pieces(COUNT));
    lab
}

/// Whether a request is for the bytes from `start` on.
pub(crate) fn is_for(request: &RecordedRequest, start: u64) -> bool {
    request.asked().is_some_and(|(from, _)| from == start)
}

/// The range of every request but the first `before`, as offsets; the end of an open one is that of the file.
pub(crate) fn asked_after(lab: &Lab, before: usize, total: u64) -> Vec<Range<u64>> {
    let requests = lab.peer.requests(FILE);
    let range = |request: &RecordedRequest| {
        let (from, until) = request.asked().unwrap_or((0, None));
        from..until.unwrap_or(total)
    };
    requests[before..].iter().map(range).collect()
}

/// None of the requests but the first `before` is for bytes of `held`.
#[track_caller]
pub(crate) fn asks_for_nothing_of(held: &RangeSet, lab: &Lab, before: usize, total: u64) {
    for asked in asked_after(lab, before, total) {
        let missing: u64 = held.gaps(asked.clone()).map(|gap| gap.end - gap.start).sum();
        assert_eq!(missing, asked.end - asked.start, "{asked:?} was asked for although held: {held:?}");
    }
}

/// Waits until what a download holds is as it should be.
#[track_caller]
pub(crate) fn until<'a>(
    download: &'a Download,
    enough: impl Fn(&Content) -> bool + Send + 'a,
) -> BoxFuture<'a, ()> {
    let (content, mut progress) = (download.content(), download.progress());
    Box::pin(async move {
        while !enough(&content) {
            let changed = tokio::time::timeout(PATIENCE, progress.changed()).await;
            changed
                .unwrap_or_else(|_| panic!("nothing happens any more; held: {:?}", content.held()))
                .unwrap_or_else(|_| panic!("the download is over; held: {:?}", content.held()));
        }
    })
}

/// Waits until `range` is written.
#[track_caller]
pub(crate) fn until_held(download: &Download, range: Range<u64>) -> BoxFuture<'_, ()> {
    until(download, move |content| content.held().covers(&range))
}

/// What the part file has at every held range is what the peer has there.
#[track_caller]
pub(crate) fn part_is_true(lab: &Lab, held: &RangeSet) {
    let part = std::fs::read(lab.part()).unwrap();
    for run in held.iter() {
        let ours = part.get(run.start as usize..run.end as usize);
        assert!(ours == Some(&seeded_bytes(SEED, run.clone())), "other bytes than the peer's at {run:?}");
    }
}

// ---- a ledger that is watched ----

/// A call about to be made to a ledger, or just made.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    pub(crate) after: bool,
    pub(crate) ranges: Vec<Range<u64>>,
}

type Look = dyn Fn(Call) -> BoxFuture<'static, Result<(), LedgerError>> + Send + Sync;

/// Shows every call that changes a record to `look`, before and after; an error of it is the answer.
#[derive(Clone)]
pub(crate) struct Watched {
    inner: Arc<dyn Ledger>,
    look: Arc<Look>,
}

impl Watched {
    pub(crate) fn new(inner: impl Ledger, look: impl Fn(&Call) + Send + Sync + 'static) -> Self {
        Self::pausing(inner, move |call| {
            look(&call);
            Box::pin(std::future::ready(Ok(())))
        })
    }

    pub(crate) fn pausing(
        inner: impl Ledger,
        look: impl Fn(Call) -> BoxFuture<'static, Result<(), LedgerError>> + Send + Sync + 'static,
    ) -> Self {
        Self { inner: Arc::new(inner), look: Arc::new(look) }
    }

    fn around<'a>(
        &'a self,
        name: &'static str,
        ranges: &[Range<u64>],
        work: BoxFuture<'a, Result<(), LedgerError>>,
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        let ranges = ranges.to_vec();
        Box::pin(async move {
            (self.look)(Call { name, after: false, ranges: ranges.clone() }).await?;
            work.await?;
            (self.look)(Call { name, after: true, ranges }).await
        })
    }
}

impl Ledger for Watched {
    fn load(&self) -> BoxFuture<'_, Result<Option<Record>, LedgerError>> {
        self.inner.load()
    }

    fn begin<'a>(
        &'a self,
        generation: u64,
        identity: &'a Identity,
        restart: Option<Restart>,
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        self.around("begin", &[], self.inner.begin(generation, identity, restart))
    }

    fn adopt<'a>(
        &'a self,
        generation: u64,
        identity: &'a Identity,
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        self.around("adopt", &[], self.inner.adopt(generation, identity))
    }

    fn scatter<'a>(&'a self, generation: u64) -> BoxFuture<'a, Result<(), LedgerError>> {
        self.around("scatter", &[], self.inner.scatter(generation))
    }

    fn record<'a>(
        &'a self,
        generation: u64,
        durable: &'a [Range<u64>],
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        self.around("record", durable, self.inner.record(generation, durable))
    }

    fn subtract<'a>(
        &'a self,
        generation: u64,
        lost: &'a [Range<u64>],
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        self.around("subtract", lost, self.inner.subtract(generation, lost))
    }

    fn seal(&self, generation: u64, total: u64) -> BoxFuture<'_, Result<(), LedgerError>> {
        self.around("seal", &[], self.inner.seal(generation, total))
    }

    fn finish(&self) -> BoxFuture<'_, Result<(), LedgerError>> {
        self.around("finish", &[], self.inner.finish())
    }
}

const PATIENCE: Duration = Duration::from_secs(60);
