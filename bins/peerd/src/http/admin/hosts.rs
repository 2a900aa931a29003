//! Which names the admin listener answers under: a page from elsewhere must not reach it by pointing its own name at
//! our address (DNS rebinding), nor send requests from another site's page.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, StatusCode, Uri};

use crate::current::Current;
use crate::http::problem::Problem;

/// Loopback names, and the configured ones. Clones are the same list.
#[derive(Clone, Debug, Default)]
pub struct AllowedHosts(Arc<Current<Vec<String>>>);

impl AllowedHosts {
    /// Loopback, and these names without scheme or port.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let hosts = Self::default();
        hosts.replace(names);
        hosts
    }

    /// Allows these instead, from the next request on.
    pub fn replace(&self, names: impl IntoIterator<Item = String>) {
        self.0.replace(names.into_iter().map(|name| name.to_ascii_lowercase()).collect());
    }

    /// Checks Host, and Origin where a browser sends one.
    ///
    /// # Errors
    /// 403 that names the setting.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let text =
            |name| headers.get(name).map(|value: &http::HeaderValue| value.to_str().unwrap_or_default());
        let host = text(HOST).unwrap_or_default();
        let origin_host = text(ORIGIN).map(|origin| origin.split_once("://").map_or("", |(_, host)| host));
        let refused = std::iter::once(host).chain(origin_host).find(|authority| !self.allows(authority));
        match refused {
            None => Ok(()),
            Some(_) => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "host-not-allowed",
                "This name is not allowed here",
            )
            .with_detail(
                "reach the admin address under a loopback name, or add the name to admin.allowed_hosts",
            )),
        }
    }

    fn allows(&self, authority: &str) -> bool {
        let Ok(uri) = authority.parse::<Uri>() else { return false };
        let Some(host) = uri.host() else { return false };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let loopback = host.parse::<IpAddr>().map_or_else(
            |_| host == "localhost" || host.ends_with(".localhost"),
            |address| address.is_loopback(),
        );
        loopback || self.0.get().contains(&host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(host: &str, origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        AllowedHosts::new(["NAS.lan".to_owned()]).check(&headers).is_ok()
    }

    #[test]
    fn only_loopback_names_and_configured_ones_are_answered() {
        for host in
            ["127.0.0.1:5281", "localhost", "[::1]:5281", "peerd.localhost:1", "nas.lan", "NAS.LAN:5281"]
        {
            assert!(allowed(host, None), "{host}");
        }
        for host in
            ["evil.example", "127.0.0.1.evil.example", "192.168.1.5:5281", "localhost.evil.example", ""]
        {
            assert!(!allowed(host, None), "{host}");
        }
    }

    #[test]
    fn a_page_of_another_site_is_turned_away_even_with_our_own_host_name() {
        assert!(allowed("localhost:5281", Some("http://localhost:5281")));
        for origin in ["http://evil.example", "null", "https://localhost.evil.example"] {
            assert!(!allowed("localhost:5281", Some(origin)), "{origin}");
        }
    }
}
