//! What a living daemon answers, held against the document.

use reqwest::Method;
use scripted_peer::ScriptedPeer;
use serde_json::{Value, json};

use super::checker::flaws;
use super::document;
use crate::support::{Answer, DOWNLOADS, Daemon, Home, KEY, offer, seeded_file};

/// A daemon, and what it is held against.
struct Held {
    daemon: Daemon,
    document: Value,
}

impl Held {
    /// Asks, and holds the answer against what the document says about `pattern`.
    async fn ask(
        &self,
        method: Method,
        pattern: &str,
        path: &str,
        body: Option<Value>,
        status: u16,
    ) -> Value {
        let mut request = self.daemon.request(method.clone(), path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = Answer::to(request).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}; {}", self.daemon.log.tail());
        let operation = &self.document["paths"][pattern][method.as_str().to_lowercase()];
        let response = &operation["responses"][status.to_string()];
        assert!(response.is_object(), "{method} {pattern}: {status} is not described");
        let Some(content) = response["content"].as_object() else {
            assert!(answer.body.is_empty(), "{method} {pattern}: a body that is not described");
            return Value::Null;
        };
        let kind = answer.field("content-type").split(';').next().unwrap_or_default();
        let described =
            content.get(kind).unwrap_or_else(|| panic!("{method} {pattern}: {kind} is not described"));
        if described["schema"].is_object() {
            let found = flaws(&self.document, &described["schema"], &answer.json(), pattern);
            assert!(found.is_empty(), "{method} {path}: {found:#?}");
        }
        if status >= 400 {
            let name = answer.problem();
            let said = response["description"].as_str().expect("a description");
            assert!(said.contains(&name), "{method} {pattern}: {status} {name} is not described: {said}");
        }
        answer.json()
    }

    async fn get(&self, path: &str) -> Value {
        self.ask(Method::GET, path, path, None, 200).await
    }
}

async fn held(home: &Home) -> Held {
    Held { daemon: home.start().await, document: document() }
}

#[tokio::test]
async fn answers_about_downloads_are_as_described() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", 7, 1000);
    let home = Home::new().knowing("bob", peer.url("/"));
    let held = held(&home).await;
    let (all, one) = ("/api/v1/downloads", "/api/v1/downloads/{id}");
    let add = async |body: Value, status| held.ask(Method::POST, all, DOWNLOADS, Some(body), status).await;
    let done = add(json!({ "peer": "bob", "item": "m" }), 201).await["id"].as_u64().expect("an id");
    held.daemon.until_state(done, "completed").await;
    let aside = add(json!({ "url": "http://127.0.0.1:9/x", "paused": true }), 201).await["id"].take();
    add(json!({ "peer": "nobody", "item": "m" }), 404).await;
    add(json!({ "peer": "bob", "item": "m" }), 409).await;
    add(json!({}), 422).await;
    held.get(all).await;
    held.ask(Method::GET, all, &format!("{DOWNLOADS}?sort=colour"), None, 400).await;
    let path = |id: &dyn std::fmt::Display| format!("{DOWNLOADS}/{id}");
    for id in [&done as &dyn std::fmt::Display, &aside] {
        held.ask(Method::GET, one, &path(id), None, 200).await;
    }
    held.ask(Method::GET, one, &path(&999), None, 404).await;
    for (id, status) in [(done, 200), (999, 404)] {
        for more in ["history", "ranges"] {
            let of_one = format!("{}/{more}", path(&id));
            held.ask(Method::GET, &format!("{one}/{more}"), &of_one, None, status).await;
        }
    }
    let content = format!("{}/content", path(&999));
    held.ask(Method::GET, &format!("{one}/content"), &content, None, 404).await;
    let change = Some(json!({ "priority": 3, "limit_down": "1MiB" }));
    held.ask(Method::PATCH, one, &path(&aside), change, 200).await;
    held.ask(Method::PATCH, one, &path(&aside), Some(json!({ "priority": 99 })), 422).await;
    for (verb, status) in [("resume", 200), ("pause", 200), ("pause", 409), ("cancel", 200), ("retry", 409)] {
        let pattern = format!("{one}/{verb}");
        held.ask(Method::POST, &pattern, &format!("{}/{verb}", path(&aside)), None, status).await;
        held.ask(Method::POST, &pattern, &format!("{}/{verb}", path(&999)), None, 404).await;
    }
    let import = format!("{one}/import");
    for (id, status) in [(&done as &dyn std::fmt::Display, 422), (&aside, 422), (&999, 404)] {
        let wish = (status == 422).then(|| json!({ "import": "nobody" }));
        held.ask(Method::POST, &import, &format!("{}/import", path(id)), wish, status).await;
    }
    held.ask(Method::DELETE, one, &path(&aside), None, 204).await;
}

