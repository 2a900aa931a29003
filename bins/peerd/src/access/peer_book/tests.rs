use std::time::Duration;

use download_registry::Options;
use resume_fetch::ReqwestTransport;
use retry_kit::ManualClock;
use serde_json::json;

use super::*;

async fn book(state: &Path, configured: &BTreeMap<String, PeerConfig>) -> (Arc<PeerBook>, Registry) {
    let registry = Registry::open(state.join("peerd.db"), &Options::default()).await.unwrap();
    let clock: SharedClock = Arc::new(ManualClock::new());
    let transport = Arc::new(ReqwestTransport::new(Duration::from_secs(10)).unwrap());
    let peers = Peers::new(configured, transport, Arc::clone(&clock)).unwrap();
    let book = PeerBook::open(peers, registry.clone(), clock, state, configured).await.unwrap();
    (book, registry)
}

fn config(document: Value) -> PeerConfig {
    serde_json::from_value(document).unwrap()
}

fn url(book: &PeerBook, name: &str) -> Option<String> {
    book.peers().get(name).map(|peer| peer.config().url.to_string())
}

#[tokio::test]
async fn a_peer_is_there_at_once_and_after_a_restart_and_its_secrets_are_in_no_database() {
    let state = tempfile::tempdir().unwrap();
    let bob = config(json!({
        "url": "http://bob.example/", "key": "hush-hush", "headers": { "x-a": "quiet" },
        "max_concurrent": 5, "limit_down": "1MiB",
    }));
    let (book, registry) = self::book(state.path(), &BTreeMap::new()).await;
    let added = book.add("bob", bob.clone()).await.unwrap();
    assert!(matches!(&added, AddedPeer::New(view) if view.key && view.headers == ["x-a"]), "{added:?}");
    assert!(matches!(book.add("bob", bob.clone()).await, Ok(AddedPeer::Same(_))));
    let other = config(json!({ "url": "http://other.example/" }));
    assert!(matches!(book.add("bob", other).await, Err(PeerBookError::Taken(_))));
    let shown = format!("{:?} {:?}", book.list(), registry.records(KIND).await.unwrap());
    assert!(!shown.contains("hush-hush") && !shown.contains("quiet"), "{shown}");
    registry.close().await;
    let (book, registry) = self::book(state.path(), &BTreeMap::new()).await;
    assert_eq!(*book.peers().get("bob").unwrap().config(), bob);
    assert_eq!(book.remove("bob").await.unwrap(), 0);
    assert!(book.peers().get("bob").is_none() && book.list().is_empty());
    assert!(matches!(book.remove("bob").await, Err(PeerBookError::Unknown(_))));
    assert_eq!(std::fs::read_dir(state.path().join("peers")).unwrap().count(), 0, "no secret stays");
    registry.close().await;
    assert!(self::book(state.path(), &BTreeMap::new()).await.0.list().is_empty());
}

#[tokio::test]
async fn the_configuration_wins_and_gives_back_what_it_took() {
    let state = tempfile::tempdir().unwrap();
    let (book, _registry) = self::book(state.path(), &BTreeMap::new()).await;
    book.add("bob", config(json!({ "url": "http://added.example/" }))).await.unwrap();
    let of_file = |url: &str| BTreeMap::from([("bob".to_owned(), config(json!({ "url": url })))]);
    book.configure(&of_file("http://file.example/")).unwrap();
    assert_eq!(url(&book, "bob").as_deref(), Some("http://file.example/"));
    assert_eq!((book.list().len(), book.list()[0].origin), (1, Origin::File));
    assert!(matches!(book.remove("bob").await, Err(PeerBookError::DefinedInFile(_))));
    let again = config(json!({ "url": "http://added.example/" }));
    assert!(matches!(book.add("bob", again).await, Err(PeerBookError::DefinedInFile(_))));
    book.configure(&BTreeMap::new()).unwrap();
    assert_eq!(url(&book, "bob").as_deref(), Some("http://added.example/"));
    book.remove("bob").await.unwrap();
    book.configure(&of_file("http://file.example/")).unwrap();
    book.configure(&BTreeMap::new()).unwrap();
    assert_eq!(url(&book, "bob"), None);
}

#[tokio::test]
async fn an_added_peer_that_comes_back_unusable_stops_no_reload_and_says_why() {
    let state = tempfile::tempdir().unwrap();
    let (book, registry) = self::book(state.path(), &BTreeMap::new()).await;
    book.add("bob", config(json!({ "url": "http://added.example/", "key": "k" }))).await.unwrap();
    registry.close().await;
    let secrets = state.path().join("peers/bob.json");
    let broken = std::fs::read_to_string(&secrets).unwrap().replace("\"k\"", "\"two\\nlines\"");
    std::fs::write(&secrets, broken).unwrap();
    let of_file = BTreeMap::from([("bob".to_owned(), config(json!({ "url": "http://file.example/" })))]);
    let (book, _registry) = self::book(state.path(), &of_file).await;
    assert_eq!(url(&book, "bob").as_deref(), Some("http://file.example/"));
    let carol = BTreeMap::from([("carol".to_owned(), config(json!({ "url": "http://carol.example/" })))]);
    book.configure(&carol).unwrap();
    assert_eq!((url(&book, "bob"), url(&book, "carol").is_some()), (None, true));
    let trouble = book.view("bob").unwrap().error.unwrap();
    assert!(trouble.contains("remove the peer and add it again"), "{trouble}");
}

#[tokio::test]
async fn secrets_that_are_gone_are_a_warning_with_a_remedy() {
    let state = tempfile::tempdir().unwrap();
    let (book, registry) = self::book(state.path(), &BTreeMap::new()).await;
    book.add("bob", config(json!({ "url": "http://bob.example/", "key": "k" }))).await.unwrap();
    registry.close().await;
    std::fs::remove_file(state.path().join("peers/bob.json")).unwrap();
    let (book, _registry) = self::book(state.path(), &BTreeMap::new()).await;
    let view = book.view("bob").unwrap();
    assert!(view.error.unwrap().contains("remove the peer and add it again"));
    assert!(!view.key && url(&book, "bob").is_some());
}

#[tokio::test]
async fn what_cannot_be_used_leaves_nothing_behind() {
    let state = tempfile::tempdir().unwrap();
    let (book, registry) = self::book(state.path(), &BTreeMap::new()).await;
    let unusable = config(json!({ "url": "http://bob.example/", "key": "two\nlines" }));
    assert!(matches!(book.add("bob", unusable).await, Err(PeerBookError::Unusable(_))));
    for name in ["", "..", "a/b", "../x"] {
        let peer = config(json!({ "url": "http://bob.example/" }));
        assert!(matches!(book.add(name, peer).await, Err(PeerBookError::BadName(_))), "{name:?}");
    }
    assert!(book.list().is_empty() && registry.records(KIND).await.unwrap().is_empty());
    assert!(!state.path().join("peers").exists());
}
