//! What is wrong with `[import]` and `[hooks]` is said before anything is handed over.

use super::{Bench, report};

const RADARR: &str = "[import.radarr]\nkind = \"radarr\"\nurl = \"http://radarr:7878\"\nkey = \"k\"\n";

#[test]
fn a_mistake_in_an_importer_is_reported_with_its_place() {
    for (text, expected) in [
        (
            "[import.x]\nkind = \"lidarr\"\nurl = \"http://x/\"\nkey = \"k\"",
            "2:8: import.x.kind: expected one of radarr, sonarr, not \"lidarr\"",
        ),
        (
            "[import.x]\nkind = \"radarr\"\nurl = \"radarr:7878\"\nkey = \"k\"",
            "3:7: import.x.url: the URL begins with http:// or https://, not radarr:",
        ),
        (
            "[import.x]\nkind = \"radarr\"\nurl = \"http://x/?apikey=k\"\nkey = \"k\"",
            "3:7: import.x.url: the URL carries no query",
        ),
        ("[import.x]\nurl = \"http://x/\"\nkey = \"k\"", "1:9: [import.x] needs `kind`"),
        ("[import.x]\nkind = \"radarr\"\nkey = \"k\"", "1:9: [import.x] needs `url`"),
        ("[import.x]\nkind = \"radarr\"\nurl = \"http://x/\"", "1:9: [import.x] needs `key`"),
        (
            "[import.none]\nkind = \"radarr\"\nurl = \"http://x/\"\nkey = \"k\"",
            "1:9: [import.none] cannot be",
        ),
        (
            &format!("{RADARR}path_map = [{{ from = \"/a\", to = \"b\" }}]"),
            "5:33: import.radarr.path_map[0].to: b is not an absolute path",
        ),
        (
            &format!("{RADARR}path_map = [{{ from = \"a\", to = \"/b\" }}]"),
            "5:22: import.radarr.path_map[0].from: a is not an absolute path",
        ),
        (&format!("{RADARR}path_map = [{{ from = \"/a\" }}]"), "import.radarr.path_map[0]: `to` is missing"),
        (&format!("{RADARR}path_map = [\"/a:/b\"]"), "import.radarr.path_map[0]: expected a table such as"),
        (
            &format!("{RADARR}path_map = [{{ form = \"/a\", to = \"/b\" }}]"),
            "path_map[0]: there is no key `form` here",
        ),
        (
            &format!(
                "{RADARR}[[import.radarr.path_map]]\nfrom = \"/a\"\nto = \"/b\"\n[[import.radarr.path_map]]\nfrom = \"/a\"\nto = \"/c\""
            ),
            "9:8: import.radarr.path_map[1].from: /a is mapped twice",
        ),
        (
            &format!("{RADARR}when = {{ names = [\"a[\"] }}"),
            "import.radarr.when.names[0]: \"a[\" is not a pattern",
        ),
        (
            &format!("{RADARR}when = {{ name = [\"a\"] }}"),
            "import.radarr.when.name: there is no key `name` here",
        ),
        (&format!("{RADARR}when = \"*\""), "import.radarr.when: expected a table such as"),
        (&format!("{RADARR}confrm = true"), "5:1: unknown key `confrm` in [import.radarr]"),
    ] {
        let report = report(text);
        assert!(report.contains(expected), "{text}\n\n{report}");
        assert!(!report.contains("apikey=k"), "{report}");
    }
}

#[test]
fn a_mistake_in_a_hook_is_reported_with_its_place() {
    for (text, expected) in [
        (
            "[hooks.x]\nevents = [\"download.completd\"]\ncommand = [\"a\"]",
            "= help: did you mean \"download.completed\"?",
        ),
        ("[hooks.x]\nevents = [\"snapshot\"]\ncommand = [\"a\"]", "\"snapshot\" is not the name of an event"),
        (
            "[hooks.x]\ncommand = [\"a\"]\nurl = \"http://h/?t=s3cret\"",
            "2:11: hooks.x.command: a hook has either a command or a url",
        ),
        ("[hooks.x]\ntimeout = \"1s\"", "hooks.x.command: a hook needs a command or a url"),
        ("[hooks.x]\ncommand = []", "2:11: hooks.x.command: a hook needs a command or a url"),
        ("[hooks.x]\ncommand = \"\"\nurl = \"\"", "a hook needs a command or a url"),
        ("[hooks.x]\nurl = \"ftp://h/s3cret\"", "2:7: hooks.x.url: the URL begins with http:// or https://"),
        ("[hooks.x]\nurl = \"s3cret\"", "2:7: hooks.x.url: not a URL"),
        ("[hooks.x]\ncommand = [\"a\"]\ntimeout = \"0s\"", "3:11: hooks.x.timeout: must be longer than zero"),
        ("[hooks.x]\ncommand = [1]", "hooks.x.command[0]: expected text in quotes, not 1"),
    ] {
        let report = report(text);
        assert!(report.contains(expected), "{text}\n\n{report}");
        assert!(!report.contains("s3cret"), "{report}");
    }
}

