//! **The doctor**: looks at everything a daemon of this configuration needs, and says what is wrong and what to do.
//!
//! It works with the daemon running or not. Nothing is changed but for a small hidden file that is made and removed
//! again where the daemon has to write; peers and importers are asked a few small questions.

mod certificate;
mod database;
mod folders;
mod machine;
mod neighbours;
mod stubs;

use serde::Serialize;

use crate::config::{Loaded, Problem};
use crate::downloads::Outcome;

pub(crate) use neighbours::summed_up;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about: `config`, `tls`, `state`, `folder`, `disk`, `database`, `share`, `watch`, `peer` or `import`.
    pub area: &'static str,
    /// Which one: a path or a name.
    pub subject: String,
    /// How it is.
    pub outcome: Outcome,
    /// What was seen.
    pub detail: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl Finding {
    fn ok(area: &'static str, subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { area, subject: subject.into(), outcome: Outcome::Ok, detail: detail.into(), remedy: None }
    }

    fn warning(
        area: &'static str,
        subject: impl Into<String>,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let remedy = Some(remedy.into()).filter(|remedy| !remedy.is_empty());
        Self { outcome: Outcome::Warning, remedy, ..Self::ok(area, subject, detail) }
    }

    fn failed(
        area: &'static str,
        subject: impl Into<String>,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { outcome: Outcome::Failed, ..Self::warning(area, subject, detail, remedy) }
    }
}

/// Looks at everything, the nearest first: what is wrong there explains much of what is wrong behind it.
///
/// # Cancel safety
/// Safe, but for the small file that may then stay.
pub async fn examine(loaded: &Loaded) -> Vec<Finding> {
    let mut findings: Vec<_> = loaded.warnings.iter().map(of_warning).collect();
    if findings.is_empty() {
        findings.push(Finding::ok("config", place(loaded), "no problem found"));
    }
    let (config, paths) = (loaded.config.clone(), loaded.paths.clone());
    let looked = tokio::task::spawn_blocking(move || folders::look(&config, &paths)).await;
    findings.extend(looked.unwrap_or_default());
    findings.extend(machine::look(loaded).await);
    findings.extend(certificate::look(&loaded.config.server));
    findings.extend(database::look(&loaded.paths.registry).await);
    findings.extend(stubs::look(&loaded.config.watch).await);
    findings.extend(neighbours::look(loaded).await);
    findings
}

fn of_warning(warning: &Problem) -> Finding {
    let remedy = warning.help.clone().unwrap_or_default();
    Finding::warning("config", warning.place.to_string(), &warning.message, remedy)
}

fn place(loaded: &Loaded) -> String {
    loaded.file.as_ref().map_or_else(|| "the defaults".to_owned(), |file| file.display().to_string())
}
