//! Lists are complete, in order, and stay so from page to page.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Fixture, at, identity, new, open};
use download_registry::{
    Cursor, DownloadState as S, ListError, ListQuery, NewDownload, Priority, Problem, Sort,
};

async fn names(f: &Fixture, query: &ListQuery) -> Vec<String> {
    let page = f.registry.list(query).await.unwrap();
    page.items.into_iter().map(|row| row.filename.unwrap_or_default()).collect()
}

async fn some(f: &Fixture) {
    for (n, (name, size, priority)) in
        [("b", 30, 0), ("A", 10, 5), ("c", 20, 5), ("a", 10, -1)].into_iter().enumerate()
    {
        let download = NewDownload {
            url: format!("https://example.org/{n}"),
            filename: Some(name.to_owned()),
            identity: identity(size, "\"v\""),
            priority: Priority::new(priority).unwrap(),
            ..NewDownload::default()
        };
        f.registry.enqueue(&download, at(n as i64)).await.unwrap();
    }
    let unknown = NewDownload { url: "https://example.org/x".to_owned(), ..NewDownload::default() };
    f.registry.enqueue(&unknown, at(9)).await.unwrap();
}

#[tokio::test]
async fn the_latest_row_of_a_url_is_found_and_an_item_of_a_peer_is_none() {
    let f = open().await;
    let of = |url: &str, peer: Option<&str>, filename: &str| NewDownload {
        url: url.to_owned(),
        peer: peer.map(str::to_owned),
        item: peer.map(|_| "m".to_owned()),
        filename: Some(filename.to_owned()),
        ..NewDownload::default()
    };
    for (n, (url, peer, name)) in
        [("x:a", None, "1"), ("x:a", None, "2"), ("x:b", None, "3"), ("x:a", Some("bob"), "4")]
            .into_iter()
            .enumerate()
    {
        f.registry.enqueue(&of(url, peer, name), at(n as i64)).await.unwrap();
    }
    for (url, expected) in [("x:a", Some("2")), ("x:b", Some("3")), ("x:c", None)] {
        let found = f.registry.latest_for_url(url).await.unwrap();
        assert_eq!(found.and_then(|row| row.filename).as_deref(), expected, "{url}");
    }
}

#[tokio::test]
async fn every_order_is_the_same_whole_and_in_pages_of_one() {
    let f = open().await;
    some(&f).await;
    for (sort, expected) in [
        (Sort::Newest, ["", "a", "c", "A", "b"]),
        (Sort::Oldest, ["b", "A", "c", "a", ""]),
        (Sort::Queue, ["A", "c", "b", "", "a"]),
        (Sort::Name, ["", "A", "a", "b", "c"]),
        (Sort::Updated, ["", "a", "c", "A", "b"]),
        (Sort::Size, ["b", "c", "a", "A", ""]),
    ] {
        let mut query = ListQuery { sort, ..ListQuery::default() };
        assert_eq!(names(&f, &query).await, expected, "{sort}");
        query.limit = 1;
        let mut paged = Vec::new();
        loop {
            let page = f.registry.list(&query).await.unwrap();
            paged.extend(page.items.into_iter().map(|row| row.filename.unwrap_or_default()));
            let Some(next) = page.next else { break };
            query.cursor = Some(next.to_string().parse().unwrap());
        }
        assert_eq!(paged, expected, "{sort} in pages");
    }
}

#[tokio::test]
async fn filters_narrow_and_combine() {
    let f = open().await;
    for name in ["100%_sure", "100 sure", "Other"] {
        f.enqueue(name).await;
    }
    let mut alices = new("sure.thing");
    alices.peer = Some("alice".to_owned());
    let alices = f.registry.enqueue(&alices, at(0)).await.unwrap();
    f.registry.reject(alices.id, &Problem::new("gone", "gone"), false, None, at(1)).await.unwrap();

    let all = ListQuery { sort: Sort::Oldest, ..ListQuery::default() };
    let text = |text: &str| ListQuery { text: Some(text.to_owned()), ..all.clone() };
    assert_eq!(names(&f, &text("SURE")).await, ["100%_sure.mkv", "100 sure.mkv", "sure.thing.mkv"]);
    assert_eq!(names(&f, &text("%_")).await, ["100%_sure.mkv"], "wildcards are plain text");
    assert_eq!(names(&f, &text("' OR 1=1 --")).await, [""; 0]);

    let failed = ListQuery { states: vec![S::Failed, S::Paused], ..all.clone() };
    assert_eq!(names(&f, &failed).await, ["sure.thing.mkv"]);
    let both = ListQuery { states: vec![S::Queued], peer: Some("alice".to_owned()), ..all.clone() };
    assert_eq!(names(&f, &both).await, [""; 0]);

    let counts = f.registry.counts().await.unwrap();
    assert_eq!((counts[&S::Queued], counts[&S::Failed], counts[&S::Imported]), (3, 1, 0));
    assert_eq!(counts.len(), S::ALL.len());
}

