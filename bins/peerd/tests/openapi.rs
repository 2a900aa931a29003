//! `openapi.json` is true: every address is in it and no other, and answers are what it says.

#[path = "openapi/answers.rs"]
mod answers;
#[path = "openapi/checker.rs"]
mod checker;
mod support;
#[path = "openapi/table.rs"]
mod table;

use serde_json::Value;

/// The document as it is in `docs/`.
fn document() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("a document")).expect("JSON")
}
