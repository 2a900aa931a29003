use std::time::Duration;

use download_registry::Options;
use retry_kit::ManualClock;
use serde_json::{Value, json};

use super::*;
use crate::access::Origin;

async fn book(state: &Path, configured: &BTreeMap<String, PeerConfig>) -> (Arc<PeerBook>, Registry) {
    let registry = Registry::open(state.join("peerd.db"), &Options::default()).await.unwrap();
    let clock: SharedClock = Arc::new(ManualClock::new());
    let ways = crate::outbound::Ways::new(Duration::from_secs(10)).unwrap();
    let peers = Peers::new(configured, ways, Arc::clone(&clock)).unwrap();
    let book = PeerBook::open(peers, registry.clone(), clock, state, configured).await.unwrap();
    (book, registry)
}

fn configure(book: &PeerBook, configured: &BTreeMap<String, PeerConfig>) {
    book.configure(book.prepare(configured).unwrap());
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
    let added = book.add("bob", bob.clone(), None).await.unwrap();
    assert!(matches!(&added, AddedPeer::New(view) if view.key && view.headers == ["x-a"]), "{added:?}");
    assert!(matches!(book.add("bob", bob.clone(), None).await, Ok(AddedPeer::Same(_))));
    let other = config(json!({ "url": "http://other.example/" }));
    assert!(matches!(book.add("bob", other, None).await, Err(PeerBookError::Taken(_))));
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
async fn certificates_of_a_peer_are_kept_beside_its_secrets_and_go_with_it() {
    let state = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["bob.example".to_owned()]).unwrap().cert;
    let bob = || config(json!({ "url": "https://bob.example/" }));
    let (book, registry) = self::book(state.path(), &BTreeMap::new()).await;
    let added = book.add("bob", bob(), Some(made.pem())).await.unwrap();
    assert!(matches!(&added, AddedPeer::New(view) if view.ca), "{added:?}");
    assert!(matches!(book.add("bob", bob(), Some(made.pem())).await, Ok(AddedPeer::Same(_))));
    assert!(
        matches!(book.add("bob", bob(), None).await, Err(PeerBookError::Taken(_))),
        "that is another one"
    );
    let on_record = format!("{:?}", registry.records(KIND).await.unwrap());
    assert!(!on_record.contains("ca_file"), "a state directory may move: {on_record}");
    registry.close().await;
    let (book, registry) = self::book(state.path(), &BTreeMap::new()).await;
    let file = state.path().join("peers/bob.pem");
    assert_eq!(book.peers().get("bob").unwrap().config().ca_file(), Some(&*file));
    registry.close().await;
    std::fs::write(&file, "nothing of use").unwrap();
    let (book, _registry) = self::book(state.path(), &BTreeMap::new()).await;
    let trouble = book.view("bob").unwrap().error.unwrap();
    assert!(
        trouble.contains("bob.pem holds no certificate") && trouble.contains("add it again"),
        "{trouble}"
    );
    book.remove("bob").await.unwrap();
    assert!(!file.exists());
    let refused = book.add("bob", bob(), Some("nothing of use".to_owned())).await;
    assert!(matches!(refused, Err(PeerBookError::Unusable(_))), "{refused:?}");
    assert!(!file.exists(), "what was refused leaves nothing");
}

#[tokio::test]
async fn the_configuration_wins_and_gives_back_what_it_took() {
    let state = tempfile::tempdir().unwrap();
    let (book, _registry) = self::book(state.path(), &BTreeMap::new()).await;
    book.add("bob", config(json!({ "url": "http://added.example/" })), None).await.unwrap();
    let of_file = |url: &str| BTreeMap::from([("bob".to_owned(), config(json!({ "url": url })))]);
    configure(&book, &of_file("http://file.example/"));
    assert_eq!(url(&book, "bob").as_deref(), Some("http://file.example/"));
    assert_eq!((book.list().len(), book.list()[0].origin), (1, Origin::File));
    assert!(matches!(book.remove("bob").await, Err(PeerBookError::DefinedInFile(_))));
    let again = config(json!({ "url": "http://added.example/" }));
    assert!(matches!(book.add("bob", again, None).await, Err(PeerBookError::DefinedInFile(_))));
    configure(&book, &BTreeMap::new());
    assert_eq!(url(&book, "bob").as_deref(), Some("http://added.example/"));
    book.remove("bob").await.unwrap();
    configure(&book, &of_file("http://file.example/"));
    configure(&book, &BTreeMap::new());
    assert_eq!(url(&book, "bob"), None);
}

