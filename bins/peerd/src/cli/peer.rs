//! `peerd peer`: whom we fetch from, and what they offer.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::bars::size;
use super::client::{CallError, Daemon, segment};
use super::table::Table;
use super::{Global, say, say_aside, secret_input};
use crate::config::ByteSize;
use crate::exit::Exit;
use crate::tls::Trust;

/// Add, list, test and remove peers, and see what they offer.
#[derive(Debug, Args)]
pub(super) struct Peer {
    #[command(subcommand)]
    command: PeerCommand,
}

#[derive(Debug, Subcommand)]
enum PeerCommand {
    /// List peers
    Ls {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Add a peer to fetch from
    Add(Add),
    /// Forget a peer; downloads from it stay in the queue
    Rm {
        /// Its name
        name: String,
    },
    /// See whether a peer can be worked with, and what to do where it cannot
    Test {
        /// Its name
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List what a peer offers
    Items(Items),
}

/// Add a peer to fetch from
#[derive(Debug, Args)]
struct Add {
    /// What to call it
    name: String,
    /// Where it answers, such as http://bob.example:5280/
    #[arg(value_name = "URL")]
    address: String,
    /// File with the key it gave us, else none is sent; - asks for it, or reads it from a pipe
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// PEM file with its certificate, or that of the authority that made it; needed where it has one of its own
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Downloads from it at once
    #[arg(long, value_name = "N")]
    max_concurrent: Option<u32>,
    /// Bytes per second from it, such as 3MiB; 0 = no limit
    #[arg(long, value_name = "RATE")]
    limit_down: Option<ByteSize>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// List what a peer offers
#[derive(Debug, Args)]
struct Items {
    /// Its name
    name: String,
    /// Only items with all of these words
    #[arg(short = 's', long, value_name = "WORDS")]
    search: Option<String>,
    /// Only items of this share
    #[arg(long, value_name = "NAME")]
    share: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Peer {
    pub(super) async fn run(self, global: &Global) -> Exit {
        let outcome = match self.command {
            PeerCommand::Ls { json } => list(global, json).await,
            PeerCommand::Add(add) => add.run(global).await,
            PeerCommand::Rm { name } => remove(global, &name).await,
            PeerCommand::Test { name, json } => test(global, &name, json).await,
            PeerCommand::Items(items) => items.run(global).await,
        };
        outcome.unwrap_or_else(|error| error.report())
    }
}

impl Add {
    async fn run(self, global: &Global) -> Result<Exit, CallError> {
        let daemon = Daemon::find(global)?;
        let mut body = json!({ "name": self.name, "url": self.address });
        if let Some(path) = &self.key_file {
            let question = format!("key for {} (it is not shown): ", self.name);
            body["key"] = secret_input::read(path, &question).await?.into();
        }
        if let Some(path) = &self.ca_file {
            body["ca"] = certificates(path)?.into();
        }
        if let Some(max) = self.max_concurrent {
            body["max_concurrent"] = max.into();
        }
        if let Some(limit) = self.limit_down {
            body["limit_down"] = limit.bytes().into();
        }
        let peer = daemon.call(Method::POST, "/peers", Some(body)).await?;
        for warning in peer.get("warnings").and_then(Value::as_array).into_iter().flatten() {
            say_aside(global, &format!("warning: {}", warning.as_str().unwrap_or_default()));
        }
        if self.json {
            return Ok(say(&peer.to_string()));
        }
        let name = &self.name;
        let added = match self.key_file {
            Some(_) => "added",
            None => "added with no key (--key-file FILE gives it one)",
        };
        Ok(say_aside(
            global,
            &format!("{name}: {added}; try it with: peerd peer test {name}; see: peerd peer items {name}"),
        ))
    }
}

/// The text of a file of certificates. What is wrong with it is said here, where its name is known.
fn certificates(path: &Path) -> Result<String, CallError> {
    let refused = |exit, why: String| CallError { exit, message: format!("--ca-file: {why}") };
    Trust::read(path).map_err(|error| refused(Exit::Usage, format!("{error}; {}", error.help())))?;
    std::fs::read_to_string(path)
        .map_err(|error| refused(Exit::LocalIo, format!("{}: {error}", path.display())))
}

async fn list(global: &Global, json: bool) -> Result<Exit, CallError> {
    let mut answer = Daemon::find(global)?.call(Method::GET, "/peers", None).await?;
    let peers = answer.get_mut("peers").map(Value::take).unwrap_or_default();
    if json {
        return Ok(say(&peers.to_string()));
    }
    let peers = peers.as_array().map(Vec::as_slice).unwrap_or_default();
    if peers.is_empty() {
        return Ok(say_aside(global, "no peers yet; add one with: peerd peer add NAME URL --key-file FILE"));
    }
    let mut table = Table::new(["NAME", "URL", "KEY", "UP", "AT ONCE", "LIMIT", "DEFINED IN"]);
    for peer in peers {
        let text = |name: &str| peer.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = |name: &str| peer.get(name).and_then(Value::as_u64).unwrap_or_default();
        let yes_or_no = |name: &str| match peer.get(name).and_then(Value::as_bool) {
            Some(true) => "yes".to_owned(),
            Some(false) => "no".to_owned(),
            None => "-".to_owned(),
        };
        let limit = match number("limit_down") {
            0 => "no limit".to_owned(),
            bytes => format!("{}/s", ByteSize(bytes)),
        };
        let at_once = number("max_concurrent").to_string();
        let (key, up) = (yes_or_no("key"), yes_or_no("up"));
        table.row([text("name"), text("url"), key, up, at_once, limit, text("origin")]);
    }
    say(&table.to_string());
    for peer in peers {
        if let (Some(name), Some(error)) = (peer["name"].as_str(), peer["error"].as_str()) {
            say_aside(global, &format!("{name}: {error}"));
        }
    }
    Ok(Exit::Done)
}

async fn remove(global: &Global, name: &str) -> Result<Exit, CallError> {
    let answer =
        Daemon::find(global)?.call(Method::DELETE, &format!("/peers/{}", segment(name)), None).await?;
    say_aside(global, &format!("{name}: removed"));
    if let Some(left @ 1..) = answer.get("downloads").and_then(Value::as_u64) {
        let remark = format!(
            "{left} downloads from it stay in the queue and fail when their turn comes; they go on once a peer {name} \
             is added again, or go with: peerd rm ID"
        );
        say_aside(global, &remark);
    }
    Ok(Exit::Done)
}

async fn test(global: &Global, name: &str, json: bool) -> Result<Exit, CallError> {
    let path = format!("/peers/{}/test", segment(name));
    let answer = Daemon::find(global)?.call_patiently(Method::POST, &path).await?;
    let exit = verdict(&answer);
    if json {
        say(&answer.to_string());
        return Ok(exit);
    }
    let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let system = match (text(&answer, "system").as_str(), text(&answer, "version")) {
        ("peerd", version) => format!("peerd {version} on {}", text(&answer, "node")),
        ("original", _) => "the original system".to_owned(),
        _ => "unknown".to_owned(),
    };
    say(&format!("{name}: {system}"));
    for check in answer.get("checks").and_then(Value::as_array).into_iter().flatten() {
        say(&format!(
            "  {:<8} {:<10} {}",
            text(check, "outcome"),
            text(check, "check"),
            text(check, "detail")
        ));
        let remedy = text(check, "remedy");
        if !remedy.is_empty() {
            say(&format!("{:>22}{remedy}", ""));
        }
    }
    Ok(exit)
}

/// The code of a test: that of the first thing that failed.
fn verdict(answer: &Value) -> Exit {
    let checks = answer.get("checks").and_then(Value::as_array).into_iter().flatten();
    let failed =
        checks.filter(|check| check["outcome"] == "failed").find_map(|check| check["check"].as_str());
    match failed {
        None => Exit::Done,
        Some("key") => Exit::KeyRefused,
        Some("reach") => Exit::Unreachable,
        Some(_) => Exit::General,
    }
}

impl Items {
    async fn run(self, global: &Global) -> Result<Exit, CallError> {
        let daemon = Daemon::find(global)?;
        let (mut cursor, mut count) = (None, 0_usize);
        let mut all = Vec::new();
        for left in (0..MAX_PAGES).rev() {
            let path = format!("/peers/{}/items?{}", segment(&self.name), self.query(cursor.as_deref()));
            let mut page = daemon.call(Method::GET, &path, None).await?;
            let items = page.get_mut("items").map(Value::take).unwrap_or_default();
            let items = if let Value::Array(items) = items { items } else { Vec::new() };
            let is_empty = items.is_empty();
            count += items.len();
            if self.json {
                all.extend(items);
            } else {
                for item in &items {
                    say(&line(item));
                }
            }
            cursor = page.get("next").and_then(Value::as_str).map(str::to_owned);
            // An empty page that promises another could do so for ever.
            if cursor.is_none() || is_empty {
                break;
            }
            if count >= MAX_ITEMS || left == 0 {
                let remark =
                    format!("there is more than these {count} items; narrow it down with --search WORDS");
                say_aside(global, &remark);
                break;
            }
        }
        if self.json {
            return Ok(say(&Value::Array(all).to_string()));
        }
        let name = &self.name;
        match count {
            0 => Ok(say_aside(global, &format!("{name} offers nothing like that"))),
            _ => Ok(say_aside(global, &format!("fetch one with: peerd add {name}/ITEM --wait"))),
        }
    }

    fn query(&self, cursor: Option<&str>) -> String {
        let mut fields = form_urlencoded::Serializer::new(String::new());
        fields.append_pair("limit", "1000");
        for (name, value) in
            [("q", self.search.as_deref()), ("share", self.share.as_deref()), ("cursor", cursor)]
        {
            if let Some(value) = value {
                fields.append_pair(name, value);
            }
        }
        fields.finish()
    }
}

fn line(item: &Value) -> String {
    let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default();
    let bytes = item.get("size").and_then(Value::as_u64).map_or_else(|| "-".to_owned(), size);
    let name = if text("filename").is_empty() { text("title") } else { text("filename") };
    format!("{:<36} {bytes:>10}  {name}", text("id"))
}

/// Items listed in one go; a peer could go on for ever.
const MAX_ITEMS: usize = 100_000;
/// Pages asked for in one go; most hold as many items as were asked for.
const MAX_PAGES: usize = 1000;
