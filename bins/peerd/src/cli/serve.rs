//! `peerd serve`: the daemon.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use tokio::signal::unix::Signal;

use super::{Global, block_on, fail, signals};
use crate::app::App;
use crate::config::{Config, Overrides, Sources, parse_share};
use crate::exit::Exit;
use crate::open_files;
use crate::reload::{ReloadError, Reloads};
use crate::service_manager::{PassedSockets, ServiceManager};
use crate::telemetry;

/// Run the daemon: serve shares, download from peers. Works without any configuration.
#[derive(Debug, Args)]
#[command(after_help = ELSEWHERE)]
pub(super) struct Serve {
    /// Folder to share, as DIR or NAME=DIR (repeatable)
    #[arg(long = "share", value_name = "[NAME=]DIR", value_parser = parse_share)]
    shares: Vec<(Option<String>, PathBuf)>,
    /// Address for peers [default: 127.0.0.1:5280]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Address for the owner; commands look at admin.listen [default: 127.0.0.1:5281]
    #[arg(long, value_name = "ADDR")]
    admin_listen: Option<SocketAddr>,
    /// Directory for the database and the admin key [default: ~/.local/state/peerd]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Directory for finished downloads [default: completed in the state directory]
    #[arg(long, value_name = "DIR")]
    download_dir: Option<PathBuf>,
    /// Folder whose stub files are downloaded
    #[arg(long, value_name = "DIR")]
    watch_dir: Option<PathBuf>,
}

const ELSEWHERE: &str = "\
Commands find the daemon by admin.listen of the configuration. After --admin-listen they need
--url http://ADDR --api-key-file STATE/admin.key; better set admin.listen.";

impl Serve {
    pub(super) fn run(self, global: &Global) -> Exit {
        // First of all, while this process has one thread.
        let sockets = match PassedSockets::take() {
            Ok(sockets) => sockets,
            Err(error) => return fail(Exit::Config, resume_fetch::describe(&error)),
        };
        block_on(async {
            // Before the start takes its time: a process that does not watch for it is ended by a SIGHUP.
            match signals::hangups() {
                Ok(hangups) => self.serve(global, sockets, hangups).await,
                Err(error) => unwatched(&error),
            }
        })
    }

    async fn serve(self, global: &Global, sockets: PassedSockets, hangups: Signal) -> Exit {
        let overrides = Overrides {
            listen: self.listen,
            admin_listen: self.admin_listen,
            shares: self.shares,
            download_dir: self.download_dir,
            watch_dir: self.watch_dir,
            state_dir: self.state_dir,
        };
        let sources = Sources::from_process(global.config.clone(), overrides)
            .and_then(|sources| Ok(Sources { passed: sockets.addresses()?, ..sources }));
        let sources = match sources {
            Ok(sources) => sources,
            Err(error) => return fail(Exit::General, error),
        };
        let loaded = match Config::load(&sources) {
            Ok(loaded) => loaded,
            Err(errors) => return super::config::refuse(errors.problems()),
        };
        let verbosity = i8::try_from(global.verbose).unwrap_or(i8::MAX) - i8::from(global.quiet) * 2;
        let logging = telemetry::start(&loaded.config.log, verbosity, global.is_colourful());
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        allow_open_files(&loaded.config);
        let manager = ServiceManager::of_process(sockets);
        let app = match App::build(loaded, sources, logging, manager).await {
            Ok(app) => app,
            Err(error) => return fail(error.exit, error.message),
        };
        tokio::spawn(reload_at(hangups, app.reloads()));
        let interrupted = match signals::interrupted() {
            Ok(interrupted) => interrupted,
            Err(error) => return unwatched(&error),
        };
        let shutdown = async move {
            interrupted.await;
            // Whoever asks twice does not want to wait for the grace period.
            if let Ok(second) = signals::interrupted() {
                tokio::spawn(async move {
                    let exit = second.await;
                    std::process::exit(exit as i32);
                });
            }
        };
        match app.run(shutdown).await {
            Ok(()) => Exit::Done,
            Err(error) => fail(error.exit(), error),
        }
    }
}

fn unwatched(error: &std::io::Error) -> Exit {
    fail(Exit::General, format_args!("cannot watch for signals: {error}"))
}

fn allow_open_files(config: &Config) {
    let needed = open_files::needed(config);
    if let Some(allowed) = open_files::allow(needed)
        && allowed < needed
    {
        tracing::warn!(allowed, needed, "too few open files are allowed for a full house: raise ulimit -n");
    }
}

/// Reads the configuration again at every SIGHUP. How that went, the log tells.
async fn reload_at(mut hangups: Signal, reloads: Reloads) {
    while hangups.recv().await.is_some() {
        if let Err(ReloadError::Gone) = reloads.reload().await {
            return;
        }
    }
}