#[test]
fn two_importers_for_the_same_files_are_a_warning() {
    let two = |when: &str| {
        format!("{RADARR}[import.sonarr]\nkind = \"sonarr\"\nurl = \"http://s/\"\nkey = \"k\"\n{when}")
    };
    let warnings = |text: &str| Bench::new(text).load().unwrap().warnings;
    let warned = warnings(&two("when = { names = [\"*.mkv\"] }"));
    assert_eq!(warned.len(), 1, "{warned:?}");
    let text = warned[0].to_string();
    assert!(
        text.contains("peerd.toml:9:8: import.sonarr.when: what import.radarr wants, too, goes to radarr"),
        "{text}"
    );
    assert_eq!(warnings(&two("when = { peers = [] }")).len(), 1, "nothing is imported by itself");
    assert!(warnings(RADARR).is_empty());
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    for (text, expected) in [
        (
            format!("[downloads]\nunlink_after_import = true\n{RADARR}confirm = false"),
            "downloads.unlink_after_import: no importer confirms",
        ),
        (
            "[import.x]\nkind = \"radarr\"\nurl = \"http://radarr.example.org/\"\nkey = \"k\"".to_owned(),
            "import.x.url: the key of this importer crosses the internet",
        ),
        (
            "[hooks.x]\ncommand = [\"a\"]\nsecret = \"s\"".to_owned(),
            "hooks.x.secret: only what is sent to a `url` is signed",
        ),
        (
            "[hooks.x]\ncommand = [\"a\"]\nevents = []".to_owned(),
            "hooks.x.events: without an event it never runs",
        ),
    ] {
        let warnings = Bench::new(&text).load().unwrap().warnings;
        assert_eq!(warnings.len(), 1, "{text}: {warnings:?}");
        assert!(warnings[0].message.contains(expected), "{text}: {}", warnings[0]);
    }
}

#[test]
fn an_importer_and_a_hook_can_be_set_by_variables_alone() {
    let bench = Bench::new("")
        .env("PEERD_IMPORT__RADARR__KIND", "radarr")
        .env("PEERD_IMPORT__RADARR__URL", "http://radarr:7878/base")
        .env("PEERD_IMPORT__RADARR__KEY", "k")
        .env("PEERD_IMPORT__RADARR__WHEN", "{ names = ['*.mkv'] }")
        .env("PEERD_IMPORT__RADARR__PATH_MAP", "[{ from = '/a', to = 'C:\\b' }]")
        .env("PEERD_HOOKS__CHAT__URL", "http://chat/s3cret")
        .env("PEERD_HOOKS__CHAT__EVENTS", "import.failed,disk.low");
    let config = bench.config();
    let radarr = &config.import["radarr"];
    assert_eq!(
        (radarr.when.names.as_slice(), radarr.when.peers.as_slice()),
        (&["*.mkv".to_owned()][..], &["*".to_owned()][..])
    );
    assert_eq!(radarr.path_map[0].to, "C:\\b");
    let events: Vec<_> = config.hooks["chat"].events.iter().map(peerd::config::EventName::as_str).collect();
    assert_eq!(events, ["import.failed", "disk.low"]);
    let shown = format!("{:?}", bench.load().unwrap().settings());
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[test]
fn the_examples_of_the_documents_are_configurations() {
    for name in ["hooks.md", "guides/radarr-sonarr.md"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
        let document = std::fs::read_to_string(path).unwrap();
        let example = document.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let bench = Bench::new("");
        let secret = bench.path("secret");
        std::fs::write(&secret, "http://chat/k").unwrap();
        let secrets = ["radarr", "sonarr", "chat-hook", "chat-secret"];
        let example = secrets.iter().fold(example.to_owned(), |text, name| {
            text.replace(&format!("/run/secrets/{name}"), secret.to_str().unwrap())
        });
        std::fs::write(bench.path("peerd.toml"), example).unwrap();
        let warnings = bench.load().unwrap().warnings;
        let about = |warning: &peerd::config::Problem| !warning.message.contains("can be read by everyone");
        assert!(!warnings.iter().any(about), "{name}: {warnings:?}");
    }
}
