//! A small HTTP server that writes down what it is asked and answers as the test says.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use retry_kit::{Clock, TokioClock};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::eventually;

/// One request as it was received.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    /// Without the query.
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Call {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("a readable field"))
    }

    /// The body as JSON; null when it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// An answer. `hold` keeps it back until the test lets go; a silent one ends the connection instead.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) hold: Option<Arc<Notify>>,
    pub(crate) silent: bool,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self { status, body: b"{}".to_vec(), ..Self::default() }
    }

    pub(crate) fn json(body: &Value) -> Self {
        Self { status: 200, body: body.to_string().into_bytes(), ..Self::default() }
    }

    pub(crate) fn text(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, body: body.into(), ..Self::default() }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Never comes: the connection ends.
    pub(crate) fn nothing() -> Self {
        Self { silent: true, ..Self::default() }
    }

    /// Comes once `release` is told.
    pub(crate) fn held(mut self, release: &Arc<Notify>) -> Self {
        self.hold = Some(Arc::clone(release));
        self
    }
}

type Answerer = dyn Fn(&Call) -> Reply + Send + Sync;

/// The server. It goes away with the test.
pub(crate) struct Receiver {
    address: std::net::SocketAddr,
    state: Arc<State>,
    task: Mutex<Option<AbortHandle>>,
}

struct State {
    calls: Mutex<Vec<Call>>,
    script: Mutex<VecDeque<Reply>>,
    answer: Box<Answerer>,
}

impl Receiver {
    /// Answers each request with what `answer` makes of it.
    pub(crate) async fn start(answer: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state =
            Arc::new(State { calls: Mutex::default(), script: Mutex::default(), answer: Box::new(answer) });
        let task = Mutex::new(Some(listen(listener, Arc::clone(&state))));
        Self { address, state, task }
    }

    /// Answers everything with 200.
    pub(crate) async fn willing() -> Self {
        Self::start(|_| Reply::status(200)).await
    }

    /// Answers the next requests with these, whatever they ask.
    pub(crate) fn script(&self, replies: impl IntoIterator<Item = Reply>) {
        locked(&self.state.script).extend(replies);
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        locked(&self.state.calls).clone()
    }

    /// Waits until `wanted` finds something in what was asked.
    pub(crate) async fn until<T>(&self, what: &str, wanted: impl Fn(&[Call]) -> Option<T>) -> T {
        let found = eventually(async || wanted(&self.calls())).await;
        found.unwrap_or_else(|| panic!("never {what}: {:#?}", self.calls()))
    }

    /// Waits for so many requests and returns all of them.
    pub(crate) async fn until_calls(&self, count: usize) -> Vec<Call> {
        let what = format!("{count} requests");
        self.until(&what, |calls| (calls.len() >= count).then(|| calls.to_vec())).await
    }

    /// Stops listening; what was open is cut.
    pub(crate) fn go_away(&self) {
        if let Some(task) = locked(&self.task).take() {
            task.abort();
        }
    }

    /// Listens again, at the same address.
    pub(crate) async fn come_back(&self) {
        let address = self.address;
        let listener = eventually(async || TcpListener::bind(address).await.ok()).await.expect("the port");
        *locked(&self.task) = Some(listen(listener, Arc::clone(&self.state)));
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.go_away();
    }
}

fn listen(listener: TcpListener, state: Arc<State>) -> AbortHandle {
    let serve = async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let state = Arc::clone(&state);
            connections.spawn(async move {
                let service = service_fn(move |request| answer(Arc::clone(&state), request));
                // One that was cut has nothing to say.
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    };
    tokio::spawn(serve).abort_handle()
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Cut> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    let call = Call {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body,
    };
    let scripted = locked(&state.script).pop_front();
    let reply = scripted.unwrap_or_else(|| (state.answer)(&call));
    locked(&state.calls).push(call);
    if let Some(hold) = &reply.hold {
        hold.notified().await;
    }
    if reply.silent {
        return Err(Cut);
    }
    let mut response = Response::builder().status(reply.status);
    response = response.header("date", httpdate::fmt_http_date(TokioClock.wall()));
    for (name, value) in &reply.headers {
        response = response.header(*name, value);
    }
    Ok(response.body(Full::new(reply.body.into())).expect("a response"))
}

#[derive(Debug)]
struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut")
    }
}

impl std::error::Error for Cut {}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
