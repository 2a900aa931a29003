//! What the public listener tells whoever counts.

use http::StatusCode;

use super::auth::Refusal;

/// Hears what is served. Calls come from the tasks that answer and must not block.
pub trait ServeEvents: Send + Sync + 'static {
    /// A request was answered; `route` is a stable label: `file`, `item`, `items`, `handshake`, `ping` or
    /// `none`.
    fn answered(&self, route: &'static str, status: StatusCode) {
        let _ = (route, status);
    }

    /// A GET of a file was decided; `kind` is the stable label of the rule that chose the answer.
    fn range(&self, kind: &'static str) {
        let _ = kind;
    }

    /// Body bytes of a file were taken by the connection. Called as they are.
    fn sent(&self, share: &str, bytes: u64) {
        let _ = (share, bytes);
    }

    /// A file body begins.
    fn body_began(&self) {}

    /// A file body ended, whole or not: nothing of it waits any more.
    fn body_ended(&self) {}

    /// The holder of this key was let in.
    fn admitted(&self, key: &str) {
        let _ = key;
    }

    /// Nobody was let in.
    fn refused(&self, refusal: Refusal) {
        let _ = refusal;
    }
}

/// Counts nothing.
impl ServeEvents for () {}