#[tokio::test]
async fn an_added_peer_that_comes_back_unusable_stops_no_reload_and_says_why() {
    let state = tempfile::tempdir().unwrap();
    let (book, registry) = self::book(state.path(), &BTreeMap::new()).await;
    book.add("bob", config(json!({ "url": "http://added.example/", "key": "k" })), None).await.unwrap();
    registry.close().await;
    let secrets = state.path().join("peers/bob.json");
    let broken = std::fs::read_to_string(&secrets).unwrap().replace("\"k\"", "\"two\\nlines\"");
    std::fs::write(&secrets, broken).unwrap();
    let of_file = BTreeMap::from([("bob".to_owned(), config(json!({ "url": "http://file.example/" })))]);
    let (book, _registry) = self::book(state.path(), &of_file).await;
    assert_eq!(url(&book, "bob").as_deref(), Some("http://file.example/"));
    let carol = BTreeMap::from([("carol".to_owned(), config(json!({ "url": "http://carol.example/" })))]);
    configure(&book, &carol);
    assert_eq!((url(&book, "bob"), url(&book, "carol").is_some()), (None, true));
    let trouble = book.view("bob").unwrap().error.unwrap();
    assert!(trouble.contains("remove the peer and add it again"), "{trouble}");
}

#[tokio::test]
async fn secrets_that_are_gone_are_a_warning_with_a_remedy() {
    let state = tempfile::tempdir().unwrap();
    let (book, registry) = self::book(state.path(), &BTreeMap::new()).await;
    book.add("bob", config(json!({ "url": "http://bob.example/", "key": "k" })), None).await.unwrap();
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
    assert!(matches!(book.add("bob", unusable, None).await, Err(PeerBookError::Unusable(_))));
    for name in ["", "..", "a/b", "../x"] {
        let peer = config(json!({ "url": "http://bob.example/" }));
        assert!(matches!(book.add(name, peer, None).await, Err(PeerBookError::BadName(_))), "{name:?}");
    }
    assert!(book.list().is_empty() && registry.records(KIND).await.unwrap().is_empty());
    assert!(!state.path().join("peers").exists());
}

#[tokio::test]
async fn a_reload_that_changes_nothing_keeps_every_peer_and_one_that_cannot_be_used_changes_nothing() {
    let state = tempfile::tempdir().unwrap();
    let pem = || rcgen::generate_simple_self_signed(["bob.example".to_owned()]).unwrap().cert.pem();
    let file = state.path().join("of-the-user.pem");
    std::fs::write(&file, pem()).unwrap();
    let of_file = |name: &str| {
        let bob = config(json!({ "url": "https://bob.example/", "ca_file": file }));
        BTreeMap::from([(name.to_owned(), bob)])
    };
    let (book, _registry) = self::book(state.path(), &of_file("bob")).await;
    book.add("carol", config(json!({ "url": "https://carol.example/" })), Some(pem())).await.unwrap();
    let known = || ["bob", "carol"].map(|name| book.peers().get(name));
    let before = known();
    let same = |now: &[Option<Arc<crate::downloads::Peer>>; 2]| {
        [0, 1].map(|at| Arc::ptr_eq(before[at].as_ref().unwrap(), now[at].as_ref().unwrap()))
    };
    configure(&book, &of_file("bob"));
    assert_eq!(same(&known()), [true, true]);
    let prepared = book.prepare(&of_file("bob")).unwrap();
    std::fs::write(&file, "nothing of use").unwrap();
    book.configure(prepared);
    assert_eq!(same(&known()), [true, true], "nothing is read when it is put in force");
    assert!(book.prepare(&of_file("dave")).is_err());
    assert_eq!(same(&known()), [true, true]);
    std::fs::write(&file, pem()).unwrap();
    std::fs::write(state.path().join("peers/carol.pem"), pem()).unwrap();
    configure(&book, &of_file("bob"));
    assert_eq!(same(&known()), [false, false], "another certificate, in the file of either");
}

#[tokio::test]
async fn an_added_peer_gets_other_certificates_by_adding_it_again_and_keeps_the_rest() {
    let state = tempfile::tempdir().unwrap();
    let made = || rcgen::generate_simple_self_signed(["bob.example".to_owned()]).unwrap().cert.pem();
    let [first, second] = [made(), made()];
    let (book, registry) = self::book(state.path(), &BTreeMap::new()).await;
    let bob = config(json!({ "url": "https://bob.example/", "key": "k", "max_concurrent": 5 }));
    book.add("bob", bob.clone(), None).await.unwrap();
    let asked = || config(json!({ "url": "https://bob.example/" }));
    let file = state.path().join("peers/bob.pem");
    for ca in [&first, &second] {
        let renewed = book.add("bob", asked(), Some(ca.clone())).await.unwrap();
        assert!(matches!(&renewed, AddedPeer::Renewed(view) if view.ca && view.key), "{renewed:?}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), *ca);
    }
    let refused = book.add("bob", asked(), Some("nothing of use".to_owned())).await;
    assert!(matches!(refused, Err(PeerBookError::Unusable(_))), "{refused:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), second, "what was refused changes nothing");
    for other in [
        json!({ "url": "https://other.example/" }),
        json!({ "url": "https://bob.example/", "key": "another" }),
        json!({ "url": "https://bob.example/", "max_concurrent": 7 }),
    ] {
        let refused = book.add("bob", config(other.clone()), Some(first.clone())).await;
        assert!(matches!(refused, Err(PeerBookError::Taken(_))), "{other}");
    }
    registry.close().await;
    let (book, _registry) = self::book(state.path(), &BTreeMap::new()).await;
    let known = book.peers().get("bob").unwrap();
    assert_eq!(*known.config(), PeerConfig { ca_file: file, ..bob });
}
