//! `peerd doctor`: what stands in the daemon's way, and what to do about it.

use clap::Args;
use http::Method;
use serde_json::Value;

use super::client::Daemon;
use super::config::{StateDir, load};
use super::{Global, fail, say};
use crate::doctor::{self, Finding};
use crate::downloads::Outcome;
use crate::exit::Exit;

/// Look at everything the daemon needs, whether or not it runs, and say what is wrong and what to do.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: StateDir,
}

impl Doctor {
    pub(super) async fn run(self, global: &Global) -> Exit {
        let sources = self.state.sources(global.config.clone());
        let loaded = match sources.and_then(|sources| load(&sources)) {
            Ok(loaded) => loaded,
            Err(exit) => return exit,
        };
        let mut findings = doctor::examine(&loaded).await;
        if !self.state.is_given() {
            findings.extend(added_peers(global).await);
        }
        let count = |of: Outcome| findings.iter().filter(|finding| finding.outcome == of).count();
        let (failed, warnings) = (count(Outcome::Failed), count(Outcome::Warning));
        let exit = if failed > 0 { Exit::General } else { Exit::Done };
        if self.json {
            say(&serde_json::json!({ "ok": failed == 0, "findings": findings }).to_string());
            return exit;
        }
        findings.iter().for_each(show);
        match (failed, warnings) {
            (0, 0) => say("all is well"),
            (0, warnings) => say(&format!("it works; things that could be better: {warnings}")),
            (failed, _) => {
                fail(exit, format_args!("things in the way: {failed}; look again with: peerd doctor"))
            }
        }
    }
}

fn show(finding: &Finding) {
    let outcome = match finding.outcome {
        Outcome::Ok => "ok",
        Outcome::Warning => "warning",
        Outcome::Failed => "failed",
        Outcome::Skipped => "skipped",
    };
    say(&format!("{outcome:<8} {:<9} {}: {}", finding.area, finding.subject, finding.detail));
    if let Some(remedy) = &finding.remedy {
        say(&format!("{:>18} {remedy}", "→"));
    }
}

/// Peers that no file names are known to the daemon alone: it is asked to look at them, if it runs.
async fn added_peers(global: &Global) -> Vec<Finding> {
    let Ok(daemon) = Daemon::find(global) else { return Vec::new() };
    let Ok(peers) = daemon.call(Method::GET, "/peers", None).await else { return Vec::new() };
    let added = peers["peers"].as_array().into_iter().flatten().filter(|peer| peer["origin"] == "registry");
    let mut findings = Vec::new();
    for name in added.filter_map(|peer| peer["name"].as_str()) {
        if let Ok(probe) = daemon.call_patiently(Method::POST, &format!("/peers/{name}/test")).await {
            findings.extend(of_answer(name, &probe));
        }
    }
    findings
}

fn of_answer(name: &str, probe: &Value) -> Vec<Finding> {
    let checks = probe["checks"].as_array().into_iter().flatten();
    let text = |check: &Value, member: &str| check[member].as_str().map(str::to_owned);
    let finding = |check: &Value| Finding {
        area: "peer",
        subject: name.to_owned(),
        outcome: match check["outcome"].as_str() {
            Some("ok") => Outcome::Ok,
            Some("warning") => Outcome::Warning,
            Some("skipped") => Outcome::Skipped,
            _ => Outcome::Failed,
        },
        detail: text(check, "detail").unwrap_or_default(),
        remedy: text(check, "remedy"),
    };
    doctor::summed_up(name, checks.map(finding).collect())
}
