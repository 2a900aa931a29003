//! What every test of the registry needs: a registry in a directory of its own, and a few downloads.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "test support; each file uses its own part"
)]

use std::{ops::Range, time::Duration};

use download_registry::{
    Claim, ClaimRequest, Download, Identity, NewDownload, Options, Registry, Timestamp, Total, TotalSource,
};
use tempfile::TempDir;

pub const LEASE: Duration = Duration::from_secs(60);

pub struct Fixture {
    pub registry: Registry,
    pub dir: TempDir,
}

/// A moment, in milliseconds since a day in 2023.
pub fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + millis)
}

pub async fn open() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::open(dir.path().join("registry.db"), &Options::default()).await.unwrap();
    Fixture { registry, dir }
}

impl Fixture {
    pub async fn reopen(self) -> Self {
        self.registry.close().await;
        let registry =
            Registry::open(self.dir.path().join("registry.db"), &Options::default()).await.unwrap();
        Self { registry, dir: self.dir }
    }

    pub async fn enqueue(&self, name: &str) -> Download {
        self.registry.enqueue(&new(name), at(0)).await.unwrap()
    }

    pub async fn claim(&self, now: Timestamp) -> Option<Claim> {
        self.claim_as("worker", now).await
    }

    pub async fn claim_as(&self, owner: &str, now: Timestamp) -> Option<Claim> {
        let request = ClaimRequest { owner, now, lease_for: LEASE, exclude_peers: &[] };
        self.registry.claim_next(&request).await.unwrap()
    }

    /// A download of 100 bytes that a worker holds and has begun.
    pub async fn begun(&self, name: &str) -> Claim {
        self.begun_as(new(name)).await
    }

    async fn begun_as(&self, new: NewDownload) -> Claim {
        self.registry.enqueue(&new, at(0)).await.unwrap();
        let claim = self.claim(at(1)).await.unwrap();
        self.registry.begin_generation(&claim.fence, &identity(100, "\"v1\""), None, at(1)).await.unwrap();
        claim
    }

    pub async fn durable(&self, claim: &Claim, range: Range<u64>) {
        let generation = self.row(claim).await.generation;
        self.registry.record_durable(&claim.fence, generation, &[range], at(2)).await.unwrap();
    }

    pub async fn row(&self, claim: &Claim) -> Download {
        self.registry.get(claim.download.id).await.unwrap().unwrap()
    }

    /// A download that was published.
    pub async fn published(&self, name: &str) -> Download {
        self.published_as(new(name)).await
    }

    pub async fn published_as(&self, new: NewDownload) -> Download {
        let claim = self.begun_as(new).await;
        self.durable(&claim, 0..100).await;
        self.registry.seal(&claim.fence, at(3)).await.unwrap();
        self.registry.finish(&claim.fence, at(4)).await.unwrap()
    }
}

pub fn new(name: &str) -> NewDownload {
    NewDownload {
        peer: Some("bob".to_owned()),
        item: Some(name.to_owned()),
        url: format!("https://bob.example/peer/items/{name}/file"),
        filename: Some(format!("{name}.mkv")),
        target: Some(format!("/data/{name}.mkv")),
        part: Some(format!("/incomplete/{name}.mkv.part")),
        ..NewDownload::default()
    }
}

pub fn identity(bytes: u64, validator: &str) -> Identity {
    Identity {
        total: Some(Total { bytes, source: TotalSource::ContentRange }),
        validator: Some(validator.to_owned()),
    }
}
