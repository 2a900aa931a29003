//! Serves the files of a directory by name with hyper: `cargo run --example hyper --features tokio -- DIR PORT`.

#![allow(clippy::disallowed_methods, reason = "the clock of the program")]

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::SystemTime;

use http::{Request, Response};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use range_http::{FileSource, Policy, RangeBody, respond};

async fn answer<B>(
    request: Request<B>,
    root: PathBuf,
) -> Result<Response<RangeBody<FileSource>>, Infallible> {
    // One plain name: this crate serves open files, which file that is stays your decision.
    let name = request.uri().path().trim_start_matches('/');
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let file =
        if plain && !name.starts_with('.') { FileSource::open(root.join(name)).await.ok() } else { None };
    let Some(file) = file else {
        return Ok(Response::builder().status(404).body(RangeBody::empty()).expect("a status"));
    };
    let representation = file.representation(SystemTime::now()).with_content_type("application/octet-stream");
    Ok(respond(request.method(), request.headers(), &representation, &Policy::default(), file))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [root, port] =
        std::env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "usage: DIR PORT")?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port.parse()?)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let root = PathBuf::from(&root);
        let service = service_fn(move |request| answer(request, root.clone()));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}
