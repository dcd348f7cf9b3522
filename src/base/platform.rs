//! Platforms such as `linux/arm64/v8`.
//!
//! Owns the normal form, and the check which images run on which platform. Both follow
//! github.com/containerd/platforms and BuildKit.

use std::env::consts::ARCH;
use std::fmt;
use std::str::FromStr;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The platform that an image runs on, written as `os[(version)]/architecture[/variant]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    /// The operating system, such as `linux`.
    pub os: String,
    /// The version of the operating system. Only Windows has one.
    pub version: String,
    /// The architecture, such as `amd64`.
    pub architecture: String,
    /// The variant, such as `v7`. Empty if it is the usual one.
    pub variant: String,
}

/// The error for text that is not a platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAPlatform {
    /// It is not valid.
    Invalid,
    /// It is a list, as docker buildx accepts.
    Several,
}

impl NotAPlatform {
    /// Describes the text after its name: `not a valid platform`.
    pub fn what(self) -> &'static str {
        match self {
            NotAPlatform::Invalid => "not a valid platform",
            NotAPlatform::Several => "several platforms, but a run builds for one",
        }
    }

    /// Returns what to do about a setting with this value.
    pub fn hint(self) -> &'static str {
        match self {
            NotAPlatform::Invalid => "set it to one such as `linux/arm64`",
            NotAPlatform::Several => "set it to one of them",
        }
    }
}

impl fmt::Display for NotAPlatform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotAPlatform::Invalid => f.write_str("expected a platform such as `linux/arm64`"),
            NotAPlatform::Several => f.write_str(self.what()),
        }
    }
}

impl std::error::Error for NotAPlatform {}

impl FromStr for Platform {
    type Err = NotAPlatform;

    /// Parses a platform to build for. If only an operating system is given, the architecture is that of this
    /// machine.
    fn from_str(text: &str) -> Result<Platform, NotAPlatform> {
        let wrong = if text.contains(',') { NotAPlatform::Several } else { NotAPlatform::Invalid };
        let read = Platform::parse(text, this_architecture()).ok_or(wrong)?;
        Ok(read.requested())
    }
}

/// Returns the architecture of this machine as OCI images name it.
fn this_architecture() -> &'static str {
    match ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    }
}

const SYSTEMS: [&str; 17] = [
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "linux",
    "nacl",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "windows",
    "zos",
];

const ARCHITECTURES: [&str; 24] = [
    "386",
    "amd64",
    "amd64p32",
    "arm",
    "armbe",
    "arm64",
    "arm64be",
    "loong64",
    "mips",
    "mips64",
    "mips64le",
    "mips64p32",
    "mips64p32le",
    "mipsle",
    "ppc",
    "ppc64",
    "ppc64le",
    "riscv",
    "riscv64",
    "s390",
    "s390x",
    "sparc",
    "sparc64",
    "wasm",
];

impl Platform {
    /// Returns the platform that a document describes by its parts.
    pub fn of(os: &str, architecture: &str, variant: &str) -> Platform {
        let [os, architecture, variant] = [os, architecture, variant].map(str::to_owned);
        Platform { os, version: String::new(), architecture, variant }
    }

    /// Returns the platform of this machine. Engines build for it by default.
    pub fn of_this_machine() -> Platform {
        Platform::of("linux", this_architecture(), "")
    }

    /// Whether the platform is empty. Some builders leave it out.
    pub fn is_blank(&self) -> bool {
        self.os.is_empty() && self.architecture.is_empty()
    }

    /// Whether the operating system and the architecture are the same. Variants do not count because engines
    /// disagree on when to name one.
    pub fn is_like(&self, other: &Platform) -> bool {
        self.os.eq_ignore_ascii_case(&other.os) && self.machine().0 == other.machine().0
    }

    /// Returns how well an image for `self` runs on `platform`: 0 is the best match, `None` is no match.
    ///
    /// Follows containerd (`platforms`, `Only`): the same architecture in the same variant or an older one is
    /// preferred, then the related 32-bit architecture.
    pub fn fits(&self, platform: &Platform) -> Option<u32> {
        if !self.os.eq_ignore_ascii_case(&platform.os) {
            return None;
        }
        let (own, own_level) = self.machine();
        let (host, host_level) = platform.machine();
        if own == host {
            return match (own_level, host_level) {
                (Ok(own), Ok(host)) => host.checked_sub(own),
                (own, host) => (own == host).then_some(0),
            };
        }
        const RELATIVES: u32 = 100;
        match (own.as_str(), host.as_str(), own_level) {
            ("386", "amd64", _) => Some(RELATIVES),
            ("arm", "arm64", Ok(level)) => 8_u32.checked_sub(level).map(|older| older + RELATIVES),
            _ => None,
        }
    }

    /// Returns the architecture in its usual spelling, and its variant as a number if it is one (containerd
    /// `platforms`, `normalizeArch`).
    fn machine(&self) -> (String, Result<u32, String>) {
        let variant = self.variant.to_lowercase();
        let architecture = self.architecture.to_lowercase();
        let (architecture, usual) = match architecture.as_str() {
            "amd64" | "x86_64" | "x86-64" => ("amd64", 1),
            "arm64" | "aarch64" => ("arm64", 8),
            "arm" | "armhf" => ("arm", 7),
            "armel" => ("arm", 6),
            "386" | "i386" | "i486" | "i586" | "i686" => return ("386".into(), Ok(0)),
            other => (other, 0),
        };
        let level = match variant.strip_prefix('v').unwrap_or(&variant) {
            "" => Ok(usual),
            number => number.parse().map_err(|_| variant.clone()),
        };
        (architecture.into(), level)
    }

    /// Parses `os[(version)][/architecture[/variant]]` or an architecture alone. If only an operating system
    /// is given, the architecture is `local`. Returns `None` if the text is not a platform.
    pub fn parse(text: &str, local: &str) -> Option<Platform> {
        let parts: Vec<&str> = text.split('/').collect();
        let (name, version) = match parts[0].strip_suffix(')') {
            Some(inner) => inner.split_once('(')?,
            None => (parts[0], ""),
        };
        let is_name = |text: &str, more: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        let is_version = version.is_empty() || is_name(version, "_.%-+");
        if !is_name(name, "_-") || !is_version || !parts[1..].iter().all(|p| is_name(p, "_.-")) {
            return None;
        }
        let name = name.to_ascii_lowercase();
        let os = if name == "macos" { "darwin" } else { &name };
        let version = version.to_owned();
        let (architecture, variant) = match parts.as_slice() {
            [_] if SYSTEMS.contains(&os) => {
                return Some(Platform { version, ..Platform::of(os, local, "") });
            }
            [_] => {
                let (architecture, variant) = normal_architecture(parts[0], "");
                if !ARCHITECTURES.contains(&architecture.as_str()) {
                    return None;
                }
                let variant = without_usual_variant(&architecture, &variant);
                return Some(Platform::of("linux", &architecture, variant));
            }
            [_, architecture] => {
                let (architecture, variant) = normal_architecture(architecture, "");
                let variant = without_usual_variant(&architecture, &variant);
                return Some(Platform { version, ..Platform::of(os, &architecture, variant) });
            }
            [_, architecture, variant] => normal_architecture(architecture, variant),
            _ => return None,
        };
        let is_usual = architecture == "arm64" && variant.is_empty();
        let variant = if is_usual { "v8" } else { &variant };
        Some(Platform { version, ..Platform::of(os, &architecture, variant) })
    }

    /// Returns the platform in the form that BuildKit uses for platforms to build for: `linux/arm` becomes
    /// `linux/arm/v7`, and `linux/arm64/v8` becomes `linux/arm64`, as `TARGETVARIANT` shows.
    #[must_use]
    pub fn requested(self) -> Platform {
        let (architecture, variant) = normal_architecture(&self.architecture, &self.variant);
        Platform { architecture, variant, ..self }
    }
}

/// Removes `v7` from `arm`: `arm` alone means `arm/v7`.
fn without_usual_variant<'a>(architecture: &str, variant: &'a str) -> &'a str {
    if architecture == "arm" && variant == "v7" { "" } else { variant }
}

fn normal_architecture(architecture: &str, variant: &str) -> (String, String) {
    let architecture = architecture.to_ascii_lowercase();
    let variant = variant.to_ascii_lowercase();
    let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
        ("i386", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64" | "amd64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
        ("aarch64" | "arm64", "9" | "9.0" | "v9.0") => ("arm64", "v9"),
        ("aarch64" | "arm64", variant) => ("arm64", variant),
        ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
        ("armel", _) | ("arm", "6") => ("arm", "v6"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "8") => ("arm", "v8"),
        other => other,
    };
    (architecture.to_owned(), variant.to_owned())
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.os)?;
        if !self.version.is_empty() {
            write!(f, "({})", self.version)?;
        }
        for part in [&self.architecture, &self.variant] {
            if !part.is_empty() {
                write!(f, "/{part}")?;
            }
        }
        Ok(())
    }
}

impl Serialize for Platform {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Platform {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Platform, D::Error> {
        let text = String::deserialize(from)?;
        if text.is_empty() {
            return Ok(Platform::default());
        }
        Platform::parse(&text, this_architecture())
            .ok_or_else(|| D::Error::custom(NotAPlatform::Invalid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_matched_like_containerd() {
        let read = |text: &str| Platform::parse(text, "amd64").unwrap();
        let check = |image: &str, platform: &str, expected: Option<u32>| {
            assert_eq!(read(image).fits(&read(platform)), expected, "{image} on {platform}");
        };
        check("linux/amd64", "linux/amd64", Some(0));
        check("linux/amd64/v1", "linux/amd64", Some(0));
        check("linux/amd64", "linux/x86_64", Some(0));
        check("linux/amd64/v2", "linux/amd64", None);
        check("linux/amd64/v2", "linux/amd64/v3", Some(1));
        check("linux/386", "linux/amd64", Some(100));
        check("linux/amd64", "linux/386", None);
        check("linux/arm64/v8", "linux/arm64", Some(0));
        check("linux/arm64", "linux/aarch64", Some(0));
        check("linux/arm64", "linux/amd64", None);
        check("linux/arm", "linux/arm/v7", Some(0));
        check("linux/arm/v6", "linux/arm/v7", Some(1));
        check("linux/arm/v7", "linux/arm/v6", None);
        check("linux/arm/v7", "linux/arm64", Some(101));
        check("windows/amd64", "linux/amd64", None);
        check("unknown/unknown", "linux/amd64", None);
        check("linux/mips64le/hardfloat", "linux/mips64le", None);
        check("linux/mips64le/hardfloat", "linux/mips64le/hardfloat", Some(0));
        check("linux/s390x", "linux/s390x", Some(0));
        // An architecture as a document names it.
        assert_eq!(Platform::of("Linux", "x86_64", "").fits(&read("linux/amd64")), Some(0));
    }

    #[test]
    fn serialized_platforms_round_trip() {
        let check = |text: &str| {
            let platform = Platform::parse(text, "amd64").unwrap();
            let json = serde_json::to_string(&platform).unwrap();
            assert_eq!(serde_json::from_str::<Platform>(&json).unwrap(), platform, "{text}");
        };
        ["linux/amd64", "linux/arm64/v8", "linux/arm", "linux/arm/v7", "windows(10.0.1)/amd64"]
            .into_iter()
            .for_each(check);
        assert!(serde_json::from_str::<Platform>("\"\"").unwrap().is_blank());
        assert!(serde_json::from_str::<Platform>("\"linux/a/b/c\"").is_err());
    }

    #[test]
    fn platforms_are_normalized() {
        let check = |text: &str, expected: Option<&str>| {
            let read = Platform::parse(text, "amd64").map(|platform| platform.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        };
        check("linux/aarch64", Some("linux/arm64"));
        check("linux/arm64/v8", Some("linux/arm64/v8"));
        check("linux/arm", Some("linux/arm"));
        check("linux/arm/v7", Some("linux/arm/v7"));
        check("linux/armhf", Some("linux/arm"));
        check("linux/arm/6", Some("linux/arm/v6"));
        check("Linux/x86_64", Some("linux/amd64"));
        check("linux", Some("linux/amd64"));
        check("arm64", Some("linux/arm64"));
        check("windows(10.0.17763)/amd64", Some("windows(10.0.17763)/amd64"));
        check("nonsense", None);
        check("linux/", None);
        check("linux/a/b/c", None);
        check("", None);
        check("*/x", None);
    }

    #[test]
    fn requested_platforms_have_a_default_variant_for_32_bit_arm_only() {
        let check = |text: &str, expected: &str| {
            let read = Platform::parse(text, "amd64").unwrap().requested();
            assert_eq!(read.to_string(), expected, "{text}");
        };
        check("linux/arm", "linux/arm/v7");
        check("linux/armhf", "linux/arm/v7");
        check("linux/arm/v6", "linux/arm/v6");
        check("linux/arm64/v8", "linux/arm64");
        check("linux/arm64/v9", "linux/arm64/v9");
        check("linux/amd64/v2", "linux/amd64/v2");
        check("windows(10.0.17763)/amd64", "windows(10.0.17763)/amd64");
    }
}
