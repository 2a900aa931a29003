//! TLS on the public listener, HTTP/2 where it is negotiated, and peers with certificates of their own.

#[path = "tls/asking.rs"]
mod asking;
#[path = "tls/certificates.rs"]
mod certificates;
#[path = "tls/configured.rs"]
mod configured;
#[path = "tls/frames.rs"]
mod frames;
#[path = "tls/guards.rs"]
mod guards;
#[path = "tls/peers.rs"]
mod peers;
#[path = "tls/renewal.rs"]
mod renewal;
#[path = "tls/serving.rs"]
mod serving;
mod serving_kit;
mod support;
