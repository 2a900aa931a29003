//! The files around the program say what the program says: units, container and compose file against settings, exit
//! codes and defaults. That they work is tried by `scripts/packaging-tests`.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use peerd::config::{Config, Overrides, Sources, keys};
use peerd::exit::Exit;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(path: &str) -> String {
    let path = top().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn packaged(name: &str) -> String {
    text(&format!("bins/peerd/packaging/{name}"))
}

/// The value of a setting of a unit that is there once.
fn unit<'a>(unit: &'a str, name: &str) -> &'a str {
    let values: Vec<_> = unit.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('=')).collect();
    assert_eq!(values.len(), 1, "{name}= in {unit}");
    values[0]
}

/// Whether a variable stands for a setting there is.
fn is_setting(variable: &str) -> bool {
    let wanted: Vec<_> = variable.strip_prefix("PEERD_").unwrap().split("__").collect();
    keys().any(|key| {
        let path: Vec<_> = key.path().split('.').collect();
        path.len() == wanted.len()
            && path.iter().zip(&wanted).all(|(key, word)| *key == "NAME" || key.to_uppercase() == *word)
    })
}

/// Every `PEERD_…` with levels in a text.
fn variables(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("PEERD_") && word.contains("__")).collect()
}

#[test]
fn every_variable_that_is_set_or_advised_is_a_setting() {
    for file in [
        "bins/peerd/packaging/container/Containerfile",
        "bins/peerd/packaging/container/compose.yaml",
        "bins/peerd/packaging/systemd/peerd.service",
        "docs/guides/container.md",
        "docs/guides/systemd.md",
        "scripts/packaging-tests",
    ] {
        for variable in variables(&text(file)) {
            assert!(is_setting(variable), "{file}: {variable}");
        }
    }
    assert!(!is_setting("PEERD_SERVER__LISTN"), "one that does not exist would be found");
}

#[test]
fn the_settings_of_the_compose_file_are_a_configuration_without_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let within = |name: &str| dir.path().join(name).display().to_string();
    for name in ["data/media", "secrets"] {
        std::fs::create_dir_all(within(name)).unwrap();
    }
    let mut environment = BTreeMap::new();
    let image = packaged("container/Containerfile");
    let (compose, container) = (packaged("container/compose.yaml"), "PEERD_SERVER__LISTEN=0.0.0.0:5280");
    assert!(image.contains(container));
    let of_image = image.lines().filter_map(|line| line.trim().strip_prefix("PEERD_")?.split_once('='));
    let of_compose = compose
        .lines()
        .filter_map(|line| line.trim_start_matches([' ', '#']).strip_prefix("PEERD_")?.split_once(": "));
    for (name, value) in of_image.chain(of_compose) {
        let value = value.trim_end_matches(" \\").trim_matches('\'');
        if let Some((_, secret)) = value.split_once("/run/secrets/") {
            let file = Path::new(&within("secrets")).join(secret.split('"').next().unwrap());
            std::fs::write(&file, "a-key").unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        let value =
            value.replace("/run/secrets", &within("secrets")).replace("/data/", &(within("data") + "/"));
        environment.insert(format!("PEERD_{name}"), OsString::from(value));
    }
    assert!(environment.len() > 10, "{environment:?}");
    let sources = Sources {
        environment,
        overrides: Overrides { state_dir: Some(dir.path().join("state")), ..Overrides::default() },
        system_file: dir.path().join("none"),
        ..Sources::default()
    };
    let loaded = Config::load(&sources).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.config.import.len(), 2);
    let takes = |importer: &str, name: &str| {
        let patterns = &loaded.config.import[importer].when.names;
        let mut globs = patterns.iter().map(|pattern| {
            globset::GlobBuilder::new(pattern).case_insensitive(true).build().unwrap().compile_matcher()
        });
        globs.any(|glob| glob.is_match(name))
    };
    for film in
        ["Sintel (2010).mkv", "sintel.2010.1080p.mkv", "Sintel 2010 720p.mkv", "Metropolis [1927].mkv"]
    {
        assert!(takes("films", film) && !takes("episodes", film), "{film}");
    }
    for other in ["backup-20240101.tar", "album.1080p.mkv", "photos2019.zip", "Notes 1234.pdf"] {
        assert!(!takes("films", other), "{other}");
    }
    assert!(takes("episodes", "Show.2019.S01E02.mkv"));
    assert_eq!(loaded.paths.downloads, dir.path().join("data/downloads/peerd"));
}

#[test]
fn the_program_and_its_image_say_the_same_of_what_they_are_for() {
    let purpose = env!("CARGO_PKG_DESCRIPTION");
    assert_eq!(peerd::cli::command().get_about().map(ToString::to_string).as_deref(), Some(purpose));
    let label = format!("org.opencontainers.image.description=\"{purpose}\"");
    assert!(packaged("container/Containerfile").contains(&label), "{label}");
}

