//! Which value is in force: defaults, file, environment, flags.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use peerd::config::{ByteSize, Config, OnConflict, Place, Secret, Sources};

use super::Bench;

#[test]
fn flags_win_over_variables_variables_over_the_file_and_the_file_over_defaults() {
    let text = "[server]\nlisten = [\"127.0.0.1:1\"]\n[downloads]\nmax_concurrent = 7\nconnections = 2\n";
    let mut bench = Bench::new(text)
        .env("PEERD_DOWNLOADS__MAX_CONCURRENT", "9")
        .env("PEERD_SERVER__LISTEN", "127.0.0.1:2");
    bench.sources.overrides.listen = Some("127.0.0.1:3".parse().unwrap());
    let loaded = bench.load().unwrap();
    assert_eq!(loaded.config.downloads.max_attempts, 5, "default");
    assert_eq!(loaded.config.downloads.connections, 2, "file");
    assert_eq!(loaded.config.downloads.max_concurrent, 9, "environment over file");
    assert_eq!(loaded.config.server.listen, ["127.0.0.1:3".parse().unwrap()], "flags over environment");

    let settings = loaded.settings();
    let origin = |path: &str| settings.iter().find(|setting| setting.path == path).unwrap().origin.clone();
    assert_eq!(origin("downloads.max_attempts"), Place::Default);
    assert!(matches!(origin("downloads.connections"), Place::File { line: 5, .. }));
    assert_eq!(
        origin("downloads.max_concurrent"),
        Place::Variable("PEERD_DOWNLOADS__MAX_CONCURRENT".to_owned())
    );
    assert_eq!(origin("server.listen"), Place::Flag("--listen"));
}

#[test]
fn a_file_of_a_higher_place_in_the_search_order_is_the_only_one_read() {
    let mut bench = Bench::new("[log]\nlevel = \"trace\"\n");
    let given = bench.sources.file.take();
    for (file, level) in
        [("etc/peerd.toml", "error"), ("home/.config/peerd/peerd.toml", "warn"), ("conf/peerd.toml", "debug")]
    {
        fs::create_dir_all(bench.path(file).parent().unwrap()).unwrap();
        fs::write(bench.path(file), format!("[log]\nlevel = \"{level}\"\n")).unwrap();
    }
    let level = |bench: &Bench| bench.config().log.level.as_str();
    assert_eq!(level(&bench), "error");
    let home = bench.path("home").display().to_string();
    let bench = bench.env("HOME", &home);
    assert_eq!(level(&bench), "warn");
    let conf = bench.path("conf").display().to_string();
    let bench = bench.env("CONFIGURATION_DIRECTORY", &conf);
    assert_eq!(level(&bench), "debug");
    let bench = bench.env("PEERD_CONFIG", "etc/peerd.toml");
    assert_eq!(level(&bench), "error");
    let bench = Bench { sources: Sources { file: given, ..bench.sources.clone() }, ..bench };
    assert_eq!(level(&bench), "trace");
    assert_eq!(bench.load().unwrap().file, bench.sources.file);
}

#[test]
fn without_a_file_the_defaults_hold_but_a_given_file_must_exist() {
    let mut bench = Bench::new("");
    bench.sources.file = None;
    let loaded = bench.load().unwrap();
    assert_eq!((loaded.config, loaded.file), (Config::default(), None));
    bench.sources.file = Some("missing.toml".into());
    assert!(
        bench.report().starts_with("missing.toml: cannot read the configuration file"),
        "{}",
        bench.report()
    );
    bench.sources.file = None;
    let bench = bench.env("PEERD_CONFIG", "gone.toml");
    assert!(
        bench.report().starts_with("gone.toml: cannot read the configuration file"),
        "{}",
        bench.report()
    );
}

