//! Serves the files of a directory by name with axum: `cargo run --example axum --features axum,tokio -- DIR PORT`.

#![allow(clippy::disallowed_methods, reason = "the clock of the program")]

use std::path::PathBuf;
use std::time::SystemTime;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use range_http::{ContentDisposition, FileSource, Policy, RangeRequest};

async fn serve(
    State(root): State<PathBuf>,
    Path(name): Path<String>,
    request: RangeRequest,
) -> Result<impl IntoResponse, StatusCode> {
    // One plain name: this crate serves open files, which file that is stays your decision.
    let plain = !name.starts_with('.') && !name.contains(['/', '\\']);
    let file = if plain { FileSource::open(root.join(&name)).await.ok() } else { None };
    let file = file.ok_or(StatusCode::NOT_FOUND)?;
    let representation = file
        .representation(SystemTime::now())
        .with_content_type("application/octet-stream")
        .with_content_disposition(ContentDisposition::inline(&name));
    Ok(request.respond(&representation, &Policy::default(), file))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [root, port] =
        std::env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "usage: DIR PORT")?;
    let app = axum::Router::new().route("/{name}", get(serve)).with_state(PathBuf::from(root));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port.parse()?)).await?;
    Ok(axum::serve(listener, app).await?)
}
