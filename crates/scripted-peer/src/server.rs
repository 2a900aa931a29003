//! The serving side: accepts, records, answers from the script, and then honestly.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::answer::Answer;
use crate::connection::{Connection, Head};
use crate::delivery::{Delivery, Fate};
use crate::log::{Log, RecordedRequest};
use crate::pacer::Pacer;
use crate::reply::Reply;
use crate::route::Route;

/// What every connection shares.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) routes: Mutex<HashMap<String, Route>>,
    pub(crate) log: Log,
    pub(crate) pacer: Pacer,
    pub(crate) visitors: Mutex<Visitors>,
}

/// Connections, counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Visitors {
    pub(crate) accepted: usize,
    pub(crate) open: usize,
    pub(crate) most_open: usize,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self {
            routes: Mutex::default(),
            log: Log::new(),
            pacer: Pacer::unlimited(),
            visitors: Mutex::default(),
        }
    }

    /// Accepts until told to leave, then cuts every connection. Dropping the future does the same.
    pub(crate) async fn accept(
        self: Arc<Self>,
        listener: TcpListener,
        mut told_to_leave: oneshot::Receiver<()>,
    ) {
        let mut conversations = JoinSet::new();
        loop {
            tokio::select! {
                _ = &mut told_to_leave => return conversations.shutdown().await,
                accepted = listener.accept() => {
                    // An accept can fail for a client that is gone already; the next one may be better.
                    let Ok((stream, _)) = accepted else { continue };
                    let visit = Visit::begin(Arc::clone(&self));
                    conversations.spawn(Arc::clone(&self).converse(stream, visit));
                }
                Some(_) = conversations.join_next() => {}
            }
        }
    }

    async fn converse(self: Arc<Self>, stream: TcpStream, visit: Visit) {
        let Ok(mut connection) = Connection::new(stream) else { return };
        while let Some(head) = connection.next_head().await {
            // No request of ours has a body; one that does is answered, and the rest of the connection is not read.
            let has_body = head.announces_body();
            let request = self.log.record(recorded(head, visit.number));
            match self.answer(&connection, &request).await {
                Fate::Next if has_body => return,
                Fate::Next => {}
                Fate::Close => return,
                Fate::Reset => return connection.reset().await,
            }
        }
    }

    /// Plays one answer and records what became of it.
    async fn answer(&self, connection: &Connection, request: &RecordedRequest) -> Fate {
        let _finished = Finished { log: &self.log, order: request.order };
        let answer = self.next_answer(request);
        // First the delivery: an answer that is over is over, even if the client has left right after.
        let (fate, hung_up) = tokio::select! {
            biased;
            fate = self.play(connection, request, &answer) => match fate {
                Ok(fate) => (fate, false),
                Err(_) => (Fate::Close, true),
            },
            () = connection.hung_up() => (Fate::Close, true),
        };
        self.log.update(request.order, |record| record.hung_up = hung_up);
        fate
    }

    async fn play(
        &self,
        connection: &Connection,
        request: &RecordedRequest,
        answer: &Answer,
    ) -> io::Result<Fate> {
        if let Some(gate) = &answer.head_gate {
            gate.pass().await;
        }
        let representation =
            locked(&self.routes).get_mut(&request.path).and_then(|route| route.look_up(answer));
        let reply = Reply::compose(request, representation.as_ref(), answer);
        let Self { log, pacer, .. } = self;
        Delivery { connection, reply: &reply, answer, pacer, log, order: request.order }.run().await
    }

    /// The next answer of the script for a GET; the honest one for every other method.
    fn next_answer(&self, request: &RecordedRequest) -> Answer {
        match locked(&self.routes).get_mut(&request.path) {
            Some(route) if request.method == "GET" => route.next_answer(request),
            _ => Answer::honest(),
        }
    }
}

/// One open connection; dropping it takes it off the count.
struct Visit {
    server: Arc<Server>,
    number: usize,
}

impl Visit {
    fn begin(server: Arc<Server>) -> Self {
        let number = {
            let mut visitors = locked(&server.visitors);
            visitors.accepted += 1;
            visitors.open += 1;
            visitors.most_open = visitors.most_open.max(visitors.open);
            visitors.accepted - 1
        };
        Self { server, number }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        locked(&self.server.visitors).open -= 1;
    }
}

/// An answer under way. However it ends, also with a peer that goes away, the log says that it is over.
struct Finished<'peer> {
    log: &'peer Log,
    order: usize,
}

impl Drop for Finished<'_> {
    fn drop(&mut self) {
        self.log.update(self.order, |record| record.finished = true);
    }
}

fn recorded(head: Head, connection: usize) -> RecordedRequest {
    let (path, query) = match head.target.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (head.target, None),
    };
    RecordedRequest {
        order: 0,
        connection,
        at: Instant::now(),
        at_once: 0,
        method: head.method,
        path,
        query,
        headers: head.headers,
        status: None,
        body_bytes: 0,
        finished: false,
        hung_up: false,
    }
}

/// A test that failed while it held the lock has told why already.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
