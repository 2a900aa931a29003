//! The kinds of values there are: what each accepts, and what it says to anything else.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use http::{HeaderName, header};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as SerdeError, StrDeserializer};
use toml::Value;

use super::byte_size::ByteSize;
use super::downloads::OnConflict;
use super::duration::parse_duration;
use super::hooks::EventName;
use super::housekeeping::{LogFormat, LogLevel};
use super::importing::{ImportKind, ImportWhen, ImporterUrl, PathMapping};
use super::key_path::Step;
use super::keys::nearest;
use super::peer_url::PeerUrl;
use super::secret::{Secret, SecretSource};
use super::setting::{Flaw, HEADERS_EXPECTED, Setting, Shape};
use super::tries::Tries;
use super::watch::OnDone;
use crate::events::NAMES;
use crate::http::client_address::Network;

impl Setting for bool {
    const SHAPE: Shape = Shape::Word;

    fn read(value: &Value) -> Result<Value, Vec<Flaw>> {
        match value {
            Value::Boolean(_) => Ok(value.clone()),
            other => Err(Flaw::whole(format!("expected true or false, not {}", shown(other)))),
        }
    }
}

impl Setting for u32 {
    const SHAPE: Shape = Shape::Word;

    fn read(value: &Value) -> Result<Value, Vec<Flaw>> {
        match value {
            Value::Integer(number) if Self::try_from(*number).is_ok() => Ok(value.clone()),
            Value::Integer(number) => {
                Err(Flaw::whole(format!("expected a number from 0 to {}, not {number}", Self::MAX)))
            }
            other => Err(Flaw::whole(format!("expected a whole number, not {}", shown(other)))),
        }
    }
}

impl Setting for ByteSize {
    const SHAPE: Shape = Shape::Text;

    fn read(value: &Value) -> Result<Value, Vec<Flaw>> {
        match value {
            Value::Integer(0..) => Ok(value.clone()),
            Value::String(text) => parsed::<Self>(text, "a size"),
            other => Err(Flaw::whole(format!("expected a size such as \"64MiB\", not {}", shown(other)))),
        }
    }
}

impl Setting for Duration {
    const SHAPE: Shape = Shape::Text;

    fn read(value: &Value) -> Result<Value, Vec<Flaw>> {
        match value {
            Value::String(text) => match parse_duration(text) {
                Ok(_) => Ok(value.clone()),
                Err(error) => Err(Flaw::whole(format!("{text:?} is not a duration: {error}"))),
            },
            Value::Integer(number) => {
                Err(Flaw::whole(format!("a duration needs a unit: write \"{number}s\" or \"{number}ms\"")))
            }
            other => Err(Flaw::whole(format!("expected a duration such as \"30s\", not {}", shown(other)))),
        }
    }
}

impl Setting for String {
    const SHAPE: Shape = Shape::Text;

    fn read(value: &Value) -> Result<Value, Vec<Flaw>> {
        text_of(value, "text").map(Value::from)
    }
}

impl Setting for PathBuf {
    const SHAPE: Shape = Shape::Text;

    fn read(value: &Value) -> Result<Value, Vec<Flaw>> {
        text_of(value, "a path").map(Value::from)
    }
}

impl Setting for SocketAddr {
    const SHAPE: Shape = Shape::Text;

    fn read(value: &Value) -> Result<Value, Vec<Flaw>> {
        let text = text_of(value, "an address with port")?;
        if text.parse::<Self>().is_ok() {
            return Ok(value.clone());
        }
        let hint = match text.rsplit_once(':') {
            Some(("", port)) => format!("write 0.0.0.0:{port}, [::]:{port} or 127.0.0.1:{port}"),
            Some(("localhost", port)) => format!("names are not accepted here; write 127.0.0.1:{port}"),
            _ => "write an IP address with port, such as 127.0.0.1:5280 or [::1]:5280".to_owned(),
        };
        Err(Flaw::whole(format!("{text:?} is not an address to listen on: {hint}")))
    }
}

