//! The peer as a test holds it: what it serves, what it plays, what it saw.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpSocket;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::answer::Answer;
use crate::log::RecordedRequest;
use crate::representation::Representation;
use crate::route::{Line, Route};
use crate::server::{Server, locked};

/// An HTTP/1.1 peer on a free port of 127.0.0.1 that does what its script says.
///
/// It lives on the runtime it was started on and is gone, with all its connections, when it is dropped.
#[derive(Debug)]
pub struct ScriptedPeer {
    address: SocketAddr,
    server: Arc<Server>,
    door: Mutex<Door>,
}

#[derive(Debug)]
enum Door {
    Open {
        accepting: JoinHandle<()>,
        leave: oneshot::Sender<()>,
    },
    /// Bound but not listening, so that nobody else is given the port meanwhile.
    Away(TcpSocket),
    Turning,
}

impl ScriptedPeer {
    /// Starts a peer that knows no path yet: everything is 404.
    pub async fn start() -> Self {
        let server = Arc::new(Server::new());
        let socket = bound(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("loopback has a free port");
        let address = socket.local_addr().expect("a bound socket has an address");
        let peer = Self { address, server, door: Mutex::new(Door::Away(socket)) };
        peer.come_back().await;
        peer
    }

    /// Serves `representation` under `path`, honestly as long as no script says otherwise.
    pub fn serve(&self, path: &str, representation: Representation) {
        self.route(path, |route| route.representation = Some(Arc::new(representation)));
    }

    /// Lets `path` name another representation from now on. Answers under way keep the old one, as from an open file.
    ///
    /// # Panics
    /// If nothing was served there: a misspelt path would make the test prove nothing.
    pub fn replace(&self, path: &str, representation: Representation) {
        self.route(path, |route| {
            let before = route.representation.replace(Arc::new(representation));
            assert!(before.is_some(), "nothing was served under {path}");
        });
    }

    /// Appends answers to the script of `path`. Each is used by one GET; afterwards the peer is honest again.
    pub fn script(&self, path: &str, answers: impl IntoIterator<Item = Answer>) {
        for answer in answers {
            self.once(path, move |_| Some(answer.clone()));
        }
    }

    /// Appends one answer that the first GET uses to which `choose` gives one; other GETs go on down the script.
    ///
    /// For clients with several connections, where nobody knows which request comes first. `choose` must not call the
    /// peer.
    ///
    /// ```
    /// # use scripted_peer::{Answer, ScriptedPeer};
    /// # fn example(peer: &ScriptedPeer) {
    /// // Whoever fetches the byte at 5000 is stalled right before it.
    /// peer.once("/file", |request| {
    ///     let (start, end) = request.asked()?;
    ///     (start..end.unwrap_or(u64::MAX)).contains(&5000).then(|| Answer::stall_at(5000 - start))
    /// });
    /// # }
    /// ```
    pub fn once(&self, path: &str, choose: impl Fn(&RecordedRequest) -> Option<Answer> + Send + 'static) {
        self.route(path, |route| route.script.push(Line::new(choose)));
    }

    /// Answers every GET of `path` to which `choose` gives an answer, once its script is used up; the first rule that
    /// fits holds. `choose` must not call the peer.
    ///
    /// ```
    /// # use scripted_peer::{Answer, ScriptedPeer};
    /// # fn example(peer: &ScriptedPeer) {
    /// // Two at a time are enough.
    /// peer.whenever("/file", |request| (request.at_once > 2).then(|| Answer::status(429)));
    /// # }
    /// ```
    pub fn whenever(&self, path: &str, choose: impl Fn(&RecordedRequest) -> Option<Answer> + Send + 'static) {
        self.route(path, |route| route.rules.push(Line::new(choose)));
    }

    /// Answers every GET of `path` like this once its script is used up, instead of honestly.
    pub fn always(&self, path: &str, answer: Answer) {
        self.route(path, |route| route.otherwise = answer);
    }

    /// Lets all answers together send at most `bytes_per_second`; 0 is no limit.
    pub fn limit_rate(&self, bytes_per_second: u64) {
        self.server.pacer.set(bytes_per_second);
    }

    /// Stops listening and cuts every connection. Connecting is refused until [`come_back`](Self::come_back).
    ///
    /// # Panics
    /// If it is away already.
    ///
    /// # Cancel safety
    /// Not safe: a peer that was dropped half-way out of its door is of no further use.
    pub async fn go_away(&self) {
        let Door::Open { accepting, leave } = self.turn() else { panic!("the peer is away already") };
        leave.send(()).expect("it accepts until it is told to leave");
        accepting.await.expect("accepting does not panic");
        let socket = self.keep_port().await;
        *locked(&self.door) = Door::Away(socket);
    }

    /// Binds the port without listening on it. A process being started elsewhere in this one holds a copy of the old
    /// socket from its fork to its exec, and until then the port is taken.
    #[allow(clippy::disallowed_methods, reason = "a test peer lives in real time")]
    async fn keep_port(&self) -> TcpSocket {
        for _ in 0..PORT_TRIES {
            match bound(self.address) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    tokio::time::sleep(PORT_PAUSE).await;
                }
                outcome => return outcome.expect("the port was ours a moment ago"),
            }
        }
        panic!("the port {} was ours and stays taken", self.address);
    }

    /// Listens again on the same port, with the same script and log.
    ///
    /// # Panics
    /// If it is not away.
    ///
    /// # Cancel safety
    /// Safe: it never waits.
    pub async fn come_back(&self) {
        let Door::Away(socket) = self.turn() else { panic!("the peer is here already") };
        let listener = socket.listen(BACKLOG).expect("a bound socket can listen");
        let (leave, told_to_leave) = oneshot::channel();
        let accepting = tokio::spawn(Arc::clone(&self.server).accept(listener, told_to_leave));
        *locked(&self.door) = Door::Open { accepting, leave };
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The absolute URL of `path`, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Every request for `path` so far, of any method, in order.
    pub fn requests(&self, path: &str) -> Vec<RecordedRequest> {
        self.server.log.of(path)
    }

    /// Every request so far, in order.
    pub fn all_requests(&self) -> Vec<RecordedRequest> {
        self.server.log.all()
    }

    /// How many answers of the script of `path` no GET has used yet.
    pub fn unused(&self, path: &str) -> usize {
        locked(&self.server.routes).get(path).map_or(0, |route| route.script.len())
    }

    /// How many answers of `path` were under way at the same time, at most.
    pub fn most_at_once(&self, path: &str) -> usize {
        self.requests(path).iter().map(|request| request.at_once).max().unwrap_or(0)
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        locked(&self.server.visitors).accepted
    }

    /// How many connections were open at the same time, at most.
    pub fn most_connections(&self) -> usize {
        locked(&self.server.visitors).most_open
    }

    /// Waits until at least `count` requests for `path` have arrived, and returns all of them.
    ///
    /// # Panics
    /// After a minute without, with what the peer saw instead. The minute is real: the clock of the runtime must not
    /// be paused.
    ///
    /// # Cancel safety
    /// Safe: it only looks. The same holds for the other waits.
    pub async fn wait_for_requests(&self, path: &str, count: usize) -> Vec<RecordedRequest> {
        let what = format!("{count} requests");
        self.server.log.wait_until(path, &what, |requests| requests.len() >= count).await
    }

    /// Waits until at least `count` answers for `path` are over: played to the end, or left by the client.
    ///
    /// # Panics
    /// As [`wait_for_requests`](Self::wait_for_requests).
    pub async fn wait_for_finished(&self, path: &str, count: usize) -> Vec<RecordedRequest> {
        let what = format!("{count} finished answers");
        let finished = |requests: &[RecordedRequest]| requests.iter().filter(|it| it.finished).count();
        self.server.log.wait_until(path, &what, |requests| finished(requests) >= count).await
    }

    /// Waits until the requests for `path` satisfy `enough`; `what` names that for the panic.
    ///
    /// # Panics
    /// As [`wait_for_requests`](Self::wait_for_requests).
    pub async fn wait_until(
        &self,
        path: &str,
        what: &str,
        enough: impl Fn(&[RecordedRequest]) -> bool,
    ) -> Vec<RecordedRequest> {
        self.server.log.wait_until(path, what, enough).await
    }

    fn route(&self, path: &str, change: impl FnOnce(&mut Route)) {
        assert!(path.starts_with('/') && !path.contains('?'), "{path} is no path");
        change(locked(&self.server.routes).entry(path.to_owned()).or_default());
    }

    fn turn(&self) -> Door {
        std::mem::replace(&mut locked(&self.door), Door::Turning)
    }
}

impl Drop for ScriptedPeer {
    fn drop(&mut self) {
        if let Door::Open { accepting, .. } = self.turn() {
            accepting.abort();
        }
    }
}

fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Connections of before may linger in TIME_WAIT on this port.
    socket.set_reuseaddr(true)?;
    // What counts as sent should not run far ahead of what the client took.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    Ok(socket)
}

/// A second altogether: no process takes that long from fork to exec.
const PORT_TRIES: u32 = 200;
const PORT_PAUSE: Duration = Duration::from_millis(5);
const BACKLOG: u32 = 128;
const SEND_BUFFER: u32 = 64 * 1024;
