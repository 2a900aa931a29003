//! The database: whether it is one of ours, and whole.

use std::path::Path;

use download_registry::Inspection;

use super::Finding;
use crate::volume::Kind;

pub(super) async fn look(path: &Path) -> Vec<Finding> {
    let mut findings = vec![soundness(path).await];
    let dir = path.parent().filter(|dir| dir.is_dir()).map(Path::to_owned);
    let kind = tokio::task::spawn_blocking(move || dir.map(|dir| Kind::of(&dir))).await;
    if let Ok(Some(Kind::Network(name))) = kind {
        findings.push(Finding::failed(
            "database",
            path.display().to_string(),
            format!("it is on {name}, whose locks and shared memory SQLite cannot rely on"),
            "stop the daemon, move the file to a disk of this machine, and name the place in registry.path",
        ));
    }
    findings
}

async fn soundness(path: &Path) -> Finding {
    // One that may not be looked at is not one that is missing: opening it says what is wrong.
    if path.try_exists().is_ok_and(|exists| !exists) {
        return Finding::ok(
            "database",
            path.display().to_string(),
            "not there yet; it is made at the next start",
        );
    }
    let problems = match Inspection::open(path).await {
        Ok(database) => {
            let problems = database.check().await;
            database.close().await;
            problems.map_err(|error| resume_fetch::describe(&error))
        }
        Err(error) if error.is_bad_file() => Ok(vec![resume_fetch::describe(&error)]),
        Err(error) => Err(resume_fetch::describe(&error)),
    };
    match problems {
        Ok(problems) if problems.is_empty() => Finding::ok("database", path.display().to_string(), "sound"),
        Ok(problems) => Finding::failed(
            "database",
            path.display().to_string(),
            // SQLite says it in several lines.
            problems.join("; ").replace('\n', " "),
            "stop the daemon, keep a copy of the file, and put a backup in its place (peerd db backup makes one)",
        ),
        Err(error) => {
            let remedy = "let the user who runs this read it, or run this as the daemon's user";
            Finding::failed("database", path.display().to_string(), error, remedy)
        }
    }
}
