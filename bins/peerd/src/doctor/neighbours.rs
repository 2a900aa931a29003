//! Those we work with: peers and importers, asked side by side.

use std::sync::Arc;

use futures_util::future::join_all;
use retry_kit::TokioClock;

use super::Finding;
use crate::config::{ImportConfig, Loaded};
use crate::downloads::{Check, MAX_SKEW, Outcome, Peers};
use crate::import;
use crate::outbound::Ways;

pub(super) async fn look(loaded: &Loaded) -> Vec<Finding> {
    let (peers, importers) = tokio::join!(peers(loaded), importers(loaded));
    peers.into_iter().chain(importers).collect()
}

async fn peers(loaded: &Loaded) -> Vec<Finding> {
    let config = &loaded.config;
    let ways = match Ways::new(config.downloads.connect_timeout) {
        Ok(ways) => ways,
        Err(error) => {
            return vec![Finding::failed("peer", "all", resume_fetch::describe(&error), "")];
        }
    };
    let known = match Peers::new(&config.peers, ways, Arc::new(TokioClock)) {
        Ok(known) => known,
        Err(error) => {
            return vec![Finding::failed("peer", "all", error.to_string(), "mend the configuration")];
        }
    };
    let all = known.all();
    let (withheld, asked): (Vec<_>, Vec<_>) =
        all.iter().partition(|(name, _)| loaded.is_withheld("peers", name, "key"));
    let probes = asked.into_iter().map(|(name, peer)| {
        let known = known.clone();
        async move { (name, known.probe(name, peer).await) }
    });
    let probes = join_all(probes).await;
    let skews: Vec<_> = probes.iter().filter_map(|(_, probe)| probe.clock_skew).collect();
    let found = probes.into_iter().flat_map(|(name, probe)| of_peer(name, probe.checks));
    let withheld = withheld.into_iter().map(|(name, _)| not_asked("peer", name));
    our_clock(&skews).into_iter().chain(found).chain(withheld).collect()
}

/// Without its key it would only say that it wants one.
fn not_asked(area: &'static str, name: &str) -> Finding {
    let remedy = format!("have the daemon ask, which has it: peerd {area} test {name}");
    let detail = "not asked: its key is handed to the daemon alone, by its service manager";
    Finding { outcome: Outcome::Skipped, remedy: Some(remedy), ..Finding::ok(area, name, detail) }
}

/// Several machines that are off by the same time are right, and we are wrong.
fn our_clock(skews: &[i64]) -> Option<Finding> {
    let (least, most) = (*skews.iter().min()?, *skews.iter().max()?);
    let agree = skews.len() > 1 && most.abs_diff(least) <= MAX_SKEW;
    let off = least.unsigned_abs().min(most.unsigned_abs());
    (agree && off > MAX_SKEW).then(|| {
        let side = if least > 0 { "behind" } else { "ahead" };
        Finding::warning(
            "clock",
            "this machine",
            format!("{} peers agree with each other that it is {off} s {side}", skews.len()),
            "set the clock by the network: timedatectl set-ntp true",
        )
    })
}

fn of_peer(name: &str, checks: Vec<Check>) -> Vec<Finding> {
    let finding = |check: Check| Finding {
        area: "peer",
        subject: name.to_owned(),
        outcome: check.outcome,
        detail: check.detail,
        remedy: check.remedy,
    };
    summed_up(name, checks.into_iter().map(finding).collect())
}

/// What is wrong with a peer, one by one; else one line that all is well.
pub(crate) fn summed_up(name: &str, findings: Vec<Finding>) -> Vec<Finding> {
    let is_wrong = |finding: &Finding| matches!(finding.outcome, Outcome::Warning | Outcome::Failed);
    if findings.iter().any(is_wrong) {
        return findings.into_iter().filter(is_wrong).collect();
    }
    let seen: Vec<_> = findings.into_iter().map(|finding| finding.detail).collect();
    vec![Finding::ok("peer", name, seen.join("; "))]
}

async fn importers(loaded: &Loaded) -> Vec<Finding> {
    let asked = loaded.config.import.iter().map(|(name, config)| of_importer(loaded, name, config));
    join_all(asked).await
}

async fn of_importer(loaded: &Loaded, name: &str, config: &ImportConfig) -> Finding {
    if loaded.is_withheld("import", name, "key") {
        return not_asked("import", name);
    }
    let timeout = loaded.config.downloads.connect_timeout;
    let probe = match import::probe(config, &loaded.paths.downloads, timeout).await {
        Ok(probe) => probe,
        Err(error) => return Finding::failed("import", name, format!("{error:#}"), "mend the configuration"),
    };
    let Some(error) = probe.error else {
        let app = probe.app.unwrap_or_default();
        let sees = match probe.path_visible {
            Some(_) => "sees",
            None => "is told",
        };
        return Finding::ok("import", name, format!("{app} answers, and {sees} our files at {}", probe.path));
    };
    let remedy = match error.kind {
        "unreachable" => format!("see that it runs, and that import.{name}.url is right"),
        "key-refused" => format!("copy its API key (Settings, General) to import.{name}.key"),
        "wrong-app" => format!("set import.{name}.kind to what answers there, or mend its url"),
        "path-not-visible" => {
            format!("mount the folder there, too, or say in import.{name}.path_map where it is")
        }
        _ => format!("see its log, and try again with: peerd import test {name}"),
    };
    Finding::failed("import", name, error.message, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_clock_against_several_that_agree_is_the_wrong_one() {
        for (skews, ours) in [
            (&[] as &[i64], false),
            (&[3600], false),
            (&[3600, 3590], true),
            (&[-3600, -3590, -3600], true),
            (&[3600, 0], false),
            (&[3600, -3600], false),
            (&[60, 60], false),
        ] {
            assert_eq!(our_clock(skews).is_some(), ours, "{skews:?}");
        }
    }
}
