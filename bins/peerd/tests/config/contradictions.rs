//! Values that are good by themselves and wrong together, or in this world.

use std::fs;
use std::path::Path;

use super::{Bench, report};

#[test]
fn listeners_must_differ() {
    let report = report("[server]\nlisten = [\"127.0.0.1:5280\", \"0.0.0.0:5281\", \"127.0.0.1:5280\"]\n");
    assert!(
        report.contains("peerd.toml:2:45: server.listen[2]: 127.0.0.1:5280 is taken by server.listen[0]"),
        "{report}"
    );
    assert!(
        report.contains("peerd.toml:2:29: admin.listen[0]: 127.0.0.1:5281 is taken by server.listen[1]"),
        "{report}"
    );
}

#[test]
fn keys_may_be_waived_on_loopback_only() {
    let text = "[auth]\nrequire_key = false\n[admin]\nrequire_key = false\n";
    Bench::new(text).config();
    let report = Bench::new(text).env("PEERD_ADMIN__LISTEN", "0.0.0.0:1").report();
    assert!(
        report.contains("peerd.toml:2:15: auth.require_key: cannot be false while admin.listen[0]"),
        "{report}"
    );
    assert!(report.contains("peerd.toml:4:15: admin.require_key: cannot be false while"), "{report}");
}

#[test]
fn numbers_and_durations_out_of_bounds_are_refused() {
    for (section, line) in [
        ("server", "max_connections = 0"),
        ("server", "header_timeout = \"0s\""),
        ("server", "listen = []"),
        ("admin", "allowed_hosts = [\"http://nas\"]"),
        ("peers.bob", "url = \"http://b/\"\nmax_concurrent = 0"),
        ("downloads", "max_concurrent = 0"),
        ("downloads", "connections = 0"),
        ("downloads", "connections = 17"),
        ("downloads", "max_attempts = 0"),
        ("downloads", "retry_base = \"0s\""),
        ("downloads", "retry_max = \"500ms\""),
        ("downloads", "idle_timeout = \"0s\""),
        ("downloads", "checkpoint_interval = \"0s\""),
        ("downloads", "dir = \"relative\""),
        ("downloads", "on_conflict = \"skip\""),
        ("watch", "dir = \"watch\""),
        ("watch", "dir = \"/\""),
        ("watch", "rescan = \"0s\""),
        ("watch", "on_done = \"keep\""),
        ("registry", "path = \"~/peerd.db\""),
        ("log", "level = \"loud\""),
    ] {
        let last = 1 + line.lines().count();
        let report = report(&format!("[{section}]\n{line}\n"));
        assert!(report.starts_with(&format!("peerd.toml:{last}:")), "{line}: {report}");
        assert_eq!(report.matches("peerd.toml:").count(), 1, "{line}: {report}");
    }
}

#[test]
fn a_share_is_an_absolute_directory() {
    let bench = Bench::new("");
    fs::write(bench.path("file"), "").unwrap();
    for path in ["relative".to_owned(), bench.path("file").display().to_string()] {
        let report = report(&format!("[shares.movies]\npath = {path:?}\n"));
        assert!(report.starts_with("peerd.toml:2:8: shares.movies.path: "), "{report}");
    }
}

#[test]
fn a_share_that_is_not_there_is_waited_for_unless_somebody_has_just_typed_it() {
    let mut bench = Bench::new("");
    let missing = bench.path("not-mounted");
    fs::write(bench.path("peerd.toml"), format!("[shares.movies]\npath = {missing:?}\n")).unwrap();
    let warnings = bench.load().unwrap().warnings;
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    let said = warning.to_string();
    assert!(said.contains("peerd.toml:2:8: shares.movies.path: ") && said.contains("mount it"), "{said}");

    bench.sources.overrides.shares = vec![(Some("movies".to_owned()), missing)];
    let refused = bench.report();
    assert!(refused.starts_with("--share: "), "{refused}");
}

