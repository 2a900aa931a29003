//! Sessions of the web page: the key is shown once, a cookie stands for it from then on.
//!
//! A cookie goes along with every request a browser sends here, whoever made it send it. So a session counts only
//! where the request comes from our own page: what changes something must carry an `Origin` (RFC 6454 §7) that is the
//! address it is sent to. `SameSite` alone would not do: every port of a host is the same site. What only reads says
//! with `Sec-Fetch-Site` (Fetch Metadata) who asks, as an image of a neighbour's page has no `Origin`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::header::{COOKIE, HOST, HeaderValue, ORIGIN, SET_COOKIE};
use http::{HeaderMap, Method, Response, StatusCode};
use retry_kit::SharedClock;
use serde_json::json;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::document::Document;
use crate::http::auth::{KeyDigest, Keys, Refusal};
use crate::http::body::{self, Body, empty};
use crate::http::problem::Problem;
use crate::state_dir;

/// Who is logged in, and which links still let somebody in. Lives and dies with the process.
pub(super) struct Sessions {
    clock: SharedClock,
    open: Tickets,
    links: Tickets,
}

/// Random texts that are good for a while; only their digests are held.
struct Tickets {
    prefix: &'static str,
    life: Duration,
    held: Mutex<VecDeque<Ticket>>,
}

struct Ticket {
    digest: KeyDigest,
    ends: Instant,
    /// Cancelled when the ticket is gone, whatever took it.
    _gone: DropGuard,
    over: CancellationToken,
}

/// A session that let a request in.
pub(super) struct Session {
    clock: SharedClock,
    ends: Instant,
    over: CancellationToken,
}

impl Session {
    /// Resolves when the session is ended, or ends by itself.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn over(&self) {
        let left = self.ends.saturating_duration_since(self.clock.now());
        tokio::select! {
            () = self.over.cancelled() => {}
            () = self.clock.sleep(left) => {}
        }
    }
}

impl Sessions {
    pub(super) fn new(clock: SharedClock) -> Self {
        Self { clock, open: Tickets::new("prs_", SESSION), links: Tickets::new("prl_", LINK) }
    }

    /// The session whose cookie the request carries. `port` is that of our listener.
    pub(super) fn vouch_for(&self, headers: &HeaderMap, port: u16) -> Option<Session> {
        let (ends, over) = self.open.find(cookie(headers, port)?, self.clock.now())?;
        Some(Session { clock: Arc::clone(&self.clock), ends, over })
    }

    /// Logs in whoever shows a key in a header or the body, or a link that was not used yet.
    pub(super) fn log_in(
        &self,
        keys: &Keys,
        headers: &HeaderMap,
        port: u16,
        mut shown: Document,
    ) -> Result<Response<Body>, Login> {
        let key = shown.take::<String>("key").map_err(Login::Unreadable)?;
        let token = shown.take::<String>("token").map_err(Login::Unreadable)?;
        shown.end().map_err(Login::Unreadable)?;
        match (token, key) {
            (Some(token), _) if self.links.take(&token, self.clock.now()) => {}
            (Some(_), _) => return Err(Login::SpentLink),
            (None, Some(key)) => drop(keys.recognise(&key).ok_or(Login::Refused(Refusal::Wrong))?),
            (None, None) => drop(keys.authenticate(headers).map_err(Login::Refused)?),
        }
        let secure = text(headers.get(ORIGIN)).starts_with("https://");
        let token = self.open.issue(self.clock.now()).map_err(|_| Login::Unreadable(Problem::internal()))?;
        let answer = body::json(StatusCode::OK, &json!({ "expires_in": SESSION.as_secs() }));
        Ok(with_cookie(answer, port, &token, SESSION, secure))
    }

