//! Serves the files below a directory with hyper: `cargo run --example hyper --features tokio -- DIR PORT`.

#![allow(clippy::disallowed_methods, reason = "the clock of the program")]

use std::convert::Infallible;
use std::time::SystemTime;

use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use range_http::{Directory, Policy};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [root, port] = &arguments[..] else { return Err("usage: DIR PORT".into()) };
    let files = Directory::new(root);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port.parse()?)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let files = files.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let answer = files.respond(&request, &Policy::default(), SystemTime::now());
            async { Ok::<_, Infallible>(answer.await) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}
