//! `peerd key`: who may fetch from us.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::client::{CallError, Daemon, segment};
use super::table::Table;
use super::{Global, say, say_aside};
use crate::access::is_usable_name;
use crate::exit::Exit;

/// Make, list and revoke the keys others fetch from us with.
#[derive(Debug, Args)]
pub(super) struct Key {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a key and print it; it is shown this once
    Create(Create),
    /// List keys; their secrets are not known to anybody here
    Ls {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Revoke a key: the next request with it is refused
    Revoke {
        /// Whose key
        name: String,
    },
}

/// Make a key and print it; it is shown this once
#[derive(Debug, Args)]
struct Create {
    /// Who is to have it
    name: String,
    /// Share it opens (repeatable) [default: all of them]
    #[arg(long = "share", value_name = "NAME")]
    shares: Vec<String>,
    /// Print what the friend types as well: a command, and the key it asks for
    #[arg(long)]
    invite: bool,
    /// Address under which the friend reaches us [default: from server.listen]
    #[arg(long, value_name = "URL", requires = "invite")]
    peer_url: Option<String>,
    /// What the friend is to call us [default: the name of this machine]
    #[arg(long, value_name = "NAME", requires = "invite")]
    peer_name: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Key {
    pub(super) async fn run(self, global: &Global) -> Exit {
        let outcome = match self.command {
            KeyCommand::Create(create) => create.run(global).await,
            KeyCommand::Ls { json } => list(global, json).await,
            KeyCommand::Revoke { name } => revoke(global, &name).await,
        };
        outcome.unwrap_or_else(|error| error.report())
    }
}

impl Create {
    async fn run(self, global: &Global) -> Result<Exit, CallError> {
        let daemon = Daemon::find(global)?;
        let mut body = json!({ "name": self.name });
        if !self.shares.is_empty() {
            body["shares"] = json!(self.shares);
        }
        // Checked before the key is made: a key that nobody can be told of would only have to be revoked.
        let url = self.peer_url.as_deref().map(friendly_url).transpose()?;
        if let Some(name) = self.peer_name.as_deref().filter(|name| !is_usable_name(name)) {
            let message = format!("--peer-name: {name:?} is not a name: use 1 to 64 of A-Z a-z 0-9 . _ -");
            return Err(CallError { exit: Exit::Usage, message });
        }
        let mut key = daemon.call(Method::POST, "/keys", Some(body)).await?;
        let reach = key.as_object_mut().and_then(|key| key.remove("reach")).unwrap_or_default();
        let text =
            |of: &Value, name: &str| of.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let secret = text(&key, "secret");
        let invite = self.invite.then(|| {
            let name = self.peer_name.clone().unwrap_or_else(|| text(&reach, "name"));
            format!(
                "peerd peer add {name} {} --key-file -",
                url.clone().unwrap_or_else(|| text(&reach, "url"))
            )
        });
        if self.json {
            if let Some(command) = &invite {
                key["invite"] = json!({ "command": command });
            }
            say(&key.to_string());
        } else {
            if let Some(command) = &invite {
                say(command);
            }
            say(&secret);
        }
        let shares =
            key.get("shares").and_then(Value::as_array).map(|shares| words(shares)).unwrap_or_default();
        let opens = if shares == "*" { "every share".to_owned() } else { shares };
        say_aside(global, &format!("the key of {} opens {opens}; it is shown this once", self.name));
        if invite.is_some() {
            say_aside(global, "hand both lines over by a way you trust: the friend types the first,");
            say_aside(global, "and pastes the second when asked for the key, so that it stays in no history");
            if url.is_none() && reach.get("loopback").and_then(Value::as_bool) == Some(true) {
                let warning = "warning: we listen on loopback only, where no friend can reach us; \
                               set server.listen (or --listen 0.0.0.0:5280), or say --peer-url URL";
                say_aside(global, warning);
            }
            if reach.get("self_signed").and_then(Value::as_bool) == Some(true) {
                let remark = "our certificate stands for itself: hand the file of server.tls_cert over as well, for the \
                              friend to add to the first line: --ca-file FILE";
                say_aside(global, remark);
            } else if url.is_none() && text(&reach, "url").starts_with("https:") {
                let remark = "if the friend's machine does not know the authority of our certificate, hand the \
                              authority's certificate over as well, to add to the first line: --ca-file FILE";
                say_aside(global, remark);
            }
        } else {
            say_aside(global, "--invite prints what the friend types as well");
        }
        Ok(Exit::Done)
    }
}

/// An address that the friend's daemon will accept, and no shell will take apart.
fn friendly_url(text: &str) -> Result<String, CallError> {
    let refused = |why: String| CallError { exit: Exit::Usage, message: format!("--peer-url: {why}") };
    let url: crate::config::PeerUrl = text.parse().map_err(|error| refused(format!("{error}")))?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/[]%".contains(c);
    match url.base().as_str() {
        base if base.chars().all(plain) => Ok(base.to_owned()),
        _ => Err(refused("an address without odd characters, please".to_owned())),
    }
}

async fn list(global: &Global, json: bool) -> Result<Exit, CallError> {
    let mut answer = Daemon::find(global)?.call(Method::GET, "/keys", None).await?;
    let keys = answer.get_mut("keys").map(Value::take).unwrap_or_default();
    if json {
        return Ok(say(&keys.to_string()));
    }
    let keys = keys.as_array().map(Vec::as_slice).unwrap_or_default();
    if keys.is_empty() {
        return Ok(say_aside(global, "nobody has a key; make one with: peerd key create NAME --invite"));
    }
    let mut table = Table::new(["NAME", "SHARES", "MADE", "LAST USED", "DEFINED IN"]);
    for key in keys {
        let text = |name: &str| key.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
        let shares =
            key.get("shares").and_then(Value::as_array).map(|shares| words(shares)).unwrap_or_default();
        table.row([text("name"), shares, text("created_at"), text("last_used"), text("origin")]);
    }
    Ok(say(&table.to_string()))
}

async fn revoke(global: &Global, name: &str) -> Result<Exit, CallError> {
    Daemon::find(global)?.call(Method::DELETE, &format!("/keys/{}", segment(name)), None).await?;
    Ok(say_aside(global, &format!("{name}: revoked; the next request with this key is refused")))
}

fn words(list: &[Value]) -> String {
    let words: Vec<_> = list.iter().filter_map(Value::as_str).collect();
    words.join(", ")
}
