//! `peerd get`: one resumable download without a daemon.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use download_registry::Problem;
use http::{HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use range_http::EntityTag;
use resume_fetch::{
    Completed, Connections, Digest, Download, Event, FetchError, FetchErrorKind, FetchRequest, Fetcher,
    LowSpeed, Progress, SidecarLedger, describe, file_name, with_suffix,
};
use retry_kit::{Clock, Layers, Rate, RateLimiter, RetryPolicy, TokioClock};
use serde_json::Value;

use super::bars::{self, Bar};
use super::{Global, fail, say, signals};
use crate::config::{ByteSize, parse_duration};
use crate::events::Step;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::outbound::Ways;

/// Download URL to a file. An interrupted download continues with the same command.
///
/// Data grows in PATH.part, the record of what is safe in PATH.part.ledger; only a verified whole file gets the name
/// PATH. On any failure both stay.
#[derive(Debug, Args)]
pub(super) struct Get {
    /// http or https URL
    #[arg(value_name = "URL")]
    url: String,
    /// Where to put the file [default: the last segment of the URL, here]
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Header to send, as 'Name: value'; never sent to another origin
    #[arg(short = 'H', long = "header", value_name = "HEADER", value_parser = parse_header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Connections at most, as far as they help; 1 = sequential
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16))]
    connections: u8,
    /// Bytes per second at most, such as 4MiB; 0 = no limit
    #[arg(long, value_name = "SIZE", default_value = "0")]
    limit_rate: ByteSize,
    /// Attempts without progress before giving up
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    max_attempts: u32,
    /// First back-off; doubles with each failure
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    retry_base: Duration,
    /// Longest back-off
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    retry_max: Duration,
    /// Longest Retry-After waited for; a longer one ends with 75
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_duration)]
    max_retry_after: Duration,
    /// Longest time to connect
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    connect_timeout: Duration,
    /// Longest time to the whole response head
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    response_timeout: Duration,
    /// Longest silence before or in the body
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    idle_timeout: Duration,
    /// Bytes per second that must arrive over 30 s; 0 = off
    #[arg(long, value_name = "SIZE", default_value = "1KiB")]
    low_speed: ByteSize,
    /// Largest file accepted; 0 = any
    #[arg(long, value_name = "SIZE", default_value = "100GiB")]
    max_size: ByteSize,
    /// SHA-256 the file must have
    #[arg(long, value_name = "HEX", value_parser = Digest::sha256)]
    sha256: Option<Digest>,
    /// BLAKE3 the file must have
    #[arg(long, value_name = "HEX", value_parser = Digest::blake3, conflicts_with = "sha256")]
    blake3: Option<Digest>,
    /// Size in bytes the file must have
    #[arg(long, value_name = "N")]
    expect_size: Option<u64>,
    /// Strong entity tag you know, with its quotes
    #[arg(long, value_name = "TAG", value_parser = parse_tag)]
    etag: Option<EntityTag>,
    /// Replace an existing file
    #[arg(long)]
    overwrite: bool,
    /// Print one JSON object per event to stdout
    #[arg(long)]
    json: bool,
}

impl Get {
    pub(super) async fn run(self, global: &Global) -> Exit {
        let (request, name) = match self.request(global) {
            Ok(request) => request,
            Err((exit, message)) => return fail(exit, message),
        };
        let transport = match Ways::new(self.connect_timeout) {
            Ok(ways) => ways.common(),
            Err(error) => return fail(Exit::General, format_args!("cannot set up TLS: {error}")),
        };
        let interrupted = match signals::interrupted() {
            Ok(interrupted) => interrupted,
            Err(error) => return fail(Exit::General, format_args!("cannot watch for signals: {error}")),
        };
        let ledger = SidecarLedger::new(with_suffix(request.part_path(), ".ledger"), &self.url);
        let target = request.target_path().to_path_buf();
        let fetcher = Fetcher::new(transport, std::sync::Arc::new(TokioClock), fastrand::Rng::new());
        let mut show = Show {
            json: self.json,
            bar: Bar::new(&name, global.look().filter(|_| !self.json), global.quiet || self.json),
        };
        let (outcome, signal) = watch(fetcher.start(request, ledger), interrupted, &mut show).await;
        match (outcome, signal) {
            (Ok(done), _) => show.completed(&done, &target, global),
            (Err(error), Some(signal)) if matches!(error.kind, FetchErrorKind::Stopped) => {
                show.failed(&error, signal, &self.next_step(global))
            }
            (Err(error), _) => show.failed(&error, Failure::of(&error.kind).exit(), &self.next_step(global)),
        }
    }

