//! Which importer takes a download.

use std::collections::BTreeMap;

use globset::GlobMatcher;

use crate::config::{ImportWhen, NO_IMPORTER, pattern};

/// When an importer takes what names no importer itself.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    peers: Vec<GlobMatcher>,
    names: Vec<GlobMatcher>,
}

/// Who takes a download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route<'r> {
    /// This importer. Others would have taken it, too.
    To { target: &'r str, also: Vec<&'r str> },
    /// Nobody.
    Nobody,
    /// Somebody the configuration does not know.
    Unknown(&'r str),
}

impl Rule {
    pub(super) fn new(when: &ImportWhen) -> Result<Self, globset::Error> {
        let compile = |texts: &[String]| texts.iter().map(|text| pattern(text)).collect::<Result<_, _>>();
        Ok(Self { peers: compile(&when.peers)?, names: compile(&when.names)? })
    }

    fn takes(&self, peer: &str, name: &str) -> bool {
        let any =
            |patterns: &[GlobMatcher], text: &str| patterns.iter().any(|pattern| pattern.is_match(text));
        any(&self.peers, peer) && any(&self.names, name)
    }
}

/// Decides who takes a download: whom it names itself, else the first by name whose rule matches.
///
/// A download by URL comes from no peer, which only a pattern for anything matches.
pub(super) fn route<'r>(
    asked: Option<&'r str>,
    peer: Option<&str>,
    name: &str,
    rules: impl IntoIterator<Item = (&'r str, &'r Rule)>,
) -> Route<'r> {
    let mut rules = rules.into_iter();
    match asked {
        Some(NO_IMPORTER) => Route::Nobody,
        Some(asked) if rules.any(|(known, _)| known == asked) => {
            Route::To { target: asked, also: Vec::new() }
        }
        Some(asked) => Route::Unknown(asked),
        None => {
            let peer = peer.unwrap_or_default();
            let mut takers = rules.filter(|(_, rule)| rule.takes(peer, name)).map(|(target, _)| target);
            match takers.next() {
                Some(target) => Route::To { target, also: takers.collect() },
                None => Route::Nobody,
            }
        }
    }
}

/// The rules by the name of their importer.
pub(super) type Rules = BTreeMap<String, Rule>;

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(rules: &[(&str, &[&str], &[&str])]) -> Rules {
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        let rule =
            |peers, names| Rule::new(&ImportWhen { peers: texts(peers), names: texts(names) }).unwrap();
        rules.iter().map(|(name, peers, names)| ((*name).to_owned(), rule(peers, names))).collect()
    }

    #[test]
    fn a_download_goes_to_whom_it_names_or_to_the_first_whose_rule_matches() {
        let rules = rules(&[("radarr", &["*"], &["**"]), ("sonarr", &["bob"], &["*S[0-9][0-9]E[0-9]*"])]);
        let episodes = self::rules(&[("sonarr", &["*"], &["*S[0-9][0-9]E[0-9]*"])]);
        let to = |target, also: &[&'static str]| Route::To { target, also: also.to_vec() };
        for (asked, peer, name, rules, expected, because) in [
            (None, Some("bob"), "film.mkv", &rules, to("radarr", &[]), "only one matches"),
            (
                None,
                Some("bob"),
                "show.s01e02.mkv",
                &rules,
                to("radarr", &["sonarr"]),
                "two match: the first by name",
            ),
            (
                Some("sonarr"),
                Some("alice"),
                "film.mkv",
                &rules,
                to("sonarr", &[]),
                "a name wins over every rule",
            ),
            (Some("none"), Some("bob"), "film.mkv", &rules, Route::Nobody, "nobody was asked for"),
            (Some("lidarr"), Some("bob"), "film.mkv", &rules, Route::Unknown("lidarr"), "not configured"),
            (None, None, "film.mkv", &rules, to("radarr", &[]), "any peer is no peer as well"),
            (None, Some("bob"), "film.mkv", &episodes, Route::Nobody, "no rule matches"),
        ] {
            let rules = rules.iter().map(|(name, rule)| (name.as_str(), rule));
            assert_eq!(route(asked, peer, name, rules), expected, "{because}");
        }
    }
}
