//! File bodies of plain HTTP/1 that never pass through user space: sendfile(2) below a server that does not know it.
//!
//! A server such as hyper asks its body for a [`Buf`](bytes::Buf) and hands slices of it to the connection. Here a part
//! of a file is a [`Piece`] whose slice is an *address without content*: it lies in memory that is reserved and can
//! never be read. [`FileSocket`], which carries the connection, knows such an address when it is given one to write,
//! and has the kernel send the bytes it stands for from the page cache. Everything else it writes as it comes.
//!
//! ```text
//! FileBody ── Piece { window, 0..n } ──► hyper (queues it) ── &[u8] ──► guards ──► FileSocket ── sendfile(2) ──► TCP
//! ```
//!
//! The parts: [`FileSocket`] wraps the accepted stream; its [`Lane`] is the right to give it addresses, and goes to
//! whoever answers; [`respond`] decides and makes a [`FileBody`], which copies where there is no lane: for TLS, for
//! HTTP/2, on other systems, and for files that cannot be sent like this.
//!
//! ```no_run
//! # #[cfg(target_os = "linux")]
//! # async fn serve(stream: tokio::net::TcpStream) -> Result<(), Box<dyn std::error::Error>> {
//! use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
//! use range_http::{FileSource, Policy, sendfile};
//!
//! let socket = sendfile::FileSocket::new(stream);
//! let lane = socket.lane();
//! let service = service_fn(|request: Request<Incoming>| async move {
//!     let file = FileSource::open("film.mkv").await?;
//!     let film = file.representation(std::time::SystemTime::now());
//!     let (method, headers) = (request.method(), request.headers());
//!     Ok::<_, std::io::Error>(sendfile::respond(method, headers, &film, &Policy::new(), file, lane))
//! });
//! http1::Builder::new().serve_connection(hyper_util::rt::TokioIo::new(socket), service).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//! - **No byte but the file's.** An address names its window, the window its open file and place; nothing is guessed
//!   from an order of events. An address that names no window, a file that ended early, a failed read, a file that is
//!   no longer the one that was opened: each ends the connection with a reset, which also takes back what waits in the
//!   kernel unsent. Nothing is ever filled up.
//! - **A change that was seen stops the body.** Length, times and links of the file are compared right before and right
//!   after each call, and no call sends more than [`WINDOW`] bytes.
//! - **The runtime's threads hardly ever wait for disks.** Before bytes go, and again when they waited for a second,
//!   samples of their pages are looked for in the page cache; what is missing is read on a blocking thread first. A file
//!   system that cannot tell is copied from.
//! - **One connection does not hold up the others.** After [`WINDOW`] bytes without a pause the task yields.
//!
//! # What is not
//! Bytes that wait in a socket are pages of the file: until the other end has confirmed them, and on the same machine
//! until the reader has read them. A program that writes *in place*, or cuts the file short, changes them there, also
//! into zeros. As long as more is to be sent the next look sees it and resets the connection; but a change after the last
//! bytes went into the socket, while a slow reader has not taken them yet, reaches the reader under a clean end, and for a
//! file that fits into the socket that is all of it. A copied body does not have this gap. So this way is for files that
//! nobody writes in place: replacing a file by renaming another over it never touches those pages. [`respond`] takes it
//! only for files that have been left alone long enough for strong validators.
//!
//! # Safety
//! Two lines of `unsafe`, in `region.rs`: reserving memory, and calling it a slice. The first cannot be wrong: the
//! kernel picks the place. The second makes a `&'static [u8]` whose addresses are ours for good and whose content nobody
//! can read, so what has to be argued is that nobody does:
//! 1. This module never looks into such a slice; it compares addresses.
//! 2. A [`Piece`] gives its slice to its holder only, and there is no piece without a [`Lane`], hence without a
//!    [`FileSocket`] to write to.
//! 3. hyper's HTTP/1 server queues the buffers of a body and passes their slices to `poll_write_vectored`, without
//!    reading them, when the connection says that it can write vectored, which [`FileSocket`] does. It must not be
//!    built with `pipeline_flush(true)` nor `writev(false)`, which copy.
//! 4. Should it be given to anything else, nothing leaks and nothing is made up: a system call answers `EFAULT`, and a
//!    read by the process ends it with a fault, on the first byte. The behaviour tests run a real server over it, so a
//!    hyper that begins to copy cannot pass them.
//! 5. The compiler has no reason to read ahead of a program that does not: the lengths are dynamic, so it may not even
//!    assume one byte.

mod body;
mod piece;

#[cfg(target_os = "linux")]
mod page_cache;
#[cfg(target_os = "linux")]
mod queue;
#[cfg(target_os = "linux")]
mod region;
#[cfg(target_os = "linux")]
mod send_error;
#[cfg(target_os = "linux")]
mod socket;
#[cfg(target_os = "linux")]
mod window;

pub use body::{FileBody, Lane, respond};
pub use piece::{Piece, Taken};
#[cfg(target_os = "linux")]
pub use {send_error::SendError, socket::FileSocket};

/// The most bytes one piece stands for, one call sends, and one connection sends before it lets others go first.
pub const WINDOW: usize = 2 << 20;