    fn request(&self, global: &Global) -> Result<(FetchRequest, String), (Exit, String)> {
        let usage = |message: String| (Exit::Usage, message);
        FetchRequest::new(&self.url, "")
            .map_err(|error| usage(format!("{}: {error}", presentable(&self.url))))?;
        let target = match &self.output {
            Some(path) if path.is_dir() => {
                return Err(usage(format!("{} is a directory; give a file name", path.display())));
            }
            Some(path) => path.clone(),
            None => PathBuf::from(name_from(&self.url).ok_or_else(|| {
                usage("the URL ends in no file name; say where to put it with -o PATH".to_owned())
            })?),
        };
        let name =
            target.file_name().map_or_else(|| self.url.clone(), |name| name.to_string_lossy().into_owned());
        let mut request = FetchRequest::new(&self.url, target)
            .map_err(|error| usage(format!("{}: {error}", presentable(&self.url))))?;
        for (name, value) in &self.headers {
            request = request.header(name.clone(), value.clone());
        }
        if let Some(path) = &global.api_key_file {
            let key = read_key(path).map_err(|error| (Exit::LocalIo, error))?;
            request = request.header(HeaderName::from_static("x-api-key"), key);
        }
        let policy = RetryPolicy::builder()
            .max_attempts(self.max_attempts)
            .base(self.retry_base)
            .cap(self.retry_max.max(self.retry_base))
            .max_retry_after(self.max_retry_after)
            .build()
            .map_err(|error| usage(error.to_string()))?;
        let low_speed = LowSpeed { floor: self.low_speed.bytes(), window: Duration::from_secs(30) };
        let limits = self.limit_rate.limit().map(limit_layer).unwrap_or_default();
        let request = request
            .replace(self.overwrite)
            .expect_size(self.expect_size)
            .known_tag(self.etag.clone())
            .expect_digest(self.sha256.or(self.blake3))
            .max_size(self.max_size.limit())
            .response_timeout(self.response_timeout.min(self.idle_timeout))
            .idle_timeout(self.idle_timeout)
            .low_speed(Some(low_speed))
            .retry(policy)
            .connections(Connections::adaptive(usize::from(self.connections)))
            .limits(limits);
        Ok((request, name))
    }

    /// The command that continues: this one.
    fn next_step(&self, global: &Global) -> String {
        if global.quiet { String::new() } else { "run the same command again to continue".to_owned() }
    }
}

fn limit_layer(rate: u64) -> Layers {
    let rate = std::num::NonZeroU64::new(rate).map_or_else(Rate::unlimited, Rate::per_second);
    Layers::new([RateLimiter::new(std::sync::Arc::new(TokioClock), rate)])
}

/// Shows what happens until the download ends; a signal stops it in good order.
async fn watch(
    mut download: Download,
    interrupted: impl Future<Output = Exit>,
    show: &mut Show,
) -> (Result<Completed, FetchError>, Option<Exit>) {
    let clock = std::sync::Arc::new(TokioClock);
    let mut progress = download.progress();
    let mut events = download.take_events();
    let mut interrupted = std::pin::pin!(interrupted);
    let mut signal = None;
    let mut events_open = true;
    loop {
        let tick = clock.sleep(PROGRESS_INTERVAL);
        tokio::select! {
            biased;
            exit = &mut interrupted, if signal.is_none() => {
                signal = Some(exit);
                download.stopper().cancel();
            }
            event = events.next(), if events_open => match event {
                Some(event) => show.event(&event),
                None => events_open = false,
            },
            result = &mut download => {
                let last = *progress.borrow();
                show.progress(&last);
                return (result, signal);
            }
            () = tick => {
                if progress.has_changed().unwrap_or(false) {
                    let current = *progress.borrow_and_update();
                    show.progress(&current);
                }
            }
        }
    }
}

/// What is shown on the way: JSON objects on stdout, or a bar on stderr.
struct Show {
    json: bool,
    bar: Bar,
}

