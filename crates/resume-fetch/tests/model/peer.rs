//! The peer, in memory: it answers when the test says so, sends as many bytes as the test lets through, and looks at
//! what it is asked for.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use http::{HeaderMap, Request, Response, header};
use resume_fetch::{BodyStream, BoxFuture, NetworkFailure, Transport, TransportError};

use crate::answer::{Asked, answer};
use crate::books::Books;
use crate::faults::{Fault, Mood};
use crate::source::{VERSIONS, Version};
use crate::world::{World, lock};

/// A handle on the peer; clones are of the same one.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) world: Arc<World>,
    pub(crate) state: Arc<Mutex<State>>,
    books: Arc<Books>,
}

pub(crate) struct State {
    pub(crate) rng: fastrand::Rng,
    pub(crate) mood: Mood,
    pub(crate) versions: Arc<Mutex<Vec<Version>>>,
    open: BTreeMap<u64, Exchange>,
    next: u64,
    /// Requests there may be at a time.
    pub(crate) limit: usize,
    /// Everything this process asked for was answered as it should be.
    pub(crate) plain: bool,
}

/// One request that is not over.
#[derive(Default)]
struct Exchange {
    /// The test has let the head through.
    head: bool,
    /// There will never be a head.
    mute: bool,
    /// Bytes of the body that may still go.
    allowance: u64,
    /// Whether bytes wait for being let through.
    waits: bool,
    /// Its last byte is sent.
    over: bool,
    waker: Option<Waker>,
    part: Option<Part>,
}

/// What an honest 206 has sent.
#[derive(Clone, Debug)]
struct Part {
    version: Version,
    /// Everything but the last frame, whose end may fall to somebody else when a lease is cut short.
    sent: Range<u64>,
    last: Range<u64>,
}

/// Closes its exchange when it is dropped, as a connection is.
pub(crate) struct Open {
    peer: Peer,
    id: u64,
}

impl Peer {
    pub(crate) fn new(
        world: &Arc<World>,
        books: &Arc<Books>,
        versions: Arc<Mutex<Vec<Version>>>,
        rng: fastrand::Rng,
    ) -> Self {
        let state = State {
            rng,
            mood: Mood::HONEST,
            versions,
            open: BTreeMap::new(),
            next: 0,
            limit: 1,
            plain: true,
        };
        let (world, books) = (Arc::clone(world), Arc::clone(books));
        Self { world, state: Arc::new(Mutex::new(state)), books }
    }

    /// Exchanges that go on when they are let.
    pub(crate) fn releasable(&self) -> Vec<u64> {
        let state = lock(&self.state);
        let waits = |exchange: &Exchange| !exchange.head && !exchange.mute || exchange.waits;
        state.open.iter().filter(|(_, exchange)| waits(exchange)).map(|(id, _)| *id).collect()
    }

    /// Lets the head of an exchange through, or up to `bytes` of its body.
    pub(crate) fn release(&self, id: u64, bytes: u64) {
        let mut state = lock(&self.state);
        let Some(exchange) = state.open.get_mut(&id) else { return };
        if exchange.head {
            exchange.allowance = exchange.allowance.saturating_add(bytes);
            exchange.waits = false;
        }
        exchange.head = true;
        let waker = exchange.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    /// How many requests are open.
    pub(crate) fn open(&self) -> usize {
        lock(&self.state).open.len()
    }

    /// How many of them have yet to bring something.
    pub(crate) fn bringing(&self) -> usize {
        lock(&self.state).open.values().filter(|exchange| !exchange.over).count()
    }

    /// The file is another one from now on.
    pub(crate) fn replace(&self, size: u64) {
        let state = lock(&self.state);
        let mut versions = lock(&state.versions);
        if versions.len() < VERSIONS {
            let version = Version { number: versions.len(), size };
            self.world.note(|| format!("peer: the file is {version:?} now"));
            versions.push(version);
        }
    }

    /// What the peer has now.
    pub(crate) fn version(&self) -> Version {
        let state = lock(&self.state);
        let versions = lock(&state.versions);
        *versions.last().expect("there is always a file")
    }

    /// A request arrives.
    fn arrive(&self, headers: &HeaderMap) -> (Open, Asked) {
        self.world.request();
        let asked = Asked::read(headers);
        let mut state = lock(&self.state);
        state.next += 1;
        let id = state.next;
        state.open.insert(id, Exchange::default());
        self.world.note(|| format!("peer: request {id} {asked:?}, {} open", state.open.len()));
        self.world.expect(state.open.len() <= state.limit, || {
            format!("{} requests at a time, and there may be {}", state.open.len(), state.limit)
        });
        let count = state.open.len();
        drop(state);
        self.look_at(&asked, headers, count);
        (Open { peer: self.clone(), id }, asked)
    }

    /// Whether the request is one that may be sent by somebody with this record.
    fn look_at(&self, asked: &Asked, headers: &HeaderMap, open: usize) {
        let identity = headers.get(header::ACCEPT_ENCODING).is_some_and(|coding| coding == "identity");
        self.world.expect(identity, || "a request that takes any coding".to_owned());
        let Some(record) = self.books.record().filter(|_| !self.books.is_busy()) else { return };
        let Asked::Range { from, until, guard } = asked else { return };
        let guarded = record.identity.if_range() == *guard;
        self.world.expect(guarded, || format!("{asked:?} with {:?} on record", record.identity));
        let Some(total) = record.identity.total else { return };
        let within = *from <= total && until.is_none_or(|until| until <= total);
        self.world.expect(within, || format!("{asked:?} of a file of {total} bytes"));
        let missing = !record.durable.covers(&(*from..until.unwrap_or(total))) || *from == total;
        self.world.expect(missing, || format!("{asked:?} is on record already: {:?}", record.durable));
        self.world.expect(open <= 1 || total >= 1 << 20, || "a small file in pieces".to_owned());
    }

    /// Waits until the head of `id` may go.
    async fn head(&self, id: u64) {
        poll_fn(|context| {
            let mut state = lock(&self.state);
            match state.open.get_mut(&id) {
                Some(exchange) if !exchange.head => {
                    exchange.waker = Some(context.waker().clone());
                    Poll::Pending
                }
                _ => Poll::Ready(()),
            }
        })
        .await;
        self.world.stir();
    }
}

impl Open {
    /// No head will ever come.
    pub(crate) async fn mute(self) -> ! {
        if let Some(exchange) = lock(&self.peer.state).open.get_mut(&self.id) {
            exchange.mute = true;
        }
        std::future::pending().await
    }

