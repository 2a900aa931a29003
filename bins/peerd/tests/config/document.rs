//! `docs/configuration.md` and the file of `peerd config init` list every key there is, with its default.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use peerd::config::{ByteSize, Config, Key, OnConflict, OnDone, Place, SECTIONS, Section, keys, template};

use super::Bench;

fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md")
}

/// The tables of the document as the program knows them.
fn tables() -> String {
    let mut text = String::new();
    for section in SECTIONS {
        let name = match section.entry_name() {
            Some(_) => format!("{}.NAME", section.name()),
            None => section.name().to_owned(),
        };
        text.push_str(&format!("### `[{name}]`: {}\n\n", section.about()));
        text.push_str(
            "| key | takes | default | meaning | on reload | environment |\n|---|---|---|---|---|---|\n",
        );
        for key in section.keys() {
            let default = match key.default() {
                Some(default) => format!("`{default}`"),
                None => if key.is_required() { "required" } else { "none" }.to_owned(),
            };
            let reload = if key.is_live() { "applied" } else { "next start" };
            let (path, takes, about, variable) = (key.path(), key.takes(), key.about(), key.variable());
            text.push_str(&format!(
                "| `{path}` | {takes} | {default} | {about} | {reload} | `{variable}` |\n"
            ));
        }
        text.push('\n');
    }
    text
}

#[test]
fn the_document_has_the_tables_of_the_program_word_for_word() {
    let text = fs::read_to_string(document()).expect("the document is part of the source tree");
    let (before, rest) = text.split_once(BEGIN).expect("where the tables begin");
    let (documented, after) = rest.split_once(END).expect("where the tables end");
    let expected = format!("\n\n{}", tables());
    if std::env::var_os("PEERD_WRITE_DOCS").is_some() {
        fs::write(document(), format!("{before}{BEGIN}{expected}{END}{after}")).expect("a writable document");
        return;
    }
    for (documented, expected) in documented.lines().zip(expected.lines()) {
        assert_eq!(documented, expected, "{HOW}");
    }
    assert_eq!(documented, expected, "{HOW}");
}

const BEGIN: &str = "<!-- keys: begin -->";
const END: &str = "<!-- keys: end -->";
const HOW: &str = "write it anew with PEERD_WRITE_DOCS=1 cargo test -p peerd --test config";

#[test]
fn the_file_that_config_init_writes_sets_nothing_and_names_every_key_with_its_default() {
    let bench = Bench::new("");
    fs::write(bench.path("peerd.toml"), template()).unwrap();
    let untouched = bench.load().unwrap();
    assert_eq!(untouched.config, Config::default());
    assert!(untouched.settings().iter().all(|setting| setting.origin == Place::Default));

    let (movies, alice) = (bench.folder("movies"), bench.path("alice"));
    fs::write(&alice, "a").unwrap();
    let set = template()
        .lines()
        .map(|line| {
            line.strip_prefix('#')
                .filter(|rest| !rest.starts_with([' ', '#']) && !rest.is_empty())
                .unwrap_or(line)
        })
        .collect::<Vec<_>>()
        .join("\n")
        .replace("/data/media/movies", movies.to_str().unwrap())
        .replace("/run/secrets/alice", alice.to_str().unwrap());
    fs::write(bench.path("peerd.toml"), set).unwrap();
    let bench = bench.env("BOB_KEY", "k").env("RADARR_KEY", "k");
    let settings = bench.load().unwrap_or_else(|errors| panic!("{errors}")).settings();
    // Empty text where a secret may be missing says that there is none.
    let none = |key: &&Key| key.is_secret() && key.example_text() == Some(r#""""#);
    for key in keys().filter(|key| !none(key)) {
        let section = SECTIONS.iter().find(|section| key.path().starts_with(&format!("{}.", section.name())));
        let path = key.path().replace("NAME", section.and_then(Section::entry_name).unwrap_or_default());
        let setting = settings.iter().find(|setting| setting.path == path);
        let setting = setting.unwrap_or_else(|| panic!("{path} is not in the file"));
        assert!(matches!(setting.origin, Place::File { .. }), "{path}: {:?}", setting.origin);
        if let Some(default) = key.default() {
            assert_eq!(setting.value.to_string(), default, "{path}");
        }
    }
    assert_eq!(settings.len(), keys().filter(|key| !none(key)).count());
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
    assert!(!downloads.unlink_after_import);
    assert!(config.import.is_empty() && config.hooks.is_empty());
    assert_eq!((config.limits.down, config.limits.up), (ByteSize(0), ByteSize(0)));
    assert_eq!((config.watch.dir, config.watch.on_done), (PathBuf::new(), OnDone::Delete));
    assert_eq!((config.watch.rescan, config.watch.settle), (seconds(30), seconds(1)));
    assert_eq!(config.registry.path, PathBuf::new());
    assert_eq!(toml::to_string(&config.log).unwrap(), "level = \"info\"\nformat = \"auto\"\n");
}

#[test]
fn the_example_of_the_document_is_a_configuration() {
    let document = fs::read_to_string(document()).unwrap();
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