impl Setting for Network {
    const SHAPE: Shape = Shape::Text;

    fn read(value: &Value) -> Result<Value, Vec<Flaw>> {
        let text = text_of(value, "an address block")?;
        text.parse::<Self>().map(|_| value.clone()).map_err(|error| Flaw::whole(error.to_string()))
    }
}

impl Setting for Tries {
    const SHAPE: Shape = Shape::Text;

    fn read(value: &Value) -> Result<Value, Vec<Flaw>> {
        let text = text_of(value, "a number of tries and a time")?;
        text.parse::<Self>().map(|_| value.clone()).map_err(|error| Flaw::whole(format!("{text:?}: {error}")))
    }
}

impl Setting for PeerUrl {
    const SHAPE: Shape = Shape::Text;

    fn read(value: &Value) -> Result<Value, Vec<Flaw>> {
        // Not repeated in the message: somebody may have put a password in it.
        let text = text_of(value, "a URL")?;
        text.parse::<Self>().map(|_| value.clone()).map_err(|error| {
            Flaw::with_help(
                error.to_string(),
                "write http://HOST:PORT/ or https://HOST/, with a path if there is one",
            )
        })
    }
}

impl Setting for ImporterUrl {
    const SHAPE: Shape = Shape::Text;

    fn read(value: &Value) -> Result<Value, Vec<Flaw>> {
        let text = text_of(value, "a URL")?;
        text.parse::<Self>().map(|_| value.clone()).map_err(|error| Flaw::whole(error.to_string()))
    }
}

impl Setting for ImportKind {
    const SHAPE: Shape = Shape::Text;

    fn read(value: &Value) -> Result<Value, Vec<Flaw>> {
        one_of::<Self>(value, &["radarr", "sonarr"])
    }
}

impl Setting for ImportWhen {
    const SHAPE: Shape = Shape::Table;

    fn read(value: &Value) -> Result<Value, Vec<Flaw>> {
        fields(value, "{ peers = [\"*\"], names = [\"*.mkv\"] }", &["peers", "names"], Vec::<String>::read)
    }
}

impl Setting for PathMapping {
    const SHAPE: Shape = Shape::Table;

    fn read(value: &Value) -> Result<Value, Vec<Flaw>> {
        let example = "{ from = \"/data\", to = \"/mnt/data\" }";
        let read = fields(value, example, &["from", "to"], PathBuf::read)?;
        match ["from", "to"].iter().find(|key| read.get(**key).is_none()) {
            Some(missing) => Err(Flaw::whole(format!("`{missing}` is missing; write {example}"))),
            None => Ok(read),
        }
    }
}

impl Setting for EventName {
    const SHAPE: Shape = Shape::Text;

    fn read(value: &Value) -> Result<Value, Vec<Flaw>> {
        let text = text_of(value, "the name of an event")?;
        if NAMES.contains(&text) {
            return Ok(value.clone());
        }
        let message = format!("{text:?} is not the name of an event");
        match nearest(text, NAMES.iter().copied()) {
            Some((near, _)) => Err(Flaw::with_help(message, format!("did you mean {near:?}?"))),
            None => Err(Flaw::whole(message)),
        }
    }
}

impl Setting for OnConflict {
    const SHAPE: Shape = Shape::Text;

    fn read(value: &Value) -> Result<Value, Vec<Flaw>> {
        one_of::<Self>(value, &["fail", "rename", "replace"])
    }
}

impl Setting for OnDone {
    const SHAPE: Shape = Shape::Text;

    fn read(value: &Value) -> Result<Value, Vec<Flaw>> {
        one_of::<Self>(value, &["delete", "archive"])
    }
}

impl Setting for LogLevel {
    const SHAPE: Shape = Shape::Text;

    fn read(value: &Value) -> Result<Value, Vec<Flaw>> {
        one_of::<Self>(value, &["error", "warn", "info", "debug", "trace"])
    }
}

impl Setting for LogFormat {
    const SHAPE: Shape = Shape::Text;

