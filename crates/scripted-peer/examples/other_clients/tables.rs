//! The results as Markdown: what `docs/other-clients.md` shows of them, and what stands behind each cell.

use std::fmt::{self, Write as _};
use std::time::SystemTime;

use scripted_peer::RecordedRequest;

use crate::installed::Installed;
use crate::names::{Case, Client};
use crate::play::{LENGTH, Played};
use crate::verdict::megabytes;

/// Everything that was found out, in no order.
pub(crate) struct Results {
    pub(crate) clients: Vec<(Client, Option<Installed>)>,
    pub(crate) played: Vec<(Case, Client, Played)>,
}

impl Results {
    /// Date and versions, then what became of the file, then what it cost.
    pub(crate) fn page(&self) -> String {
        let mut page = String::new();
        self.write_page(&mut page).expect("writing to a String cannot fail");
        page
    }

    /// For every cell the requests with their answers, and the last line of each run.
    pub(crate) fn explanations(&self) -> String {
        let mut text = String::new();
        self.write_explanations(&mut text).expect("writing to a String cannot fail");
        text
    }

    fn write_page(&self, page: &mut String) -> fmt::Result {
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        writeln!(page, "Measured on {}, {os} {arch}, with a file of {}:\n", today(), megabytes(LENGTH))?;
        for (client, installed) in &self.clients {
            let version = installed.as_ref().map_or("(not installed)", |installed| &installed.version);
            writeln!(page, "- {} {version}, called as `{}`", client.program(), client.command())?;
        }
        writeln!(page)?;
        self.write_table(page, "what became of the file", outcome)?;
        writeln!(page)?;
        self.write_table(page, "requests: body bytes", cost)
    }

    fn write_table(
        &self,
        page: &mut String,
        corner: &str,
        cell: impl Fn(Case, &Played) -> String,
    ) -> fmt::Result {
        write!(page, "| {corner} |")?;
        for client in Client::ALL {
            write!(page, " {} |", client.title())?;
        }
        writeln!(page, "\n|---|{}", "---|".repeat(Client::ALL.len()))?;
        for case in Case::ALL {
            write!(page, "| {} |", case.title())?;
            for client in Client::ALL {
                let played = self.played(case, client);
                write!(
                    page,
                    " {} |",
                    played.map_or("not installed".to_owned(), |played| cell(case, played))
                )?;
            }
            writeln!(page)?;
        }
        Ok(())
    }

    fn write_explanations(&self, text: &mut String) -> fmt::Result {
        for (case, client) in Case::ALL.into_iter().flat_map(|case| Client::ALL.map(|client| (case, client)))
        {
            let Some(played) = self.played(case, client) else { continue };
            writeln!(text, "\n{}: {} ({:?})", case.title(), client.command(), played.verdict)?;
            for request in &played.requests {
                writeln!(text, "  {}", told(request))?;
            }
            for run in &played.runs {
                let last = run.said.split(['\r', '\n']).rev().find(|line| !line.trim().is_empty());
                writeln!(text, "  {}: {}", run.end, last.unwrap_or_default().trim())?;
            }
        }
        Ok(())
    }

    fn played(&self, case: Case, client: Client) -> Option<&Played> {
        let mut played = self.played.iter();
        played.find(|(of, by, _)| (*of, *by) == (case, client)).map(|(.., played)| played)
    }
}

fn outcome(case: Case, played: &Played) -> String {
    // In every other case the first run ends without a server: nobody can do it in one.
    let repeated = case == Case::CutNearTheEnd && played.runs.len() > 1;
    format!("{}{}", played.verdict, if repeated { ", when called again" } else { "" })
}

/// Bytes of answers that came to their end, or were cut by the peer. How much was sent of one that the client left is a
/// matter of socket buffers.
fn cost(_: Case, played: &Played) -> String {
    let (left, taken): (Vec<_>, Vec<_>) = played.requests.iter().partition(|request| request.hung_up);
    let bytes = taken.iter().map(|request| request.body_bytes).sum();
    let left = match left.len() {
        0 => String::new(),
        count => format!(", {count} left early"),
    };
    format!("{}: {}{left}", played.requests.len(), megabytes(bytes))
}

fn told(request: &RecordedRequest) -> String {
    let RecordedRequest { method, status, body_bytes, hung_up, .. } = request;
    let range = request.range().unwrap_or("no range");
    let guard = request.header("if-range").map(|validator| format!(", If-Range: {validator}"));
    let status = status.map_or("no answer".to_owned(), |status| status.to_string());
    let left = if *hung_up { ", left early" } else { "" };
    format!("{method} ({range}{}): {status}, {body_bytes} bytes{left}", guard.unwrap_or_default())
}

#[expect(clippy::disallowed_methods, reason = "a measurement bears its date")]
fn today() -> String {
    // `Sun, 06 Nov 1994 08:49:37 GMT`
    httpdate::fmt_http_date(SystemTime::now())[5..16].to_owned()
}