    /// Ends the session of the cookie, if there is one.
    pub(super) fn log_out(&self, headers: &HeaderMap, port: u16) -> Response<Body> {
        if let Some(token) = cookie(headers, port) {
            self.open.take(token, self.clock.now());
        }
        let mut response = Response::new(empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        with_cookie(response, port, "", Duration::ZERO, false)
    }

    /// A link that logs in once, within a minute.
    pub(super) fn link(&self) -> Result<Response<Body>, Problem> {
        let token = self.links.issue(self.clock.now()).map_err(|_| Problem::internal())?;
        // Behind the hash, so that it is sent to nobody, and stands in no log.
        let path = format!("/#token={token}");
        Ok(body::json(
            StatusCode::CREATED,
            &json!({ "token": token, "path": path, "expires_in": LINK.as_secs() }),
        ))
    }
}

/// Why nobody was logged in.
pub(super) enum Login {
    /// The key is missing or wrong.
    Refused(Refusal),
    /// The link was used before, is too old, or none of ours.
    SpentLink,
    /// The request makes no sense.
    Unreadable(Problem),
}

/// Refuses a request that another page made the browser send. With `by_cookie` the browser may have added what lets
/// it in: what changes something has to say where it comes from, and nothing may come from another page.
///
/// # Errors
/// 403 when the origin is another one, or not told.
pub(super) fn same_origin(method: &Method, headers: &HeaderMap, by_cookie: bool) -> Result<(), Problem> {
    let (origin, host) = (headers.get(ORIGIN), text(headers.get(HOST)));
    let told =
        origin.map(|origin| text(Some(origin)).split_once("://").map_or("", |(_, authority)| authority));
    let fine = match told {
        Some(authority) => !host.is_empty() && authority.eq_ignore_ascii_case(host),
        None => !by_cookie || (method.is_safe() && is_asked_by_us(headers)),
    };
    if fine {
        return Ok(());
    }
    let title = "The request does not come from the page of this daemon";
    let problem = Problem::new(StatusCode::FORBIDDEN, "origin-not-allowed", title);
    Err(problem
        .with_detail("Origin and Host must be the same; a proxy in between has to pass Host on as it is"))
}

/// Whether our own page asks, or whoever sits before the browser; browsers too old to tell pass.
fn is_asked_by_us(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_none_or(|site| matches!(site.as_bytes(), b"same-origin" | b"none"))
}

impl Tickets {
    fn new(prefix: &'static str, life: Duration) -> Self {
        Self { prefix, life, held: Mutex::default() }
    }

    fn issue(&self, now: Instant) -> anyhow::Result<String> {
        let token = state_dir::random_token(self.prefix)?;
        let mut held = self.held(now);
        while held.len() >= MAX_TICKETS {
            held.pop_front();
        }
        let over = CancellationToken::new();
        let _gone = over.clone().drop_guard();
        held.push_back(Ticket { digest: KeyDigest::of(&token), ends: now + self.life, _gone, over });
        Ok(token)
    }

    /// When the ticket ends by itself, and what is cancelled when it is taken before.
    fn find(&self, token: &str, now: Instant) -> Option<(Instant, CancellationToken)> {
        let held = self.held(now);
        let ticket = held.get(find(&held, token)?)?;
        Some((ticket.ends, ticket.over.clone()))
    }

    /// Whether it was good; it is not any more.
    fn take(&self, token: &str, now: Instant) -> bool {
        let mut held = self.held(now);
        let found = find(&held, token);
        found.and_then(|at| held.remove(at)).is_some()
    }

    fn held(&self, now: Instant) -> MutexGuard<'_, VecDeque<Ticket>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|ticket| now < ticket.ends);
        held
    }
}

/// Looks at all of them, so that the time it takes tells nothing.
fn find(held: &VecDeque<Ticket>, token: &str) -> Option<usize> {
    let digest = KeyDigest::of(token);
    held.iter()
        .enumerate()
        .fold(None, |found, (at, ticket)| if ticket.digest.same_as(&digest) { Some(at) } else { found })
}

