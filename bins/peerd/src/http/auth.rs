//! Keys: who may ask, and for which shares.
//!
//! A key comes in `X-Api-Key` or as `Authorization: Bearer` (RFC 6750 §2.1), never in the query, where logs
//! and browser histories would keep it. Only digests are held, and all of them are compared each time, so the
//! time an answer takes tells nothing about any key.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use super::problem::Problem;
use crate::library::Scope;

/// The digest of a secret; all that is kept of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// The digest of this secret. Secrets are long and random, so no slow hash is needed to guard them.
    pub fn of(secret: &str) -> Self {
        Self::of_bytes(secret.as_bytes())
    }

    /// A digest as it was stored.
    pub fn from_stored(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// What to store.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether two digests are the same, in a time that does not depend on where they differ.
    pub fn same_as(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    fn of_bytes(secret: &[u8]) -> Self {
        Self(*blake3::hash(secret).as_bytes())
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest(..)")
    }
}

/// A key as configured, with its secret in the clear.
#[derive(Clone)]
pub struct KeySpec {
    /// Whose it is.
    pub name: String,
    /// What they send.
    pub secret: String,
    /// Names of shares it opens; `*` for all.
    pub shares: Vec<String>,
}

impl fmt::Debug for KeySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySpec")
            .field("name", &self.name)
            .field("shares", &self.shares)
            .finish_non_exhaustive()
    }
}

/// A key that opens something.
#[derive(Clone, Debug)]
pub struct Key {
    /// Whose it is.
    pub name: String,
    /// The digest of its secret.
    pub digest: KeyDigest,
    /// What it opens.
    pub scope: Scope,
}

impl From<&KeySpec> for Key {
    fn from(spec: &KeySpec) -> Self {
        Self { name: spec.name.clone(), digest: KeyDigest::of(&spec.secret), scope: Scope::of(&spec.shares) }
    }
}

/// All keys of one listener. They can be replaced while requests are answered; the next request sees the new
/// ones.
#[derive(Debug)]
pub struct Keys {
    required: AtomicBool,
    keys: RwLock<Arc<[Arc<Key>]>>,
}

/// Who asks.
#[derive(Clone, Debug)]
pub enum Caller {
    /// The holder of this key.
    Key(Arc<Key>),
    /// Anyone, where no key is required.
    Anyone,
}

/// Why nobody was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No key was sent.
    Missing,
    /// A key was sent and is none of ours.
    Wrong,
    /// Two different keys were sent; picking one would be a guess.
    Ambiguous,
}

impl Keys {
    /// These keys. With `required` off, whoever sends none of them is [`Caller::Anyone`].
    pub fn new(required: bool, keys: impl IntoIterator<Item = Key>) -> Self {
        let ring = Self { required: AtomicBool::new(required), keys: RwLock::new(Arc::new([])) };
        ring.replace(keys);
        ring
    }

    /// Replaces all keys; those left out stop working with the next request.
    pub fn replace(&self, keys: impl IntoIterator<Item = Key>) {
        let keys: Vec<_> = keys.into_iter().map(Arc::new).collect();
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys.into();
    }

    /// Changes whether a key is needed, from the next request on.
    pub fn set_required(&self, required: bool) {
        self.required.store(required, Ordering::Relaxed);
    }

    /// Finds out who asks.
    ///
    /// # Errors
    /// The key is missing, wrong, or there are two that differ.
    pub fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, Refusal> {
        match self.key(headers) {
            Ok(key) => Ok(Caller::Key(key)),
            // Whoever may ask without a key may do so with a wrong one.
            Err(_) if !self.required.load(Ordering::Relaxed) => Ok(Caller::Anyone),
            Err(refusal) => Err(refusal),
        }
    }

    /// The key with this secret, whether or not one is needed.
    pub fn recognise(&self, secret: &str) -> Option<Arc<Key>> {
        self.find(secret.as_bytes())
    }

    fn key(&self, headers: &HeaderMap) -> Result<Arc<Key>, Refusal> {
        self.find(sent(headers)?.ok_or(Refusal::Missing)?).ok_or(Refusal::Wrong)
    }

    fn find(&self, secret: &[u8]) -> Option<Arc<Key>> {
        let digest = KeyDigest::of_bytes(secret);
        let keys = self.snapshot();
        let mut found = u64::MAX;
        for (at, key) in (0_u64..).zip(keys.iter()) {
            found.conditional_assign(&at, key.digest.0.ct_eq(&digest.0));
        }
        usize::try_from(found).ok().and_then(|found| keys.get(found)).cloned()
    }

    fn snapshot(&self) -> Arc<[Arc<Key>]> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Caller {
    /// The shares they may see.
    pub fn scope(&self) -> &Scope {
        match self {
            Self::Key(key) => &key.scope,
            Self::Anyone => &Scope::All,
        }
    }

    /// Whose key it is, if one was needed.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Key(key) => Some(&key.name),
            Self::Anyone => None,
        }
    }
}

