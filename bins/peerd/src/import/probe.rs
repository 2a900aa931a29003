//! Whether an importer is the one we think it is, and finds our files where we say they are.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

use super::arr::{Arr, ArrError, Status};
use super::{Importer, path_map};
use crate::config::ImportConfig;
use crate::outbound;

/// What an importer said when it was asked.
#[derive(Clone, Debug, Serialize)]
pub struct Probe {
    /// Whether a file handed over now would find its way.
    pub ok: bool,
    /// The program's own name.
    pub app: Option<String>,
    /// And its version.
    pub version: Option<String>,
    /// Where our finished files are, as the importer knows the place.
    pub path: String,
    /// Whether it sees that place; `None` when it does not say.
    pub path_visible: Option<bool>,
    /// What is wrong.
    pub error: Option<ProbeError>,
}

/// What is wrong.
#[derive(Clone, Debug, Serialize)]
pub struct ProbeError {
    /// `unreachable`, `key-refused`, `wrong-app`, `path-not-visible` or `rejected`.
    pub kind: &'static str,
    /// In words.
    pub message: String,
}

/// Asks the importer of these settings who it is, and whether it sees `dir`.
///
/// # Errors
/// When the settings cannot be used; the configuration's own check finds that first.
pub async fn probe_config(
    config: &ImportConfig,
    dir: &Path,
    connect_timeout: Duration,
) -> anyhow::Result<Probe> {
    let arr = Arr::new(outbound::client(connect_timeout)?, config);
    let arr = arr.context("the key holds characters no header can carry")?;
    Ok(probe(&Importer::new(config.clone(), arr), dir).await)
}

pub(super) async fn probe(importer: &Importer, dir: &Path) -> Probe {
    let path = path_map::theirs(dir, &importer.config.path_map);
    let mut probe = Probe { ok: false, app: None, version: None, path, path_visible: None, error: None };
    probe.error = ask(importer, &mut probe).await.err();
    probe.ok = probe.error.is_none();
    probe
}

async fn ask(importer: &Importer, probe: &mut Probe) -> Result<(), ProbeError> {
    let Status { app_name, version } = importer.arr.status().await.map_err(|error| ProbeError::of(&error))?;
    let expected = importer.config.kind.as_str();
    let other = !app_name.eq_ignore_ascii_case(expected);
    probe.app = Some(super::arr::tidy(&app_name));
    probe.version = Some(super::arr::tidy(&version));
    if other {
        let message = format!("{} answers there, not {expected}", super::arr::tidy(&app_name));
        return Err(ProbeError { kind: "wrong-app", message });
    }
    probe.path_visible = sees(importer, &probe.path).await;
    match probe.path_visible {
        Some(false) => {
            let message =
                format!("it does not see {}; mount it there, or say in path_map where it is", probe.path);
            Err(ProbeError { kind: "path-not-visible", message })
        }
        _ => Ok(()),
    }
}

/// Looks for a folder among those of its parent: of one that is not there an importer says nothing at all.
async fn sees(importer: &Importer, path: &str) -> Option<bool> {
    let parent = path.rfind(['/', '\\']).map(|at| &path[..=at])?;
    let folders = importer.arr.folders(parent).await.ok()?;
    Some(folders.iter().any(|folder| path_map::same(folder, path)))
}

impl ProbeError {
    fn of(error: &ArrError) -> Self {
        let kind = match error {
            ArrError::Unreachable(_) | ArrError::Cut(_) => "unreachable",
            ArrError::Key(_) => "key-refused",
            _ => "rejected",
        };
        Self { kind, message: format!("it {error}") }
    }
}
