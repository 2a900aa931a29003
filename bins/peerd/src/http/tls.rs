//! TLS on a listener: whether, under which certificate, and the handshake that begins a connection.
//!
//! What is in force is looked up for each new connection, so that a certificate that was renewed is shown from then
//! on; a connection that is there keeps what it began with. Sessions that clients may resume go with the certificate
//! they were made under: nobody is let in on the strength of an old one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::server::ServerOptions;
use super::stall::StallGuard;
use crate::current::Current;
use crate::tls::{Certificate, Identity};

/// How a listener answers: in the clear, or under a certificate that can be replaced.
#[derive(Debug, Default)]
pub struct Tls(Current<Option<Terms>>);

#[derive(Debug)]
struct Terms {
    config: Arc<ServerConfig>,
    certificate: Option<Certificate>,
}

/// Why a connection did not get past its handshake.
#[derive(Debug, Error)]
pub(super) enum HandshakeError {
    /// It began with text: plain HTTP.
    #[error("plain HTTP where TLS is spoken")]
    InTheClear(TcpStream),
    /// It took its time.
    #[error("the handshake took longer than {} s", .0.as_secs_f32())]
    Slow(Duration),
    /// Anything else.
    #[error(transparent)]
    Failed(#[from] io::Error),
}

impl Tls {
    /// Under a certificate; in the clear without one.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(identity: Option<Identity>) -> Result<Self, rustls::Error> {
        Ok(Self(Current::new(identity.map(Terms::new).transpose()?)))
    }

    /// Begins every connection from now on as `other` would. What it showed to anyone before counts for nothing here.
    pub fn replace(&self, other: Self) {
        self.0.take_over(other.0);
    }

    /// Whether TLS is spoken.
    pub fn is_on(&self) -> bool {
        self.0.get().is_some()
    }

    /// What the certificate in force says about itself, as far as it could be read.
    pub fn certificate(&self) -> Option<Certificate> {
        self.0.get().as_ref().as_ref()?.certificate.clone()
    }

    /// How the next connection is answered; `None` is in the clear.
    pub(super) fn terms(&self) -> Option<Arc<ServerConfig>> {
        self.0.get().as_ref().as_ref().map(|terms| Arc::clone(&terms.config))
    }
}

impl Terms {
    fn new(identity: Identity) -> Result<Self, rustls::Error> {
        let certificate = identity.certificate().cloned();
        Ok(Self { config: Arc::new(identity.server_config()?), certificate })
    }
}

/// Waits for the handshake, as long as for a request head and no longer.
pub(super) async fn accept(
    terms: Arc<ServerConfig>,
    stream: TcpStream,
    options: &ServerOptions,
) -> Result<TlsStream<StallGuard<TcpStream>>, HandshakeError> {
    let handshake = async {
        // A record of TLS begins with its type (RFC 8446 §5.1), and a handshake is not a letter.
        let mut first = [0];
        if stream.peek(&mut first).await? == 1 && first[0].is_ascii_alphabetic() {
            return Err(HandshakeError::InTheClear(stream));
        }
        // Below TLS: what waits there is what the reader does not take.
        let stream = StallGuard::new(stream, options.write_stall_timeout);
        Ok(TlsAcceptor::from(terms).accept(stream).await?)
    };
    let late = |_| HandshakeError::Slow(options.header_timeout);
    tokio::time::timeout(options.header_timeout, handshake).await.map_err(late)?
}

/// What plain HTTP gets to hear.
pub(super) const IN_THE_CLEAR: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    Connection: close\r\n\
    Content-Type: application/problem+json\r\n\
    Content-Length: 138\r\n\
    \r\n\
    {\"detail\":\"this port answers under https\",\"status\":400,\"title\":\"The request cannot be understood\",\
    \"type\":\"urn:peerd:problem:bad-request\"}\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_plain_http_is_well_formed() {
        let text = std::str::from_utf8(IN_THE_CLEAR).expect("ASCII");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
        assert_eq!(length.parse(), Ok(body.len()));
        let document: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(document["status"], 400);
    }
}
