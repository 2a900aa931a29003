//! What a daemon says on stderr: JSON lines, kept for the test to read and to wait for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::watch;

/// Everything said so far. Clones are the same log.
#[derive(Clone)]
pub(crate) struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    said: watch::Receiver<usize>,
}

impl Log {
    /// Reads `stderr` to its end in the background.
    pub(crate) fn of(stderr: impl AsyncRead + Send + Unpin + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (counter, said) = watch::channel(0);
        let log = Self { lines: Arc::clone(&lines), said };
        tokio::spawn(async move {
            let mut reader = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = reader.next_line().await {
                lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                counter.send_modify(|count| *count += 1);
            }
        });
        log
    }

    /// Waits for a line that `wanted` picks, from the first line on.
    pub(crate) async fn wait_for<T>(&self, what: &str, wanted: impl Fn(&Value) -> Option<T>) -> T {
        let mut said = self.said.clone();
        let search = async {
            let mut seen = 0;
            loop {
                for line in &self.lines()[seen..] {
                    seen += 1;
                    if let Some(found) = wanted(&serde_json::from_str(line).unwrap_or_default()) {
                        return Some(found);
                    }
                }
                if said.wait_for(|count| *count > seen).await.is_err() {
                    return None;
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, search).await;
        found.ok().flatten().unwrap_or_else(|| panic!("the daemon never said {what}; {}", self.tail()))
    }

    /// The last lines, for the message of a failed test.
    pub(crate) fn tail(&self) -> String {
        let lines = self.lines();
        format!("its log ends:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"))
    }

    /// Everything as text.
    pub(crate) fn text(&self) -> String {
        self.lines().join("\n")
    }

    fn lines(&self) -> Vec<String> {
        let guard: MutexGuard<'_, _> = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        guard.clone()
    }
}

const PATIENCE: Duration = Duration::from_secs(60);
