//! Serves one file with nothing but the standard library: `cargo run --example std_net -- FILE PORT`.
//!
//! A plan is a status, fields, and segments to write; any socket will do.

#![allow(clippy::disallowed_methods, reason = "the clock of the program")]

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{TcpListener, TcpStream};
use std::time::SystemTime;

use range_http::{FileStamp, MethodKind, Policy, Segment, plan};

fn answer(stream: &TcpStream, path: &str) -> io::Result<()> {
    let mut lines = BufReader::new(stream.take(64 * 1024)).lines();
    let request_line = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let method = MethodKind::of(request_line.split(' ').next().unwrap_or_default());
    let mut fields = Vec::new();
    for line in lines {
        match line?.split_once(':') {
            Some((name, value)) => fields.push((name.to_string(), value.trim().to_string())),
            None => break,
        }
    }

    let mut file = File::open(path)?;
    let stamp = FileStamp::of(&file.metadata()?);
    let representation =
        stamp.representation(SystemTime::now()).with_content_type("application/octet-stream");
    let plan = plan(&(method, &fields[..]), &representation, &Policy::default());

    let mut out = io::BufWriter::new(stream);
    write!(out, "HTTP/1.1 {} {}\r\nconnection: close\r\n", plan.status(), plan.reason())?;
    for (name, value) in plan.headers() {
        write!(out, "{name}: ")?;
        out.write_all(value)?;
        out.write_all(b"\r\n")?;
    }
    out.write_all(b"\r\n")?;
    for segment in plan.segments() {
        match segment {
            Segment::Bytes(text) => out.write_all(text)?,
            Segment::Source(range) => {
                file.seek(SeekFrom::Start(range.start()))?;
                // A short copy closes the connection before Content-Length is reached: the client sees the cut.
                if io::copy(&mut (&file).take(range.len()), &mut out)? < range.len() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
    }
    out.flush()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [path, port] =
        std::env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "usage: FILE PORT")?;
    for stream in TcpListener::bind(("127.0.0.1", port.parse()?))?.incoming() {
        if let Err(error) = answer(&stream?, &path) {
            eprintln!("{error}");
        }
    }
    Ok(())
}
