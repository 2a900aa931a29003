//! check-config, config show, config init.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::run;
use crate::support::{Home, Output, program};

async fn check(home: &Home, text: &str, more: &[&str]) -> Output {
    let path = home.path("checked.toml");
    fs::write(&path, text).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("our own file");
    let mut command = program(&home.path("user"), ["check-config"]);
    command.arg(path).args(more);
    Output::of(command).await
}

#[tokio::test]
async fn a_warning_is_no_error_unless_it_shall_be_one() {
    let home = Home::new();
    let text = "[peers.bob]\nurl = \"http://bob.example/\"\nkey = \"k\"\n";
    let lenient = check(&home, text, &[]).await.expect_code(0);
    assert!(
        lenient.stderr.contains("warning: ") && lenient.stderr.contains(":2:7: peers.bob.url"),
        "{lenient:?}"
    );
    assert!(lenient.stdout.contains("no problem found"), "{lenient:?}");
    let strict = check(&home, text, &["--strict"]).await.expect_code(78);
    assert!(strict.stdout.is_empty() && strict.stderr.contains("use https"), "{strict:?}");
    check(&home, "[limits]\nup = \"1MiB\"\n", &["--strict"]).await.expect_code(0);
}

#[tokio::test]
async fn programs_get_every_problem_with_its_place() {
    let home = Home::new();
    let wrong = check(&home, "[limits]\nup = \"fast\"\ndwn = 1\n", &["--json"]).await.expect_code(78).json();
    assert_eq!(wrong["ok"], false);
    let errors = wrong["errors"].as_array().expect("a list");
    assert_eq!((&errors[0]["line"], &errors[0]["column"]), (&json!(2), &json!(6)), "{wrong:#}");
    assert_eq!(errors[1]["help"], "did you mean `down`?", "{wrong:#}");
    let right = check(&home, "", &["--json"]).await.expect_code(0).json();
    assert_eq!(right, json!({ "ok": true, "errors": [], "warnings": [] }));
}

#[tokio::test]
async fn what_holds_is_shown_as_toml_with_who_set_it_and_without_secrets() {
    let home = Home::new();
    let config = home.path("shown.toml");
    fs::write(&config, "[limits]\nup = \"1MiB\"\n[keys.al]\nsecret = \"TOPSECRET\"\n").expect("a file");
    let show = async |more: &[&str]| {
        let mut command = program(&home.path("user"), ["config", "show", "--state-dir", "/s"]);
        command.arg("--config").arg(&config).args(more).env("PEERD_DOWNLOADS__MAX_CONCURRENT", "9");
        Output::of(command).await.expect_code(0)
    };
    let shown = show(&[]).await.stdout;
    let line = |name: &str| shown.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    assert_eq!(line("limits.up"), format!("limits.up = \"1MiB\"  # {}:2:6", config.display()));
    let variable = "downloads.max_concurrent = 9  # environment variable PEERD_DOWNLOADS__MAX_CONCURRENT";
    assert_eq!(line("downloads.max_concurrent"), variable);
    assert_eq!(line("limits.down"), "limits.down = \"0\"");
    assert_eq!(line("downloads.dir"), "downloads.dir = \"\"  # default: /s/completed");
    assert!(line("keys.al.secret").starts_with("keys.al.secret = \"***\""), "{shown}");
    assert!(shown.parse::<toml::Table>().is_ok(), "{shown}");
    let origins = show(&["--origin"]).await.stdout;
    assert!(
        origins.contains("limits.down = \"0\"  # default\n") && !origins.contains("TOPSECRET"),
        "{origins}"
    );
    let lines = show(&["--json"]).await.json_lines();
    let up = lines.iter().find(|line| line["key"] == "limits.up").expect("a line");
    assert_eq!(up["value"], "1MiB");
}

#[tokio::test]
async fn a_first_file_is_written_once_for_its_owner_alone_and_passes_the_check() {
    let home = Home::new();
    let path = home.path("first.toml");
    let text = path.to_str().expect("a path");
    let printed = run(&home, ["config", "init"]).await.expect_code(0).stdout;
    run(&home, ["config", "init", text]).await.expect_code(0);
    assert_eq!(fs::read_to_string(&path).expect("a file"), printed);
    assert_eq!(path.metadata().expect("a file").permissions().mode() & 0o777, 0o600);
    run(&home, ["check-config", "--strict", text]).await.expect_code(0);
    fs::write(&path, "# mine").expect("a file");
    let refused = run(&home, ["config", "init", text]).await.expect_code(1);
    assert!(refused.stderr.contains("stays as it is"), "{refused:?}");
    assert_eq!(fs::read_to_string(&path).expect("a file"), "# mine");
    let deep = home.path("user/.config/peerd/peerd.toml");
    run(&home, ["config", "init", deep.to_str().expect("UTF-8")]).await.expect_code(0);
    assert!(deep.exists(), "its folder is made");
    run(&home, ["config", "init", "/dev/null/peerd.toml"]).await.expect_code(74);
}