/// The value of our cookie. Its name carries the port: cookies know hosts only, and two daemons may share one.
fn cookie(headers: &HeaderMap, port: u16) -> Option<&str> {
    let name = cookie_name(port);
    let fields = headers.get_all(COOKIE).iter().flat_map(|value| text(Some(value)).split(';'));
    let mut pairs = fields.filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

fn with_cookie(
    mut response: Response<Body>,
    port: u16,
    token: &str,
    life: Duration,
    secure: bool,
) -> Response<Body> {
    let (name, age, secure) = (cookie_name(port), life.as_secs(), if secure { "; Secure" } else { "" });
    let cookie = format!("{name}={token}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}");
    if let Ok(mut cookie) = HeaderValue::from_str(&cookie) {
        cookie.set_sensitive(true);
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

fn cookie_name(port: u16) -> String {
    format!("peerd-{port}")
}

fn text(value: Option<&HeaderValue>) -> &str {
    value.and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// How long a session lasts, and a link.
const SESSION: Duration = Duration::from_secs(12 * 3600);
const LINK: Duration = Duration::from_secs(60);
/// Sessions, and links, at once; the oldest makes room for the next.
const MAX_TICKETS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_until_it_ends_or_is_taken() {
        let (tickets, now) = (Tickets::new("t_", LINK), Instant::now());
        let token = tickets.issue(now).unwrap();
        assert!(token.starts_with("t_") && token.len() > 40);
        assert!(tickets.find(&token, now + LINK - Duration::from_millis(1)).is_some());
        assert!(tickets.find(&token[..token.len() - 1], now).is_none() && tickets.find("", now).is_none());
        assert!(tickets.take(&token, now) && !tickets.take(&token, now), "once");
        let late = tickets.issue(now).unwrap();
        assert!(tickets.find(&late, now + LINK).is_none());
    }

    #[test]
    fn whoever_holds_a_ticket_hears_when_it_is_taken_or_makes_room() {
        let (tickets, now) = (Tickets::new("t_", LINK), Instant::now());
        let [taken, oldest] = [(); 2].map(|()| tickets.issue(now).unwrap());
        let [of_taken, of_oldest] = [&taken, &oldest].map(|token| tickets.find(token, now).unwrap().1);
        assert!(!of_taken.is_cancelled());
        tickets.take(&taken, now);
        assert!(of_taken.is_cancelled() && !of_oldest.is_cancelled());
        for _ in 0..MAX_TICKETS {
            tickets.issue(now).unwrap();
        }
        assert!(of_oldest.is_cancelled());
    }

    #[test]
    fn there_is_room_for_so_many_and_the_oldest_goes_first() {
        let (tickets, now) = (Tickets::new("t_", LINK), Instant::now());
        let tokens: Vec<_> = (0..=MAX_TICKETS).map(|_| tickets.issue(now).unwrap()).collect();
        assert!(tickets.find(&tokens[0], now).is_none());
        assert!(tokens[1..].iter().all(|token| tickets.find(token, now).is_some()));
    }

    #[test]
    fn only_our_own_page_may_use_a_session_to_change_something() {
        let ours = "localhost:5281";
        for (method, origin, by_cookie, allowed) in [
            (Method::POST, Some("http://localhost:5281"), true, true),
            (Method::POST, Some("http://LOCALHOST:5281"), true, true),
            (Method::POST, None, true, false),
            (Method::DELETE, Some("http://localhost:3000"), true, false),
            (Method::POST, Some("http://localhost"), true, false),
            (Method::POST, Some("null"), true, false),
            (Method::GET, None, true, true),
            (Method::GET, Some("http://localhost:3000"), true, false),
            (Method::POST, None, false, true),
            (Method::POST, Some("http://localhost:3000"), false, false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static(ours));
            if let Some(origin) = origin {
                headers.insert(ORIGIN, HeaderValue::from_static(origin));
            }
            assert_eq!(same_origin(&method, &headers, by_cookie).is_ok(), allowed, "{method} {origin:?}");
        }
    }

    #[test]
    fn a_page_of_a_neighbour_may_not_even_show_what_a_session_opens() {
        for (site, by_cookie, allowed) in [
            ("same-origin", true, true),
            ("none", true, true),
            ("same-site", true, false),
            ("cross-site", true, false),
            ("nonsense", true, false),
            ("cross-site", false, true),
        ] {
            let headers = HeaderMap::from_iter([
                (HOST, HeaderValue::from_static("localhost:5281")),
                (http::HeaderName::from_static("sec-fetch-site"), HeaderValue::from_static(site)),
            ]);
            assert_eq!(same_origin(&Method::GET, &headers, by_cookie).is_ok(), allowed, "{site} {by_cookie}");
        }
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=b; peerd-5281=x; peerd-5282=y"));
        headers.append(COOKIE, HeaderValue::from_static("peerd-1=z"));
        assert_eq!(
            (cookie(&headers, 5282), cookie(&headers, 1), cookie(&headers, 2)),
            (Some("y"), Some("z"), None)
        );
    }
}
