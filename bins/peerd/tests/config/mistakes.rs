//! Every mistake is reported, with its place and what was probably meant.

use std::fs;

use peerd::config::Config;

use super::{Bench, report};

#[test]
fn an_unknown_key_names_line_column_and_the_nearest_key() {
    let report = report("[server]\nlisten = [\"127.0.0.1:0\"]\n\n[downloads]\nmax_conccurrent = 3\n");
    let expected = "\
peerd.toml:5:1: unknown key `max_conccurrent` in [downloads]
   |
 5 | max_conccurrent = 3
   | ^^^^^^^^^^^^^^^
   = help: did you mean `max_concurrent`?";
    assert_eq!(report, expected);
}

#[test]
fn every_mistake_of_a_file_is_reported_from_top_to_bottom() {
    let text = "[downlods]\nmax_concurrent = 3\n[limits]\ndown = \"12 parsecs\"\n[downloads]\nidle_timeout = \"60\"\n\
                max_concurrent = -1\nconnections = 17\n[server]\nlisten = [\"127.0.0.1:1\", \":80\"]\n";
    let report = report(text);
    let places = report.lines().filter(|line| line.starts_with("peerd.toml:")).collect::<Vec<_>>();
    assert_eq!(
        places,
        [
            "peerd.toml:1:2: unknown section `downlods`",
            "peerd.toml:4:8: limits.down: \"12 parsecs\" is not a size: unknown unit `parsecs`; sizes are binary: \
             B, KiB, MiB, GiB, TiB or PiB",
            "peerd.toml:6:16: downloads.idle_timeout: \"60\" is not a duration: a duration needs a unit: \
             write 60s, 60m or 60ms",
            "peerd.toml:7:18: downloads.max_concurrent: expected a number from 0 to 4294967295, not -1",
            "peerd.toml:10:26: server.listen[1]: \":80\" is not an address to listen on: \
             write 0.0.0.0:80, [::]:80 or 127.0.0.1:80",
        ],
    );
}

#[test]
fn a_mistake_in_one_value_does_not_hide_a_contradiction_between_others() {
    let text = "[limits]\ndown = \"fast\"\n[downloads]\nretry_base = \"2m\"\n";
    let report = report(text);
    assert!(report.contains("peerd.toml:2:8: limits.down"), "{report}");
    assert!(report.contains("peerd.toml:4:14: downloads.retry_base: must not be longer"), "{report}");
}

#[test]
fn text_that_is_not_toml_is_reported_with_its_place_and_alone() {
    let report = report("[limits]\ndowm = 1\n[server\nlisten = 1\n");
    assert!(report.starts_with("peerd.toml:3:"), "{report}");
    assert!(!report.contains("dowm`"), "{report}");
}

#[test]
fn a_key_that_belongs_to_another_section_is_sent_there() {
    let report = report("[server]\nretry_base = \"1s\"\n");
    assert!(report.contains("help: `retry_base` belongs in [downloads]"), "{report}");
}

#[test]
fn a_section_that_is_not_a_table_is_refused() {
    let report = report("server = 1\n[peers]\nbob = \"http://bob/\"\n[[shares]]\npath = \"/\"\n");
    for place in ["peerd.toml:1:10: server: expected a table", "peerd.toml:3:1: peers.bob", "peerd.toml:4:"] {
        assert!(report.contains(place), "{place} in {report}");
    }
}

#[test]
fn a_wrong_variable_is_named_with_the_nearest_key_and_other_names_are_ignored() {
    let bench = Bench::new("").env("PEERD_DOWNLOADS__MAX_CONCURENT", "9").env("PEERD_LIMITS__UP", "much");
    let report = bench.report();
    assert!(
        report.contains("environment variable PEERD_DOWNLOADS__MAX_CONCURENT: no setting has this name"),
        "{report}"
    );
    assert!(
        report.contains("did you mean PEERD_DOWNLOADS__MAX_CONCURRENT (downloads.max_concurrent)?"),
        "{report}"
    );
    assert!(
        report.contains("environment variable PEERD_LIMITS__UP: limits.up: \"much\" is not a size"),
        "{report}"
    );
    let bench =
        Bench::new("").env("PEERD_SOMETHING", "9").env("PEERD_LOG_FOO", "x").env("OTHER__LOG__LEVEL", "x");
    assert_eq!(bench.config(), Config::default());
}

#[test]
fn a_name_is_made_of_few_characters() {
    let report = report("[peers.\"bob smith\"]\nurl = \"http://b/\"\n[keys.\"\"]\nsecret = \"x\"\n");
    assert!(report.contains("peerd.toml:1:8: \"bob smith\" is not a name"), "{report}");
    assert!(report.contains("peerd.toml:3:7: \"\" is not a name"), "{report}");
    Bench::new("[peers.\"bob.example\"]\nurl = \"http://b/\"\n").config();
}

