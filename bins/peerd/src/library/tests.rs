//! What a library promises, on real directories.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::*;

fn spec(name: &str, root: &Path) -> ShareSpec {
    ShareSpec {
        name: name.into(),
        root: root.into(),
        include: vec!["**".into()],
        exclude: vec!["**/.*".into(), "**/*.part".into()],
        follow_symlinks: false,
    }
}

/// Late enough that every tag is strong.
fn later() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 37)
}

pub(super) async fn library(shares: &[(&str, &Path)]) -> Library {
    let specs = shares.iter().map(|(name, root)| spec(name, root)).collect();
    let library = Library::new(specs, later).expect("the shares are well described");
    library.scan_all().await;
    library
}

pub(super) async fn all(library: &Library, limit: usize) -> Vec<Item> {
    let mut query = ListQuery { limit, ..ListQuery::default() };
    let mut items = Vec::new();
    loop {
        let page = library.list(&query, &Scope::All).await.expect("a page");
        assert!(page.items.len() <= limit);
        items.extend(page.items);
        query.cursor = match page.next {
            Some(next) => Some(next),
            None => return items,
        };
    }
}

#[tokio::test]
async fn pages_of_any_size_hold_every_item_once_and_in_order() {
    let (one, two) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    for n in 0..7 {
        fs::write(one.path().join(format!("f{n}")), "x").expect("a file");
    }
    fs::write(two.path().join("g"), "x").expect("a file");
    let library = library(&[("one", one.path()), ("two", two.path())]).await;
    let whole = all(&library, 100).await;
    assert_eq!(whole.len(), 8);
    assert_eq!(whole.last().map(|item| item.share.as_str()), Some("two"));
    for limit in 1..9 {
        assert_eq!(all(&library, limit).await, whole, "pages of {limit}");
    }
}

#[tokio::test]
async fn ids_are_the_same_in_another_process_and_after_a_rescan() {
    let share = tempfile::tempdir().expect("a directory");
    fs::write(share.path().join("a"), "x").expect("a file");
    let first = library(&[("s", share.path())]).await;
    let id = all(&first, 10).await[0].id.clone();
    fs::write(share.path().join("0"), "comes before").expect("a file");
    first.rescan("s").await.expect("a walk");
    assert_eq!(all(&first, 10).await[1].id, id);
    let second = library(&[("s", share.path())]).await;
    assert_eq!(second.item(&id, &Scope::All).await.expect("the item").filename, "a");
}

#[tokio::test]
async fn files_come_and_go_with_a_rescan_and_vanish_from_lists_at_once() {
    let share = tempfile::tempdir().expect("a directory");
    let library = library(&[("s", share.path())]).await;
    assert_eq!(all(&library, 10).await, []);
    fs::write(share.path().join("new"), "12345").expect("a file");
    assert_eq!(library.rescan("s").await.expect("a walk"), ScanReport { items: 1, bytes: 5, unreadable: 0 });
    let id = all(&library, 10).await[0].id.clone();
    fs::remove_file(share.path().join("new")).expect("removed");
    assert_eq!(all(&library, 10).await, [], "no walk was needed");
    assert!(matches!(library.open(&id, &Scope::All).await, Err(LookupError::Unknown)));
}

#[tokio::test]
async fn a_scope_hides_every_other_share() {
    let (one, two) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    fs::write(one.path().join("a"), "x").expect("a file");
    fs::write(two.path().join("b"), "x").expect("a file");
    let library = library(&[("one", one.path()), ("two", two.path())]).await;
    let items = all(&library, 10).await;
    let scope = Scope::of(&["two"]);
    assert!(matches!(library.open(&items[0].id, &scope).await, Err(LookupError::Unknown)));
    assert!(library.open(&items[1].id, &scope).await.is_ok());
    let query = ListQuery { limit: 10, ..ListQuery::default() };
    let page = library.list(&query, &scope).await.expect("a page");
    assert_eq!(page.items, items[1..]);
    let query = ListQuery { share: Some("one".into()), limit: 10, ..ListQuery::default() };
    assert_eq!(library.list(&query, &scope).await.expect("a page").items, []);
}

#[tokio::test]
async fn the_listed_tag_is_the_tag_of_the_open_file() {
    let share = tempfile::tempdir().expect("a directory");
    fs::write(share.path().join("a.mkv"), "x").expect("a file");
    let library = library(&[("s", share.path())]).await;
    let listed = all(&library, 10).await.remove(0);
    fs::write(share.path().join("a.mkv"), "other").expect("a file");
    let relisted = all(&library, 10).await.remove(0);
    let open = library.open(&listed.id, &Scope::All).await.expect("open");
    assert_eq!(*open.item, relisted);
    assert_ne!(open.item.etag, listed.etag);
    assert_eq!(open.media_type, "video/matroska");
}

