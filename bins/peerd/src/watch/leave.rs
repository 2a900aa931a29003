//! How a stub leaves the folder, once all it asks for is published.

use std::io;
use std::path::PathBuf;

use retry_kit::Clock;

use super::folder::{self, Stamp};
use super::{Watcher, shown};
use crate::config::{OnDone, archive_dir};

impl Watcher {
    /// Takes every stub out of the folder that is done.
    pub(super) async fn finish(&mut self) {
        for (name, stamp) in self.book.done(self.clock.now()) {
            let (stub, path) = (shown(&name), self.dir.join(&name));
            match self.take_out(path, stamp).await {
                Ok(Gone::Deleted) => tracing::info!(stub, "published: the stub is deleted"),
                Ok(Gone::Archived(to)) => {
                    tracing::info!(stub, to = %to.display(), "published: the stub is archived");
                }
                // Dropped again in the meantime: the next look sees it as it is now.
                Ok(Gone::Changed) => self.look_soon(),
                Err(error) => {
                    if self.book.stuck(&name, self.clock.now() + self.rescan) {
                        let error = error.to_string();
                        tracing::warn!(
                            stub,
                            error,
                            "published, and the stub cannot be taken out of the folder; it is tried again"
                        );
                    }
                    continue;
                }
            }
            self.book.forget(&name);
        }
    }

    async fn take_out(&self, path: PathBuf, stamp: Stamp) -> io::Result<Gone> {
        match self.on_done {
            OnDone::Delete => {
                let deleted = self.on_disk(move |_| folder::delete(&path, &stamp)).await?;
                Ok(if deleted { Gone::Deleted } else { Gone::Changed })
            }
            OnDone::Archive => {
                let archived =
                    self.on_disk(move |dir| folder::archive(&path, &stamp, &archive_dir(dir))).await?;
                Ok(archived.map_or(Gone::Changed, Gone::Archived))
            }
        }
    }
}

/// How a stub left the folder.
enum Gone {
    Deleted,
    Archived(PathBuf),
    /// It did not: another file has its name.
    Changed,
}
