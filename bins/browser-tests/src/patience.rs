//! Waiting for a condition, with an end.

use std::time::Duration;

use retry_kit::{Clock, TokioClock};

/// Looks again and again until `look` finds something; `None` after about a minute without.
pub async fn eventually<T>(mut look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    for _ in 0..TRIES {
        if let Some(found) = look().await {
            return Some(found);
        }
        TokioClock.sleep(PAUSE).await;
    }
    None
}

const TRIES: u32 = 1200;
const PAUSE: Duration = Duration::from_millis(50);
