//! What the commands of a build run in: their network, the size of `/dev/shm`, their ulimits, and additional hosts.
//!
//! Owns the syntax of these options, which is that of `docker build` (docker/cli, `opts`; docker/go-units), and the
//! forms in which BuildKit's frontend takes them (its `frontend/dockerui/attr.go`).

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::build_option::InvalidOption;
use crate::base::screen::{is_unseen, visible};
use crate::base::text::suggest;

/// The options of all `RUN` instructions of a build. What is not set is the engine's default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sandbox {
    /// The network.
    pub network: Option<NetworkMode>,
    /// The size of `/dev/shm`.
    pub shm_size: Option<ShmSize>,
    /// The limits by their names.
    pub ulimits: BTreeMap<String, Limits>,
    /// The addresses of additional hosts by their names, which are lowercase.
    pub hosts: BTreeMap<String, Vec<HostAddress>>,
}

/// The network of `RUN` instructions that do not name one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkMode {
    /// The engine's default.
    Default,
    /// No network.
    None,
    /// The network of the engine's machine.
    Host,
}

/// A size in bytes. Zero is the engine's default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShmSize(u64);

/// A limit with its name: `nofile=1024:2048`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ulimit {
    /// The name.
    pub name: String,
    /// The values.
    pub limits: Limits,
}

/// The soft and the hard value of a limit. `-1` means unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The soft limit.
    pub soft: i64,
    /// The hard limit.
    pub hard: i64,
}

/// An additional host: `db:10.0.0.1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraHost {
    /// The name in lowercase.
    pub name: String,
    /// The address.
    pub address: HostAddress,
}

/// The address of an additional host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostAddress {
    /// An IP address.
    Ip(IpAddr),
    /// The engine's machine as its containers see it.
    HostGateway,
}

/// The limits that an engine knows (docker/go-units, `ulimit.go`).
const LIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// The address that means the engine's machine.
const HOST_GATEWAY: &str = "host-gateway";

/// The units of sizes, from the largest.
const UNITS: [(char, u32); 5] = [('p', 50), ('t', 40), ('g', 30), ('m', 20), ('k', 10)];

impl Sandbox {
    /// Sets what another sandbox sets. Limits and hosts are replaced by name.
    pub fn extend(&mut self, other: &Sandbox) {
        self.network = other.network.or(self.network);
        self.shm_size = other.shm_size.or(self.shm_size);
        self.ulimits.extend(other.ulimits.clone());
        self.hosts.extend(other.hosts.clone());
    }

    /// Adds an address to a host. Each address counts once.
    pub fn add_host(&mut self, host: ExtraHost) {
        let addresses = self.hosts.entry(host.name).or_default();
        if !addresses.contains(&host.address) {
            addresses.push(host.address);
        }
    }

    /// Returns the network, unless it is the default.
    pub fn own_network(&self) -> Option<NetworkMode> {
        self.network.filter(|mode| *mode != NetworkMode::Default)
    }

    /// Returns the size of `/dev/shm`, unless it is the default.
    pub fn own_shm_size(&self) -> Option<ShmSize> {
        self.shm_size.filter(|size| size.0 > 0)
    }

    /// Returns the limits as `NAME=SOFT:HARD`.
    pub fn ulimit_words(&self) -> impl Iterator<Item = String> {
        self.ulimits.iter().map(|(name, limits)| format!("{name}={limits}"))
    }

    /// Returns the names of all hosts, each with each of its addresses.
    pub fn host_addresses(&self) -> impl Iterator<Item = (&str, HostAddress)> {
        let named = self.hosts.iter();
        named.flat_map(|(name, all)| all.iter().map(move |address| (name.as_str(), *address)))
    }

    /// Returns what differs from the engine's default, as options and their values in one normal form.
    pub fn described(&self) -> BTreeMap<String, String> {
        let network = self.own_network().map(|mode| ("network".to_owned(), mode.to_string()));
        let size = self.own_shm_size().map(|size| ("shm-size".to_owned(), size.to_string()));
        let limits = self.ulimits.iter();
        let limits = limits.map(|(name, limits)| (format!("ulimit {name}"), limits.to_string()));
        let hosts = self.hosts.iter().map(|(name, addresses)| {
            let addresses: Vec<String> = addresses.iter().map(HostAddress::to_string).collect();
            (format!("add-host {name}"), addresses.join(" "))
        });
        network.into_iter().chain(size).chain(limits).chain(hosts).collect()
    }
}

impl FromStr for NetworkMode {
    type Err = InvalidOption;

    fn from_str(text: &str) -> Result<NetworkMode, InvalidOption> {
        match text {
            "default" => Ok(NetworkMode::Default),
            "none" => Ok(NetworkMode::None),
            "host" => Ok(NetworkMode::Host),
            _ => Err(InvalidOption::new(
                format!("BuildKit does not support the network mode `{}`", visible(text)),
                "use `default`, `none`, or `host`",
            )),
        }
    }
}

impl fmt::Display for NetworkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NetworkMode::Default => "default",
            NetworkMode::None => "none",
            NetworkMode::Host => "host",
        })
    }
}

impl ShmSize {
    /// Returns the number of bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ShmSize {
    type Err = InvalidOption;

