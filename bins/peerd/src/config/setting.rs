//! What one setting may hold: how its type is read from a TOML value or from the text of a variable.
//!
//! Every leaf is read by itself before the whole is deserialized, so that one wrong value does not hide the next and
//! each gets a message made for people.

use toml::{Table, Value};

use super::key_path::Step;

/// A type a setting can have.
pub(crate) trait Setting {
    /// How the text of a variable becomes a TOML value of this type.
    const SHAPE: Shape;

    /// Accepts a value, in the form the section structs deserialize, or says what is wrong with it.
    fn read(value: &Value) -> Result<Value, Vec<Flaw>>;
}

/// The coarse form of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Text, taken as it is.
    Text,
    /// A whole number, or true or false.
    Word,
    /// A list: an inline array, or items separated by commas.
    List,
    /// A secret: an inline table that says where it is, or the secret itself.
    Secret,
    /// A table of secrets.
    SecretTable,
    /// An inline table.
    Table,
}

/// What is wrong with a value, and in which part of it.
#[derive(Debug)]
pub(crate) struct Flaw {
    pub(crate) inside: Option<Step>,
    pub(crate) message: String,
    /// What to write instead, where the message does not say it.
    pub(crate) help: Option<String>,
}

impl Flaw {
    /// A flaw of the value as a whole, which is then the only one.
    pub(crate) fn whole(message: impl Into<String>) -> Vec<Self> {
        vec![Self { inside: None, message: message.into(), help: None }]
    }

    /// The same, with what to write instead.
    pub(crate) fn with_help(message: impl Into<String>, help: impl Into<String>) -> Vec<Self> {
        vec![Self { inside: None, message: message.into(), help: Some(help.into()) }]
    }
}

/// Turns the text of a variable into the value a file would hold.
pub(crate) fn from_variable(shape: Shape, text: &str) -> Result<Value, String> {
    let inline = |what| parse_inline(text).map_err(|error| format!("not {what}: {error}"));
    match shape {
        Shape::Text => Ok(Value::from(text)),
        Shape::Word => Ok(match text.trim() {
            "true" => Value::from(true),
            "false" => Value::from(false),
            word => word.parse::<i64>().map_or_else(|_| Value::from(text), Value::from),
        }),
        Shape::List if text.trim_start().starts_with('[') => inline("an inline array"),
        Shape::List => Ok(Value::from(text)),
        // What the parser says could quote the text, and the text may be a secret.
        Shape::Secret if text.starts_with('{') => parse_inline(text).map_err(|_| SECRET_EXPECTED.to_owned()),
        Shape::Secret => Ok(Value::from(text)),
        Shape::Table => inline("an inline table"),
        Shape::SecretTable => parse_inline(text).map_err(|_| HEADERS_EXPECTED.to_owned()),
    }
}

fn parse_inline(text: &str) -> Result<Value, String> {
    let table: Table =
        format!("value = {text}").parse().map_err(|e: toml::de::Error| e.message().to_owned())?;
    let mut entries = table.into_iter();
    match (entries.next(), entries.next()) {
        (Some((key, value)), None) if key == "value" => Ok(value),
        _ => Err("unexpected text after the value".to_owned()),
    }
}

/// What is said of a table of headers that is none.
pub(crate) const HEADERS_EXPECTED: &str = "expected a table such as { X-Name = \"value\" }";
const SECRET_EXPECTED: &str = "what begins with { must be an inline table such as { file = \"/path\" }";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_variable_becomes_what_a_file_would_hold() {
        for (shape, text, expected) in [
            (Shape::Text, "12", Value::from("12")),
            (Shape::Word, "12", Value::from(12)),
            (Shape::Word, "true", Value::from(true)),
            (Shape::Word, "twelve", Value::from("twelve")),
            (Shape::List, "a,b", Value::from("a,b")),
            (Shape::List, "['a', 'b']", Value::from(vec!["a", "b"])),
            (Shape::Secret, "0012", Value::from("0012")),
        ] {
            assert_eq!(from_variable(shape, text), Ok(expected), "{text}");
        }
        assert!(from_variable(Shape::Secret, "{ env = 'X' }").unwrap().is_table());
        assert!(from_variable(Shape::List, "[1,\n").is_err());
        let broken = from_variable(Shape::Secret, "{ file = /x }").unwrap_err();
        assert_eq!(
            broken, SECRET_EXPECTED,
            "a reference that does not parse is not taken for the secret itself"
        );
    }
}
