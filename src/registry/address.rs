//! Addresses of registries and of requests to them.
//!
//! Owns request URLs, the host names of registries, and the checks whether a host is this machine and whether
//! credentials may be sent to it. It opens no connections.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Docker Hub's name in references, and its host (distribution/reference, moby `registry/config.go`).
const HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// Returns the host of a registry, with the port if there is one.
pub(super) fn authority_of(registry: &str) -> &str {
    if registry == HUB.0 { HUB.1 } else { registry }
}

/// Returns the host in `host:port`; IPv6 addresses without their brackets.
pub(super) fn host_of(authority: &str) -> &str {
    if let Some(inner) = authority.strip_prefix('[') {
        return inner.split(']').next().unwrap_or(inner);
    }
    authority.split(':').next().unwrap_or(authority)
}

/// Returns the port in `host:port`.
pub(super) fn port_of(authority: &str) -> Option<u16> {
    let after = authority
        .strip_prefix('[')
        .map_or(authority, |inner| inner.split_once(']').map_or("", |(_, after)| after));
    after.split_once(':').and_then(|(_, port)| port.parse().ok())
}

/// Returns whether a host is this machine, for which Docker also accepts registries without TLS.
pub(super) fn is_loopback(authority: &str) -> bool {
    let host = host_of(authority);
    host.eq_ignore_ascii_case("localhost")
        || host.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback())
        || host.parse().is_ok_and(|address: Ipv6Addr| address.is_loopback())
}

/// The URL of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// Whether the connection uses TLS.
    pub(super) tls: bool,
    /// The host, with the port if there is one.
    pub(super) authority: String,
    /// The path and the query, from the first slash.
    pub(super) path: String,
}

impl Address {
    /// Parses an absolute URL; `None` if it is invalid or contains a username.
    pub(super) fn parse(text: &str) -> Option<Address> {
        let (scheme, rest) = text.split_once("://")?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let rest = rest.split('#').next().unwrap_or(rest);
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
        if host_of(authority).is_empty() || !authority.chars().all(is_plain) {
            return None;
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        Some(Address { tls, authority: authority.to_owned(), path: format!("{slash}{path}") })
    }

    /// Resolves the `Location` of a response from this URL (RFC 9110, 10.2.2).
    pub(super) fn join(&self, location: &str) -> Option<Address> {
        if location.is_empty() {
            return None;
        }
        if location.contains("://") {
            return Address::parse(location);
        }
        if location.starts_with("//") {
            return Address::parse(&format!("{}:{location}", self.scheme()));
        }
        let path = if location.starts_with('/') {
            location.to_owned()
        } else {
            let directory = self.path.split('?').next().unwrap_or_default();
            format!("{}{location}", &directory[..=directory.rfind('/').unwrap_or_default()])
        };
        Some(Address { path, ..self.clone() })
    }

    fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// Returns the scheme and the host.
    pub(super) fn origin(&self) -> String {
        format!("{}://{}", self.scheme(), self.authority)
    }

    /// Returns whether credentials for one URL may be sent to the other.
    pub(super) fn is_at(&self, other: &Address) -> bool {
        self.tls == other.tls && self.authority.eq_ignore_ascii_case(&other.authority)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_parsed() {
        let check = |authority, host, port, loopback| {
            assert_eq!(host_of(authority), host, "{authority}");
            assert_eq!(port_of(authority), port, "{authority}");
            assert_eq!(is_loopback(authority), loopback, "{authority}");
        };
        check("localhost:5000", "localhost", Some(5000), true);
        check("LocalHost", "LocalHost", None, true);
        check("127.0.0.1:1", "127.0.0.1", Some(1), true);
        check("127.9.9.9", "127.9.9.9", None, true);
        check("[::1]:5000", "::1", Some(5000), true);
        check("[::1]", "::1", None, true);
        check("[::2]:5000", "::2", Some(5000), false);
        check("ghcr.io", "ghcr.io", None, false);
        check("128.0.0.1", "128.0.0.1", None, false);
        check("127.0.0.1.example.com", "127.0.0.1.example.com", None, false);
        check("localhost.example.com:5000", "localhost.example.com", Some(5000), false);
        assert_eq!(authority_of("docker.io"), "registry-1.docker.io");
        assert_eq!(authority_of("ghcr.io"), "ghcr.io");
    }

    #[test]
    fn addresses_are_parsed() {
        let check = |text: &str, expected: Option<&str>| {
            let read = Address::parse(text).map(|address| address.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        };
        check("https://a.example.com/token?x=1", Some("https://a.example.com/token?x=1"));
        check("HTTP://[::1]:5000", Some("http://[::1]:5000/"));
        check("https://a.example.com?x#y", Some("https://a.example.com/?x"));
        check("ftp://a.example.com/", None);
        check("/token", None);
        check("https:///token", None);
        check("https://user:pw@a.example.com/", None);
    }

    #[test]
    fn redirect_locations_are_resolved() {
        let from = Address::parse("https://a.example.com/v2/x/blobs/y?q").unwrap();
        let check = |location: &str, expected: &str, same: bool| {
            let to = from.join(location).unwrap();
            assert_eq!((to.to_string().as_str(), to.is_at(&from)), (expected, same), "{location}");
        };
        check("https://b.example.com/z", "https://b.example.com/z", false);
        check("//b.example.com/z", "https://b.example.com/z", false);
        check("http://a.example.com/z", "http://a.example.com/z", false);
        check("https://a.example.com:444/z", "https://a.example.com:444/z", false);
        check("https://A.example.com/z", "https://A.example.com/z", true);
        check("/z", "https://a.example.com/z", true);
        check("z", "https://a.example.com/v2/x/blobs/z", true);
        assert_eq!(from.join("file://z"), None);
    }
}
