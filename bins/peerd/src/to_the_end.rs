//! Work of several steps that is carried out to its end, whether or not whoever asked for it still waits.

use tokio_util::task::TaskTracker;

/// Runs `work` as a task of its own and waits for it.
///
/// # Cancel safety
/// Safe: dropped, the work goes on, and `tasks` knows of it.
pub(crate) async fn to_the_end<T: Send + 'static>(
    tasks: &TaskTracker,
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    match tasks.spawn(work).await {
        Ok(outcome) => outcome,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is going away, and with it whoever waits here.
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn work_goes_on_when_nobody_waits_for_it_any_more() {
        let (tasks, go, done) = (TaskTracker::new(), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let work = {
            let (go, done) = (Arc::clone(&go), Arc::clone(&done));
            async move {
                go.notified().await;
                done.notify_one();
            }
        };
        tokio::select! {
            biased;
            () = to_the_end(&tasks, work) => unreachable!("nobody said go"),
            () = std::future::ready(()) => {}
        }
        go.notify_one();
        done.notified().await;
        tasks.close();
        tasks.wait().await;
    }
}
