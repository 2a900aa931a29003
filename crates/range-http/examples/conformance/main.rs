//! Asks any static file server every case of `cases.txt`.
//!
//! `cargo run --example conformance -- 127.0.0.1:8080 DIR [/PREFIX]` writes a few files into DIR, which the server at that
//! address must serve by name under the prefix, and prints one line for every answer RFC 9110 does not allow.

mod cases;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use cases::{Case, Received, Validators, all, content};
use range_http::HttpDate;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let (address, directory, prefix) = match &args[..] {
        [address, directory] => (address, directory, ""),
        [address, directory, prefix] => (address, directory, prefix.trim_end_matches('/')),
        _ => return Err("usage: ADDRESS DIR [/PREFIX]".into()),
    };
    let cases = all();
    for case in &cases {
        write_file(&Path::new(directory).join(name(case)), case.len)?;
    }
    let mut table: Vec<(&str, usize, usize)> = Vec::new();
    for case in &cases {
        let fault = check(address, prefix, case).unwrap_or_else(|error| Some(error.to_string()));
        if let Some(fault) = &fault {
            println!(
                "{}: {} {:?} of {}: {fault} ({})",
                case.group, case.method, case.fields, case.len, case.why
            );
        }
        if table.last().is_none_or(|(group, ..)| *group != case.group) {
            table.push((case.group, 0, 0));
        }
        if let Some((_, passed, count)) = table.last_mut() {
            *passed += usize::from(fault.is_none());
            *count += 1;
        }
    }
    println!("\n| group | cases | passed |\n|---|---|---|");
    for (group, passed, count) in &table {
        println!("| {group} | {count} | {passed} |");
    }
    let passed: usize = table.iter().map(|(_, passed, _)| passed).sum();
    println!("| **all** | {} | {passed} |", cases.len());
    Ok(())
}

fn name(case: &Case) -> String {
    format!("conformance-{}.bin", case.len)
}

/// A file last written long ago, so that its validators are strong.
fn write_file(path: &Path, len: usize) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|metadata| metadata.len() == len as u64) {
        return Ok(());
    }
    fs::write(path, content(len))?;
    File::options().append(true).open(path)?.set_modified(UNIX_EPOCH + Duration::from_secs(1_700_000_000))
}

fn check(address: &str, prefix: &str, case: &Case) -> io::Result<Option<String>> {
    let target = format!("{prefix}/{}", name(case));
    let plain = exchange(address, "GET", &target, &[])?;
    let validators = Validators {
        // A server without tags or dates gets made-up ones, which match nothing.
        etag: plain.field("etag").unwrap_or("\"none\"").into(),
        date: plain
            .field("last-modified")
            .and_then(|date| date.parse().ok())
            .unwrap_or(HttpDate::from_unix(0).ok_or(io::ErrorKind::InvalidData)?),
    };
    let received = exchange(address, case.method, &target, &case.fields_for(&validators))?;
    Ok(case.fault(&received, &case.answers))
}

/// One request on a connection of its own.
fn exchange(address: &str, method: &str, target: &str, fields: &[(&str, String)]) -> io::Result<Received> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut request = format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    if matches!(method, "POST" | "PUT") {
        request.push_str("Content-Length: 0\r\n");
    }
    for (name, value) in fields {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "no HTTP/1.1 answer");
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or_else(malformed)?;
    let body = answer.split_off(end + 4);
    let head = String::from_utf8_lossy(&answer);
    let mut lines = head.trim_end().split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).ok_or_else(malformed)?;
    let field = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_string()))
    };
    Ok(Received { status, fields: lines.filter_map(field).collect(), body })
}