#[tokio::test]
async fn a_cursor_of_another_order_is_refused() {
    let f = open().await;
    some(&f).await;
    let page = f.registry.list(&ListQuery { limit: 2, ..ListQuery::default() }).await.unwrap();
    let cursor: Option<Cursor> = page.next;
    assert!(cursor.is_some());
    let refused = f.registry.list(&ListQuery { sort: Sort::Name, cursor, ..ListQuery::default() }).await;
    assert!(matches!(refused, Err(ListError::Cursor(_))));
}

#[tokio::test]
async fn a_page_holds_a_hundred_rows_unless_asked_otherwise() {
    let f = open().await;
    for n in 0..101 {
        f.enqueue(&n.to_string()).await;
    }
    let page = f.registry.list(&ListQuery::default()).await.unwrap();
    assert_eq!((page.items.len(), page.next.is_some()), (100, true));
    let rest = f.registry.list(&ListQuery { cursor: page.next, ..ListQuery::default() }).await.unwrap();
    assert_eq!((rest.items.len(), rest.next), (1, None));
}

#[tokio::test]
async fn a_list_of_several_states_is_whole_and_in_order_in_pages_of_any_size() {
    let f = open().await;
    for n in 0..30 {
        let id = f.enqueue(&format!("file-{n}")).await.id;
        match n % 4 {
            0 => drop(f.registry.cancel(id, at(1)).await.unwrap()),
            1 => drop(f.registry.pause(id, at(1)).await.unwrap()),
            _ => {}
        }
    }
    let states = vec![S::Cancelled, S::Queued, S::Failed];
    for sort in [Sort::Newest, Sort::Oldest] {
        let mut expected: Vec<i64> = (0..30).filter(|n| n % 4 != 1).map(|n| n + 1).collect();
        if sort == Sort::Newest {
            expected.reverse();
        }
        for limit in [1, 4, 100] {
            let mut query = ListQuery { states: states.clone(), sort, limit, ..ListQuery::default() };
            let mut seen = Vec::new();
            loop {
                let page = f.registry.list(&query).await.unwrap();
                seen.extend(page.items.iter().map(|row| row.id.get()));
                query.cursor = page.next;
                if query.cursor.is_none() {
                    break;
                }
            }
            assert_eq!(seen, expected, "{sort}, {limit} a page");
        }
    }
}

#[tokio::test]
async fn a_filtered_page_is_the_same_however_many_rows_fit() {
    let f = open().await;
    for n in 0..60_i64 {
        let mut row = new(&format!("file-{:02}", n * 37 % 60));
        row.peer = Some(if n % 6 == 0 { "alice" } else { "bob" }.to_owned());
        row.priority = Priority::new(n % 3).unwrap();
        let id = f.registry.enqueue(&row, at(n)).await.unwrap().id;
        if n == 7 || n == 12 {
            f.registry.pause(id, at(100 + n)).await.unwrap();
        }
    }
    for (states, peer) in [
        (vec![S::Paused], None),
        (vec![S::Queued], None),
        (vec![S::Queued, S::Paused], Some("alice")),
        (vec![], Some("bob")),
    ] {
        for sort in Sort::ALL {
            let whole = ListQuery { sort, limit: 1000, ..ListQuery::default() };
            let fits = |row: &download_registry::Download| {
                (states.is_empty() || states.contains(&row.state))
                    && (peer.is_none() || row.peer.as_deref() == peer)
            };
            let all = f.registry.list(&whole).await.unwrap().items;
            let expected: Vec<_> = all.into_iter().filter(fits).map(|row| row.id).collect();
            // A page of one takes few rows for many, a page of a thousand all of them for few.
            for limit in [1, 7, 1000] {
                let peer = peer.map(str::to_owned);
                let mut query =
                    ListQuery { states: states.clone(), peer, sort, limit, ..ListQuery::default() };
                let mut seen = Vec::new();
                loop {
                    let page = f.registry.list(&query).await.unwrap();
                    seen.extend(page.items.iter().map(|row| row.id));
                    query.cursor = page.next;
                    if query.cursor.is_none() {
                        break;
                    }
                }
                assert_eq!(seen, expected, "{states:?} of {:?} by {sort}, {limit} a page", query.peer);
            }
        }
    }
}
