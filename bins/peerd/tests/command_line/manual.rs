//! Completions, manual pages, and `docs/command-line.md`: all three say what the program does.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, Command};

use super::run;
use crate::support::{Home, Output, program};

#[tokio::test]
async fn shells_get_completions_that_know_every_command() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&home, ["completions", shell]).await.expect_code(0);
        for word in ["check-config", "backup", "state-dir"] {
            assert!(script.stdout.contains(word) && script.stderr.is_empty(), "{word} for {shell}");
        }
    }
    run(&home, ["completions", "cmd.exe"]).await.expect_code(2);
}

#[tokio::test]
async fn there_is_a_manual_page_for_every_command() {
    let home = Home::new();
    let page = run(&home, ["man"]).await.expect_code(0).stdout;
    assert!(page.contains(".TH peerd 1") && page.contains("Exit codes"), "{page}");
    let out = home.path("man");
    let mut command = program(&home.path("user"), ["man", "--out"]);
    Output::of({
        command.arg(&out);
        command
    })
    .await
    .expect_code(0);
    for name in ["peerd.1", "peerd-serve.1", "peerd-get.1", "peerd-config-show.1", "peerd-db-backup.1"] {
        assert!(out.join(name).exists(), "{name} is not in {:?}", home.names("man"));
    }
    run(&home, ["man", "--out", "/proc/nowhere"]).await.expect_code(74);
}

fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/command-line.md")
}

/// The reference part of the document as the program knows it.
fn reference() -> String {
    let command = peerd::cli::command();
    let mut text = String::from("### Options every command takes\n\n| option | meaning |\n|---|---|\n");
    let global = command.get_arguments().filter(|arg| arg.is_global_set());
    global.for_each(|arg| text.push_str(&row(arg)));
    command.get_subcommands().for_each(|below| describe(below, "peerd", &mut text));
    text
}

fn describe(command: &Command, parents: &str, text: &mut String) {
    if command.get_name() == "help" {
        return;
    }
    let name = format!("{parents} {}", command.get_name());
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    text.push_str(&format!("\n### `{name}`\n\n{about}\n"));
    let own = command.get_arguments().filter(|arg| !arg.is_global_set() && arg.get_id() != "help");
    let rows: String = own.filter(|arg| !arg.is_hide_set()).map(row).collect();
    if !rows.is_empty() {
        text.push_str(&format!("\n| option | meaning |\n|---|---|\n{rows}"));
    }
    command.get_subcommands().for_each(|below| describe(below, &name, text));
}

fn row(arg: &Arg) -> String {
    let values =
        arg.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect::<Vec<_>>();
    let takes = arg.get_action().takes_values();
    let value = if takes { format!(" {}", values.join(" ")) } else { String::new() };
    let written = match (arg.get_short(), arg.get_long()) {
        (Some(short), Some(long)) => format!("-{short}, --{long}{value}"),
        (None, Some(long)) => format!("--{long}{value}"),
        _ => values.join(" "),
    };
    let mut meaning = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let defaults = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect::<Vec<_>>();
    if takes && !defaults.is_empty() {
        meaning.push_str(&format!(" [default: {}]", defaults.join(" ")));
    }
    format!("| `{written}` | {} |\n", meaning.replace('|', "\\|"))
}

#[test]
fn the_document_has_every_command_and_every_option_word_for_word() {
    let text = fs::read_to_string(document()).expect("the document is part of the source tree");
    let (before, rest) = text.split_once(BEGIN).expect("where the reference begins");
    let (documented, after) = rest.split_once(END).expect("where it ends");
    let expected = format!("\n\n{}\n", reference());
    if std::env::var_os("PEERD_WRITE_DOCS").is_some() {
        fs::write(document(), format!("{before}{BEGIN}{expected}{END}{after}")).expect("a writable document");
        return;
    }
    for (documented, expected) in documented.lines().zip(expected.lines()) {
        assert_eq!(documented, expected, "{HOW}");
    }
    assert_eq!(documented, expected, "{HOW}");
}

#[test]
fn the_document_names_every_exit_code() {
    let text = fs::read_to_string(document()).expect("the document is part of the source tree");
    for code in [0, 1, 2, 3, 4, 5, 65, 69, 74, 75, 77, 78, 130, 143] {
        assert!(text.contains(&format!("| `{code}` |")), "{code}");
    }
}

const BEGIN: &str = "<!-- commands: begin -->";
const END: &str = "<!-- commands: end -->";
const HOW: &str = "write it anew with PEERD_WRITE_DOCS=1 cargo test -p peerd --test command_line";
