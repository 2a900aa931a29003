//! What only looks.

use download_registry::{DownloadState, ListQuery, Registry, Sort};

use crate::{Anything, CALLS, now, table::Table, timed};

pub(crate) async fn lists(table: &mut Table, registry: &Registry) -> Result<(), Anything> {
    let states = |states: &[DownloadState]| ListQuery { states: states.to_vec(), ..ListQuery::default() };
    let live: Vec<_> = DownloadState::ALL.into_iter().filter(|state| state.is_live()).collect();
    let peer = |peer: &str| ListQuery { peer: Some(peer.to_owned()), ..ListQuery::default() };
    for (of, query) in [
        ("", ListQuery::default()),
        (" of one rare state", states(&[DownloadState::Cancelled])),
        (" of two rare states", states(&[DownloadState::Cancelled, DownloadState::Failed])),
        (" of all live states", states(&live)),
        (" of a large peer", peer("peer-0")),
        (" of a small peer", peer("peer-7")),
        (" of no peer we know", peer("nobody")),
        (" of a small peer in live states", ListQuery { states: live.clone(), ..peer("peer-7") }),
    ] {
        for sort in Sort::ALL {
            let mut query = ListQuery { sort, ..query.clone() };
            page(table, registry, &format!("first page{of} by {sort}"), &query).await?;
            for _ in 0..20 {
                query.limit = 1000;
                let Some(next) = registry.list(&query).await?.next else { break };
                query.cursor = Some(next);
            }
            query.limit = 0;
            if query.cursor.is_some() {
                page(table, registry, &format!("page after up to 20,000 rows{of} by {sort}"), &query).await?;
            }
        }
    }
    let text = ListQuery { text: Some("number 000077".to_owned()), ..ListQuery::default() };
    page(table, registry, "search for a text that one row has", &text).await?;

    many(table, "count the states", async || registry.counts().await.map(drop)).await?;
    many(table, "100 entries of the log", async || registry.transitions_after(50_000, 100).await.map(drop))
        .await?;
    let url = "https://mirror.example/none";
    many(table, "look for a URL", async || registry.latest_for_url(url).await.map(drop)).await?;
    many(table, "when is the next row due", async || registry.next_due(now()).await.map(drop)).await
}

async fn page(table: &mut Table, registry: &Registry, what: &str, query: &ListQuery) -> Result<(), Anything> {
    many(table, what, async || registry.list(query).await.map(drop)).await
}

async fn many<E>(table: &mut Table, what: &str, call: impl AsyncFn() -> Result<(), E>) -> Result<(), Anything>
where
    E: std::error::Error + 'static,
{
    let mut times = Vec::new();
    for _ in 0..CALLS / 50 {
        times.push(timed(call()).await?.0);
    }
    table.times(what, times);
    Ok(())
}
