//! What is wrong with `[import]` and `[hooks]` as a whole.

use url::Url;

use super::{Verdict, check_absolute, path};
use crate::config::importing::{NO_IMPORTER, pattern};
use crate::config::key_path::KeyPath;
use crate::config::paths::ResolvedPaths;
use crate::config::problem::{Finding, Spot};
use crate::config::{Config, HookConfig, ImportConfig, ImportWhen};

impl Verdict {
    pub(crate) fn hooks(&mut self, config: &Config, _: &ResolvedPaths) {
        for (name, hook) in &config.hooks {
            self.hook(name, hook);
        }
    }

    pub(crate) fn imports(&mut self, config: &Config, _: &ResolvedPaths) {
        for (name, import) in &config.import {
            self.importer(name, import);
        }
        self.overlaps(config);
        let confirms = config.import.values().any(|import| import.confirm);
        if config.downloads.unlink_after_import && !confirms {
            let message = "no importer confirms what it takes, so nothing will ever be removed";
            self.warn(Finding::at(&path("downloads.unlink_after_import"), message));
        }
    }

    fn importer(&mut self, name: &str, import: &ImportConfig) {
        let table = KeyPath::new(["import", name]);
        if name == NO_IMPORTER {
            let message = "[import.none] cannot be: `none` says that no importer takes a file";
            self.error(Finding::new(Spot::Name(table.clone()), message));
        }
        for (key, patterns) in [("peers", &import.when.peers), ("names", &import.when.names)] {
            let list = table.key("when").key(key);
            if patterns.is_empty() {
                self.warn(Finding::at(&list, "without a pattern nothing is imported by itself"));
            }
            for (index, text) in patterns.iter().enumerate() {
                if let Err(error) = pattern(text) {
                    let message = format!("{text:?} is not a pattern: {}", error.kind());
                    self.error(Finding::at(&list.item(index), message));
                }
            }
        }
        for (index, mapping) in import.path_map.iter().enumerate() {
            let rule = table.key("path_map").item(index);
            if let Err(message) = check_absolute(&mapping.from) {
                self.error(Finding::at(&rule.key("from"), message));
            }
            if !is_absolute_somewhere(&mapping.to) {
                let message = format!("{} is not an absolute path", mapping.to);
                self.error(Finding::at(&rule.key("to"), message));
            }
            if import.path_map[..index].iter().any(|other| other.from == mapping.from) {
                let message = format!("{} is mapped twice", mapping.from.display());
                self.error(Finding::at(&rule.key("from"), message));
            }
        }
        if import.url.is_plain_and_public() {
            let message =
                "the key of this importer crosses the internet unencrypted, for anyone on the way to read";
            self.warn(Finding::at(&table.key("url"), message).help("use https"));
        }
    }

    /// Two importers that may both want a file: the first by name gets it, and that should be meant.
    fn overlaps(&mut self, config: &Config) {
        let importers: Vec<_> = config.import.iter().collect();
        for (index, (second, import)) in importers.iter().enumerate() {
            let first = importers[..index].iter().find(|(_, other)| meet(&other.when, &import.when));
            if let Some((first, _)) = first {
                let place = KeyPath::new(["import", second]).key("when");
                let message =
                    format!("what import.{first} wants, too, goes to {first}: it comes first by name");
                let help =
                    "tell them apart with `when`, such as { names = [\"*S[0-9][0-9]E[0-9]*\"] } for episodes";
                self.warn(Finding::at(&place, message).help(help));
            }
        }
    }

    fn hook(&mut self, name: &str, hook: &HookConfig) {
        let table = KeyPath::new(["hooks", name]);
        let (command, url) = (table.key("command"), table.key("url"));
        match (hook.command.first(), &hook.url) {
            (Some(_), Some(_)) => {
                let message = format!("a hook has either a command or a url; {url} is set as well");
                self.error(Finding::between(&command, &url, message));
            }
            (None, None) => {
                let finding = Finding::at(&command, "a hook needs a command or a url");
                self.error(finding.help("write command = [\"/path/to/program\"], or url = \"https://…\""));
            }
            (Some(program), None) if program.is_empty() => {
                self.error(Finding::at(&command, "the name of the program is empty"));
            }
            (Some(_), None) if hook.command.iter().any(|argument| argument.contains('\0')) => {
                self.error(Finding::at(&command, "no argument can hold a NUL"));
            }
            (Some(_), None) => {}
            // Never repeated: what stands in the address of a webhook is often its key.
            (None, Some(address)) => match Url::parse(address.expose()) {
                Ok(address) if matches!(address.scheme(), "http" | "https") => {}
                Ok(_) => self.error(Finding::at(&url, "the URL begins with http:// or https://")),
                Err(error) => self.error(Finding::at(&url, format!("not a URL: {error}"))),
            },
        }
        if hook.secret.is_some() && hook.url.is_none() {
            let message = "only what is sent to a `url` is signed; a command has no use for it";
            self.warn(Finding::at(&table.key("secret"), message));
        }
        if hook.events.is_empty() {
            self.warn(Finding::at(&table.key("events"), "without an event it never runs"));
        }
        if hook.timeout.is_zero() {
            self.error(Finding::at(&table.key("timeout"), "must be longer than zero"));
        }
    }
}

/// Whether some download may match both, as far as patterns tell.
fn meet(a: &ImportWhen, b: &ImportWhen) -> bool {
    let meet = |a: &[String], b: &[String]| a.iter().any(|a| b.iter().any(|b| patterns_meet(a, b)));
    meet(&a.peers, &b.peers) && meet(&a.names, &b.names)
}

/// Whether one pattern covers the other, taken as text. Two that merely cross are not found.
fn patterns_meet(a: &str, b: &str) -> bool {
    let covers = |a: &str, b: &str| pattern(a).is_ok_and(|a| a.is_match(b));
    a == b || covers(a, b) || covers(b, a)
}

/// Whether a path is absolute on the importer's side, whatever runs there.
fn is_absolute_somewhere(path: &str) -> bool {
    let drive = |path: &str| {
        let mut chars = path.chars();
        chars.next().is_some_and(|letter| letter.is_ascii_alphabetic())
            && chars.next() == Some(':')
            && matches!(chars.next(), Some('\\' | '/'))
    };
    path.starts_with('/') || path.starts_with("\\\\") || drive(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absolute_path_is_one_of_some_system() {
        for (path, absolute) in [
            ("/mnt", true),
            ("C:\\films", true),
            ("d:/films", true),
            ("\\\\nas\\films", true),
            ("films", false),
            ("C:films", false),
            ("", false),
        ] {
            assert_eq!(is_absolute_somewhere(path), absolute, "{path}");
        }
    }

    #[test]
    fn two_importers_meet_where_one_pattern_covers_the_other() {
        let when = |names: &[&str]| ImportWhen {
            names: names.iter().map(ToString::to_string).collect(),
            ..ImportWhen::default()
        };
        assert!(meet(&ImportWhen::default(), &ImportWhen::default()));
        assert!(meet(&when(&["**"]), &when(&["*.mkv"])));
        assert!(!meet(&when(&["*S[0-9]*"]), &when(&["*.2024.*"])));
        let bob = ImportWhen { peers: vec!["bob".to_owned()], ..ImportWhen::default() };
        let alice = ImportWhen { peers: vec!["alice".to_owned()], ..ImportWhen::default() };
        assert!(!meet(&bob, &alice));
    }
}
