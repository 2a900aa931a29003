//! Help, version, and command lines that make no sense.

use std::fs;

use serde_json::json;

use super::run;
use crate::support::{Home, Output, program};

#[tokio::test]
async fn the_help_of_every_command_fits_a_terminal_and_goes_to_stdout() {
    let home = Home::new();
    let top = run(&home, ["--help"]).await.expect_code(0);
    let commands = top.stdout.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands: Vec<_> = commands.take_while(|line| !line.is_empty()).collect();
    let names = commands.iter().filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next());
    let names: Vec<_> = names.filter(|name| *name != "help").collect();
    assert!(
        ["serve", "get", "demo", "add", "ls", "show"].iter().all(|name| names.contains(name)),
        "{names:?}"
    );
    for name in names {
        for flag in ["-h", "--help"] {
            let help = run(&home, [name, flag]).await.expect_code(0);
            assert!(help.stderr.is_empty() && help.stdout.contains("Usage: peerd"), "{name}: {help:?}");
            for line in help.stdout.lines() {
                assert!(line.chars().count() <= 110, "{name} {flag}: {line}");
            }
        }
    }
    assert!(top.stdout.lines().all(|line| line.chars().count() <= 110), "{}", top.stdout);
}

#[tokio::test]
async fn version_is_a_result() {
    let home = Home::new();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(run(&home, ["version"]).await.expect_code(0).stdout.trim(), version);
    assert_eq!(run(&home, ["version", "--json"]).await.expect_code(0).json(), json!({ "version": version }));
    assert_eq!(run(&home, ["--version"]).await.expect_code(0).stdout.trim(), format!("peerd {version}"));
}

#[tokio::test]
async fn a_wrong_command_line_is_2_with_its_reason_on_stderr() {
    let home = Home::new();
    for arguments in [
        &["no-such-command"][..],
        &["add"],
        &["add", "bob/x", "--priority", "11"],
        &["add", "bob/x", "--paused", "--wait"],
        &["add", "no-slash"],
        &["add", "/item"],
        &["add", "bob/"],
        &["get"],
        &["get", "no url"],
        &["get", "ftp://host/x"],
        &["get", "http://me:secret@host/x"],
        &["get", "http://host/", "--connections", "1"],
        &["get", "http://host/x", "--connections", "17"],
        &["get", "http://host/x", "--max-attempts", "0"],
        &["get", "http://host/x", "--retry-base", "1"],
        &["get", "http://host/x", "--sha256", "abc"],
        &["get", "http://host/x", "--etag", "W/\"weak\""],
        &["get", "http://host/x", "-H", "Range: bytes=0-1"],
        &["get", "http://host/x", "-H", "no colon"],
        &["get", "http://host/x", "-v", "-q"],
        &["show", "abc"],
        &["show"],
        &["ls", "--url", "nonsense"],
        &["ls", "--url", "ftp://host/"],
        &["serve", "--listen", "nowhere"],
        &["demo", "--size", "large"],
        &["ls", "--color", "pink"],
    ] {
        let output = Output::of(program(&home.path("user"), arguments)).await;
        assert_eq!(output.code, 2, "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}: {output:?}");
        assert!(!output.stderr.contains("secret"), "{output:?}");
    }
}

#[tokio::test]
async fn a_variable_set_to_nothing_counts_as_unset() {
    let home = Home::new();
    let mut command = program(&home.path("user"), ["check-config"]);
    for variable in ["PEERD_CONFIG", "PEERD_URL", "PEERD_API_KEY_FILE"] {
        command.env(variable, "");
    }
    let output = Output::of(command).await;
    assert_eq!(output.code, 0, "{output:?}");
}

#[tokio::test]
async fn a_misspelt_key_is_78_and_names_its_line() {
    let home = Home::new();
    let config = home.path("wrong.toml");
    fs::write(&config, "[server]\nlisten = [\"127.0.0.1:0\"]\n\n[downloads]\nmax_concurent = 2\n")
        .expect("a file");
    let config = config.to_str().expect("a path");
    for arguments in
        [&["serve", "--config", config][..], &["check-config", config], &["ls", "--config", config]]
    {
        let output = Output::of(program(&home.path("user"), arguments)).await;
        assert_eq!(output.code, 78, "{arguments:?}: {output:?}");
        for part in [&format!("{config}:5"), "max_concurent", "max_concurrent"] {
            assert!(output.stderr.contains(part), "{part} not in {}", output.stderr);
        }
        assert!(output.stdout.is_empty(), "{output:?}");
    }
    assert_eq!(home.names("user"), [] as [&str; 0], "refused before anything was made");
    let missing = run(&home, ["serve", "--config", "/no/such/file.toml"]).await;
    assert_eq!(missing.code, 78, "{missing:?}");
}
