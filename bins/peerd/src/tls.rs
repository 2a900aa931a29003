//! TLS: the certificate we show, and whose certificates we take.
//!
//! An [`Identity`] is what the public listener shows: a certificate and its private key, read from PEM files. A
//! [`Trust`] is what one peer may show us beyond what the system's authorities vouch for. Both are read anew at every
//! reload, and both say what is wrong with a file before it is used. What a refused certificate means for people is
//! said by [`chain_remedy`].

mod certificate;
mod identity;
mod pem;
mod remedy;
mod trust;

pub use certificate::{Certificate, Standing};
pub(crate) use identity::HTTP_2;
pub use identity::{Identity, IdentityError};
pub use pem::PemFlaw;
pub(crate) use pem::open as open_file;
pub(crate) use remedy::{chain_remedy, with_remedy};
pub use trust::{Trust, TrustError};