#[test]
fn an_entry_without_a_required_key_is_refused_where_it_begins() {
    let report = report("[peers.bob]\nkey = \"x\"\n[shares.movies]\n");
    assert!(report.contains("peerd.toml:1:8: [peers.bob] needs `url`"), "{report}");
    assert!(report.contains("peerd.toml:3:9: [shares.movies] needs `path`"), "{report}");
    let report = Bench::new("").env("PEERD_PEERS__BOB__KEY", "x").report();
    assert!(
        report.starts_with("environment variable PEERD_PEERS__BOB__KEY: [peers.bob] needs `url`"),
        "{report}"
    );
}

#[test]
fn a_certificate_and_its_key_go_together() {
    for (text, expected) in [
        ("[server]\ntls_cert = \"/c\"\n", "peerd.toml:2:12: server.tls_cert: needs server.tls_key"),
        ("[server]\ntls_key = \"/k\"\n", "peerd.toml:2:11: server.tls_key: needs server.tls_cert"),
        (
            "[server]\ntls_cert = \"c\"\ntls_key = \"/k\"\n",
            "peerd.toml:2:12: server.tls_cert: c is not an absolute path",
        ),
    ] {
        let report = report(text);
        assert!(report.contains(expected), "{report}");
    }
}

#[test]
fn every_wrong_item_of_a_list_is_reported() {
    let report = report("[server]\nlisten = [\"one\", \"127.0.0.1:1\", \"two\"]\n");
    assert!(report.contains("peerd.toml:2:11: server.listen[0]: \"one\""), "{report}");
    assert!(report.contains("peerd.toml:2:33: server.listen[2]: \"two\""), "{report}");
}

#[test]
fn a_column_counts_characters_and_the_caret_stands_below_the_value() {
    let report = report("[log]\r\n\tlevel = 'lärm' # größer\r\n");
    let expected = "\
peerd.toml:2:10: log.level: expected one of error, warn, info, debug, trace, not \"lärm\"
   |
 2 | \tlevel = 'lärm' # größer
   | \t        ^^^^^^";
    assert_eq!(report, expected);
}

#[test]
fn a_mistake_is_reported_where_it_stands_even_when_a_higher_layer_sets_the_key() {
    let report = Bench::new("[limits]\ndown = \"fast\"\n").env("PEERD_LIMITS__DOWN", "1MiB").report();
    assert!(report.starts_with("peerd.toml:2:8: limits.down: \"fast\" is not a size"), "{report}");
    let report = Bench::new("[limits]\ndown = \"1MiB\"\n").env("PEERD_LIMITS__DOWN", "fast").report();
    assert!(report.starts_with("environment variable PEERD_LIMITS__DOWN: limits.down: \"fast\""), "{report}");
}

#[test]
fn a_dozen_mistakes_of_different_kinds_are_all_named_with_their_line_and_what_to_do() {
    let bench = Bench::new("");
    let root = bench.path("").display().to_string();
    let secret = bench.path("no-such-secret").display().to_string();
    let lines = [
        ("[server]", None),
        ("listen = [\":80\"]", Some(("is not an address to listen on", "write 0.0.0.0:80"))),
        ("max_conections = 3", Some(("unknown key `max_conections`", "did you mean `max_connections`?"))),
        ("[auth]", None),
        ("require_key = \"no\"", Some(("auth.require_key: expected true or false", "true or false"))),
        ("failed_limit = \"20\"", Some(("auth.failed_limit: \"20\"", "such as 20/min"))),
        ("[downloads]", None),
        ("max_size = \"12 parsecs\"", Some(("unknown unit `parsecs`", "KiB, MiB, GiB"))),
        ("idle_timeout = \"60\"", Some(("is not a duration", "write 60s, 60m or 60ms"))),
        ("connections = 17", Some(("downloads.connections", "must be from 1 to 16"))),
        (
            "on_conflict = \"replce\"",
            Some(("expected one of fail, rename, replace", "did you mean \"replace\"?")),
        ),
        ("[peers.bob]", None),
        ("url = \"bob.example\"", Some(("peers.bob.url: not a URL", "write http://HOST:PORT/"))),
        (
            &format!("key = {{ file = {secret:?} }}"),
            Some(("peers.bob.key: cannot read", "put the secret into")),
        ),
        ("[shares.all]", None),
        (&format!("path = {root:?}"), Some(("contains the state directory", "share a directory beside it"))),
        ("[keys.alice]", Some(("[keys.alice] needs `secret`", "PEERD_KEYS__ALICE__SECRET"))),
    ];
    let text = lines.map(|(line, _)| line).join("\n");
    fs::write(bench.path("peerd.toml"), text).unwrap();
    let report = bench.report();
    let problems = report.split("\n\n").collect::<Vec<_>>();
    let expected = lines.iter().enumerate().filter_map(|(at, (_, told))| Some((at + 1, (*told)?)));
    for (line, (what, remedy)) in expected.clone() {
        let place = format!("peerd.toml:{line}:");
        let problem = problems.iter().find(|problem| problem.starts_with(&place));
        let problem = problem.unwrap_or_else(|| panic!("line {line} is not in {report}"));
        assert!(problem.contains(what) && problem.contains(remedy), "{problem}");
    }
    assert_eq!(problems.len(), expected.count(), "{report}");
}