#[test]
fn a_variable_sets_lists_numbers_and_tables_that_the_file_does_not_have() {
    let bench = Bench::new("")
        .env("PEERD_SERVER__LISTEN", "127.0.0.1:1, [::1]:1")
        .env("PEERD_ADMIN__ALLOWED_HOSTS", "[\"nas.local\", \"nas\"]")
        .env("PEERD_ADMIN__METRICS_KEY", "false")
        .env("PEERD_LIMITS__DOWN", "3MiB")
        .env("PEERD_LIMITS__UP", "1500")
        .env("PEERD_PEERS__BOB__URL", "https://bob.example/")
        .env("PEERD_PEERS__BOB__KEY", "007")
        .env("PEERD_PEERS__BOB__HEADERS", "{ X-Team = \"red\" }");
    let config = bench.config();
    assert_eq!(config.server.listen.len(), 2);
    assert_eq!(config.admin.allowed_hosts, ["nas.local", "nas"]);
    assert!(!config.admin.metrics_key);
    assert_eq!((config.limits.down, config.limits.up), (ByteSize::mib(3), ByteSize(1500)));
    let bob = &config.peers["bob"];
    assert_eq!(bob.key.as_ref().map(Secret::expose), Some("007"), "a key of digits keeps its zeros");
    assert_eq!(bob.headers["X-Team"].expose(), "red");
}

#[test]
fn shares_of_the_command_line_are_added_to_those_of_the_file() {
    let mut bench = Bench::new("");
    let (movies, music, books) = (bench.folder("movies"), bench.folder("My Music"), bench.folder("books"));
    let text = format!("[shares.movies]\npath = {music:?}\nexclude = []\n[shares.books]\npath = {books:?}\n");
    fs::write(bench.path("peerd.toml"), text).unwrap();
    bench.sources.overrides.shares =
        vec![(None, "My Music/".into()), (Some("movies".to_owned()), movies.clone())];
    let shares = bench.config().shares;
    let paths =
        shares.iter().map(|(name, share)| (name.as_str(), share.path.as_path())).collect::<BTreeMap<_, _>>();
    assert_eq!(paths, BTreeMap::from([("My-Music", &*music), ("movies", &*movies), ("books", &*books)]));
    assert!(shares["movies"].exclude.is_empty(), "a flag with a name replaces the path and leaves the rest");
    assert_eq!(shares["My-Music"].exclude, ["**/.*", "**/*.part"]);

    let other = bench.folder("other/books");
    bench.sources.overrides.shares = vec![(None, other)];
    let report = bench.report();
    assert!(report.starts_with("--share: "), "{report}");
    assert!(report.contains("help: write --share NAME=DIR"), "{report}");
}

#[test]
fn directories_of_the_command_line_may_be_relative() {
    let mut bench = Bench::new("");
    bench.sources.overrides.download_dir = Some("./done".into());
    bench.sources.overrides.state_dir = Some("st".into());
    let paths = bench.load().unwrap().paths;
    assert_eq!(paths.downloads, bench.path("done"));
    assert_eq!(paths.registry, bench.path("st/peerd.db"));
}

#[test]
fn a_file_as_scripts_write_it_is_accepted() {
    let bench = Bench::new("");
    let (completed, incomplete) = (bench.path("completed"), bench.path("incomplete"));
    let share = bench.folder("share");
    let text = format!(
        r#"[server]
listen = ["127.0.0.1:41001"]
shutdown_grace = "5s"

[admin]
listen = ["127.0.0.1:41002"]

[auth]
require_key = true

[keys.lab]
secret = "lab-key"
shares = ["*"]

[peers.bob]
url = "http://127.0.0.1:41003"
key = "lab-key"
max_concurrent = 16

[peers.x-y]
url = "http://127.0.0.1:41004/"
key = {{ env = "X_KEY" }}
headers = {{ X-Extra = "1" }}

[downloads]
dir = {completed:?}
incomplete_dir = {incomplete:?}
retry_base = "100ms"
retry_max = "1s"
connect_timeout = "3s"
idle_timeout = "10s"
min_free = "0"
checkpoint_bytes = "1MiB"
checkpoint_interval = "200ms"
on_conflict = "rename"

[limits]
down = "8MiB"

[shares.main]
path = {share:?}

[log]
level = "debug"
format = "json"

"#
    );
    fs::write(bench.path("peerd.toml"), text).unwrap();
    let bench = bench.env("X_KEY", "other");
    let config = bench.config();
    assert_eq!(config.downloads.retry_base, Duration::from_millis(100));
    assert_eq!(config.downloads.min_free.limit(), None);
    assert_eq!(config.downloads.on_conflict, OnConflict::Rename);
    assert_eq!(config.peers["bob"].url.base().as_str(), "http://127.0.0.1:41003/");
    assert_eq!(bench.load().unwrap().warnings, []);
}
