//! What carries a connection on which nothing is encrypted.
//!
//! Where the system can, that is a socket which sends files by their addresses. The right to give it such addresses
//! comes from here and nowhere else, so no other connection can be given one.

use range_http::sendfile::Lane;
use tokio::net::TcpStream;

#[cfg(target_os = "linux")]
use range_http::sendfile::FileSocket as Plain;

#[cfg(not(target_os = "linux"))]
use tokio::net::TcpStream as Plain;

/// Carries `stream`; with a lane if `sendfile` is wanted and the system can.
#[cfg(target_os = "linux")]
pub(super) fn carry(stream: TcpStream, sendfile: bool) -> (Plain, Option<Lane>) {
    let socket = Plain::new(stream);
    let socket = if sendfile { socket.with_short_queue() } else { socket };
    let lane = socket.lane().filter(|_| sendfile);
    (socket, lane)
}

/// Carries `stream`, without a lane.
#[cfg(not(target_os = "linux"))]
pub(super) fn carry(stream: TcpStream, _sendfile: bool) -> (Plain, Option<Lane>) {
    (stream, None)
}
