use download_registry::Options;
use retry_kit::ManualClock;

use super::*;

async fn ring(dir: &tempfile::TempDir, clock: &ManualClock) -> (Arc<KeyRing>, Registry) {
    let registry = Registry::open(dir.path().join("peerd.db"), &Options::default()).await.unwrap();
    let ring =
        KeyRing::open(registry.clone(), Arc::new(clock.clone()), true, &BTreeMap::new()).await.unwrap();
    (ring, registry)
}

fn opens(ring: &KeyRing, secret: &str) -> Option<Scope> {
    let mut headers = http::HeaderMap::new();
    headers.insert("x-api-key", secret.parse().unwrap());
    ring.keys().authenticate(&headers).ok().map(|caller| caller.scope().clone())
}

fn configured(name: &str, secret: &str) -> BTreeMap<String, KeyConfig> {
    let key = serde_json::json!({ "secret": secret });
    BTreeMap::from([(name.to_owned(), serde_json::from_value(key).unwrap())])
}

#[tokio::test]
async fn a_key_works_at_once_over_restarts_and_until_it_is_revoked() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), ManualClock::new());
    let (ring, registry) = self::ring(&dir, &clock).await;
    let key = ring.create("carol", None, &[]).await.unwrap();
    assert!(key.secret.starts_with("prd_") && key.secret.len() >= 4 + 32, "at least 128 bits");
    assert_eq!(opens(&ring, &key.secret), Some(Scope::All));
    assert!(matches!(ring.create("carol", None, &[]).await, Err(KeyError::Taken(_))));
    registry.close().await;
    let (ring, _registry) = self::ring(&dir, &clock).await;
    assert_eq!(opens(&ring, &key.secret), Some(Scope::All));
    ring.revoke("carol").await.unwrap();
    assert_eq!(opens(&ring, &key.secret), None);
    assert!(matches!(ring.revoke("carol").await, Err(KeyError::Unknown(_))));
}

#[tokio::test]
async fn the_configuration_wins_and_gives_back_what_it_took() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), ManualClock::new());
    let (ring, _registry) = self::ring(&dir, &clock).await;
    let key = ring.create("carol", None, &[]).await.unwrap();
    ring.configure(&configured("carol", "of-the-file"));
    assert_eq!((opens(&ring, &key.secret), opens(&ring, "of-the-file")), (None, Some(Scope::All)));
    assert_eq!(ring.list().len(), 1);
    assert_eq!(ring.list()[0].origin, Origin::File);
    assert!(matches!(ring.revoke("carol").await, Err(KeyError::DefinedInFile(_))));
    assert!(matches!(ring.create("carol", None, &[]).await, Err(KeyError::DefinedInFile(_))));
    ring.configure(&BTreeMap::new());
    assert_eq!((opens(&ring, &key.secret), opens(&ring, "of-the-file")), (Some(Scope::All), None));
}

#[tokio::test]
async fn a_secret_that_the_configuration_limits_stays_limited_under_another_name() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), ManualClock::new());
    let (ring, _registry) = self::ring(&dir, &clock).await;
    let key = ring.create("zoe", None, &[]).await.unwrap();
    let limited = serde_json::json!({ "secret": key.secret, "shares": ["films"] });
    let limited = BTreeMap::from([("carol".to_owned(), serde_json::from_value(limited).unwrap())]);
    ring.configure(&limited);
    assert_eq!(opens(&ring, &key.secret), Some(Scope::of(&["films".to_owned()])));
    ring.configure(&BTreeMap::new());
    assert_eq!(opens(&ring, &key.secret), Some(Scope::All));
}

#[tokio::test]
async fn the_last_use_is_known_to_the_minute_and_survives_a_restart() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), ManualClock::new());
    let (ring, registry) = self::ring(&dir, &clock).await;
    ring.create("carol", None, &[]).await.unwrap();
    assert_eq!(ring.list()[0].last_used, None);
    ring.used("carol");
    let stop = CancellationToken::new();
    stop.cancel();
    ring.keep_use(&stop).await;
    let used = ring.list()[0].last_used.clone().unwrap();
    assert!(used.ends_with(":00Z") || used.ends_with(":00.000Z"), "{used}");
    registry.close().await;
    let (ring, registry) = self::ring(&dir, &clock).await;
    assert_eq!(ring.list()[0].last_used.as_deref(), Some(used.as_str()));
    ring.revoke("carol").await.unwrap();
    assert!(registry.records(USED).await.unwrap().is_empty(), "a revoked key leaves nothing behind");
}

#[test]
fn a_key_opens_shares_that_exist_each_once() {
    let exist = ["films".to_owned(), "music".to_owned()];
    let open = |shares: Option<&[&str]>| {
        let shares = shares.map(|shares| shares.iter().map(|share| (*share).to_owned()).collect());
        opened(shares, &exist).map_err(|error| error.to_string())
    };
    assert_eq!(open(None), Ok(vec!["*".to_owned()]));
    assert_eq!(open(Some(&["music", "films", "music"])), Ok(exist.to_vec()));
    assert_eq!(open(Some(&["films", "*"])), Ok(vec!["*".to_owned()]));
    assert!(open(Some(&[])).is_err(), "it would open nothing");
    assert_eq!(open(Some(&["films", "fims"])), Err("there is no share \"fims\"".to_owned()));
}

#[tokio::test]
async fn a_name_that_no_configuration_could_have_is_refused() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), ManualClock::new());
    let (ring, _registry) = self::ring(&dir, &clock).await;
    for name in ["", ".", "..", "a/b", "a b", "ü", &"x".repeat(65)] {
        assert!(matches!(ring.create(name, None, &[]).await, Err(KeyError::BadName(_))), "{name:?}");
    }
}
