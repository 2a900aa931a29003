//! Tasks the daemon cannot do without: one that ends before it is asked to is noticed, and named.

use std::collections::HashMap;

use tokio::task::{Id, JoinError, JoinSet};

/// Tasks that run until they are told to stop. Dropping it ends them.
#[derive(Default)]
pub(super) struct Vital {
    tasks: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

/// One of them is gone.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the {name} {how}")]
pub struct Lost {
    name: &'static str,
    how: String,
}

impl Vital {
    pub(super) fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let id = self.tasks.spawn(task).id();
        self.names.insert(id, name);
    }

    /// Resolves when one of them has ended; never without any.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn lost(&mut self) -> Lost {
        match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => self.describe(id, "ended by itself".to_owned()),
            Some(Err(error)) => self.describe(error.id(), how(error)),
            None => std::future::pending().await,
        }
    }

    /// Waits until all have ended, as they were told to.
    pub(super) async fn join(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }

    fn describe(&self, id: Id, how: String) -> Lost {
        Lost { name: self.names.get(&id).copied().unwrap_or("task"), how }
    }
}

fn how(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => {
            let words = panic.downcast_ref::<&str>().copied();
            let words = words.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            format!("panicked: {}", words.unwrap_or("without a word"))
        }
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_or_panics_before_its_time_is_named() {
        let mut vital = Vital::default();
        vital.spawn("peer listener", std::future::pending());
        vital.spawn("admin listener", async { panic!("out of {}", "luck") });
        assert_eq!(vital.lost().await.to_string(), "the admin listener panicked: out of luck");
        vital.spawn("share watch", async {});
        assert_eq!(vital.lost().await.to_string(), "the share watch ended by itself");
    }
}
