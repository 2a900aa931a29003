//! A transport without a network and a ledger that tells what it is asked to remember: what an embedding has to supply,
//! and the order in which the engine calls it. The transport breaks off twice.
//!
//! `cargo run -p resume-fetch --example own_transport`

use std::error::Error;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::stream;
use range_http::{EntityTag, Policy, Representation, Segment, plan};
use resume_fetch::{
    BodyStream, BoxFuture, FetchRequest, Fetcher, Identity, Ledger, LedgerError, MemoryLedger,
    NetworkFailure, Record, Restart, Transport, TransportError,
};
use retry_kit::TokioClock;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = Bytes::from_iter((0..3_000_000u32).map(|n| n as u8));
    let transport = Flaky { file: file.clone(), breaks: AtomicUsize::new(2) };
    let fetcher = Fetcher::new(transport, Arc::new(TokioClock), fastrand::Rng::with_seed(1));

    let target = std::env::temp_dir().join("resume-fetch-example.bin");
    let request = FetchRequest::new("http://nowhere.example/file", &target)?.replace(true);
    let done = fetcher.start(request, Narrator::default()).await?;
    assert_eq!(std::fs::read(&target)?, file);
    println!("{done:?}");
    std::fs::remove_file(&target)?;
    Ok(())
}

/// Answers from memory, and breaks off after a million bytes as long as it may.
struct Flaky {
    file: Bytes,
    breaks: AtomicUsize,
}

impl Transport for Flaky {
    fn get(
        &self,
        request: http::Request<()>,
    ) -> BoxFuture<'_, Result<http::Response<BodyStream>, TransportError>> {
        Box::pin(async move {
            println!("GET with Range {:?}", request.headers().get(http::header::RANGE));
            let representation =
                Representation::new(self.file.len() as u64).with_etag(EntityTag::strong("v1"));
            let (head, body) = plan(&request, &representation, &Policy::new()).into_response_parts();
            let bytes: Vec<Bytes> = body
                .segments()
                .map(|segment| match segment {
                    Segment::Bytes(text) => Bytes::copy_from_slice(text),
                    Segment::Source(range) => self.file.slice(range.start() as usize..range.end() as usize),
                })
                .collect();
            let mut frames: Vec<Result<Bytes, TransportError>> = bytes.into_iter().map(Ok).collect();
            let broken =
                self.breaks.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            if let (Ok(_), Some(Ok(first))) = (broken, frames.first_mut()) {
                first.truncate(1_000_000);
                frames.push(Err(TransportError::new(NetworkFailure::Broken)));
            }
            let body: BodyStream = Box::pin(stream::iter(frames));
            Ok(http::Response::from_parts(head, body))
        })
    }
}

/// Says what it hears. A real one writes it where a power cut cannot reach, before its future is ready.
#[derive(Default)]
struct Narrator {
    memory: MemoryLedger,
}

type Answer<'a> = BoxFuture<'a, Result<(), LedgerError>>;

impl Ledger for Narrator {
    fn load(&self) -> BoxFuture<'_, Result<Option<Record>, LedgerError>> {
        self.memory.load()
    }

    fn begin<'a>(&'a self, generation: u64, identity: &'a Identity, restart: Option<Restart>) -> Answer<'a> {
        println!("ledger: generation {generation} is {identity:?}");
        self.memory.begin(generation, identity, restart)
    }

    fn adopt<'a>(&'a self, generation: u64, identity: &'a Identity) -> Answer<'a> {
        println!("ledger: generation {generation} turns out to be {identity:?}");
        self.memory.adopt(generation, identity)
    }

    fn scatter<'a>(&'a self, generation: u64) -> Answer<'a> {
        println!("ledger: the length of the part says nothing any more");
        self.memory.scatter(generation)
    }

    fn record<'a>(&'a self, generation: u64, durable: &'a [Range<u64>]) -> Answer<'a> {
        println!("ledger: {durable:?} are synced");
        self.memory.record(generation, durable)
    }

    fn subtract<'a>(&'a self, generation: u64, lost: &'a [Range<u64>]) -> Answer<'a> {
        println!("ledger: {lost:?} could not be read back");
        self.memory.subtract(generation, lost)
    }

    fn seal(&self, generation: u64, total: u64) -> Answer<'_> {
        println!("ledger: all {total} bytes are there and verified; the rename comes next");
        self.memory.seal(generation, total)
    }

    fn finish(&self) -> Answer<'_> {
        println!("ledger: the file has its name");
        self.memory.finish()
    }
}
