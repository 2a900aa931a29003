//! Ready, reloading, stopping, alive, and how things stand.

use rustix::process::Signal;
use scripted_peer::{Answer, Gate, ScriptedPeer};
use serde_json::json;

use super::manager::Manager;
use crate::support::{Daemon, Home, Output, offer};

#[tokio::test]
async fn ready_is_said_when_the_daemon_serves_and_stopping_when_it_ends() {
    let home = Home::new().with(json!({ "server": { "shutdown_grace": "20s" } }));
    let mut manager = Manager::at_path(&home);
    let daemon = Daemon::start(&home, manager.serve(&home)).await;
    manager.hears("READY=1").await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(daemon.get(path).await.status, 200, "{path}; {}", daemon.log.tail());
    }
    let (status, log) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0), "{}", log.tail());
    let said = manager.all();
    let of = |wanted: &str| said.iter().filter(|line| line.starts_with(wanted)).collect::<Vec<_>>();
    assert_eq!(of("READY=").len(), 1, "{said:?}");
    assert_eq!(of("STOPPING="), ["STOPPING=1"], "{said:?}");
    // The grace period and the steps behind it, so that the service manager does not cut it short.
    assert_eq!(of("EXTEND_TIMEOUT_USEC="), ["EXTEND_TIMEOUT_USEC=35000000"], "{said:?}");
}

#[tokio::test]
async fn a_daemon_that_cannot_start_is_never_ready() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let home = Home::new().with(json!({ "server": { "listen": [address] } }));
    let manager = Manager::at_path(&home);
    Output::of(manager.serve(&home)).await.expect_code(1);
    assert_eq!(manager.all(), Vec::<String>::new());
}

#[tokio::test]
async fn a_service_manager_at_an_abstract_name_is_told_as_well() {
    let home = Home::new();
    let mut manager = Manager::at_name(&format!("peerd-test-{}", std::process::id()));
    let daemon = Daemon::start(&home, manager.serve(&home)).await;
    manager.hears("READY=1").await;
    manager.hears("STATUS=idle").await;
    daemon.terminate().await;
    manager.hears("STOPPING=1").await;
}

#[tokio::test]
async fn a_reload_is_told_from_its_beginning_to_its_end() {
    let home = Home::new();
    let mut manager = Manager::at_path(&home);
    let daemon = Daemon::start(&home, manager.serve(&home)).await;
    manager.hears("READY=1").await;
    daemon.signal(Signal::HUP);
    let reloading = loop {
        let lines = manager.next().await;
        if lines.iter().any(|line| line == "RELOADING=1") {
            break lines;
        }
    };
    let since = reloading.iter().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).expect("a time");
    assert!(since.parse::<u64>().expect("microseconds") > 0, "{since}");
    manager.hears("READY=1").await;
    // One that comes to nothing ends as well, and the line for people says what it came to.
    std::fs::write(home.path("peerd.toml"), "nonsense").expect("a file");
    daemon.signal(Signal::HUP);
    manager.hears("RELOADING=1").await;
    manager.hears("READY=1").await;
    manager.hears_until("STATUS=", |line| line.contains("configuration file cannot be used")).await;
    home.write_config();
    daemon.signal(Signal::HUP);
    manager.hears_until("STATUS=", |line| line == "idle").await;
}

#[tokio::test]
async fn the_line_for_people_says_what_runs() {
    let peer = ScriptedPeer::start().await;
    let gate = Gate::closed();
    let path = offer(&peer, "m", 7, 100_000);
    peer.script(&path, [Answer::hold_at(50_000, &gate)]);
    let home = Home::new().knowing("bob", peer.url("/"));
    let mut manager = Manager::at_path(&home);
    let daemon = Daemon::start(&home, manager.serve(&home)).await;
    manager.hears("STATUS=idle").await;
    let id = daemon.add("bob", "m").await;
    manager.hears_until("STATUS=", |line| line.starts_with("1 running, 0 queued")).await;
    gate.release();
    daemon.until_state(id, "completed").await;
    manager.hears_until("STATUS=", |line| line == "idle").await;
}

#[tokio::test]
async fn the_watchdog_gets_its_signs_of_life_as_often_as_it_wants_them() {
    let home = Home::new();
    let mut manager = Manager::at_path(&home);
    let mut command = manager.serve(&home);
    command.env("WATCHDOG_USEC", "100000");
    let daemon = Daemon::start(&home, command).await;
    manager.hears("READY=1").await;
    for _ in 0..5 {
        manager.hears("WATCHDOG=1").await;
    }
    daemon.terminate().await;
    assert!(!manager.all().contains(&"WATCHDOG=trigger".to_owned()));
}

#[tokio::test]
async fn a_watchdog_that_waits_long_is_not_told_more_often() {
    let home = Home::new();
    let mut manager = Manager::at_path(&home);
    let mut command = manager.serve(&home);
    command.env("WATCHDOG_USEC", "3600000000");
    let daemon = Daemon::start(&home, command).await;
    manager.hears("WATCHDOG=1").await;
    daemon.terminate().await;
    let signs = manager.all().iter().filter(|line| *line == "WATCHDOG=1").count();
    assert_eq!(signs, 1, "one at the beginning, the next half an hour later");
}

#[tokio::test]
async fn a_watchdog_of_another_process_is_told_nothing() {
    let home = Home::new();
    let mut manager = Manager::at_path(&home);
    let mut command = manager.serve(&home);
    command.env("WATCHDOG_USEC", "1000").env("WATCHDOG_PID", "1");
    let daemon = Daemon::start(&home, command).await;
    manager.hears("STATUS=idle").await;
    daemon.terminate().await;
    assert!(!manager.all().contains(&"WATCHDOG=1".to_owned()));
}