#[tokio::test]
async fn answers_about_peers_are_as_described() {
    let sharing = Home::sharing();
    seeded_file(sharing.shared("a.bin"), 1, 1000);
    let sharer = sharing.start().await;
    sharer.item("a.bin").await;
    let home = Home::new().knowing("fixed", "http://127.0.0.1:9/");
    let held = held(&home).await;
    let (all, one) = ("/api/v1/peers", "/api/v1/peers/{name}");
    let bob = json!({ "name": "bob", "url": sharer.base(), "key": KEY, "headers": { "x-a": "b" } });
    for (body, status) in [
        (bob.clone(), 201),
        (bob, 200),
        (json!({ "name": "bob", "url": "http://x/" }), 409),
        (json!({ "name": "fixed", "url": "http://x/" }), 409),
        (json!({ "name": "x" }), 422),
    ] {
        held.ask(Method::POST, all, all, Some(body), status).await;
    }
    held.get(all).await;
    for (name, status) in [("bob", 200), ("fixed", 200), ("nobody", 404)] {
        held.ask(Method::GET, one, &format!("{all}/{name}"), None, status).await;
    }
    for (name, status) in [("bob", 200), ("fixed", 502), ("nobody", 404)] {
        held.ask(Method::GET, &format!("{one}/items"), &format!("{all}/{name}/items"), None, status).await;
    }
    for (name, status) in [("bob", 200), ("fixed", 200), ("nobody", 404)] {
        held.ask(Method::POST, &format!("{one}/test"), &format!("{all}/{name}/test"), None, status).await;
    }
    for (name, status) in [("bob", 200), ("bob", 404), ("fixed", 409)] {
        held.ask(Method::DELETE, one, &format!("{all}/{name}"), None, status).await;
    }
}

#[tokio::test]
async fn answers_about_keys_sessions_and_the_rest_are_as_described() {
    let away = json!({ "kind": "radarr", "url": "http://127.0.0.1:9/", "key": "k" });
    let home = Home::sharing().with(json!({ "import": { "away": away } }));
    let held = held(&home).await;
    let (all, one) = ("/api/v1/keys", "/api/v1/keys/{name}");
    for (body, status) in [
        (json!({ "name": "carol" }), 201),
        (json!({ "name": "carol" }), 409),
        (json!({ "name": "friend" }), 409),
        (json!({ "name": "x", "shares": ["y"] }), 422),
    ] {
        held.ask(Method::POST, all, all, Some(body), status).await;
    }
    held.daemon.ask("/handshake").await;
    held.get(all).await;
    for (name, status) in [("carol", 204), ("carol", 404), ("friend", 409)] {
        held.ask(Method::DELETE, one, &format!("{all}/{name}"), None, status).await;
    }
    let session = "/api/v1/session";
    held.ask(Method::POST, session, session, None, 200).await;
    held.ask(Method::POST, session, session, Some(json!({ "token": "x" })), 401).await;
    held.ask(Method::POST, "/api/v1/session/link", "/api/v1/session/link", None, 201).await;
    held.ask(Method::DELETE, session, session, None, 204).await;
    held.get("/api/v1/transfers").await;
    held.get("/api/v1/limits").await;
    let limits = "/api/v1/limits";
    held.ask(Method::PUT, limits, limits, Some(json!({ "down": "3MiB", "up": null })), 200).await;
    held.ask(Method::PUT, limits, limits, Some(json!({ "down": "fast" })), 422).await;
    held.ask(Method::PUT, limits, limits, Some(json!([1])), 422).await;
    held.get("/api/v1/shares").await;
    let rescan = "/api/v1/shares/{name}/rescan";
    held.ask(Method::POST, rescan, "/api/v1/shares/films/rescan", None, 200).await;
    held.ask(Method::POST, rescan, "/api/v1/shares/music/rescan", None, 404).await;
    held.get("/api/v1/system").await;
    let (importers, importer) = ("/api/v1/imports", "/api/v1/imports/{name}/test");
    held.get(importers).await;
    held.ask(Method::POST, importer, &format!("{importers}/away/test"), None, 200).await;
    held.ask(Method::POST, importer, &format!("{importers}/nobody/test"), None, 404).await;
    let reload = "/api/v1/system/reload";
    held.ask(Method::POST, reload, reload, None, 200).await;
    let file = home.path("peerd.toml");
    let sound = std::fs::read_to_string(&file).expect("a configuration");
    std::fs::write(&file, format!("{sound}\ncolour = \"red\"\n")).expect("a configuration");
    held.ask(Method::POST, reload, reload, None, 422).await;
    for path in ["/healthz", "/readyz", "/metrics", "/", "/api/v1/openapi.json"] {
        held.get(path).await;
    }
    for (part, status) in [("/ui/style.css", 200), ("/ui/main.js", 200), ("/ui/other.js", 404)] {
        held.ask(Method::GET, "/ui/{part}", part, None, status).await;
    }
    let refused = Answer::to(held.daemon.bare(Method::GET, DOWNLOADS)).await;
    let said = &held.document["paths"]["/api/v1/downloads"]["get"]["responses"]["401"]["description"];
    assert!(said.as_str().expect("a description").contains(&refused.problem()), "{said}");
}
