//! As much of JSON Schema as the document uses; a keyword it does not know is a failure, not a pass.

use serde_json::Value;

/// What is wrong with `value`, with the place; empty when nothing is.
pub(crate) fn flaws(document: &Value, schema: &Value, value: &Value, place: &str) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#'));
        return flaws(document, target.unwrap_or_else(|| panic!("{reference} leads nowhere")), value, place);
    }
    let mut found = Vec::new();
    for (keyword, rule) in schema.as_object().expect("a schema") {
        match keyword.as_str() {
            "description" | "default" | "format" | "maxLength" | "required" | "title" => {}
            "type" => {
                let allowed = rule.as_array().cloned().unwrap_or_else(|| vec![rule.clone()]);
                if !allowed.iter().any(|kind| is(value, kind.as_str().expect("a type"))) {
                    found.push(format!("{place}: {value} is no {rule}"));
                }
            }
            "enum" => {
                if !rule.as_array().expect("a list").contains(value) {
                    found.push(format!("{place}: {value} is none of {rule}"));
                }
            }
            "minimum" | "maximum" => {
                let (bound, number) = (rule.as_f64().expect("a number"), value.as_f64());
                let beyond = |number: f64| if keyword == "minimum" { number < bound } else { number > bound };
                if number.is_some_and(beyond) {
                    found.push(format!("{place}: {value} is beyond the {keyword} {rule}"));
                }
            }
            "anyOf" => {
                let options = rule.as_array().expect("a list");
                if !options.iter().any(|option| flaws(document, option, value, place).is_empty()) {
                    found.push(format!("{place}: {value} fits none of {rule}"));
                }
            }
            "items" => {
                for (at, item) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(flaws(document, rule, item, &format!("{place}[{at}]")));
                }
            }
            "properties" | "additionalProperties" => {}
            unknown => panic!("{place}: the checker does not know {unknown}"),
        }
    }
    if let Some(members) = value.as_object() {
        for required in schema["required"].as_array().into_iter().flatten() {
            if !members.contains_key(required.as_str().expect("a name")) {
                found.push(format!("{place}: {required} is missing"));
            }
        }
        for (name, member) in members {
            let place = format!("{place}.{name}");
            match (&schema["properties"][name], &schema["additionalProperties"]) {
                (Value::Null, Value::Bool(false)) => found.push(format!("{place} is not described")),
                (Value::Null, Value::Object(rest)) => {
                    found.extend(flaws(document, &Value::Object(rest.clone()), member, &place));
                }
                (Value::Null, _) => {}
                (property, _) => found.extend(flaws(document, property, member, &place)),
            }
        }
    }
    found
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        unknown => panic!("no type is called {unknown}"),
    }
}

#[test]
fn the_checker_finds_what_is_wrong() {
    let schema = serde_json::json!({
        "type": "object", "required": ["a"], "additionalProperties": false,
        "properties": { "a": { "type": ["integer", "null"], "minimum": 1 }, "b": { "enum": ["x"] } },
    });
    let flaws = |value: Value| flaws(&Value::Null, &schema, &value, "it").len();
    assert_eq!(flaws(serde_json::json!({ "a": 1, "b": "x" })), 0);
    assert_eq!(flaws(serde_json::json!({ "a": null })), 0);
    for bad in [
        serde_json::json!({}),
        serde_json::json!({ "a": 0 }),
        serde_json::json!({ "a": "1" }),
        serde_json::json!({ "a": 1, "b": "y" }),
        serde_json::json!({ "a": 1, "c": 1 }),
        serde_json::json!([]),
    ] {
        assert_eq!(flaws(bad.clone()), 1, "{bad}");
    }
}
