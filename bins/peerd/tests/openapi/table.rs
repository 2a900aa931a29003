//! The document and the table of routes, against each other.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;

use super::document;
use crate::support::{Answer, Home};

const METHODS: [&str; 6] = ["get", "head", "put", "post", "patch", "delete"];

fn described(document: &Value) -> BTreeSet<String> {
    let paths = document["paths"].as_object().expect("paths");
    let methods = |(path, item): (&String, &Value)| {
        let methods =
            item.as_object().expect("a path item").keys().filter(|key| METHODS.contains(&key.as_str()));
        methods.map(|method| format!("{} {path}", method.to_uppercase())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(methods).collect()
}

#[test]
fn every_address_is_described_and_everything_described_is_an_address() {
    let table = peerd::http::admin::addresses();
    let text = |(method, path): &(Method, String)| format!("{method} {path}");
    let known: BTreeSet<_> = table.iter().map(text).collect();
    let described = described(&document());
    // HEAD goes with every GET, and is described where it does more than that.
    let missing: Vec<_> =
        known.iter().filter(|route| !route.starts_with("HEAD ") && !described.contains(*route)).collect();
    let stray: Vec<_> = described.iter().filter(|route| !known.contains(*route)).collect();
    assert!(missing.is_empty() && stray.is_empty(), "not described: {missing:?}; not there: {stray:?}");
}

#[test]
fn parameters_references_and_names_are_in_order() {
    let document = document();
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        let in_path: Vec<_> =
            path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        let given = item["parameters"].as_array().into_iter().flatten();
        let given: Vec<_> = given.filter_map(|parameter| parameter["name"].as_str()).collect();
        assert_eq!(given, in_path, "{path}");
        for (method, operation) in item.as_object().expect("a path item") {
            if !METHODS.contains(&method.as_str()) {
                continue;
            }
            let name = operation["operationId"].as_str().expect("a name");
            assert!(names.insert(name.to_owned()), "{name} is there twice");
            assert!(
                operation["summary"].is_string() && operation["responses"].is_object(),
                "{method} {path}"
            );
            let tag = &operation["tags"][0];
            let tags = document["tags"].as_array().expect("tags");
            assert!(tags.iter().any(|known| known["name"] == *tag), "{tag}");
        }
    }
    references(&document, &document);
}

fn references(document: &Value, part: &Value) {
    match part {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
            }
            members.values().for_each(|member| references(document, member));
        }
        Value::Array(items) => items.iter().for_each(|item| references(document, item)),
        _ => {}
    }
}

#[tokio::test]
async fn the_daemon_gives_the_document_to_its_owner() {
    let home = Home::new();
    let daemon = home.start().await;
    let answer = daemon.get("/api/v1/openapi.json").await;
    assert_eq!((answer.status, answer.field("content-type")), (200, "application/json"));
    assert_eq!(answer.json(), document());
    assert!(answer.json()["openapi"].as_str().expect("a version").starts_with("3.1"));
    assert_eq!(Answer::to(daemon.bare(Method::GET, "/api/v1/openapi.json")).await.status, 401);
}
