//! How the written bytes lie in the part file, and with that, what its length says.
//!
//! A file whose bytes are one run from the start says by its length how far it got. One that was written from several
//! places does not: its length is that of its last byte, and before that are holes. So the row says which it is, and
//! says so before the first byte behind a hole is written.

use std::{fmt, str::FromStr};

use crate::{
    Fence, Registry, Timestamp, UnknownWord, WorkerError,
    generation::held_at,
    rows,
    session::{Session, Through},
    writer::Fault,
};

/// How the written bytes lie in the part file of a generation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Layout {
    /// One run from the start: the length of the file says how many bytes were written.
    #[default]
    Prefix,
    /// Bytes may lie behind holes: the length says nothing, only the recorded ranges do.
    Map,
}

impl Registry {
    /// Says that bytes may lie behind holes from now on: the part file is a [`Layout::Map`].
    ///
    /// Call it before the first such byte is written. It holds until the next generation begins; to say it again
    /// changes nothing.
    ///
    /// # Errors
    /// [`WorkerError::StaleGeneration`] if the part file belongs to a representation that was given up;
    /// [`WorkerError::Fenced`].
    pub async fn scatter(&self, fence: &Fence, generation: u64, now: Timestamp) -> Result<(), WorkerError> {
        let fence = *fence;
        self.write(move |db| Box::pin(async move { scatter(db, fence, generation, now).await })).await
    }
}

async fn scatter(
    db: &mut Session,
    fence: Fence,
    generation: u64,
    now: Timestamp,
) -> Result<(), Fault<WorkerError>> {
    let row = held_at(db, fence, generation).await?;
    if row.layout == Layout::Map {
        return Ok(());
    }
    sqlx::query(SCATTER)
        .bind(row.id.get())
        .bind(rows::stored(fence.epoch())?)
        .bind(now.as_millis())
        .run(db)
        .await?;
    Ok(())
}

impl Layout {
    /// Every layout.
    pub const ALL: [Self; 2] = [Self::Prefix, Self::Map];

    /// Returns the word the table stores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prefix => "prefix",
            Self::Map => "map",
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Layout {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL.into_iter().find(|layout| layout.as_str() == word);
        found.ok_or_else(|| UnknownWord { what: "layout", word: word.to_owned() })
    }
}

const SCATTER: &str = "
    UPDATE download SET layout = 'map', updated_at = ?3
    WHERE id = ?1 AND lease_epoch = ?2";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_is_its_word() {
        for layout in Layout::ALL {
            assert_eq!(layout.as_str().parse(), Ok(layout));
        }
        assert!("append".parse::<Layout>().is_err());
    }
}
