//! `peerd stub`: makes stub files, and shows what one says.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use http::StatusCode;
use resume_fetch::describe;
use retry_kit::{SharedClock, TokioClock};
use serde_json::{Value, json};

use super::bars::size;
use super::{Global, fail, say, say_aside};
use crate::config::{ByteSize, Config, Overrides, PeerConfig, Sources};
use crate::downloads::{Item, ItemError, Peers};
use crate::exit::Exit;
use crate::outbound::Ways;
use crate::stub::{Kind, Prefix, Stub, Torrent, Wanted};

/// Make stub files, and look into them.
#[derive(Debug, Args)]
pub(super) struct StubCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write a torrent stub that asks for an item of a peer
    Make(Make),
    /// Print what a stub asks for
    Show(Show),
}

#[derive(Debug, Args)]
#[command(after_help = "A peer that is not in the configuration is not asked: give --name and --size.")]
struct Make {
    /// The item; PEER is the name of a known peer, or the first eight hex digits of the SHA-256 of its URL
    #[arg(value_name = "PEER/ITEM")]
    what: String,
    /// Where to write it; - is standard output [default: NAME.torrent in this directory]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Name of the release [default: what the peer calls the file]
    #[arg(long)]
    name: Option<String>,
    /// Size of the file [default: what the peer says]
    #[arg(long)]
    size: Option<ByteSize>,
    /// First word of the comment; jack is for the original system
    #[arg(long, value_name = "WORD", default_value = "peerd", hide_possible_values = true)]
    prefix: Word,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Word {
    Peerd,
    Jack,
}

#[derive(Debug, Args)]
struct Show {
    /// The stub
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl StubCommand {
    pub(super) async fn run(self, global: &Global) -> Exit {
        match self.action {
            Action::Make(make) => make.run(global).await,
            Action::Show(show) => show.run(),
        }
    }
}

impl Make {
    async fn run(self, global: &Global) -> Exit {
        let (peer, item) = match self.what.parse() {
            Ok(Wanted::Item { peer, item }) => (peer, item),
            Ok(Wanted::Url(_)) => {
                return fail(Exit::Usage, "a torrent stub names an item of a peer; a URL fits a .peerd file");
            }
            Err(error) => return fail(Exit::Usage, format_args!("{}: {error}", self.what)),
        };
        let said = if self.name.is_some() && self.size.is_some() {
            Item::default()
        } else {
            match ask(&peer, &item, global).await {
                Ok(said) => said,
                Err(exit) => return exit,
            }
        };
        let prefix = match self.prefix {
            Word::Peerd => Prefix::Peerd,
            Word::Jack => Prefix::Jack,
        };
        let name = self.name.or(said.filename);
        let size = self.size.map(ByteSize::bytes).or(said.size);
        let (Some(name), Some(size)) = (name, size) else {
            return fail(
                Exit::Failed,
                "the peer does not say what the file is called or how large it is; give --name and --size",
            );
        };
        let path = self.output.clone().unwrap_or_else(|| default_path(&name));
        let bytes = Torrent { prefix, peer, item, name: Some(name), size: Some(size) }.to_bytes();
        if path == Path::new("-") {
            return match std::io::stdout().write_all(&bytes) {
                Ok(()) => Exit::Done,
                Err(error) => fail(Exit::LocalIo, format_args!("standard output: {error}")),
            };
        }
        match write_new(&path, &bytes) {
            Ok(()) => {
                say_aside(global, "drop it into a watched folder, or: peerd add FILE");
                say(&path.display().to_string())
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                fail(Exit::General, format_args!("{} exists already", path.display()))
            }
            Err(error) => fail(Exit::LocalIo, format_args!("cannot write {}: {error}", path.display())),
        }
    }
}

impl Show {
    fn run(self) -> Exit {
        let stub = match read(&self.file) {
            Ok(stub) => stub,
            Err(exit) => return exit,
        };
        if self.json {
            return say(&document(&stub).to_string());
        }
        if let Stub::Torrent(Torrent { name, size: bytes, .. }) = &stub {
            let name = name.as_deref().unwrap_or("no name");
            say(&format!("{name}  {}", bytes.map_or_else(|| "no size".to_owned(), size)));
        }
        for wanted in stub.wanted() {
            say(&wanted.to_string());
        }
        if let Stub::List(list) = &stub {
            for flaw in &list.flaws {
                super::remark(format_args!("{}: line {}: {}", self.file.display(), flaw.line, flaw.what));
            }
        }
        Exit::Done
    }
}

/// Reads a stub, or says why it is none.
pub(super) fn read(path: &Path) -> Result<Stub, Exit> {
    let refused = |why: &dyn std::fmt::Display| fail(Exit::Failed, format_args!("{}: {why}", path.display()));
    let kind = path.file_name().and_then(Kind::of);
    let kind = kind.ok_or_else(|| refused(&"a stub is called NAME.torrent or NAME.peerd"))?;
    let bytes = std::fs::File::open(path).and_then(|file| {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(
            &mut std::io::Read::take(file, crate::stub::MAX_BYTES as u64 + 1),
            &mut bytes,
        )?;
        Ok(bytes)
    });
    let bytes = bytes
        .map_err(|error| fail(Exit::LocalIo, format_args!("cannot read {}: {error}", path.display())))?;
    Stub::read(kind, &bytes).map_err(|error| refused(&error))
}

fn document(stub: &Stub) -> Value {
    let wanted: Vec<Value> = stub
        .wanted()
        .into_iter()
        .map(|wanted| match wanted {
            Wanted::Item { peer, item } => json!({ "peer": peer, "item": item }),
            Wanted::Url(url) => json!({ "url": url }),
        })
        .collect();
    match stub {
        Stub::Torrent(torrent) => json!({
            "kind": "torrent",
            "prefix": torrent.prefix.as_str(),
            "name": torrent.name,
            "size": torrent.size,
            "wanted": wanted,
        }),
        Stub::List(list) => {
            let flaw =
                |flaw: &crate::stub::Flaw| json!({ "line": flaw.line, "error": flaw.what.to_string() });
            let flaws: Vec<_> = list.flaws.iter().map(flaw).collect();
            json!({ "kind": "list", "wanted": wanted, "flaws": flaws })
        }
    }
}

/// Asks the peer what the item is, as the daemon would.
async fn ask(name: &str, item: &str, global: &Global) -> Result<Item, Exit> {
    let peers = configured(global)?;
    let general = |error: &(dyn std::error::Error + 'static)| fail(Exit::General, describe(error));
    let clock: SharedClock = Arc::new(TokioClock);
    let ways = Ways::new(std::time::Duration::from_secs(5)).map_err(|error| general(&error))?;
    let peers = Peers::new(&peers, ways, clock).map_err(|error| general(&error))?;
    peers.item(name, item).await.map_err(|error| {
        let exit = match &error {
            ItemError::Unknown(_) => Exit::NotFound,
            ItemError::Refused(
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED,
            ) => Exit::KeyRefused,
            ItemError::Refused(status) if resume_fetch::is_transient_status(*status) => Exit::TryLater,
            ItemError::Refused(_) => Exit::Failed,
            ItemError::Silent(_) => Exit::Unreachable,
        };
        fail(exit, format_args!("{}; without asking: --name and --size", describe(&error)))
    })
}

fn configured(global: &Global) -> Result<BTreeMap<String, PeerConfig>, Exit> {
    let sources = Sources::from_process(global.config.clone(), Overrides::default());
    let sources = sources.map_err(|error| fail(Exit::General, error))?;
    let loaded = Config::load(&sources).map_err(|errors| {
        super::remark(errors);
        Exit::Config
    })?;
    Ok(loaded.config.peers)
}

fn default_path(name: &str) -> PathBuf {
    let name = resume_fetch::file_name(name).unwrap_or_else(|_| "stub".to_owned());
    PathBuf::from(format!("{name}.torrent"))
}

/// Nothing of that name is replaced, and whoever watches the folder sees a whole file or none.
fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".").suffix(".tmp").tempfile_in(dir)?;
    file.write_all(bytes)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(mode)?;
    file.persist_noclobber(path).map(drop).map_err(|error| error.error)
}
