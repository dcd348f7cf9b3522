//! Proxies for connections to registries.
//!
//! Owns the interpretation of `HTTP_PROXY`, `HTTPS_PROXY`, and `NO_PROXY`, as in the docker command and Go's
//! `httpproxy`. It opens no connections. Connections to this machine never use a proxy.

use std::ffi::OsString;
use std::net::IpAddr;

use super::address::{Address, host_of, is_loopback, port_of};

/// The proxies from an environment; none by default.
#[derive(Clone, Default)]
pub struct Proxies {
    http: Option<String>,
    https: Option<String>,
    none: String,
}

impl std::fmt::Debug for Proxies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A proxy's URL may contain a password.
        f.write_str("Proxies(…)")
    }
}

impl Proxies {
    /// Reads the variables, which may also be in lower case.
    pub fn read(variable: impl Fn(&str) -> Option<OsString>) -> Proxies {
        let read = |name: &str| {
            let value = variable(name).or_else(|| variable(&name.to_lowercase()))?;
            value.into_string().ok().filter(|value| !value.is_empty())
        };
        Proxies {
            http: read("HTTP_PROXY"),
            https: read("HTTPS_PROXY"),
            none: read("NO_PROXY").unwrap_or_default(),
        }
    }

    /// Returns the proxy for a URL, if any.
    pub(super) fn of(&self, address: &Address) -> Option<&str> {
        let proxy = if address.tls { &self.https } else { &self.http };
        if is_loopback(&address.authority) || self.excepts(address) {
            return None;
        }
        proxy.as_deref()
    }

    fn excepts(&self, address: &Address) -> bool {
        let host = host_of(&address.authority).to_ascii_lowercase();
        let port = port_of(&address.authority).unwrap_or(if address.tls { 443 } else { 80 });
        self.none.split(',').map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
            let entry = entry.to_ascii_lowercase();
            if entry == "*" {
                return true;
            }
            if let Some((network, length)) = entry.split_once('/') {
                return is_within(&host, network, length);
            }
            // An IPv6 address without brackets contains colons, but no port.
            let is_address = entry.parse::<IpAddr>().is_ok();
            let (name, entry_port) = match is_address {
                true => (entry.as_str(), None),
                false => (host_of(&entry), port_of(&entry)),
            };
            if entry_port.is_some_and(|entry_port| entry_port != port) {
                return false;
            }
            let name = name.strip_prefix('*').unwrap_or(name);
            match name.strip_prefix('.') {
                Some(domain) => host.strip_suffix(domain).is_some_and(|sub| sub.ends_with('.')),
                None => {
                    host == name || host.strip_suffix(name).is_some_and(|sub| sub.ends_with('.'))
                }
            }
        })
    }
}

/// Returns whether an address is in a network such as `10.0.0.0/8`.
fn is_within(host: &str, network: &str, length: &str) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let (Ok(host), Ok(network), Ok(length)) =
        (host.parse::<IpAddr>(), network.parse::<IpAddr>(), length.parse::<u32>())
    else {
        return false;
    };
    let ((host, width), (network, network_width)) = (bits(host), bits(network));
    let differ = (host ^ network).leading_zeros();
    width == network_width && length <= width && differ >= length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(none: &str) -> Proxies {
        Proxies::read(|name| match name {
            "http_proxy" => Some("http://plain.example.com:3128".into()),
            "HTTPS_PROXY" => Some("http://tls.example.com:3128".into()),
            "https_proxy" => Some("http://never.example.com".into()),
            "NO_PROXY" => Some(none.into()),
            _ => None,
        })
    }

    #[test]
    fn hosts_use_the_proxy_of_their_scheme_unless_no_proxy_matches() {
        let check = |none: &str, address: &str, expected: Option<&str>| {
            let found = proxies(none);
            let found = found.of(&Address::parse(address).unwrap());
            assert_eq!(found, expected, "{none} {address}");
        };
        let (plain, tls) =
            (Some("http://plain.example.com:3128"), Some("http://tls.example.com:3128"));
        check("", "https://ghcr.io/", tls);
        check("", "http://ghcr.io/", plain);
        check("", "http://localhost:5000/", None);
        check("", "https://127.0.0.2:5000/", None);
        check("", "https://[::1]:5000/", None);
        check("*", "https://ghcr.io/", None);
        check("ghcr.io", "https://GHCR.io/", None);
        check("a, ghcr.io ,b", "https://ghcr.io/", None);
        check("ghcr.io", "https://sub.ghcr.io/", None);
        check("ghcr.io", "https://notghcr.io/", tls);
        check(".ghcr.io", "https://sub.ghcr.io/", None);
        check(".ghcr.io", "https://ghcr.io/", tls);
        check("*.ghcr.io", "https://sub.ghcr.io/", None);
        check("ghcr.io:443", "https://ghcr.io/", None);
        check("ghcr.io:5000", "https://ghcr.io/", tls);
        check("ghcr.io:5000", "https://ghcr.io:5000/", None);
        check("10.0.0.0/8", "https://10.1.2.3:5000/", None);
        check("10.0.0.0/8", "https://11.1.2.3:5000/", tls);
        check("0.0.0.0/0", "https://11.1.2.3:5000/", None);
        check("10.0.0.0/99", "https://10.0.0.0/", tls);
        check("fd00::/8", "https://[fd00::1]:5000/", None);
        check("fd00::1", "https://[fd00::1]:5000/", None);
        check("::/0", "https://10.0.0.1/", tls);
        assert_eq!(Proxies::default().of(&Address::parse("https://a.b/").unwrap()), None);
    }
}
