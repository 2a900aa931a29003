//! Small named values that live and die with the queue: the peers someone added, the limits they set, a counter.

use sqlx::Row;

use crate::{Registry, StorageError, Timestamp, registry::read_error, session::Through};

impl Registry {
    /// Returns the value of a record, or `None`.
    pub async fn record(&self, kind: &str, name: &str) -> Result<Option<String>, StorageError> {
        sqlx::query_scalar("SELECT value FROM record WHERE kind = ?1 AND name = ?2")
            .bind(kind)
            .bind(name)
            .fetch_optional(self.readers())
            .await
            .map_err(read_error)
    }

    /// Returns the names and values of a kind, by name.
    pub async fn records(&self, kind: &str) -> Result<Vec<(String, String)>, StorageError> {
        let found = sqlx::query("SELECT name, value FROM record WHERE kind = ?1 ORDER BY name")
            .bind(kind)
            .fetch_all(self.readers())
            .await
            .map_err(read_error)?;
        let pair = |row: &sqlx::sqlite::SqliteRow| Ok((row.try_get("name")?, row.try_get("value")?));
        found.iter().map(pair).collect::<Result<_, _>>().map_err(read_error)
    }

    /// Writes a record if there is none of that name, and tells whether it did.
    pub async fn add_record(
        &self,
        kind: &str,
        name: &str,
        value: &str,
        now: Timestamp,
    ) -> Result<bool, StorageError> {
        self.save(ADD, kind, name, value, now).await
    }

    /// Writes a record, over the one of that name if there is one.
    pub async fn put_record(
        &self,
        kind: &str,
        name: &str,
        value: &str,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        self.save(PUT, kind, name, value, now).await.map(drop)
    }

    /// Removes a record and tells whether it was there.
    pub async fn remove_record(&self, kind: &str, name: &str) -> Result<bool, StorageError> {
        let (kind, name) = (kind.to_owned(), name.to_owned());
        self.write(move |db| {
            Box::pin(async move {
                let query = sqlx::query("DELETE FROM record WHERE kind = ?1 AND name = ?2");
                let removed = query.bind(kind).bind(name).run(db).await?;
                Ok(removed > 0)
            })
        })
        .await
    }

    async fn save(
        &self,
        statement: &'static str,
        kind: &str,
        name: &str,
        value: &str,
        now: Timestamp,
    ) -> Result<bool, StorageError> {
        let (kind, name, value) = (kind.to_owned(), name.to_owned(), value.to_owned());
        self.write(move |db| {
            Box::pin(async move {
                let query = sqlx::query(statement).bind(kind).bind(name).bind(value).bind(now.as_millis());
                Ok(query.run(db).await? > 0)
            })
        })
        .await
    }
}

const ADD: &str = "
    INSERT INTO record (kind, name, value, updated_at) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (kind, name) DO NOTHING";

const PUT: &str = "
    INSERT INTO record (kind, name, value, updated_at) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (kind, name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at";
