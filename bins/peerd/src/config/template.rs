//! The file `peerd config init` writes: every key with what it is for and its default, commented out.

use std::fmt::Write;

use super::keys::{Key, NAME, SECTIONS};
use super::section::Section;

/// A configuration file that sets nothing and names everything. Made of the table of keys, so it cannot drift from it.
///
/// Prose begins with `# `, what could be set with `#` alone: taking that away sets it.
pub fn template() -> String {
    let mut text = PREFACE.to_owned();
    for section in SECTIONS {
        write_section(&mut text, section);
    }
    text
}

fn write_section(text: &mut String, section: &Section) {
    let header = match section.entry_name() {
        // One of these is there only if somebody wants it.
        Some(entry) => format!("#[{}.{entry}]", section.name()),
        None => format!("[{}]", section.name()),
    };
    let _ = write!(text, "\n\n# {}\n{header}\n", upper_first(section.about()));
    for key in section.keys() {
        write_key(text, key, section.entry_name());
    }
}

fn write_key(text: &mut String, key: &Key, entry: Option<&str>) {
    let name = key.path().rsplit('.').next().unwrap_or_default();
    let value = match (key.default(), key.example_text()) {
        (Some(default), _) => default,
        (None, Some(example)) => example.to_owned(),
        (None, None) => String::new(),
    };
    let needed = if key.is_required() { " Required." } else { "" };
    let restart = if key.is_live() { "" } else { " A change waits for the next start." };
    text.push('\n');
    for prose in
        [format!("{}.", upper_first(key.about())), format!("{}.{needed}{restart}", upper_first(key.takes()))]
    {
        let prose = entry.map_or_else(|| prose.clone(), |entry| prose.replace(NAME, entry));
        for line in wrapped(&prose) {
            let _ = writeln!(text, "# {line}");
        }
    }
    let _ = writeln!(text, "#{name} = {value}");
}

/// Lines of at most [`WIDTH`] characters, broken between words.
fn wrapped(prose: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in prose.split(' ') {
        let line = lines.last_mut().map_or(0, |line| line.chars().count());
        if line > 0 && line + 1 + word.chars().count() > WIDTH {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

fn upper_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

const WIDTH: usize = 96;
const PREFACE: &str = "\
# The configuration of peerd: every key there is, with its default. Nothing here is set: take the #
# away from a line that begins with # and no space to set it. `peerd check-config` tells what is
# wrong, `peerd config show` what holds, and SIGHUP makes the daemon read this file again.
#
# Sizes are binary (\"64MiB\"; 0 is no limit), durations carry a unit (\"30s\"), paths are absolute.
# A secret is a text, { env = \"NAME\" }, { file = \"/path\" } or { credential = \"name\" }.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        let template = template();
        let widest = template.lines().max_by_key(|line| line.chars().count()).unwrap();
        assert!(widest.chars().count() <= 100, "{widest}");
    }
}
