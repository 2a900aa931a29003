//! The command line: what can be typed, and which code it ends with.
//!
//! stdout holds results, stderr the rest.

mod add;
mod bars;
mod client;
mod config;
mod db;
mod demo;
mod doctor;
mod get;
mod healthcheck;
mod import;
mod key;
mod limits;
mod ls;
mod manual;
mod map;
mod orders;
mod peer;
mod secret_input;
mod serve;
mod share;
mod show;
mod signals;
mod stream;
mod stub;
mod table;
mod ui;
mod watch;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::Resettable;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use self::orders::Verb;
use crate::exit::Exit;

/// What to try first, at the end of every help of the program as a whole.
macro_rules! first_steps {
    () => {
        "\
First steps:
  peerd demo                            watch a transfer being killed half-way and finish all the same
  peerd serve --share ~/Videos          share a folder and download from peers
  peerd key create bob --invite         let a friend fetch, and print what the friend types
  peerd get http://host/film.mkv        one resumable download, no daemon needed
  peerd add bob/ITEM --wait             queue a download in the running daemon"
    };
}

// What the program is for stands in Cargo.toml, for packages as well.
#[derive(Debug, Parser)]
#[command(name = "peerd", version, about, after_help = FIRST_STEPS, after_long_help = EXIT_CODES,
          max_term_width = 110)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const FIRST_STEPS: &str = first_steps!();

const EXIT_CODES: &str = concat!(
    first_steps!(),
    "

Exit codes:
  0 done, 1 general, 2 usage, 3 some of several failed, 4 no such id or name, 5 download failed for good,
  65 bytes or database damaged, 69 daemon or peer unreachable, 74 local disk, 75 try later, 77 key refused,
  78 configuration invalid, 130 and 143 interrupted with state kept"
);

/// Where the options stand that every command takes.
const GENERAL: &str = "General";
/// Where those stand that say where the daemon is.
const DAEMON: &str = "Daemon";
/// Commands that never ask a daemon.
const WITHOUT_DAEMON: &[&str] = &["serve", "demo", "check-config", "config", "completions", "man", "version"];

/// Options every command takes.
#[derive(Debug, Args)]
struct Global {
    /// Configuration file
    #[arg(short, long, global = true, value_name = "FILE", env = "PEERD_CONFIG", hide_env_values = true,
          help_heading = GENERAL)]
    config: Option<PathBuf>,
    /// Admin address of the running daemon
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "PEERD_URL",
        hide_env_values = true,
        help_heading = DAEMON
    )]
    url: Option<String>,
    /// File with the key to send; the key of our own daemon is found by itself
    #[arg(long, global = true, value_name = "FILE", help_heading = DAEMON)]
    api_key_file: Option<PathBuf>,
    /// Say more (repeat for more)
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet", help_heading = GENERAL)]
    verbose: u8,
    /// Say only what went wrong
    #[arg(short, long, global = true, help_heading = GENERAL)]
    quiet: bool,
    /// Colours: auto, always or never; NO_COLOR counts as never
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_possible_values = true,
          help_heading = GENERAL)]
    color: ColorWhen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum ColorWhen {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon: serve shares, download from peers
    Serve(serve::Serve),
    /// Download one URL to a file, resumably, without a daemon
    Get(Box<get::Get>),
    /// Show what this program is for: two daemons, one transfer, one kill, one whole file
    Demo(demo::Demo),
    /// Queue a download in the running daemon
    Add(add::Add),
    /// List the daemon's downloads
    Ls(ls::Ls),
    /// Show one download: how it stands, a map of what is here, its attempts, and what happened to it
    Show(show::Show),
    /// Follow downloads as they go on, until interrupted; with ids until those are over
    Watch(watch::Watch),
    /// Set downloads aside; what they have is kept
    Pause(orders::Order),
    /// Put paused downloads back in line
    Resume(orders::Order),
    /// Try failed or waiting downloads again at once
    Retry(orders::Order),
    /// Give downloads up, and their unfinished bytes; the rows stay
    Cancel(orders::Order),
    /// Forget downloads, with their unfinished bytes; a finished file stays
    Rm(orders::Rm),
    /// Move a download forward or back in the queue
    Priority(orders::Priority),
    /// Show or set how fast the daemon may move bytes
    Limits(limits::Limits),
    /// Add, list, test and remove peers, and see what they offer
    Peer(peer::Peer),
    /// Look at the shares of the daemon
    Share(share::Share),
    /// Make, list and revoke the keys others fetch from us with
    Key(key::Key),
    /// Print a link to the web page; it logs in once, within a minute
    Ui(ui::Ui),
    /// Look at the hand-off of finished files
    Import(import::Import),
    /// Make stub files, and look into them
    Stub(stub::StubCommand),
    /// Say what stands in the daemon's way, and what to do about it
    Doctor(doctor::Doctor),
    /// Ask whether the daemon is alive
    Healthcheck(healthcheck::Healthcheck),
    /// Check the configuration and name every problem
    CheckConfig(config::CheckConfig),
    /// Look at the configuration, or write a first one
    Config(config::ConfigCommand),
    /// Check the database, or copy it
    Db(db::Db),
    /// Print what your shell needs to complete commands and options
    Completions(manual::Completions),
    /// Print the manual page, or write the pages of all commands
    Man(manual::Man),
    /// Print the version
    Version(Version),
}

