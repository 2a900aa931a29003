//! Which kind of failure an error of the HTTP stack is: by the types found on the way down to its cause.
//!
//! Words decide in one place only. The standard library has no type for what `getaddrinfo` answers; it hands on what
//! the C library says about it.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use rustls::AlertDescription;

use crate::transport::NetworkFailure;

pub(super) fn failure(error: &reqwest::Error, connect_timeout: Duration) -> NetworkFailure {
    let io_errors = || causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>());
    if error.is_builder() || error.is_request() && causes(error).all(<dyn StdError>::is::<reqwest::Error>) {
        NetworkFailure::Request
    } else if error.is_dns() {
        match causes(error).any(says_that_the_name_is_unknown) {
            true => NetworkFailure::UnknownHost,
            false => NetworkFailure::Dns,
        }
    } else if error.is_connect() && error.is_timeout() {
        NetworkFailure::ConnectTimeout(connect_timeout)
    } else if let Some(error) = causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
        of_tls(error)
    } else if error.is_connect() {
        NetworkFailure::Connect
    } else if io_errors().any(is_connection_end) {
        NetworkFailure::Broken
    } else if causes(error)
        .filter_map(|cause| cause.downcast_ref::<hyper::Error>())
        .any(hyper::Error::is_parse)
        || io_errors().any(is_malformed)
    {
        NetworkFailure::Protocol
    } else {
        NetworkFailure::Broken
    }
}

/// A failure that the two ends would repeat until somebody changes a certificate or a setting is permanent; bytes that
/// are no TLS may come from whatever answers there for the moment. Dates pass without anybody doing something here.
pub(super) fn of_tls(error: &rustls::Error) -> NetworkFailure {
    use rustls::CertificateError as Certificate;
    use rustls::Error;
    match error {
        Error::InvalidCertificate(
            Certificate::Expired
            | Certificate::ExpiredContext { .. }
            | Certificate::NotValidYet
            | Certificate::NotValidYetContext { .. },
        ) => NetworkFailure::CertificateDates,
        Error::InvalidCertificate(_)
        | Error::InvalidCertRevocationList(_)
        | Error::NoCertificatesPresented
        | Error::UnsupportedNameType
        | Error::PeerIncompatible(_)
        | Error::NoApplicationProtocol
        | Error::InvalidEncryptedClientHello(_)
        | Error::InconsistentKeys(_) => NetworkFailure::Tls,
        Error::AlertReceived(alert) => of_alert(*alert),
        Error::InvalidMessage(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::PeerMisbehaved(_)
        | Error::PeerSentOversizedRecord
        | Error::DecryptError => NetworkFailure::Protocol,
        _ => NetworkFailure::Broken,
    }
}

/// What the peer says when it ends a TLS connection (RFC 8446 §6).
fn of_alert(alert: AlertDescription) -> NetworkFailure {
    match alert {
        AlertDescription::CloseNotify | AlertDescription::UserCanceled | AlertDescription::InternalError => {
            NetworkFailure::Broken
        }
        // It did not understand us: bytes were damaged on the way, or one of the two is at fault.
        AlertDescription::UnexpectedMessage
        | AlertDescription::BadRecordMac
        | AlertDescription::RecordOverflow
        | AlertDescription::DecodeError
        | AlertDescription::DecryptError => NetworkFailure::Protocol,
        _ => NetworkFailure::Tls,
    }
}

fn is_connection_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | TimedOut | UnexpectedEof)
}

fn is_malformed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)
}

/// `EAI_NONAME` and `EAI_NODATA` in the words of glibc, musl and the BSDs. Rust programs run in the C locale, so
/// there are no translations; words nobody here knows are a resolver's trouble of the moment.
fn says_that_the_name_is_unknown(error: &(dyn StdError + 'static)) -> bool {
    let text = error.to_string();
    [
        "Name or service not known",
        "No address associated with hostname",
        "Name does not resolve",
        "Name has no usable address",
        "nodename nor servname provided, or not known",
    ]
    .iter()
    .any(|words| text.contains(words))
}

/// `error` and what caused it, down to the bottom. An `io::Error` is asked for the error it was made of: its `source`
/// is already the cause of that.
fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>() {
        Some(io) => io.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
        None => error.source(),
    })
}
