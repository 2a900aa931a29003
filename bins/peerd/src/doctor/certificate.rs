//! Our certificate: how long it still holds. That it is there, and has its key, is judged with the configuration.

use std::time::{Duration, SystemTime};

use super::Finding;
use crate::config::ServerConfig;
use crate::moment::rfc3339;
use crate::tls::{Certificate, Identity, Standing};

pub(super) fn look(server: &ServerConfig) -> Option<Finding> {
    let (certificate, key) = server.tls_files()?;
    let identity = Identity::read(certificate, key).ok()?;
    of(&certificate.display().to_string(), identity.certificate()?, SystemTime::now())
}

/// `None` of one that does not hold: the configuration has a warning of it.
fn of(file: &str, certificate: &Certificate, now: SystemTime) -> Option<Finding> {
    let Standing::Holds(left) = certificate.standing(now) else { return None };
    let until = rfc3339(certificate.not_after);
    let days = left.as_secs() / DAY.as_secs();
    Some(if left < SOON {
        let remedy = "renew it, and have peerd read it again: systemctl reload peerd, or a SIGHUP; when something renews \
                      it by itself, see why it has not";
        Finding::warning("tls", file, format!("it holds for {days} more days, until {until}"), remedy)
    } else {
        Finding::ok("tls", file, format!("it holds for {days} days, until {until}"))
    })
}

const DAY: Duration = Duration::from_secs(86_400);
/// Whatever renews certificates does so before this.
const SOON: Duration = Duration::from_secs(14 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::downloads::Outcome;

    #[test]
    fn two_weeks_before_its_end_a_certificate_is_a_warning() {
        let end = SystemTime::UNIX_EPOCH + 100 * DAY;
        let certificate = Certificate {
            names: Vec::new(),
            addresses: Vec::new(),
            not_before: SystemTime::UNIX_EPOCH,
            not_after: end,
            self_signed: false,
            is_authority: false,
            sha256: String::new(),
        };
        let outcome = |days: u32| of("c.pem", &certificate, end - days * DAY).map(|finding| finding.outcome);
        assert_eq!((outcome(14), outcome(13)), (Some(Outcome::Ok), Some(Outcome::Warning)));
        assert_eq!(of("c.pem", &certificate, end + DAY), None, "the configuration tells");
    }
}
