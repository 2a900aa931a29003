//! `peerd serve`, asked for what it serves and how often it was asked.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// A daemon that shares `shared` below its home; ended when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// Of the only file there is.
    pub(crate) path: String,
    admin: SocketAddr,
    _process: Child,
}

impl Server {
    pub(crate) async fn start(program: &Path, home: &Path) -> io::Result<Self> {
        let config = home.join("peerd.toml");
        std::fs::write(&config, CONFIG)?;
        let mut process = Command::new(program)
            .args(["serve", "--config"])
            .arg(config)
            .arg("--share")
            .arg(home.join("shared"))
            .arg("--state-dir")
            .arg(home.join("state"))
            .env_clear()
            .env("HOME", home)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut log = BufReader::new(process.stderr.take().expect("stderr is piped")).lines();
        let (mut peer, mut admin) = (None, None);
        let mut last = String::new();
        let (address, admin) = loop {
            if let (Some(peer), Some(admin)) = (peer, admin) {
                break (peer, admin);
            }
            let line = log.next_line().await?.ok_or_else(|| unexpected("serve", &last))?;
            let address = field(&line, "address").and_then(|address| address.parse().ok());
            match field(&line, "listener") {
                Some("peer") => peer = address,
                Some("admin") => admin = address,
                _ => last = line,
            }
        };
        // Nobody reads on, but a full pipe would stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        let path = format!("/peer/items/{}/file", item(address).await?);
        Ok(Self { address, path, admin, _process: process })
    }

    /// How many requests for files it has answered.
    pub(crate) async fn requests(&self) -> io::Result<u64> {
        let page = get(self.admin, "/metrics").await?;
        let counts = page
            .lines()
            .filter(|line| line.starts_with("peerd_serve_requests_total{") && line.contains("route=\"file\""))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        Ok(counts.sum())
    }
}

/// The id of the shared file, once its directory has been read.
async fn item(address: SocketAddr) -> io::Result<String> {
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    let mut page = String::new();
    for _ in 0..200 {
        ticks.tick().await;
        page = get(address, "/peer/items").await?;
        if let Some(id) = field(&page, "id") {
            return Ok(id.to_owned());
        }
    }
    Err(unexpected("the list of items", &page))
}

async fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// The value of the first field called `name` in a line of JSON, as `peerd` writes it: without spaces or escapes.
pub(crate) fn field<'json>(json: &'json str, name: &str) -> Option<&'json str> {
    let (_, value) = json.split_once(&format!("\"{name}\":"))?;
    match value.strip_prefix('"') {
        Some(text) => text.split('"').next(),
        None => value.split([',', '}']).next(),
    }
}

pub(crate) fn unexpected(what: &str, said: &str) -> io::Error {
    io::Error::other(format!("{what}: {}", said.trim()))
}

const CONFIG: &str = r#"
[server]
listen = ["127.0.0.1:0"]
[admin]
listen = ["127.0.0.1:0"]
metrics_key = false
[auth]
require_key = false
[log]
format = "json"
"#;
