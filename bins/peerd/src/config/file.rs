//! The configuration file: TOML, where every key and every value has a place that can be pointed at.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::key_path::KeyPath;
use super::keys::{Key, Node, keys, node};
use super::layer::Layer;
use super::problem::{Excerpt, Finding, Place, Problem, Spot};
use super::secret::SecretSource;
use super::setting::Shape;

/// The text of a file and where its keys and values stand in it.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    path: PathBuf,
    text: String,
    names: BTreeMap<KeyPath, Range<usize>>,
    values: BTreeMap<KeyPath, Range<usize>>,
    /// Parts of the text that no message may show.
    masks: Vec<Range<usize>>,
}

impl ConfigFile {
    /// Parses a file and checks every key of it.
    ///
    /// # Errors
    /// The places where the text is not TOML. They come alone: what follows a broken line means nothing.
    pub(crate) fn parse(path: &Path, text: String) -> Result<(Self, Layer), Vec<Problem>> {
        let mut file = Self {
            path: path.to_owned(),
            text: String::new(),
            names: BTreeMap::new(),
            values: BTreeMap::new(),
            masks: Vec::new(),
        };
        let (spans, errors) = DeTable::parse_recoverable(&text);
        let parsed = match text.parse::<Table>() {
            Ok(table) if errors.is_empty() => Ok(table),
            Ok(_) => Err(errors),
            Err(error) => Err(if errors.is_empty() { vec![error] } else { errors }),
        };
        if parsed.is_ok() {
            file.locate(&KeyPath::default(), spans.get_ref());
        }
        drop(spans);
        file.text = text;
        match parsed {
            Ok(table) => {
                let mut layer = Layer::new("the configuration file");
                file.check(&mut layer, &KeyPath::default(), &table);
                Ok((file, layer))
            }
            Err(errors) => Err(errors.iter().map(|error| file.syntax_problem(error)).collect()),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The place of a value, if the file sets it.
    pub(crate) fn value(&self, path: &KeyPath) -> Option<Place> {
        self.values.get(path).map(|range| self.place(range))
    }

    /// The place of the name of a key or table, if the file mentions it.
    pub(crate) fn name(&self, path: &KeyPath) -> Option<Place> {
        self.names.get(path).map(|range| self.place(range))
    }

    /// Forgets where a value stands, because a higher layer sets it.
    pub(crate) fn forget(&mut self, path: &KeyPath) {
        self.values.retain(|known, _| !known.starts_with(path));
    }

    fn locate(&mut self, path: &KeyPath, table: &DeTable<'_>) {
        for (name, value) in table {
            let path = path.key(name.get_ref());
            self.names.insert(path.clone(), name.span());
            self.locate_value(&path, value);
        }
    }

    fn locate_value(&mut self, path: &KeyPath, value: &Spanned<DeValue<'_>>) {
        self.values.insert(path.clone(), value.span());
        match value.get_ref() {
            DeValue::Table(table) => self.locate(path, table),
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.locate_value(&path.item(index), item);
                }
            }
            _ => {}
        }
    }

    fn check(&mut self, layer: &mut Layer, path: &KeyPath, table: &Table) {
        for (name, value) in table {
            let path = path.key(name);
            match (node(&path.keys()), value) {
                (Node::Setting(key), value) => {
                    let value = match (key.shape(), value) {
                        (Shape::Secret, value) => self.guard(&path, value),
                        (Shape::SecretTable, Value::Table(table)) => {
                            let guard =
                                |(name, value)| (String::clone(name), self.guard(&path.key(name), value));
                            Value::Table(table.iter().map(guard).collect())
                        }
                        (Shape::SecretTable, value) => self.guard(&path, value),
                        _ => value.clone(),
                    };
                    // The place for a password of a URL is not the URL, but that is where people put it.
                    if value.as_str().is_some_and(|text| text.contains("://") && text.contains(['@', '?'])) {
                        self.mask(&path, &value);
                    }
                    layer.accept(&path, key, &value);
                }
                (Node::Table, Value::Table(table)) => {
                    layer.put_table(&path);
                    self.check(layer, &path, table);
                }
                (Node::Named, Value::Table(table)) => self.check_names(layer, &path, table),
                (Node::Table | Node::Named, value) => {
                    self.mask_if_secret(&path, value);
                    let wrong = format!("expected a table, not {}", value.type_str());
                    let finding = Finding::at(&path, wrong).help(format!("begin it with a line [{path}]"));
                    layer.reject(&path, finding);
                }
                (Node::Unknown, value) => {
                    self.mask_if_secret(&path, value);
                    layer.refuse_unknown_key(&path);
                }
            }
        }
    }

    /// Checks tables with names of their own, such as `[peers.bob]`.
    fn check_names(&mut self, layer: &mut Layer, path: &KeyPath, table: &Table) {
        for (name, value) in table {
            let entry = path.key(name);
            match value {
                Value::Table(_) if !is_name(name) => {
                    self.mask(&entry, value);
                    layer.reject(&entry, Finding::new(Spot::Name(entry.clone()), bad_name(name)));
                }
                Value::Table(table) => {
                    layer.put_table(&entry);
                    self.check(layer, &entry, table);
                }
                value => {
                    self.mask(&entry, value);
                    let finding =
                        Finding::new(Spot::Name(entry.clone()), format!("{entry}: expected a table"));
                    layer.reject(&entry, finding.help(format!("[{path}.NAME] begins an entry")));
                }
            }
        }
    }