impl Show {
    fn event(&mut self, event: &Event) {
        if let Some(step) = Step::heard(event) {
            self.emit(&step);
        }
        match event {
            Event::Started { from, .. } if *from > 0 => {
                self.bar.tell(&format!("resuming at {}", bars::size(*from)));
            }
            Event::Restarted { reason, discarded } => {
                self.bar.restarted();
                self.bar.tell(&format!("starting over: {reason}, {} discarded", bars::size(*discarded)));
            }
            Event::Retrying { attempt, max, delay, reason, .. } => {
                let delay = delay.as_secs_f64();
                self.bar.tell(&format!("{reason}; attempt {attempt} of {max}, next in {delay:.1} s"));
            }
            Event::Setback { range, delay, reason, .. } => {
                let (from, delay) = (bars::size(range.start), delay.as_secs_f64());
                self.bar
                    .tell(&format!("{reason}; the bytes from {from} on wait {delay:.1} s, the rest goes on"));
            }
            Event::Unreadable { range } => {
                let (from, until) = (range.start, range.end);
                self.bar.tell(&format!("bytes {from} to {until} cannot be read back; fetching them again"));
            }
            Event::Verifying => self.bar.tell("verifying"),
            _ => {}
        }
    }

    fn progress(&mut self, now: &Progress) {
        self.emit(&Step::Progress(now));
        self.bar.update(now.written, now.total, now.rate, now.eta);
    }

    fn completed(self, done: &Completed, target: &Path, global: &Global) -> Exit {
        self.emit(&Step::Completed { path: target, done });
        self.bar.finish();
        if !self.json && !global.quiet {
            let resumed = match done.resumed_from {
                0 => String::new(),
                bytes => format!(", {} of it from before", bars::size(bytes)),
            };
            say(&format!("{} ({}{resumed})", target.display(), bars::size(done.total)));
        }
        Exit::Done
    }

    fn failed(self, error: &FetchError, exit: Exit, next_step: &str) -> Exit {
        let problem = Problem::new(Failure::of(&error.kind).as_str(), error.to_string());
        let (retryable, durable) = (error.kind.is_retryable(), error.bytes_kept);
        let step = Step::Failed { problem: &problem, retryable, retry_at: None, durable };
        self.emit_with(&step, &[("exit", (exit as u8).into())]);
        self.bar.finish();
        super::remark(format_args!("peerd: {}", describe(error)));
        if error.bytes_kept > 0 && !next_step.is_empty() {
            super::remark(format_args!("peerd: {} are safe; {next_step}", bars::size(error.bytes_kept)));
        }
        exit
    }

    fn emit(&self, step: &Step<'_>) {
        self.emit_with(step, &[]);
    }

    /// Prints an event in the words of the daemon, as one flat object.
    fn emit_with(&self, step: &Step<'_>, more: &[(&str, Value)]) {
        let Some(told) = step.wire().filter(|_| self.json) else { return };
        let mut line = told.data;
        line["event"] = told.name.into();
        for (name, value) in more {
            line[*name] = value.clone();
        }
        say(&line.to_string());
    }
}

/// The URL without what may be a secret in it.
fn presentable(url: &str) -> String {
    match url::Url::parse(url) {
        Ok(mut parsed) => {
            let _ = parsed.set_username("");
            let _ = parsed.set_password(None);
            parsed.set_query(None);
            parsed.into()
        }
        Err(_) => url.to_owned(),
    }
}

fn name_from(url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    let last = url.path_segments()?.next_back()?;
    file_name(&percent_decode_str(last).decode_utf8_lossy()).ok()
}

fn read_key(path: &Path) -> Result<HeaderValue, String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    HeaderValue::from_str(text.trim_end_matches(['\r', '\n']))
        .map_err(|_| format!("{} holds characters no header can carry", path.display()))
}

fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("a header looks like 'Name: value'")?;
    let name = name.trim().parse::<HeaderName>().map_err(|_| "that is no header name")?;
    use http::header;
    let reserved = [
        header::RANGE,
        header::IF_RANGE,
        header::ACCEPT_ENCODING,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
        header::HOST,
    ];
    if reserved.contains(&name) {
        return Err(format!("{name} is set by peerd itself"));
    }
    let value = HeaderValue::from_str(value.trim()).map_err(|_| "that value cannot be sent in a header")?;
    Ok((name, value))
}

fn parse_tag(text: &str) -> Result<EntityTag, String> {
    match EntityTag::parse(text.as_bytes()) {
        Some(tag) if tag.is_weak() => Err("a weak tag proves nothing about bytes".to_owned()),
        Some(tag) => Ok(tag),
        None => Err("an entity tag has its quotes, like '\"abc\"'".to_owned()),
    }
}

/// At most ten progress events a second.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);