#[derive(Debug, Args)]
struct Version {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the program with the process's arguments.
pub fn main() -> ExitCode {
    // Before anything builds a TLS client: reqwest wants a provider in the process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    run(std::env::args_os()).into()
}

/// The command line itself, for manuals and completions.
pub fn command() -> clap::Command {
    built(Cli::command())
}

fn built(mut command: clap::Command) -> clap::Command {
    // Only now have the options every command takes reached every command.
    command.build();
    for name in WITHOUT_DAEMON {
        command = command.mut_subcommand(*name, hide_daemon_options);
    }
    command
}

/// Takes what says where the daemon is out of the help of a command that never asks one.
fn hide_daemon_options(mut command: clap::Command) -> clap::Command {
    for name in command.get_subcommands().map(|below| below.get_name().to_owned()).collect::<Vec<_>>() {
        if name != "help" {
            command = command.mut_subcommand(name, hide_daemon_options);
        }
    }
    command.mut_args(|arg| {
        let about_daemon = arg.get_help_heading() == Some(DAEMON);
        if about_daemon { arg.hide(true) } else { arg }
    })
}

/// Leaves variables alone that are set to nothing: they count as unset.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    command.mut_args(|arg| {
        let is_empty = arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
        if is_empty { arg.env(Resettable::Reset) } else { arg }
    })
}

fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let mut command = built(without_empty_variables(Cli::command()));
    let mut matches = command.try_get_matches_from_mut(arguments)?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

fn run(arguments: impl Iterator<Item = OsString>) -> Exit {
    let cli = match parse(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done };
        }
    };
    let Cli { global, command } = cli;
    match command {
        Command::Serve(command) => command.run(&global),
        Command::Get(command) => block_on(command.run(&global)),
        Command::Demo(command) => block_on(command.run(&global)),
        Command::Add(command) => block_on(command.run(&global)),
        Command::Ls(command) => block_on(command.run(&global)),
        Command::Show(command) => block_on(command.run(&global)),
        Command::Watch(command) => block_on(command.run(&global)),
        Command::Pause(command) => block_on(command.run(Verb::Pause, &global)),
        Command::Resume(command) => block_on(command.run(Verb::Resume, &global)),
        Command::Retry(command) => block_on(command.run(Verb::Retry, &global)),
        Command::Cancel(command) => block_on(command.run(Verb::Cancel, &global)),
        Command::Rm(command) => block_on(command.run(&global)),
        Command::Priority(command) => block_on(command.run(&global)),
        Command::Limits(command) => block_on(command.run(&global)),
        Command::Peer(command) => block_on(command.run(&global)),
        Command::Share(command) => block_on(command.run(&global)),
        Command::Key(command) => block_on(command.run(&global)),
        Command::Ui(command) => block_on(command.run(&global)),
        Command::Import(command) => block_on(command.run(&global)),
        Command::Stub(command) => block_on(command.run(&global)),
        Command::Doctor(command) => block_on(command.run(&global)),
        Command::Healthcheck(command) => block_on(command.run(&global)),
        Command::CheckConfig(command) => command.run(&global),
        Command::Config(command) => command.run(&global),
        Command::Db(command) => block_on(command.run(&global)),
        Command::Completions(command) => command.run(),
        Command::Man(command) => command.run(&global),
        Command::Version(Version { json: false }) => say(env!("CARGO_PKG_VERSION")),
        Command::Version(Version { json: true }) => {
            say(&serde_json::json!({ "version": env!("CARGO_PKG_VERSION") }).to_string())
        }
    }
}

/// Prints a result. A reader that has gone (`| head`) is not an error of ours.
fn say(line: &str) -> Exit {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{line}");
    Exit::Done
}

/// Prints a remark for people, not for pipes.
fn say_aside(global: &Global, line: &str) -> Exit {
    if !global.quiet {
        remark(line);
    }
    Exit::Done
}

/// Prints why the command ends, and how.
fn fail(exit: Exit, message: impl std::fmt::Display) -> Exit {
    remark(format_args!("peerd: {message}"));
    exit
}

/// Prints a line to stderr. Where nobody reads it (`2>&1 | head`) the exit code still says what happened.
fn remark(line: impl std::fmt::Display) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Prints the question that an answer is typed behind.
fn ask(question: impl std::fmt::Display) {
    use std::io::Write;
    let _ = write!(std::io::stderr(), "{question}");
}

fn block_on(work: impl Future<Output = Exit>) -> Exit {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => fail(Exit::General, format_args!("cannot start: {error}")),
    }
}

impl Global {
    /// The terminal for moving bars on stderr, if there is one and they are wanted.
    fn look(&self) -> Option<bars::Look> {
        use std::io::IsTerminal;
        let dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
        if self.quiet || dumb || !std::io::stderr().is_terminal() {
            return None;
        }
        // One that does not tell its size is taken for the usual one.
        let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok().filter(|size| size.ws_col > 0);
        let (width, height) = size.map_or((80, 24), |size| (size.ws_col.into(), size.ws_row.into()));
        Some(bars::Look { width, height, colour: self.is_colourful() })
    }

    /// Whether colours are wanted on stderr.
    fn is_colourful(&self) -> bool {
        use std::io::IsTerminal;
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        match self.color {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto => !no_color && std::io::stderr().is_terminal(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_every_command_takes_stand_before_or_behind_it() {
        for line in [["peerd", "-v", "ls"], ["peerd", "ls", "-v"]] {
            assert_eq!(Cli::try_parse_from(line).unwrap().global.verbose, 1);
        }
        let both = Cli::try_parse_from(["peerd", "ls", "-v", "-q"]);
        assert!(both.is_err(), "more and less at once makes no sense");
    }

    #[test]
    fn every_command_and_every_option_says_what_it_is_for() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for option in command.get_arguments() {
                assert!(option.get_help().is_some(), "{} {}", command.get_name(), option.get_id());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
