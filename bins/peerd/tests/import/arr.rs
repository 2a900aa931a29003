//! A Radarr or Sonarr as far as a hand-off meets it.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use retry_kit::{Clock, TokioClock};
use serde_json::{Value, json};

use crate::support::{Call, Receiver, Reply};

pub(crate) const KEY: &str = "0123456789abcdef0123456789abcdef";

/// The program, and what it does with the files it is shown.
pub(crate) struct FakeArr {
    kind: &'static str,
    receiver: Receiver,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Answers to the next commands, instead of taking them.
    refusals: Vec<Reply>,
    /// What became of commands.
    status: String,
    message: Option<String>,
    /// Whether a command that is done shows in the history.
    takes: bool,
    /// Whether it tells which commands it was given.
    lists: bool,
    commands: Vec<Given>,
    history: Vec<Value>,
}

/// A command it was given.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) name: String,
    pub(crate) path: String,
    /// Everything that was sent.
    pub(crate) body: Value,
    /// Bytes of the file at that moment; `None` if there was none.
    pub(crate) length: Option<u64>,
    queued: String,
}

impl FakeArr {
    pub(crate) async fn radarr() -> Self {
        Self::start("radarr").await
    }

    pub(crate) async fn sonarr() -> Self {
        Self::start("sonarr").await
    }

    async fn start(kind: &'static str) -> Self {
        let state = State { status: "completed".to_owned(), takes: true, lists: true, ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let receiver = Receiver::start({
            let state = Arc::clone(&state);
            move |call| answer(kind, &state, call)
        });
        Self { kind, receiver: receiver.await, state }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.kind
    }

    /// Its section of the configuration.
    pub(crate) fn config(&self) -> Value {
        json!({ "kind": self.kind, "url": self.receiver.url(""), "key": KEY })
    }

    pub(crate) fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// Answers the next commands like this instead of taking them.
    pub(crate) fn refuse(&self, replies: impl IntoIterator<Item = Reply>) {
        self.state().refusals.extend(replies);
    }

    /// From now on commands are `status`.
    pub(crate) fn commands_are(&self, status: &str, message: Option<&str>) {
        let mut state = self.state();
        state.status = status.to_owned();
        state.message = message.map(str::to_owned);
    }

    /// Looks at files and takes none.
    pub(crate) fn take_nothing(&self) {
        self.state().takes = false;
    }

    /// Like versions that do not tell.
    pub(crate) fn keep_commands_secret(&self) {
        self.state().lists = false;
    }

    /// Shows in its history that it took a file, `seconds` ago.
    pub(crate) fn took(&self, path: impl AsRef<Path>, seconds: u64) {
        let path = path.as_ref().to_str().expect("a readable path").to_owned();
        self.state().take(&path, seconds);
    }

    /// The commands it was given and took.
    pub(crate) fn commands(&self) -> Vec<Given> {
        self.state().commands.clone()
    }

    /// How often it was told to look, whatever it answered.
    pub(crate) fn tries(&self) -> usize {
        self.receiver.calls().iter().filter(|call| is_command(call)).count()
    }

    /// Waits until it was told so often.
    pub(crate) async fn until_tries(&self, count: usize) {
        let enough =
            |calls: &[Call]| (calls.iter().filter(|call| is_command(call)).count() >= count).then_some(());
        self.receiver.until(&format!("told {count} times"), enough).await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, path: &str, seconds: u64) {
        let at = TokioClock.wall() - std::time::Duration::from_secs(seconds);
        let record = json!({
            "id": self.history.len() + 1, "eventType": "downloadFolderImported", "date": peerd::moment::rfc3339(at),
            "sourceTitle": "x", "data": { "droppedPath": path, "importedPath": "/library/x" },
        });
        self.history.insert(0, record);
    }
}

fn is_command(call: &Call) -> bool {
    (call.method.as_str(), call.path.as_str()) == ("POST", "/api/v3/command")
}

fn answer(kind: &str, state: &Mutex<State>, call: &Call) -> Reply {
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    if call.header("x-api-key") != Some(KEY) {
        return Reply { status: 401, ..Reply::json(&json!({ "error": "Unauthorized" })) };
    }
    if is_command(call) {
        if !state.refusals.is_empty() {
            return state.refusals.remove(0);
        }
        let body = call.json();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let given = Given {
            name: text("name"),
            path: text("path"),
            length: std::fs::metadata(text("path")).ok().map(|found| found.len()),
            body: body.clone(),
            queued: peerd::moment::rfc3339(TokioClock.wall()),
        };
        if state.takes && state.status == "completed" {
            state.take(&given.path, 0);
        }
        state.commands.push(given);
        let reply =
            json!({ "id": state.commands.len(), "name": body["name"], "status": "queued", "body": body });
        return Reply { status: 201, ..Reply::json(&reply) };
    }
    let resource = |index: usize, given: &Given| {
        json!({
            "id": index + 1, "name": given.name, "status": state.status, "message": state.message,
            "queued": given.queued, "body": given.body,
        })
    };
    match call.path.strip_prefix("/api/v3/").unwrap_or_default() {
        "system/status" => {
            let name = if kind == "radarr" { "Radarr" } else { "Sonarr" };
            Reply::json(&json!({ "appName": name, "version": "5.14.0.9383" }))
        }
        "filesystem" => {
            Reply::json(&json!({ "directories": [{ "path": "/mnt/dl/" }, { "path": "/mnt/other/" }] }))
        }
        "history" => Reply::json(&json!({ "records": state.history, "totalRecords": state.history.len() })),
        "command" if state.lists => {
            let all = state.commands.iter().enumerate().map(|(index, given)| resource(index, given));
            Reply::json(&Value::Array(all.collect()))
        }
        path => {
            let id = path.strip_prefix("command/").and_then(|id| id.parse::<usize>().ok());
            match id.and_then(|id| state.commands.get(id.checked_sub(1)?).map(|given| (id - 1, given))) {
                Some((index, given)) => Reply::json(&resource(index, given)),
                None => Reply { status: 404, ..Reply::json(&json!({ "message": "NotFound" })) },
            }
        }
    }
}