#[tokio::test]
async fn a_share_that_is_away_keeps_its_ids_and_says_why() {
    let outside = tempfile::tempdir().expect("a directory");
    let (share, away) = (outside.path().join("share"), outside.path().join("away"));
    fs::create_dir(&share).expect("a directory");
    fs::write(share.join("a"), "x").expect("a file");
    let library = library(&[("s", &share)]).await;
    let id = all(&library, 10).await[0].id.clone();
    fs::rename(&share, &away).expect("moved");
    assert!(library.rescan("s").await.is_err());
    assert!(library.shares()[0].error.is_some());
    assert!(matches!(library.open(&id, &Scope::All).await, Err(LookupError::Unreadable(_))));
    fs::rename(&away, &share).expect("moved back");
    assert!(library.open(&id, &Scope::All).await.is_ok(), "without another walk");
}

#[tokio::test]
async fn an_id_is_not_called_unknown_before_its_share_could_be_walked_once() {
    let outside = tempfile::tempdir().expect("a directory");
    let share = outside.path().join("not-mounted-yet");
    let library = library(&[("s", &share)]).await;
    let id = format!("s:{}", "a".repeat(20));
    assert!(matches!(library.open(&id, &Scope::All).await, Err(LookupError::Unreadable(_))));
    fs::create_dir(&share).expect("mounted");
    assert!(
        matches!(library.open(&id, &Scope::All).await, Err(LookupError::Unreadable(_))),
        "and not walked"
    );
    library.rescan("s").await.expect("a walk");
    assert!(matches!(library.open(&id, &Scope::All).await, Err(LookupError::Unknown)));
}

/// Waits until the list has these names.
async fn comes_to_hold(library: &Library, names: &[&str]) {
    let waiting = async {
        while all(library, 100).await.iter().map(|item| item.filename.as_str()).collect::<Vec<_>>() != names {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting)
        .await
        .expect("the list has come to hold the names");
}

#[tokio::test]
async fn a_watched_share_offers_what_comes_and_forgets_what_goes() {
    let share = tempfile::tempdir().expect("a directory");
    fs::write(share.path().join("a"), "x").expect("a file");
    let library = Arc::new(Library::new(vec![spec("s", share.path())], later).expect("a share"));
    let stop = CancellationToken::new();
    // Walks by the clock are far away: what is seen, the system told.
    let watching = tokio::spawn(Arc::clone(&library).watch(Duration::from_secs(1 << 20), stop.clone()));
    comes_to_hold(&library, &["a"]).await;
    fs::create_dir(share.path().join("new")).expect("a directory");
    fs::write(share.path().join("new/b"), "x").expect("a file");
    comes_to_hold(&library, &["a", "b"]).await;
    fs::write(share.path().join("new/c.part"), "x").expect("a file");
    fs::rename(share.path().join("new/c.part"), share.path().join("new/c")).expect("renamed");
    comes_to_hold(&library, &["a", "b", "c"]).await;
    fs::rename(share.path().join("new"), share.path().join(".away")).expect("renamed");
    comes_to_hold(&library, &["a"]).await;
    let other = tempfile::tempdir().expect("a directory");
    fs::write(other.path().join("z"), "x").expect("a file");
    library.set_shares(vec![spec("s", share.path()), spec("t", other.path())]).expect("two shares");
    comes_to_hold(&library, &["a", "z"]).await;
    stop.cancel();
    watching.await.expect("the watch ends");
}

#[tokio::test(start_paused = true)]
async fn a_share_that_is_mounted_later_is_found_by_the_clock() {
    let outside = tempfile::tempdir().expect("a directory");
    let (share, away) = (outside.path().join("share"), outside.path().join("away"));
    fs::create_dir(&away).expect("a directory");
    fs::write(away.join("a"), "x").expect("a file");
    let library = Arc::new(Library::new(vec![spec("s", &share)], later).expect("a share"));
    let watching =
        tokio::spawn(Arc::clone(&library).watch(Duration::from_secs(300), CancellationToken::new()));
    assert_eq!(all(&library, 10).await, [], "the first walk found no directory");
    fs::rename(&away, &share).expect("mounted");
    while all(&library, 10).await.is_empty() {
        tokio::time::advance(Duration::from_secs(300)).await;
    }
    watching.abort();
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever_for_a_first_walk() {
    let share = tempfile::tempdir().expect("a directory");
    let library = Library::new(vec![spec("s", share.path())], later).expect("a share");
    let id = format!("s:{}", "a".repeat(20));
    assert!(matches!(library.open(&id, &Scope::All).await, Err(LookupError::NotReady(_))));
    let query = ListQuery { limit: 1, ..ListQuery::default() };
    assert!(matches!(library.list(&query, &Scope::All).await, Err(ListError::NotReady(_))));
}

#[tokio::test]
async fn shares_are_replaced_without_losing_those_that_stay() {
    let (one, two) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    fs::write(one.path().join("a"), "x").expect("a file");
    let library = library(&[("one", one.path())]).await;
    library.set_shares(vec![spec("one", one.path()), spec("two", two.path())]).expect("two shares");
    let reports: Vec<_> = library.shares().iter().map(|share| share.report.is_some()).collect();
    assert_eq!(reports, [true, false]);
    let twice = library.set_shares(vec![spec("one", one.path()), spec("one", two.path())]);
    assert!(matches!(twice, Err(LibraryError::DuplicateName { .. })));
    assert_eq!(library.shares().len(), 2, "an error changes nothing");
}
