//! `docs/configuration.md` lists every key there is, with its default.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use peerd::config::{ByteSize, Config, KEYS, OnConflict, Place, format_duration, parse_duration};
use toml::{Table, Value};

use super::Bench;

/// One row of the tables in the document.
struct Row {
    key: String,
    default: String,
    variable: String,
}

fn documented() -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let text = fs::read_to_string(path).expect("the document is part of the source tree");
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let plain = |cell: &str| cell.trim().trim_matches('`').to_owned();
    let rows = rows.filter_map(|line| {
        let cells = line.trim_matches('|').split('|').collect::<Vec<_>>();
        let &[key, _, default, _, variable] = cells.as_slice() else { return None };
        Some(Row { key: plain(key), default: plain(default), variable: plain(variable) })
    });
    rows.collect()
}

#[test]
fn the_document_lists_every_key_with_its_variable_and_no_other() {
    let rows = documented();
    let in_document =
        rows.iter().map(|row| (row.key.as_str(), row.variable.clone())).collect::<BTreeSet<_>>();
    let in_code = KEYS.iter().map(|key| (key.path(), key.variable())).collect::<BTreeSet<_>>();
    assert_eq!(in_document, in_code);
    assert_eq!(rows.len(), KEYS.len(), "no key is documented twice");
}

#[test]
fn every_default_is_the_documented_one() {
    let bench = Bench::new("");
    let share = bench.folder("share");
    let text = format!(
        "[keys.NAME]\nsecret = \"x\"\n[shares.NAME]\npath = {share:?}\n[peers.NAME]\nurl = \"http://b/\"\n"
    );
    fs::write(bench.path("peerd.toml"), text).unwrap();
    let settings = bench.load().unwrap().settings();
    for row in documented() {
        let setting = settings.iter().find(|setting| setting.path == row.key);
        match (row.default.as_str(), setting) {
            ("required", Some(setting)) => {
                assert!(matches!(setting.origin, Place::File { .. }), "{}", row.key);
            }
            ("none", setting) => assert!(setting.is_none(), "{}", row.key),
            (default, Some(setting)) => {
                let documented: Table = format!("value = {default}").parse().unwrap();
                assert_eq!(canonical(&documented["value"]), canonical(&setting.value), "{}", row.key);
                assert_eq!(setting.origin, Place::Default, "{}", row.key);
            }
            (_, None) => panic!("{} has no value", row.key),
        }
    }
}

/// `60s` and `1m` are the same duration, `0` and `"0"` the same size.
fn canonical(value: &Value) -> String {
    match value.as_str() {
        Some(text) => match (parse_duration(text), text.parse::<ByteSize>()) {
            (Ok(duration), _) => format_duration(duration),
            (_, Ok(size)) => size.to_string(),
            _ => text.to_owned(),
        },
        None => value.to_string(),
    }
}

#[test]
fn the_defaults_are_those_promised() {
    let config = Config::default();
    let seconds = Duration::from_secs;
    assert_eq!(config.server.listen, ["127.0.0.1:5280".parse().unwrap()]);
    assert_eq!(config.server.max_connections, 512);
    assert_eq!((config.server.header_timeout, config.server.shutdown_grace), (seconds(10), seconds(20)));
    assert_eq!(config.admin.listen, ["127.0.0.1:5281".parse().unwrap()]);
    assert_eq!((config.server.max_connections_per_key, config.server.write_stall_timeout), (16, seconds(60)));
    assert!(config.server.trusted_proxies.is_empty());
    assert_eq!(config.auth.failed_limit.to_string(), "20/min");
    assert!(config.admin.require_key && config.admin.metrics_key && config.auth.require_key);
    assert!(config.admin.allowed_hosts.is_empty());
    assert!(config.keys.is_empty() && config.shares.is_empty() && config.peers.is_empty());
    let downloads = config.downloads;
    assert!(downloads.enabled);
    assert_eq!((downloads.dir, downloads.incomplete_dir), (PathBuf::new(), PathBuf::new()));
    assert_eq!(downloads.on_conflict, OnConflict::Fail);
    assert_eq!((downloads.max_concurrent, downloads.connections, downloads.max_attempts), (3, 4, 5));
    assert_eq!(downloads.attempts_reset_bytes, ByteSize::mib(1));
    assert_eq!((downloads.retry_base, downloads.retry_max), (seconds(1), seconds(60)));
    assert_eq!((downloads.max_retry_after, downloads.retry_failed_every), (seconds(300), seconds(1800)));
    assert_eq!(downloads.give_up_after, seconds(7 * 86_400));
    assert_eq!(
        (downloads.connect_timeout, downloads.response_timeout, downloads.idle_timeout),
        (seconds(10), seconds(30), seconds(60))
    );
    assert_eq!(
        (downloads.low_speed, downloads.max_size, downloads.min_free),
        (ByteSize::kib(1), ByteSize::gib(100), ByteSize::gib(1))
    );
    assert_eq!((downloads.checkpoint_bytes, downloads.checkpoint_interval), (ByteSize::mib(16), seconds(2)));
    assert_eq!(downloads.keep_history, seconds(90 * 86_400));
    assert_eq!((config.limits.down, config.limits.up), (ByteSize(0), ByteSize(0)));
    assert_eq!(config.registry.path, PathBuf::new());
    assert_eq!(toml::to_string(&config.log).unwrap(), "level = \"info\"\nformat = \"auto\"\n");
}

#[test]
fn the_example_of_the_document_is_a_configuration() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let document = fs::read_to_string(path).unwrap();
    let example = document.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let bench = Bench::new("").env("BOB_KEY", "k");
    let (share, key) = (bench.folder("movies"), bench.path("alice"));
    fs::write(&key, "a").unwrap();
    let example = example
        .replace("/data/media/movies", share.to_str().unwrap())
        .replace("/run/secrets/alice", key.to_str().unwrap());
    fs::write(bench.path("peerd.toml"), example).unwrap();
    assert_eq!(bench.config().downloads.max_concurrent, 2);
}
