//! Commands and settings a page speaks of are those the program has; files that stand in a guide are the files.

use std::collections::BTreeSet;

use crate::pages::{all, code, prose, quoted, read};

#[test]
fn every_command_a_page_names_exists() {
    let reference = read("docs/command-line.md");
    let known: BTreeSet<&str> =
        reference.lines().filter_map(|line| line.strip_prefix("### `peerd ")?.strip_suffix('`')).collect();
    let mut unknown = Vec::new();
    for page in all() {
        let text = std::fs::read_to_string(&page).unwrap();
        let prose = prose(&text);
        let typed =
            code(&text, &["sh"]).into_iter().map(|line| line.split_once("$ ").map_or(line, |(_, line)| line));
        for command in quoted(&prose).chain(typed).filter_map(|line| line.trim().strip_prefix("peerd ")) {
            let words: Vec<_> = command
                .split_whitespace()
                .skip_while(|word| word.starts_with('-'))
                .take_while(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
                .filter(|word| !word.starts_with('-'))
                .collect();
            let Some(first) = words.first() else { continue };
            let longer = words.get(1).map(|second| format!("{first} {second}"));
            let group = known.iter().any(|name| name.starts_with(&format!("{first} ")));
            let ok = known.contains(first)
                && (!group || longer.is_none_or(|name| known.contains(name.as_str()) || *first == "limits"));
            if !ok {
                unknown.push(format!("{}: peerd {command}", page.display()));
            }
        }
    }
    assert!(unknown.is_empty(), "nobody knows these commands:\n{}", unknown.join("\n"));
}

#[test]
fn every_setting_a_page_names_exists() {
    let reference = read("docs/configuration.md");
    let known: BTreeSet<&str> =
        reference.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let sections: BTreeSet<&str> = known.iter().filter_map(|key| key.split('.').next()).collect();
    let events: BTreeSet<_> = peerd::events::NAMES.iter().copied().collect();
    let mut unknown = Vec::new();
    // The pages of a crate speak of its own names.
    for page in all().into_iter().filter(|page| !page.components().any(|part| part.as_os_str() == "crates")) {
        let text = std::fs::read_to_string(&page).unwrap();
        for word in quoted(&prose(&text)) {
            let key = word.split(" =").next().unwrap_or_default();
            let is_key = key.contains('.') && key.chars().all(|c| c.is_ascii_lowercase() || "._".contains(c));
            let section = key.split('.').next().unwrap_or_default();
            let is_file = ["md", "rs", "db", "toml", "json", "conf", "key", "yaml"]
                .iter()
                .any(|end| key.ends_with(&format!(".{end}")));
            if is_key
                && sections.contains(section)
                && !is_file
                && key != MEMBER
                && !events.contains(key)
                && !known.contains(key)
            {
                unknown.push(format!("{}: {word}", page.display()));
            }
        }
    }
    assert!(unknown.is_empty(), "there are no such settings:\n{}", unknown.join("\n"));
}

/// What a download object has, and no setting.
const MEMBER: &str = "import.state";

#[test]
fn what_a_guide_says_to_put_into_a_file_is_the_file() {
    let guide = read("docs/guides/reverse-proxy.md");
    for (language, file) in [("nginx", "nginx.conf"), ("text", "Caddyfile")] {
        let text = read(&format!("docs/guides/proxies/{file}"));
        assert!(
            guide.contains(&format!("```{language}\n{text}```\n")),
            "docs/guides/proxies/{file} does not stand in the guide word by word"
        );
    }
}