    /// Parses a number with an optional unit of 1024 bytes, its square, and so on: `128m`, `1.5g`, `64MiB`.
    fn from_str(text: &str) -> Result<ShmSize, InvalidOption> {
        let wrong = || {
            let message = format!("`{}` is not a valid size", visible(text));
            InvalidOption::new(message, "write it in bytes, or with a unit, like `128m`")
        };
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
        let exponent = match unit.as_str() {
            "" | "b" => 0,
            _ => {
                let prefix = unit.chars().next().unwrap_or_default();
                let known = UNITS.iter().find(|(letter, _)| *letter == prefix);
                let (_, exponent) = known.ok_or_else(wrong)?;
                if !matches!(&unit[1..], "" | "b" | "ib") {
                    return Err(wrong());
                }
                *exponent
            }
        };
        multiply(number, exponent).map(ShmSize).ok_or_else(wrong)
    }
}

/// Returns a decimal number times two to the power of `exponent`, rounded down. Returns `None` if the text is not a
/// number, or if the result is greater than what BuildKit accepts.
fn multiply(number: &str, exponent: u32) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || number.ends_with('.') || fraction.contains('.') {
        return None;
    }
    // More digits than these do not change the result.
    let fraction = &fraction[..fraction.len().min(18)];
    let unit = 1_u128 << exponent;
    let digits = u32::try_from(fraction.len()).ok()?;
    let part = if fraction.is_empty() { 0 } else { fraction.parse::<u128>().ok()? };
    let total =
        whole.parse::<u64>().ok().map(u128::from)? * unit + part * unit / 10_u128.pow(digits);
    i64::try_from(total).ok().and_then(|it| u64::try_from(it).ok())
}

/// Formats the size with the largest unit that divides it: `128m`.
impl fmt::Display for ShmSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let divides =
            |(_, exponent): &&(char, u32)| self.0 > 0 && self.0.is_multiple_of(1 << exponent);
        match UNITS.iter().find(divides) {
            Some((letter, exponent)) => write!(f, "{}{letter}", self.0 >> exponent),
            None => write!(f, "{}", self.0),
        }
    }
}

impl FromStr for Ulimit {
    type Err = InvalidOption;

    /// Parses `NAME=SOFT[:HARD]`.
    fn from_str(text: &str) -> Result<Ulimit, InvalidOption> {
        let Some((name, values)) = text.split_once('=') else {
            let message = format!("`{}` has no value", visible(text));
            return Err(InvalidOption::new(message, "write it like `nofile=1024:2048`"));
        };
        if !LIMITS.contains(&name) {
            let message = format!("unknown ulimit `{}`", visible(name));
            let hint = suggest(name, LIMITS);
            let all = || format!("the ulimits are {}", LIMITS.join(", "));
            return Err(InvalidOption::new(message, hint.unwrap_or_else(all)));
        }
        let wrong = |value: &str| {
            let message = format!("`{}` is not a valid value for a ulimit", visible(value));
            InvalidOption::new(message, "use a whole number, or `-1` for unlimited")
        };
        let read = |value: &str| {
            value.parse::<i64>().ok().filter(|it| *it >= -1).ok_or_else(|| wrong(value))
        };
        let (soft, hard) = values.split_once(':').unwrap_or((values, values));
        let limits = Limits { soft: read(soft)?, hard: read(hard)? };
        let exceeds = limits.hard != -1 && (limits.soft == -1 || limits.soft > limits.hard);
        if exceeds {
            let message = format!("the soft limit {soft} exceeds the hard limit {hard}");
            return Err(InvalidOption::new(message, "write the soft limit first"));
        }
        Ok(Ulimit { name: name.to_owned(), limits })
    }
}

/// Formats the limit as on a command line.
impl fmt::Display for Ulimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.limits)
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.soft, self.hard)
    }
}

impl FromStr for ExtraHost {
    type Err = InvalidOption;

    /// Parses `HOST:IP` or `HOST=IP`. An IPv6 address can be in brackets.
    fn from_str(text: &str) -> Result<ExtraHost, InvalidOption> {
        let Some((name, address)) = text.split_once('=').or_else(|| text.split_once(':')) else {
            let message = format!("`{}` has no address", visible(text));
            return Err(InvalidOption::new(message, "write it like `db:10.0.0.1`"));
        };
        let is_allowed = |c: char| !is_unseen(c) && !c.is_whitespace() && !",\"'#:=[]/".contains(c);
        if name.is_empty() || !name.chars().all(is_allowed) {
            let message = format!("`{}` is not a valid host name", visible(name));
            return Err(InvalidOption::new(message, "write it like `db:10.0.0.1`"));
        }
        Ok(ExtraHost { name: name.to_lowercase(), address: address.parse()? })
    }
}

/// Formats the host as on a command line.
impl fmt::Display for ExtraHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.address)
    }
}

impl FromStr for HostAddress {
    type Err = InvalidOption;

    fn from_str(text: &str) -> Result<HostAddress, InvalidOption> {
        if text == HOST_GATEWAY {
            return Ok(HostAddress::HostGateway);
        }
        let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let parsed = match inner {
            Some(inner) => inner.parse().map(IpAddr::V6).ok(),
            None => text.parse().ok(),
        };
        parsed.map(HostAddress::Ip).ok_or_else(|| {
            let message = format!("`{}` is not a valid IP address", visible(text));
            InvalidOption::new(
                message,
                "use an IP address, or `host-gateway` for the engine's machine",
            )
        })
    }
}

impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostAddress::Ip(address) => address.fmt(f),
            HostAddress::HostGateway => f.write_str(HOST_GATEWAY),
        }
    }
}

#[cfg(test)]
mod tests;
