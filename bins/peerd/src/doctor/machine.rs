//! The machine itself: its clock, its limits, and whether our addresses are free.

use std::fs::ReadDir;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use download_registry::StateLock;

use super::Finding;
use crate::config::Loaded;
use crate::http::server::try_bind;
use crate::open_files;

pub(super) async fn look(loaded: &Loaded) -> Vec<Finding> {
    let loaded = loaded.clone();
    tokio::task::spawn_blocking(move || look_at(&loaded)).await.unwrap_or_default()
}

fn look_at(loaded: &Loaded) -> Vec<Finding> {
    let mut findings = vec![clock(SystemTime::now(), last_written(&loaded.paths.registry))];
    findings.push(files(open_files::needed(&loaded.config), open_files::most()));
    findings.extend(listeners(loaded));
    findings
}

/// Whether this machine's time can be the right one. Peers are asked for theirs, too.
fn clock(now: SystemTime, last_written: Option<SystemTime>) -> Finding {
    let remedy = "set the clock by the network: timedatectl set-ntp true";
    if now < UNIX_EPOCH + BEFORE_US {
        let detail = "it stands before the time this program was made";
        return Finding::failed("clock", "this machine", detail, remedy);
    }
    let ahead = last_written.and_then(|written| written.duration_since(now).ok());
    match ahead.filter(|ahead| *ahead > MAX_AHEAD) {
        Some(ahead) => {
            let detail = format!(
                "the database was last written {} s from now: the clock is behind, or was ahead then",
                ahead.as_secs()
            );
            Finding::warning("clock", "this machine", detail, remedy)
        }
        None => Finding::ok("clock", "this machine", "nothing speaks against it"),
    }
}

fn last_written(registry: &Path) -> Option<SystemTime> {
    let mut log = registry.as_os_str().to_owned();
    log.push("-wal");
    let modified = |path: &Path| path.metadata().and_then(|meta| meta.modified()).ok();
    modified(registry).max(modified(Path::new(&log)))
}

fn files(needed: u64, most: Option<u64>) -> Finding {
    match most {
        Some(most) if most < needed => Finding::warning(
            "limits",
            "open files",
            format!("{most} are allowed, and a full house takes {needed}: connections would be refused then"),
            format!(
                "allow more (LimitNOFILE={needed} in the unit, ulimit -n), or lower server.max_connections"
            ),
        ),
        _ => Finding::ok("limits", "open files", format!("a full house takes {needed}, and may have them")),
    }
}

/// Whether our addresses can be listened on. While the daemon runs they are its own.
fn listeners(loaded: &Loaded) -> Vec<Finding> {
    match StateLock::is_held(&loaded.paths.state) {
        Ok(false) => {}
        Ok(true) => return vec![Finding::ok("listen", "all addresses", "the daemon runs")],
        // Whoever may not look into the state directory hears of that already.
        Err(_) => return Vec::new(),
    }
    let config = &loaded.config;
    let (peer, admin) = (&config.server.listen, &config.admin.listen);
    peer.iter()
        .map(|address| ("server.listen", address))
        .chain(admin.iter().map(|address| ("admin.listen", address)))
        .map(|(key, address)| listener(key, *address))
        .collect()
}

fn listener(key: &str, address: SocketAddr) -> Finding {
    let Err(error) = try_bind(address) else {
        return Finding::ok("listen", address.to_string(), "free");
    };
    if error.is_taken() && Path::new(SOCKET_UNITS).read_dir().is_ok_and(holds_ours) {
        let detail = "taken; the service manager holds our sockets here, and passes them on";
        return Finding::ok("listen", address.to_string(), detail);
    }
    Finding::failed("listen", address.to_string(), resume_fetch::describe(&error), error.remedy(key))
}

fn holds_ours(mut units: ReadDir) -> bool {
    units.any(|unit| unit.is_ok_and(|unit| unit.file_name().to_string_lossy().starts_with("peerd-")))
}

/// Where systemd keeps what listens from the start of the machine on.
const SOCKET_UNITS: &str = "/etc/systemd/system/sockets.target.wants";
/// 2025-01-01, in seconds.
const BEFORE_US: Duration = Duration::from_secs(1_735_689_600);
/// Less than this is the grain of some clock.
const MAX_AHEAD: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::downloads::Outcome;

    #[test]
    fn a_clock_that_cannot_be_right_is_told() {
        let now = UNIX_EPOCH + BEFORE_US + Duration::from_secs(1 << 20);
        let at = |seconds| Some(now + Duration::from_secs(seconds));
        for (now, written, outcome) in [
            (now, None, Outcome::Ok),
            (now, at(0), Outcome::Ok),
            (now, at(60), Outcome::Ok),
            (now, at(61), Outcome::Warning),
            (UNIX_EPOCH, None, Outcome::Failed),
        ] {
            assert_eq!(clock(now, written).outcome, outcome, "{now:?} {written:?}");
        }
    }

    #[test]
    fn fewer_files_than_a_full_house_takes_are_too_few() {
        assert_eq!(files(1000, Some(999)).outcome, Outcome::Warning);
        assert_eq!(files(1000, Some(1000)).outcome, Outcome::Ok);
        assert_eq!(files(1000, None).outcome, Outcome::Ok);
    }

    #[test]
    fn an_address_that_cannot_be_listened_on_is_told_with_the_key_that_says_it() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let finding = listener("server.listen", taken.local_addr().unwrap());
        assert_eq!(finding.outcome, Outcome::Failed);
        assert!(finding.remedy.unwrap().contains("server.listen"));
        // TEST-NET-1 (RFC 5737) is no address of any machine.
        let elsewhere = listener("admin.listen", "192.0.2.1:0".parse().unwrap());
        assert!(elsewhere.remedy.unwrap().contains("of this machine"));
        assert_eq!(listener("server.listen", "127.0.0.1:0".parse().unwrap()).outcome, Outcome::Ok);
    }
}
