//! What `check-config` says about certificates, keys and those we trust, before a port is bound.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::certificates::{Authority, Files};
use crate::support::{Home, Output, program};

async fn check(home: &Home) -> Output {
    let config = home.write_config();
    let mut command = program(&home.path("user"), ["check-config", "--config"]);
    command.arg(config);
    Output::of(command).await
}

fn under_tls(home: Home, authority: &Authority) -> (Home, Files) {
    let files = authority.pair().put(home.as_ref());
    (home.with(files.config()), files)
}

#[tokio::test]
async fn a_pair_that_fits_is_good_and_the_daemon_starts() {
    let (home, _) = under_tls(Home::new(), &Authority::new());
    let output = check(&home).await.expect_code(0);
    assert!(!output.stderr.contains("warning"), "{output:?}");
}

#[tokio::test]
async fn what_is_wrong_with_a_file_is_said_with_its_name_and_the_line_that_names_it() {
    let authority = Authority::new();
    let (home, files) = under_tls(Home::new(), &authority);
    let other = authority.pair();
    for (key, words) in [
        (other.key.as_str(), "does not belong to the certificate in"),
        ("-----BEGIN ENCRYPTED PRIVATE KEY-----\n", "holds an encrypted private key"),
        ("", "holds no private key"),
    ] {
        std::fs::write(&files.key, key).expect("a file");
        let output = check(&home).await.expect_code(78);
        let said = format!("{}{}", output.stdout, output.stderr);
        assert!(said.contains(words) && said.contains("key.pem"), "{said}");
        assert!(said.contains("peerd.toml:") && said.contains("server.tls_key"), "{said}");
    }
    std::fs::remove_file(&files.certificate).expect("a file");
    let refused = home.refused().await.expect_code(78);
    assert!(refused.stderr.contains("certificate.pem cannot be read: No such file"), "{refused:?}");
}

#[tokio::test]
async fn an_old_certificate_and_an_open_key_are_warnings() {
    let home = Home::new();
    let files = Authority::new().expired().put(home.as_ref());
    let home = home.with(files.config());
    std::fs::set_permissions(&files.key, PermissionsExt::from_mode(0o644)).expect("a file");
    let output = check(&home).await.expect_code(0);
    let said = format!("{}{}", output.stdout, output.stderr);
    assert!(said.contains("the certificate has expired on 2021-02-03"), "{said}");
    assert!(said.contains("key.pem can be read by everyone on this machine"), "{said}");
    let daemon = home.start().await;
    let warnings = daemon.get("/api/v1/system").await.json()["warnings"].to_string();
    assert!(warnings.contains("has expired"), "{warnings}");
}

#[tokio::test]
async fn a_ca_file_that_is_none_is_refused_and_one_without_use_is_a_warning() {
    let home = Home::new().knowing("bob", "https://bob.example/");
    let file = home.path("bob.pem");
    std::fs::write(&file, "no certificate").expect("a file");
    let home = home.with(json!({ "peers": { "bob": { "ca_file": file } } }));
    let output = check(&home).await.expect_code(78);
    let said = format!("{}{}", output.stdout, output.stderr);
    assert!(said.contains("peers.bob.ca_file") && said.contains("bob.pem holds no certificate"), "{said}");
    std::fs::write(&file, Authority::new().pem()).expect("a file");
    check(&home).await.expect_code(0);
    let home = home.with(json!({ "peers": { "bob": { "url": "http://127.0.0.1:1/" } } }));
    let output = check(&home).await.expect_code(0);
    let said = format!("{}{}", output.stdout, output.stderr);
    assert!(said.contains("is of no use while the address is one of plain http"), "{said}");
}