    fn read(value: &Value) -> Result<Value, Vec<Flaw>> {
        one_of::<Self>(value, &["auto", "text", "json"])
    }
}

/// A lone string is a list of its parts, because that is all an environment variable can conveniently say.
impl<T: Setting> Setting for Vec<T> {
    const SHAPE: Shape = Shape::List;

    fn read(value: &Value) -> Result<Value, Vec<Flaw>> {
        match value {
            Value::Array(items) => {
                let read = |(index, item)| {
                    let inside = |flaw| Flaw { inside: Some(Step::Item(index)), ..flaw };
                    T::read(item).map_err(|flaws| flaws.into_iter().map(inside).collect())
                };
                all(items.iter().enumerate().map(read)).map(Value::Array)
            }
            Value::String(text) => {
                all(split_on_commas(text).into_iter().map(|item| T::read(&Value::from(item))))
                    .map(Value::Array)
            }
            other => Err(Flaw::whole(format!("expected a list, not {}", shown(other)))),
        }
    }
}

/// Only the form is read here; the secret is fetched when it is known that no higher layer replaces it.
impl Setting for Secret {
    const SHAPE: Shape = Shape::Secret;

    fn read(value: &Value) -> Result<Value, Vec<Flaw>> {
        SecretSource::from_value(value).map(|_| value.clone()).map_err(Flaw::whole)
    }
}

impl Setting for BTreeMap<String, Secret> {
    const SHAPE: Shape = Shape::SecretTable;

    fn read(value: &Value) -> Result<Value, Vec<Flaw>> {
        let Value::Table(table) = value else { return Err(Flaw::whole(HEADERS_EXPECTED)) };
        let read = |(name, value): (&String, &Value)| {
            let read = check_header_name(name).and_then(|()| SecretSource::from_value(value));
            read.map_err(|message| vec![Flaw { inside: Some(Step::Key(name.clone())), message, help: None }])
        };
        all(table.iter().map(read))?;
        Ok(value.clone())
    }
}

/// Reads an inline table of known keys, each by `read`. What is not named keeps its default.
fn fields(
    value: &Value,
    example: &str,
    known: &[&str],
    read: fn(&Value) -> Result<Value, Vec<Flaw>>,
) -> Result<Value, Vec<Flaw>> {
    let Value::Table(table) = value else {
        return Err(Flaw::whole(format!("expected a table such as {example}, not {}", shown(value))));
    };
    let read = |(name, value): (&String, &Value)| {
        let inside = |flaw| Flaw { inside: Some(Step::Key(name.clone())), ..flaw };
        let read = if known.contains(&name.as_str()) {
            read(value)
        } else {
            Err(Flaw::with_help(
                format!("there is no key `{name}` here"),
                format!("known here: {}", known.join(", ")),
            ))
        };
        match read {
            Ok(value) => Ok((name.clone(), value)),
            Err(flaws) => Err(flaws.into_iter().map(inside).collect()),
        }
    };
    let entries = all(table.iter().map(read))?;
    Ok(Value::Table(entries.into_iter().collect()))
}

/// Headers whose meaning is ours: another value in them would change which bytes an answer holds.
fn check_header_name(name: &str) -> Result<(), String> {
    let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else {
        return Err(format!("{name:?} is not the name of a header"));
    };
    let ours = [
        header::ACCEPT_ENCODING,
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::HOST,
        header::IF_MATCH,
        header::IF_RANGE,
        header::RANGE,
        header::TE,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ];
    if ours.contains(&parsed) {
        return Err(format!("{name} is set by peerd itself"));
    }
    Ok(())
}

fn parsed<T: FromStr<Err: Display>>(text: &str, what: &str) -> Result<Value, Vec<Flaw>> {
    match text.parse::<T>() {
        Ok(_) => Ok(Value::from(text)),
        Err(error) => Err(Flaw::whole(format!("{text:?} is not {what}: {error}"))),
    }
}

