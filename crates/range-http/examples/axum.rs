//! Serves the files below a directory with axum: `cargo run --example axum --features axum,tokio -- DIR PORT`.

#![allow(clippy::disallowed_methods, reason = "the clock of the program")]

use std::time::SystemTime;

use axum::extract::{Path, State};
use axum::{Router, http::StatusCode, response::IntoResponse, routing::get};
use range_http::{Directory, Policy, RangeRequest};

async fn serve(
    State(files): State<Directory>,
    Path(name): Path<String>,
    request: RangeRequest,
) -> Result<impl IntoResponse, StatusCode> {
    let file = files.open(&name).await.map_err(|_| StatusCode::NOT_FOUND)?;
    let representation = file.representation(SystemTime::now()).with_content_type("application/octet-stream");
    Ok(request.respond(&representation, &Policy::default(), file))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [root, port] = &arguments[..] else { return Err("usage: DIR PORT".into()) };
    let app = Router::new().route("/{*name}", get(serve)).with_state(Directory::new(root));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port.parse()?)).await?;
    Ok(axum::serve(listener, app).await?)
}