    /// Masks a secret in what messages show, and takes numbers as they were typed: `0012` stays `0012`.
    fn guard(&mut self, path: &KeyPath, value: &Value) -> Value {
        match value {
            // Names a place, and the place may be shown.
            Value::Table(_) if SecretSource::from_value(value).is_ok() => return value.clone(),
            _ => self.mask(path, value),
        }
        match (value, self.values.get(path).and_then(|range| self.text.get(range.clone()))) {
            (Value::Integer(_) | Value::Float(_) | Value::Datetime(_), Some(typed)) => Value::from(typed),
            _ => value.clone(),
        }
    }

    /// Masks a value that may be a secret under a wrong name.
    fn mask_if_secret(&mut self, path: &KeyPath, value: &Value) {
        let names = path.keys();
        let of_section = |key: &Key| key.path().split('.').next() == names.first().copied();
        let known = keys().any(of_section);
        let sounds_secret =
            ["key", "secret", "pass", "token"].iter().any(|word| path.last_key().contains(word));
        if !known || sounds_secret || keys().any(|key| of_section(key) && key.is_secret()) {
            self.mask(path, value);
        }
    }

    /// Masks every text and number in a value.
    fn mask(&mut self, path: &KeyPath, value: &Value) {
        match value {
            Value::Table(table) => table.iter().for_each(|(name, value)| self.mask(&path.key(name), value)),
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(index, value)| self.mask(&path.item(index), value));
            }
            Value::Boolean(_) => {}
            _ => self.masks.extend(self.values.get(path).cloned()),
        }
    }

    fn syntax_problem(&self, error: &toml::de::Error) -> Problem {
        let place = match error.span() {
            Some(span) => self.place(&span),
            None => Place::File { path: self.path.clone(), line: 0, column: 0, excerpt: None },
        };
        Problem { place: hide_values(place), message: error.message().trim_end().to_owned(), help: None }
    }

    fn place(&self, range: &Range<usize>) -> Place {
        let start = floor_boundary(&self.text, range.start);
        let line_start = self.text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |at| start + at);
        let end = floor_boundary(&self.text, range.end.clamp(start, line_end));
        Place::File {
            path: self.path.clone(),
            line: self.text[..start].matches('\n').count() + 1,
            column: self.text[line_start..start].chars().count() + 1,
            excerpt: Some(self.excerpt(line_start..line_end, start..end)),
        }
    }

    /// The line with `***` in place of every mask, and where `part` stands in it then.
    fn excerpt(&self, line: Range<usize>, part: Range<usize>) -> Excerpt {
        let (mut text, mut start, mut end) = (String::new(), None, None);
        let mut masked = false;
        for (offset, c) in self.text[line.clone()].char_indices() {
            let at = line.start + offset;
            let hidden = self.masks.iter().any(|mask| mask.contains(&at));
            let width = text.chars().count();
            if at >= part.start {
                start.get_or_insert(width);
            }
            if at >= part.end {
                end.get_or_insert(width);
            }
            match c {
                _ if hidden && masked => {}
                _ if hidden => text.push_str("***"),
                '\r' => {}
                '\t' => text.push('\t'),
                c if c.is_control() => text.push('\u{fffd}'),
                c => text.push(c),
            }
            masked = hidden;
        }
        let width = text.chars().count();
        let start = start.unwrap_or(width);
        Excerpt { start, width: end.unwrap_or(width).saturating_sub(start).max(1), text }
    }
}

/// Whether a table may carry this name: 1 to 64 of `A-Z a-z 0-9 . _ -`.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// What is said of a name that is none.
pub(crate) fn bad_name(name: &str) -> String {
    format!("{name:?} is not a name: use 1 to 64 of A-Z a-z 0-9 . _ -")
}

/// In a file that does not parse nobody knows which text is a secret, nor which line belongs to one: shows what stands
/// before the first `=` if it looks like a key, and nothing else.
fn hide_values(place: Place) -> Place {
    let Place::File { path, line, column, excerpt: Some(mut excerpt) } = place else { return place };
    let equals = excerpt.text.find('=').filter(|at| looks_like_key(&excerpt.text[..*at]));
    match equals {
        Some(at) => excerpt.text.replace_range(at + 1.., " ***"),
        None => excerpt.text.replace_range(.., "***"),
    }
    let width = excerpt.text.chars().count();
    excerpt.start = excerpt.start.min(width);
    excerpt.width = excerpt.width.min(width - excerpt.start).max(1);
    Place::File { path, line, column, excerpt: Some(excerpt) }
}

/// Whether this could stand left of `=`: not the inside of a text or a list that began on a line before.
fn looks_like_key(text: &str) -> bool {
    let quotes = text.matches(['"', '\'']).count();
    quotes.is_multiple_of(2) && text.chars().all(|c| c.is_ascii_alphanumeric() || " \t_-.[]\"'".contains(c))
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_does_not_parse_shows_no_value_of_it() {
        for (text, shown) in [
            ("[peers.bob]\nkey = hunter2\n", "key = ***"),
            ("[peers.bob.headers]\nAuthorization = \"Bearer hunter2\n", "Authorization = ***"),
            ("[hooks.a] url = \"https://h/hunter2\n", "[hooks.a] url = ***"),
            ("[keys.bob]\nhunter2\n", "***"),
            ("a = [\n\"hunter2=x\" oops\n]\n", "***"),
            ("a = \"\"\"\nhunter2\n\u{1}\n\"\"\"", "***"),
        ] {
            let problems = ConfigFile::parse(Path::new("peerd.toml"), text.to_owned()).unwrap_err();
            let said: String = problems.iter().map(|problem| format!("{problem}\n{problem:?}")).collect();
            assert!(said.contains(shown) && !said.contains("hunter2"), "{text}: {said}");
        }
    }
}