fn one_of<'de, T: Deserialize<'de>>(value: &'de Value, words: &[&str]) -> Result<Value, Vec<Flaw>> {
    let text = text_of(value, "a word")?;
    let deserializer: StrDeserializer<'de, SerdeError> = text.into_deserializer();
    T::deserialize(deserializer).map(|_| value.clone()).map_err(|_| {
        let message = format!("expected one of {}, not {text:?}", words.join(", "));
        match nearest(text, words.iter().copied()).filter(|(_, distance)| *distance <= 2) {
            Some((word, _)) => Flaw::with_help(message, format!("did you mean {word:?}?")),
            None => Flaw::whole(message),
        }
    })
}

fn text_of<'v>(value: &'v Value, what: &str) -> Result<&'v str, Vec<Flaw>> {
    value.as_str().ok_or_else(|| Flaw::whole(format!("expected {what} in quotes, not {}", shown(value))))
}

/// How a value of the wrong type is named: short ones as they are, long ones by kind.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => value.to_string(),
        Value::Array(_) => "a list".to_owned(),
        Value::Table(_) => "a table".to_owned(),
    }
}

/// What all of them read, or all their flaws.
fn all<T>(results: impl Iterator<Item = Result<T, Vec<Flaw>>>) -> Result<Vec<T>, Vec<Flaw>> {
    let (mut values, mut flaws) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(value) => values.push(value),
            Err(more) => flaws.extend(more),
        }
    }
    if flaws.is_empty() { Ok(values) } else { Err(flaws) }
}

/// Splits on commas outside braces and brackets, so that the pattern `*.{mkv,mp4}` stays whole.
fn split_on_commas(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let outside = |c: char| {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    };
    text.split(outside).map(str::trim).filter(|item| !item.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use toml::Table;

    use super::*;

    #[test]
    fn a_lone_string_is_a_list_split_on_commas_outside_braces() {
        let read = |text| Vec::<String>::read(&Value::from(text)).unwrap();
        assert_eq!(read("a, b,"), Value::from(vec!["a", "b"]));
        assert_eq!(read("**/*.{mkv,mp4},x"), Value::from(vec!["**/*.{mkv,mp4}", "x"]));
        assert_eq!(read(""), Value::Array(vec![]));
    }

    #[test]
    fn a_flaw_in_a_list_or_table_says_in_which_part() {
        let list = Vec::<SocketAddr>::read(&Value::from(vec!["127.0.0.1:1", ":80", "x"])).unwrap_err();
        let inside = list.iter().filter_map(|flaw| flaw.inside.clone()).collect::<Vec<_>>();
        assert_eq!(inside, [Step::Item(1), Step::Item(2)]);
        assert!(list[0].message.contains("0.0.0.0:80"), "{}", list[0].message);
        let headers = Value::from(Table::from_iter([("Range".to_owned(), Value::from("bytes=0-"))]));
        let table = BTreeMap::<String, Secret>::read(&headers).unwrap_err();
        assert_eq!(table[0].inside, Some(Step::Key("Range".to_owned())));
    }

    #[test]
    fn a_value_of_the_wrong_type_is_told_what_to_write() {
        let message = |result: Result<Value, Vec<Flaw>>| result.unwrap_err().remove(0).message;
        assert_eq!(message(u32::read(&Value::from(-1))), "expected a number from 0 to 4294967295, not -1");
        assert_eq!(message(u32::read(&Value::from("3"))), "expected a whole number, not \"3\"");
        assert_eq!(message(bool::read(&Value::from("yes"))), "expected true or false, not \"yes\"");
        assert_eq!(
            message(Duration::read(&Value::from(60))),
            "a duration needs a unit: write \"60s\" or \"60ms\""
        );
        assert_eq!(
            message(OnConflict::read(&Value::from("skip"))),
            "expected one of fail, rename, replace, not \"skip\""
        );
        assert_eq!(message(ByteSize::read(&Value::from(-1))), "expected a size such as \"64MiB\", not -1");
    }
}