    /// Its body is an honest part.
    pub(crate) fn is_part(&self, version: Version, from: u64) {
        if let Some(exchange) = lock(&self.peer.state).open.get_mut(&self.id) {
            exchange.part = Some(Part { version, sent: from..from, last: from..from });
        }
    }

    /// Takes up to `length` bytes at `at` off what may go; `None` while nothing may.
    pub(crate) fn poll_send(&self, at: u64, length: u64, waker: &Waker) -> Option<u64> {
        let Peer { world, state, .. } = &self.peer;
        let mut state = lock(state);
        let exchange = state.open.get_mut(&self.id)?;
        if exchange.allowance == 0 {
            exchange.waits = true;
            exchange.waker = Some(waker.clone());
            return None;
        }
        world.stir();
        let length = length.min(exchange.allowance);
        exchange.allowance -= length;
        if let Some(part) = &mut exchange.part {
            part.sent.end = part.last.end;
            part.last = at..at + length;
            let sent = part.clone();
            let twice = state.open.iter().find(|(id, other)| **id != self.id && other.sent_before(&sent));
            world.expect(twice.is_none(), || format!("{sent:?} is sent twice at a time"));
        }
        Some(length)
    }

    /// The last byte is sent.
    pub(crate) fn over(&self) {
        if let Some(exchange) = lock(&self.peer.state).open.get_mut(&self.id) {
            exchange.over = true;
        }
    }

    /// The test lets nothing more through: nothing will come.
    pub(crate) fn stall(&self) {
        if let Some(exchange) = lock(&self.peer.state).open.get_mut(&self.id) {
            exchange.waits = false;
        }
    }
}

impl Exchange {
    /// Whether bytes of `part` were sent here as well.
    fn sent_before(&self, part: &Part) -> bool {
        self.part.as_ref().is_some_and(|ours| {
            let both = ours.sent.start.max(part.sent.start)..ours.sent.end.min(part.sent.end);
            ours.version == part.version && !both.is_empty()
        })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.peer.world.stir();
        self.peer.world.note(|| format!("peer: request {} is closed", self.id));
        lock(&self.peer.state).open.remove(&self.id);
    }
}

impl Transport for Peer {
    fn get(&self, request: Request<()>) -> BoxFuture<'_, Result<Response<BodyStream>, TransportError>> {
        let (open, asked) = self.arrive(request.headers());
        Box::pin(async move {
            self.head(open.id).await;
            let version = self.version();
            let (mood, fault, rng) = {
                let mut state = lock(&self.state);
                let (mood, many) = (state.mood, state.open.len() > state.mood.most);
                let fault = mood.fault(asked.length(version), &mut state.rng);
                let fault = if many { Fault::Status(503, None) } else { fault };
                state.plain &= fault == Fault::None && !mood.ignores_ranges && !mood.weak;
                (mood, fault, state.rng.fork())
            };
            self.world.note(|| format!("peer: answers {} from {version:?}, {fault:?}", open.id));
            match fault {
                Fault::Refused => Err(TransportError::new(NetworkFailure::Connect)),
                Fault::Broken => Err(TransportError::new(NetworkFailure::Broken)),
                Fault::Mute => open.mute().await,
                fault => Ok(answer(open, version, &asked, mood, fault, rng)),
            }
        })
    }
}