impl Refusal {
    /// The answer: 401 with a challenge (RFC 9110 §11.6.1).
    pub fn problem(self) -> Problem {
        let (name, title, challenge) = match self {
            Self::Missing => ("key-missing", "A key is needed", "Bearer realm=\"peerd\""),
            Self::Wrong => {
                ("key-wrong", "The key is not known", "Bearer realm=\"peerd\", error=\"invalid_token\"")
            }
            Self::Ambiguous => (
                "key-ambiguous",
                "Two different keys were sent",
                "Bearer realm=\"peerd\", error=\"invalid_request\"",
            ),
        };
        Problem::new(StatusCode::UNAUTHORIZED, name, title)
            .with_header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }
}

/// The one key a request carries, in whichever field.
fn sent(headers: &HeaderMap) -> Result<Option<&[u8]>, Refusal> {
    let plain = headers.get_all(X_API_KEY).iter().map(|value| value.as_bytes().trim_ascii());
    let bearer = headers.get_all(AUTHORIZATION).iter().filter_map(|value| bearer(value.as_bytes()));
    let mut keys = plain.chain(bearer).filter(|key| !key.is_empty());
    let Some(first) = keys.next() else { return Ok(None) };
    if keys.all(|other| other == first) { Ok(Some(first)) } else { Err(Refusal::Ambiguous) }
}

/// The token of a bearer credential; other schemes are for someone else on the way.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

const X_API_KEY: &str = "x-api-key";

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(required: bool) -> Keys {
        let spec = |name: &str, secret: &str, shares: &[&str]| KeySpec {
            name: name.into(),
            secret: secret.into(),
            shares: shares.iter().map(|share| (*share).to_owned()).collect(),
        };
        let specs = [spec("alice", "secret-a", &["*"]), spec("bob", "secret-b", &["films"])];
        Keys::new(required, specs.iter().map(Key::from))
    }

    fn ask(keys: &Keys, fields: &[(&'static str, &str)]) -> Result<Option<String>, Refusal> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).expect("a field value"));
        }
        keys.authenticate(&headers).map(|caller| caller.name().map(str::to_owned))
    }

    #[test]
    fn a_key_is_taken_from_either_field_and_nothing_else() {
        let keys = keys(true);
        for (fields, expected) in [
            (&[("x-api-key", "secret-a")][..], Ok("alice")),
            (&[("x-api-key", "  secret-b ")], Ok("bob")),
            (&[("authorization", "Bearer secret-b")], Ok("bob")),
            (&[("authorization", "bearer   secret-b")], Ok("bob")),
            (&[("x-api-key", "secret-a"), ("authorization", "Bearer secret-a")], Ok("alice")),
            (&[("x-api-key", "secret-a"), ("authorization", "Basic Zm9v")], Ok("alice")),
            (&[], Err(Refusal::Missing)),
            (&[("x-api-key", "")], Err(Refusal::Missing)),
            (&[("authorization", "Basic c2VjcmV0LWE=")], Err(Refusal::Missing)),
            (&[("authorization", "secret-a")], Err(Refusal::Missing)),
            (&[("cookie", "x-api-key=secret-a")], Err(Refusal::Missing)),
            (&[("x-api-key", "secret")], Err(Refusal::Wrong)),
            (&[("x-api-key", "secret-aa")], Err(Refusal::Wrong)),
            (&[("x-api-key", "SECRET-A")], Err(Refusal::Wrong)),
            (&[("x-api-key", "secret-a"), ("authorization", "Bearer secret-b")], Err(Refusal::Ambiguous)),
            (&[("x-api-key", "secret-a"), ("x-api-key", "guess")], Err(Refusal::Ambiguous)),
        ] {
            assert_eq!(ask(&keys, fields), expected.map(|name| Some(name.to_owned())), "{fields:?}");
        }
    }

    #[test]
    fn where_no_key_is_required_a_known_one_still_limits() {
        let keys = keys(false);
        assert_eq!(ask(&keys, &[]), Ok(None));
        assert_eq!(ask(&keys, &[("x-api-key", "guess")]), Ok(None));
        assert_eq!(ask(&keys, &[("x-api-key", "secret-b")]), Ok(Some("bob".to_owned())));
    }

    #[test]
    fn replaced_keys_stop_working_with_the_next_request() {
        let keys = keys(true);
        let stored = KeyDigest::from_stored(*KeyDigest::of("secret-c").as_bytes());
        keys.replace([Key { name: "carol".into(), digest: stored, scope: Scope::All }]);
        assert_eq!(ask(&keys, &[("x-api-key", "secret-a")]), Err(Refusal::Wrong));
        assert_eq!(ask(&keys, &[("x-api-key", "secret-c")]), Ok(Some("carol".to_owned())));
    }

    #[test]
    fn without_any_key_nobody_is_let_in() {
        let keys = Keys::new(true, []);
        assert_eq!(ask(&keys, &[("x-api-key", "secret-a")]), Err(Refusal::Wrong));
    }

    #[test]
    fn nothing_prints_a_secret() {
        let spec = KeySpec { name: "alice".into(), secret: "hidden".into(), shares: vec![] };
        let key = Key::from(&spec);
        assert!(!format!("{spec:?} {key:?}").contains("hidden"));
        assert!(format!("{key:?}").contains("KeyDigest(..)"));
    }

    #[test]
    fn a_refusal_is_a_challenge() {
        let response = Refusal::Wrong.problem().into_response();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert!(response.headers().contains_key(WWW_AUTHENTICATE));
    }
}
