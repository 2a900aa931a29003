//! What the configuration promises: layering, places, secrets, defaults, and a document that lists every key.

#[path = "config/contradictions.rs"]
mod contradictions;
#[path = "config/document.rs"]
mod document;
#[path = "config/handoff.rs"]
mod handoff;
#[path = "config/layers.rs"]
mod layers;
#[path = "config/mistakes.rs"]
mod mistakes;
#[path = "config/secrets.rs"]
mod secrets;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use peerd::config::{Config, ConfigErrors, Loaded, Overrides, Sources};
use tempfile::TempDir;

/// A directory with a configuration file, and the sources that read it and nothing of this machine.
struct Bench {
    dir: TempDir,
    sources: Sources,
}

impl Bench {
    fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("peerd.toml");
        fs::write(&file, text).expect("the directory is writable");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("our own file");
        let overrides = Overrides { state_dir: Some(dir.path().join("state")), ..Overrides::default() };
        let sources = Sources {
            file: Some(file),
            overrides,
            current_dir: dir.path().to_owned(),
            system_file: dir.path().join("etc/peerd.toml"),
            ..Sources::default()
        };
        Self { dir, sources }
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.sources.environment.insert(name.to_owned(), value.into());
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes a directory to share.
    fn folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).expect("the directory is writable");
        path
    }

    fn load(&self) -> Result<Loaded, ConfigErrors> {
        Config::load(&self.sources)
    }

    #[track_caller]
    fn config(&self) -> Config {
        match self.load() {
            Ok(loaded) => loaded.config,
            Err(errors) => panic!("{errors}"),
        }
    }

    /// The report, with the path of the file shortened to `peerd.toml`.
    #[track_caller]
    fn report(&self) -> String {
        let errors = self.load().expect_err("the configuration is refused");
        errors.to_string().replace(&format!("{}/", self.dir.path().display()), "")
    }
}

#[track_caller]
fn report(text: &str) -> String {
    Bench::new(text).report()
}
