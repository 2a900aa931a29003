//! Secrets come from where the configuration says, and are shown nowhere.

use std::fs;

use peerd::config::{Config, SecretUse};

use super::{Bench, report};

#[test]
fn secrets_come_from_text_variables_files_and_credentials() {
    let bench = Bench::new("").env("BOB_KEY", "from-env\n");
    let dir = bench.path("credentials");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("carol"), "from-credential\n").unwrap();
    let file = bench.path("dave.key");
    fs::write(&file, "from-file\r\n").unwrap();
    let text = format!(
        "[peers.alice]\nurl = \"http://a/\"\nkey = 1_200\n[peers.bob]\nurl = \"http://b/\"\nkey = {{ env = \"BOB_KEY\" }}\n\
         [peers.carol]\nurl = \"http://c/\"\nkey = {{ credential = \"carol\" }}\n\
         [peers.dave]\nurl = \"http://d/\"\nheaders = {{ Authorization = {{ file = {file:?} }} }}\n\
         [keys.erin]\nsecret = true\n"
    );
    fs::write(bench.path("peerd.toml"), text).unwrap();
    let bench = bench.env("CREDENTIALS_DIRECTORY", dir.to_str().unwrap());
    let config = bench.config();
    let key = |name: &str| config.peers[name].key.as_ref().unwrap().expose();
    assert_eq!(key("alice"), "1_200", "a number is taken as it is typed");
    assert_eq!(key("bob"), "from-env");
    assert_eq!(key("carol"), "from-credential");
    assert_eq!(config.peers["dave"].headers["Authorization"].expose(), "from-file");
    assert_eq!(config.keys["erin"].secret.expose(), "true");
}

#[test]
fn empty_text_is_no_key_for_a_peer_and_a_mistake_for_those_who_need_one() {
    let config = Bench::new("[peers.bob]\nurl = \"http://b/\"\nkey = \"\"\n").config();
    assert_eq!(config.peers["bob"].key, None);
    let report = report("[keys.al]\nsecret = \"\"\n");
    assert!(report.contains("keys.al.secret: the secret is empty"), "{report}");
}

#[test]
fn a_secret_that_cannot_be_fetched_is_reported_at_its_place_with_its_source() {
    let text = "[peers.bob]\nurl = \"http://b/\"\nkey = { env = \"BOB_KEY\" }\n[keys.al]\nsecret = { file = \"/no/such\" }\n";
    let report = report(text);
    assert!(
        report.contains("peerd.toml:3:7: peers.bob.key: environment variable BOB_KEY is not set"),
        "{report}"
    );
    assert!(report.contains("peerd.toml:5:10: keys.al.secret: cannot read /no/such"), "{report}");
}

#[test]
fn a_secret_that_a_variable_replaces_is_not_fetched() {
    let text = "[peers.bob]\nurl = \"http://b/\"\nkey = { env = \"UNSET\" }\n";
    let config = Bench::new(text).env("PEERD_PEERS__BOB__KEY", "{ env = \"SET\" }").env("SET", "k").config();
    assert_eq!(config.peers["bob"].key.as_ref().unwrap().expose(), "k");
}

#[test]
fn no_report_and_no_printed_form_shows_a_secret() {
    let text = "[keys.al]\nsecret = \"TOPSECRET\"\n[peers.bob]\nurl = \"http://x/\"\nkey = \"TOPSECRETPEER\"\n\
                headers = { A = \"TOPSECRETHEADER\" }\n";
    let loaded = Bench::new(text).load().unwrap();
    assert_eq!(loaded.config.keys["al"].secret.expose(), "TOPSECRET");
    assert!(!format!("{loaded:?} {:?}", loaded.settings()).contains("TOPSECRET"));

    for text in [
        "[keys.al]\nsecrte = \"TOPSECRET\"\n",
        "[keys.al]\nsecret = [\"TOPSECRET\"]\n",
        "[keys.al]\nsecret = { text = \"TOPSECRET\" }\n",
        "[keys.al]\nsecret = \" TOPSECRET\"\n",
        "[keys]\nal = \"TOPSECRET\"\n",
        "keys.al = { secret = \"TOPSECRET\", share = [] }\n",
        "[keys.al]\nsecret = \"TOPSECRET\n",
        "[peers.bob]\nurl = \"http://al:TOPSECRET@x/\"\n",
        "[peers.bob]\nurl = \"http://x/?key=TOPSECRET\"\n",
        "[peers.bob]\nheaders = { Range = \"TOPSECRET\" }\n",
        "[peers.bob]\nheaders = \"TOPSECRET\"\n",
        "[peer.bob]\nkey = \"TOPSECRET\"\n",
        "peers = \"TOPSECRET\"\n",
        "[server]\napi_key = \"TOPSECRET\"\n",
    ] {
        let report = report(text);
        assert!(!report.contains("TOPSECRET"), "{text}: {report}");
    }
    for name in ["PEERD_KEYS__AL__SECRET", "PEERD_KEYS__AL__SECRTE", "PEERD_PEERS__BOB__HEADERS"] {
        let report = Bench::new("").env(name, " TOPSECRET").report();
        assert!(!report.contains("TOPSECRET"), "{name}: {report}");
    }
}

#[test]
fn a_secret_file_everyone_can_read_is_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new("");
    let key = bench.path("key");
    fs::write(&key, "k").unwrap();
    fs::write(bench.path("peerd.toml"), format!("[keys.al]\nsecret = {{ file = {key:?} }}\n")).unwrap();
    for (mode, warnings) in [(0o644, 1), (0o600, 0), (0o640, 0)] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(bench.load().unwrap().warnings.len(), warnings, "{mode:o}");
    }
}

#[test]
fn whoever_only_looks_for_the_daemon_needs_no_secret_and_whoever_looks_it_over_is_told_of_credentials() {
    let text = "[keys.al]\nsecret = { credential = \"al\" }\n[keys.bo]\nsecret = { file = \"/no/such\" }\n\
                [peers.bob]\nurl = \"http://b/\"\nkey = { env = \"UNSET\" }\n";
    let mut bench = Bench::new(text);
    bench.sources.secrets = SecretUse::Ignored;
    let loaded = Config::load(&bench.sources).unwrap();
    assert_eq!((loaded.config.keys.len(), loaded.warnings.len()), (2, 0));

    let mut bench = Bench::new("[keys.al]\nsecret = { credential = \"al\" }\n");
    bench.sources.secrets = SecretUse::Reviewed;
    let warnings = Config::load(&bench.sources).unwrap().warnings;
    assert!(warnings[0].message.contains("only the daemon can see it"), "{warnings:?}");
    bench.sources.secrets = SecretUse::Fetched;
    assert!(Config::load(&bench.sources).is_err(), "the daemon needs it");
}