#[test]
fn a_share_around_the_state_or_the_downloads_is_refused() {
    let bench = Bench::new("");
    let root = bench.path("").display().to_string();
    fs::write(bench.path("peerd.toml"), format!("[shares.all]\npath = {root:?}\n")).unwrap();
    assert!(bench.report().contains("contains the state directory"), "{}", bench.report());

    let share = bench.folder("share");
    let text = |dir: &Path| format!("[shares.all]\npath = {share:?}\n[downloads]\ndir = {dir:?}\n");
    fs::write(bench.path("peerd.toml"), text(&share.join("in/done"))).unwrap();
    assert!(bench.report().contains("contains the downloads directory"), "{}", bench.report());
    fs::write(bench.path("peerd.toml"), text(&bench.path("done"))).unwrap();
    assert_eq!(bench.load().unwrap().paths.incomplete, bench.path("incomplete"));
}

#[test]
fn a_watch_folder_is_no_place_where_files_of_another_kind_lie() {
    let bench = Bench::new("");
    let dir = |name: &str| bench.path(name);
    let share = bench.folder("share");
    std::os::unix::fs::symlink(dir("done"), dir("link")).unwrap();
    let text = |watch: &Path, more: &str| {
        let (done, parts) = (dir("done"), dir("parts"));
        format!(
            "[watch]\ndir = {watch:?}\n{more}\n[downloads]\ndir = {done:?}\nincomplete_dir = {parts:?}\n\
             [shares.films]\npath = {share:?}\n"
        )
    };
    fs::create_dir(dir("done")).unwrap();
    for (watch, more, message) in [
        (dir("done"), "", "must not be the directory of finished downloads"),
        (dir("link"), "", "must not be the directory of finished downloads"),
        (dir("parts"), "", "must not be the directory of incomplete downloads"),
        (dir("parts/below"), "", "must not lie in the directory of incomplete downloads"),
        (dir("state"), "", "must not be the state directory"),
        (dir("share/watch"), "", "lies in the share \"films\""),
    ] {
        fs::write(dir("peerd.toml"), text(&watch, more)).unwrap();
        let report = bench.report();
        assert!(report.contains(&format!("peerd.toml:2:7: watch.dir: {message}")), "{watch:?}: {report}");
    }
    for (watch, more) in [
        (dir("watch"), ""),
        (dir("done/watch"), ""),
        (dir("state/watch"), "on_done = \"archive\""),
        (dir("sharewatch"), ""),
    ] {
        fs::write(dir("peerd.toml"), text(&watch, more)).unwrap();
        assert_eq!(bench.config().watch.dir, watch);
    }
    let downloads = dir("x-done");
    let text =
        format!("[downloads]\ndir = {downloads:?}\n[watch]\ndir = {:?}\non_done = \"archive\"\n", dir("x"));
    fs::write(dir("peerd.toml"), text).unwrap();
    assert!(bench.report().contains("finished stubs would be archived in the directory of finished"));
}

#[test]
fn an_include_or_exclude_pattern_must_be_one() {
    let bench = Bench::new("");
    let share = bench.folder("share");
    let report = report(&format!("[shares.all]\npath = {share:?}\nexclude = [\"ok\", \"{{a\"]\n"));
    assert!(
        report.starts_with("peerd.toml:3:18: shares.all.exclude[1]: \"{a\" is not a pattern"),
        "{report}"
    );
}

#[test]
fn two_keys_must_not_share_a_secret() {
    let report = report("[keys.al]\nsecret = \"x\"\n[keys.bo]\nsecret = \"x\"\n");
    assert!(
        report.starts_with("peerd.toml:4:10: keys.bo.secret: the same secret as keys.al.secret"),
        "{report}"
    );
}

#[test]
fn a_key_sent_in_the_clear_to_a_public_address_is_a_warning() {
    let text = "[peers.bob]\nurl = \"http://bob.example/\"\nkey = \"x\"\n[peers.nas]\nurl = \"http://192.168.1.2/\"\nkey = \"x\"\n\
                [peers.open]\nurl = \"http://open.example/\"\n[keys.al]\nsecret = \"x\"\nshares = [\"moveis\"]\n";
    let bench = Bench::new(text);
    let warnings = bench.load().unwrap().warnings.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings[0].contains("peerd.toml:2:7: peers.bob.url: the key of this peer crosses"),
        "{warnings:?}"
    );
    assert!(
        warnings[1].contains("peerd.toml:11:11: keys.al.shares[0]: there is no share \"moveis\""),
        "{warnings:?}"
    );
}