#[test]
fn the_image_has_no_shell_and_no_root() {
    let image = packaged("container/Containerfile");
    let said = |word: &str| {
        let lines: Vec<_> =
            image.lines().filter_map(|line| line.strip_prefix(word)?.strip_prefix(' ')).collect();
        lines.last().copied().unwrap_or_else(|| panic!("no {word}")).to_owned()
    };
    assert_eq!(
        (said("FROM"), said("USER"), said("STOPSIGNAL")),
        ("scratch".into(), "1000:1000".into(), "SIGTERM".into())
    );
    // Lists, because there is no shell to take a text apart.
    assert_eq!((said("ENTRYPOINT"), said("CMD")), ("[\"/usr/bin/peerd\"]".into(), "[\"serve\"]".into()));
    let check = said("HEALTHCHECK");
    assert!(check.ends_with(" CMD [\"/usr/bin/peerd\", \"--quiet\", \"healthcheck\"]"), "{check}");
}

#[test]
fn what_the_program_is_built_from_is_sent_to_the_build_of_the_image() {
    let ignore = text(".dockerignore");
    let sent: Vec<_> = ignore.lines().filter_map(|line| line.strip_prefix('!').map(Path::new)).collect();
    let mut copied = Vec::new();
    for line in packaged("container/Containerfile")
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "))
        .filter(|line| !line.starts_with("--from"))
    {
        let (sources, to) = line.rsplit_once(' ').unwrap();
        for source in sources.split(' ').map(PathBuf::from) {
            assert!(top().join(&source).exists(), "{} is not there", source.display());
            assert!(sent.iter().any(|sent| source.starts_with(sent)), "{} is not sent", source.display());
            let inside =
                if to.ends_with('/') { Path::new(to).join(source.file_name().unwrap()) } else { to.into() };
            assert!(to == "./" || inside == source, "{} is elsewhere in the build", source.display());
            copied.push(source);
        }
    }
    let arrives = |path: &Path| copied.iter().any(|copied| path.starts_with(copied));
    // Every member: cargo reads the manifests of all of them, whichever it builds.
    let mut sources = Vec::new();
    for member in members() {
        assert!(arrives(&member.join("Cargo.toml")), "{} is a member", member.display());
        rust_files(&member, &mut sources);
    }
    let mut included = 0;
    for source in sources {
        for named in names_of_included(&text(source.to_str().unwrap())) {
            let path = plain(&source.parent().unwrap().join(named));
            assert!(arrives(&path), "{} includes {}", source.display(), path.display());
            included += 1;
        }
    }
    assert!(included > 20, "{included} files are included");
}

/// The directories of the members of the workspace.
fn members() -> Vec<PathBuf> {
    let manifest: toml::Table = text("Cargo.toml").parse().unwrap();
    let named =
        manifest["workspace"]["members"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
    named
        .flat_map(|name| match name.strip_suffix("/*") {
            None => vec![PathBuf::from(name)],
            Some(parent) => std::fs::read_dir(top().join(parent))
                .unwrap()
                .map(|entry| Path::new(parent).join(entry.unwrap().file_name()))
                .collect(),
        })
        .collect()
}

/// Every file of Rust below a directory, as seen from the top.
fn rust_files(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(top().join(dir)).unwrap() {
        let entry = entry.unwrap();
        let path = dir.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// What `include_str!` and `include_bytes!` name.
fn names_of_included(text: &str) -> Vec<&str> {
    let after = |word| text.split(word).skip(1);
    let named = after("include_str!(").chain(after("include_bytes!("));
    named.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next()).collect()
}

/// A path without the steps up in it.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}

#[test]
fn the_service_is_not_tried_again_where_that_cannot_help() {
    let service = packaged("systemd/peerd.service");
    let hopeless = [Exit::Usage, Exit::Data, Exit::Config].map(|exit| (exit as u8).to_string());
    assert_eq!(unit(&service, "RestartPreventExitStatus"), hopeless.join(" "));
    let patience: u64 = unit(&service, "TimeoutStopSec").parse().unwrap();
    assert!(patience > Config::default().server.shutdown_grace.as_secs());
}

#[test]
fn stopping_and_open_files_are_left_to_the_daemon() {
    let service = packaged("systemd/peerd.service");
    assert_eq!(unit(&service, "KillMode"), "mixed", "hooks are ended by the daemon");
    let (soft, hard) = unit(&service, "LimitNOFILE").split_once(':').unwrap();
    assert_eq!(soft, "1024", "as programs that use select() want it");
    assert!(hard.parse::<u64>().unwrap() > 4096);
}

#[test]
fn what_the_package_says_of_itself_fits_the_line_of_a_list() {
    let synopsis = env!("CARGO_PKG_DESCRIPTION");
    assert!(synopsis.len() < 80 && !synopsis.contains("HTTP"), "{synopsis}");
}

#[test]
fn the_sockets_listen_where_the_daemon_would_by_itself() {
    let config = Config::default();
    for (name, addresses) in [("peer", config.server.listen), ("admin", config.admin.listen)] {
        let socket = packaged(&format!("systemd/sockets/peerd-{name}.socket"));
        assert_eq!(unit(&socket, "FileDescriptorName"), name);
        assert_eq!(unit(&socket, "Service"), "peerd.service");
        let listens: std::net::SocketAddr = unit(&socket, "ListenStream").parse().unwrap();
        assert_eq!(addresses, [listens]);
    }
}
