//! Alerts and dashboard ask for metrics and labels the program has. `docs/metrics.md` has them all: another test sees to
//! that.

use std::collections::{BTreeMap, BTreeSet};

use download_registry::DownloadState;
use serde_json::Value;

use crate::pages::read;

#[test]
fn every_metric_and_label_of_the_alerts_and_the_dashboard_exists() {
    let known = metrics();
    for (file, text) in [
        ("alerts.yaml", read("docs/monitoring/alerts.yaml")),
        ("alerts-test.yaml", read("docs/monitoring/alerts-test.yaml")),
        ("dashboard.json", dashboard_text()),
    ] {
        let mut asked = 0;
        for (name, rest) in names(&text) {
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let labels = known.get(name).or_else(|| known.get(family.unwrap_or_default()));
            let labels = labels.unwrap_or_else(|| panic!("{file}: there is no metric {name}"));
            for label in matchers(rest) {
                assert!(
                    labels.contains(label) || AROUND.contains(&label),
                    "{file}: {name} has no label {label}; it has {labels:?}"
                );
            }
            asked += 1;
        }
        assert!(asked > 0, "{file} asks for nothing");
        let all: BTreeSet<_> = known.values().flatten().map(String::as_str).chain(AROUND).collect();
        for label in grouped_by(&text) {
            assert!(all.contains(label), "{file}: nothing has a label {label}");
        }
        for state in states(&text) {
            let there = DownloadState::ALL.iter().any(|known| known.as_str() == state);
            assert!(there, "{file}: there is no state {state}");
        }
    }
}

#[test]
fn the_dashboard_shows_something_in_every_panel_and_names_what_it_draws() {
    let dashboard: Value = serde_json::from_str(&read("docs/monitoring/dashboard.json")).unwrap();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64()), "two panels of one id: {}", panel["title"]);
        if panel["type"] == "row" {
            continue;
        }
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{}", panel["title"]);
        for target in targets {
            assert!(!target["expr"].as_str().unwrap().is_empty(), "{}", panel["title"]);
            assert!(!target["legendFormat"].as_str().unwrap().is_empty(), "{}", panel["title"]);
        }
    }
}

#[test]
fn every_alert_is_explained_and_proven_and_no_other() {
    let alerts = read("docs/monitoring/alerts.yaml");
    let told: BTreeSet<_> = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let guide = read("docs/guides/monitoring.md");
    let rows = guide.lines().filter_map(|line| line.strip_prefix("| `Peerd")?.split(" |").next());
    let explained: Vec<String> =
        rows.flat_map(|cell| cell.split("`, `")).map(|name| name.trim_matches('`').to_owned()).collect();
    let explained: BTreeSet<_> = explained
        .iter()
        .map(|name| if name.starts_with("Peerd") { name.clone() } else { format!("Peerd{name}") })
        .collect();
    assert_eq!(told.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>(), explained);
    let tests = read("docs/monitoring/alerts-test.yaml");
    for alert in told {
        assert!(tests.contains(&format!("alertname=\"{alert}\"")), "{alert} is not proven to come");
    }
}

/// Every metric with its labels, from its page.
fn metrics() -> BTreeMap<String, BTreeSet<String>> {
    let page = read("docs/metrics.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next().map(str::to_owned));
    rows.map(|row| match row.split_once('{') {
        Some((name, labels)) => {
            (name.to_owned(), labels.trim_end_matches('}').split(',').map(str::to_owned).collect())
        }
        None => (row, BTreeSet::new()),
    })
    .collect()
}

/// The queries of the dashboard, legends and variables included, without the escapes of JSON.
fn dashboard_text() -> String {
    let dashboard: Value = serde_json::from_str(&read("docs/monitoring/dashboard.json")).unwrap();
    let mut text = String::new();
    collect(&dashboard, &mut text);
    text
}

fn collect(value: &Value, into: &mut String) {
    match value {
        Value::String(line) => into.extend([line, "\n"]),
        Value::Array(values) => values.iter().for_each(|value| collect(value, into)),
        Value::Object(members) => members.values().for_each(|value| collect(value, into)),
        _ => {}
    }
}

/// Each name of a metric, and what follows it.
fn names(text: &str) -> Vec<(&str, &str)> {
    let is_of_a_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for prefix in ["peerd_", "process_"] {
        for (at, _) in text.match_indices(prefix) {
            if text[..at].ends_with(is_of_a_name) {
                continue;
            }
            let length = text[at..].find(|c| !is_of_a_name(c)).unwrap_or(text.len() - at);
            found.push((&text[at..at + length], &text[at + length..]));
        }
    }
    found
}

/// The labels of `{label="value",…}` right behind a name.
fn matchers(rest: &str) -> Vec<&str> {
    let Some((inside, _)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) else {
        return Vec::new();
    };
    let pairs = inside.split(',').filter_map(|pair| pair.split_once(['=', '!']));
    pairs.map(|(label, _)| label.trim()).collect()
}

/// The labels of `by (…)`, of `{{label}}` in a legend, and of `$labels.label`.
fn grouped_by(text: &str) -> Vec<&str> {
    let by = text
        .split("by (")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .flat_map(|(list, _)| list.split(','));
    let legend = text.split("{{").skip(1).filter_map(|rest| rest.split_once("}}")).map(|(label, _)| label);
    let shown = text.split("$labels.").skip(1).filter_map(|rest| rest.split([' ', '}']).next());
    by.chain(legend.filter(|label| !label.contains('$'))).chain(shown).map(str::trim).collect()
}

/// The values of `state="…"` and `state=~"…|…"`.
fn states(text: &str) -> Vec<&str> {
    let values = ["{state=\"", "{state=~\"", ",state=\"", ",state=~\""]
        .into_iter()
        .flat_map(|start| text.split(start).skip(1))
        .filter_map(|rest| rest.split('"').next());
    values.flat_map(|value| value.split('|')).collect()
}

/// Labels Prometheus adds, and those of every histogram.
const AROUND: [&str; 4] = ["job", "instance", "le", "alertname"];
