//! Platforms such as `linux/arm64/v8`.
//!
//! Owns their normal form, that of github.com/containerd/platforms as BuildKit calls it.

use std::fmt;

/// A platform in its normal form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Platform {
    pub(super) os: String,
    /// The version of the system, which only Windows has.
    pub(super) version: String,
    pub(super) architecture: String,
    pub(super) variant: String,
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
    /// Reads `os[(version)][/architecture[/variant]]`, or an architecture alone. `local` fills in
    /// the architecture where only a system is named. Nothing where the text is no platform.
    pub(super) fn parse(text: &str, local: &str) -> Option<Platform> {
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
        let os = if name == "macos" { "darwin".to_owned() } else { name };
        let version = version.to_owned();
        let (architecture, variant) = match parts.as_slice() {
            [_] if SYSTEMS.contains(&os.as_str()) => {
                let variant = String::new();
                return Some(Platform { os, version, architecture: local.to_owned(), variant });
            }
            [_] => {
                let (architecture, variant) = normal_architecture(parts[0], "");
                if !ARCHITECTURES.contains(&architecture.as_str()) {
                    return None;
                }
                let variant = without_usual_variant(&architecture, variant);
                let os = "linux".to_owned();
                return Some(Platform { os, version: String::new(), architecture, variant });
            }
            [_, architecture] => {
                let (architecture, variant) = normal_architecture(architecture, "");
                let variant = without_usual_variant(&architecture, variant);
                (architecture, variant)
            }
            [_, architecture, variant] => match normal_architecture(architecture, variant) {
                (architecture, variant) if architecture == "arm64" && variant.is_empty() => {
                    (architecture, "v8".to_owned())
                }
                full => full,
            },
            _ => return None,
        };
        Some(Platform { os, version, architecture, variant })
    }

    /// The form in which BuildKit takes the platforms that a build is asked for: there `linux/arm`
    /// is `linux/arm/v7`, and `linux/arm64/v8` is `linux/arm64`, as `TARGETVARIANT` shows.
    #[must_use]
    pub(super) fn requested(self) -> Platform {
        let (architecture, variant) = normal_architecture(&self.architecture, &self.variant);
        Platform { architecture, variant, ..self }
    }
}

/// `arm` alone means `arm/v7`, which is then not said.
fn without_usual_variant(architecture: &str, variant: String) -> String {
    if architecture == "arm" && variant == "v7" { String::new() } else { variant }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_have_a_normal_form() {
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
    fn a_requested_platform_says_the_variant_of_arm_only() {
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
