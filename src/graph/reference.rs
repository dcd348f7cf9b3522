//! Image references: parsing, normalization, and comparison.
//!
//! Owns the grammar, which is that of github.com/distribution/reference as Docker uses it. It
//! contacts no registry.

use std::cmp::Ordering;
use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::text::names_registry;

/// The prefix that marks the value of a named context as an image (BuildKit,
/// `frontend/dockerfile/dockerui`).
pub const IMAGE_SCHEME: &str = "docker-image://";

/// The registry of references that name none.
pub const HUB: &str = "docker.io";
/// The former name of [`HUB`].
const LEGACY_DOMAIN: &str = "index.docker.io";
/// The namespace on [`HUB`] of names that consist of one part.
const OFFICIAL: &str = "library/";
/// The maximum length of a path in bytes.
const LONGEST_PATH: usize = 255;
/// The maximum length of a tag in bytes.
pub(super) const LONGEST_TAG: usize = 128;

/// A normalized image reference. Equal references name the same image. References sort by their
/// full forms and serialize to them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// The registry, such as `docker.io` or `localhost:5000`. Empty for the rare name whose first
    /// part has a dot but is not a host name, such as `a__b.c/d`.
    pub domain: String,
    /// The repository in the registry, such as `library/alpine`.
    pub path: String,
    /// The tag: `latest` if the text has neither tag nor digest, `None` if it has only a digest.
    pub tag: Option<String>,
    /// The digest with its algorithm, `sha256:…`.
    pub digest: Option<String>,
}

/// The reason why a text is not a valid reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReferenceError {
    /// The text does not have the form `[domain/]path[:tag][@digest]`.
    Format,
    /// The path has uppercase letters. Contains the path.
    UpperCase(String),
    /// The text consists of 64 hexadecimal digits, like an image ID.
    Identifier,
    /// The path is longer than 255 bytes.
    TooLong,
    /// The digest has an unknown algorithm or the wrong number of digits.
    Digest,
}

impl fmt::Display for ReferenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReferenceError::Format => f.write_str("invalid reference format"),
            ReferenceError::UpperCase(path) => {
                write!(f, "invalid reference format: repository name `{path}` must be lowercase")
            }
            ReferenceError::Identifier => {
                f.write_str("64 hexadecimal digits are an image ID, not a name")
            }
            ReferenceError::TooLong => {
                write!(f, "the repository name must not be more than {LONGEST_PATH} characters")
            }
            ReferenceError::Digest => {
                f.write_str("unsupported digest algorithm or invalid digest length")
            }
        }
    }
}

impl std::error::Error for ReferenceError {}

impl Reference {
    /// Parses a reference in the form that `FROM` accepts.
    ///
    /// # Errors
    /// Returns an error if the text does not have the form of a reference.
    pub fn parse(text: &str) -> Result<Reference, ReferenceError> {
        if text.len() == 64 && text.bytes().all(is_lower_hex) {
            return Err(ReferenceError::Identifier);
        }
        let (domain, rest) = split_domain(text);
        let name = rest.split(':').next().unwrap_or(rest);
        let official = if domain == HUB && !rest.contains('/') { OFFICIAL } else { "" };
        if name.chars().any(char::is_uppercase) {
            return Err(ReferenceError::UpperCase(format!("{official}{name}")));
        }
        let (rest, digest) = split_at_sign(rest, '@');
        let (path, tag) = split_at_sign(rest, ':');
        if !is_path(path) || !tag.is_none_or(is_tag) || !digest.is_none_or(has_digest_form) {
            return Err(ReferenceError::Format);
        }
        let (domain, path) = match is_host(domain) {
            true => (domain, format!("{official}{path}")),
            // A text that is not a host name can still be the first part of a path, such as
            // `a__b.c/d`.
            false if is_path(domain) => ("", format!("{domain}/{path}")),
            false => return Err(ReferenceError::Format),
        };
        if path.len() > LONGEST_PATH {
            return Err(ReferenceError::TooLong);
        }
        if !digest.is_none_or(is_digest) {
            return Err(ReferenceError::Digest);
        }
        let tag = tag.or(if digest.is_none() { Some("latest") } else { None });
        let (tag, digest) = (tag.map(str::to_owned), digest.map(str::to_owned));
        Ok(Reference { domain: domain.to_owned(), path, tag, digest })
    }

    /// Returns the image that the value of a named context names, or `None` if it is not an image.
    pub fn in_context(value: &str) -> Option<Reference> {
        Reference::parse(value.strip_prefix(IMAGE_SCHEME)?).ok()
    }

    /// Returns the full form, such as `docker.io/library/alpine:latest`.
    pub fn normalized(&self) -> String {
        self.to_string()
    }

    /// Returns the bytes of the full form.
    fn bytes(&self) -> impl Iterator<Item = u8> {
        let slash = if self.domain.is_empty() { "" } else { "/" };
        let tag = self.tag.iter().flat_map(|tag| [":", tag]);
        let digest = self.digest.iter().flat_map(|digest| ["@", digest]);
        let parts = [self.domain.as_str(), slash, self.path.as_str()].into_iter();
        parts.chain(tag).chain(digest).flat_map(str::bytes)
    }

    /// Returns the short form, without `docker.io/` and `library/`: `alpine:latest`.
    pub fn familiar(&self) -> String {
        format!("{}{}", self.familiar_repository(), Suffix(self))
    }

    /// Returns the short form without tag and digest: `alpine`.
    pub fn familiar_repository(&self) -> String {
        if self.domain != HUB {
            return self.repository();
        }
        match self.path.strip_prefix(OFFICIAL) {
            Some(name) if !name.contains('/') => name.to_owned(),
            _ => self.path.clone(),
        }
    }

    /// Returns the name by which BuildKit looks up the reference among named contexts, however a
    /// Dockerfile writes it: `acme/shop-base` for `docker.io/acme/shop-base:latest`
    /// (`frontend/dockerfile/dockerui`).
    pub fn context_name(&self) -> String {
        let familiar = self.familiar();
        familiar.strip_suffix(":latest").map(str::to_owned).unwrap_or(familiar)
    }

    /// Returns the form in which BuildKit looks up a named context called `name`, with an optional
    /// `::PLATFORM`. Returns `None` if the name is not valid, because BuildKit would never find it.
    pub fn context_key(name: &str) -> Option<String> {
        let (image, platform) =
            name.split_once("::").map_or((name, None), |(name, platform)| (name, Some(platform)));
        let short = Reference::parse(image).ok()?.context_name();
        Some(match platform {
            Some(platform) => format!("{short}::{platform}"),
            None => short,
        })
    }

    /// Returns the full form without tag and digest: `docker.io/library/alpine`.
    pub fn repository(&self) -> String {
        if self.domain.is_empty() {
            return self.path.clone();
        }
        format!("{}/{}", self.domain, self.path)
    }

    /// Returns whether both are in the same repository.
    pub fn same_repository(&self, other: &Reference) -> bool {
        self.domain == other.domain && self.path == other.path
    }

    /// Returns whether both name the same image: the same repository and digest, or the same tag if
    /// neither has a digest. A tag next to a digest is ignored.
    pub fn same_image(&self, other: &Reference) -> bool {
        let same_version = match (&self.digest, &other.digest) {
            (None, None) => self.tag == other.tag,
            (one, other) => one == other,
        };
        same_version && self.same_repository(other)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.domain.is_empty() {
            write!(f, "{}/", self.domain)?;
        }
        write!(f, "{}{}", self.path, Suffix(self))
    }
}

impl Ord for Reference {
    fn cmp(&self, other: &Reference) -> Ordering {
        self.bytes().cmp(other.bytes())
    }
}

impl PartialOrd for Reference {
    fn partial_cmp(&self, other: &Reference) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Reference, D::Error> {
        let text = String::deserialize(from)?;
        Reference::parse(&text).map_err(|error| D::Error::custom(format!("`{text}`: {error}")))
    }
}

/// The tag and the digest with their separators.
struct Suffix<'a>(&'a Reference);

impl fmt::Display for Suffix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(tag) = &self.0.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.0.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// Splits a text into the registry and the rest.
fn split_domain(text: &str) -> (&str, &str) {
    let Some((first, rest)) = text.split_once('/') else { return (HUB, text) };
    if first == LEGACY_DOMAIN {
        return (HUB, rest);
    }
    if names_registry(first) { (first, rest) } else { (HUB, text) }
}

/// Splits a text at the first separator, if there is one.
fn split_at_sign(text: &str, sign: char) -> (&str, Option<&str>) {
    text.split_once(sign).map_or((text, None), |(before, after)| (before, Some(after)))
}

/// Returns whether a path consists of parts separated by `/`, each of which has lowercase letters
/// and digits joined by one `.`, one or two `_`, or any number of `-`.
fn is_path(path: &str) -> bool {
    path.split('/').all(is_path_part)
}

fn is_path_part(part: &str) -> bool {
    let mut separator = "";
    let mut words = 0;
    let mut rest = part;
    while !rest.is_empty() {
        let word = run(rest, |b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let between = words == 0 || matches!(separator, "." | "_" | "__");
        if word == 0 || !(between || separator.bytes().all(|b| b == b'-')) {
            return false;
        }
        words += 1;
        rest = &rest[word..];
        let length = run(rest, |b| matches!(b, b'.' | b'_' | b'-'));
        separator = &rest[..length];
        rest = &rest[length..];
    }
    words > 0 && separator.is_empty()
}

/// Returns how many of the first bytes are of a kind.
fn run(text: &str, is: impl Fn(u8) -> bool) -> usize {
    text.bytes().position(|b| !is(b)).unwrap_or(text.len())
}

/// Returns whether a text is a valid tag: a letter, digit, or `_`, followed by up to 127 of these,
/// `.`, and `-`.
pub fn is_tag(tag: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= LONGEST_TAG
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|b| is_word(b) || matches!(b, b'.' | b'-'))
}

/// Returns whether a text has the form `algorithm:digits` with at least 32 digits.
fn has_digest_form(digest: &str) -> bool {
    let Some((algorithm, digits)) = digest.split_once(':') else { return false };
    let is_word = |word: &str| {
        word.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
            && word.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    algorithm.split(['-', '_', '+', '.']).all(is_word)
        && digits.len() >= 32
        && digits.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Returns whether a text is a digest with an algorithm that Docker supports, such as `sha256:…`.
pub(super) fn is_digest(digest: &str) -> bool {
    let Some((algorithm, digits)) = digest.split_once(':') else { return false };
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return false,
    };
    digits.len() == length && digits.bytes().all(is_lower_hex)
}

fn is_lower_hex(b: u8) -> bool {
    b.is_ascii_digit() || matches!(b, b'a'..=b'f')
}

/// Returns whether a text is a host name or an address in brackets, with an optional port.
fn is_host(domain: &str) -> bool {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    if let Some(address) = domain.strip_prefix('[') {
        let Some((address, port)) = address.split_once(']') else { return false };
        return !address.is_empty()
            && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':')
            && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    let (name, port) = split_at_sign(domain, ':');
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    name.split('.').all(is_label) && port.is_none_or(is_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusual_references_are_parsed_like_docker() {
        let check = |text: &str, expected: Result<&str, ReferenceError>| {
            let read = Reference::parse(text).map(|reference| reference.normalized());
            assert_eq!(read.as_deref().map_err(Clone::clone), expected, "{text}");
        };
        let format = || Err(ReferenceError::Format);
        check("a__b.c/d", Ok("a__b.c/d:latest"));
        check("[::1]:5000/x", Ok("[::1]:5000/x:latest"));
        check("[::1/x", format());
        check("localhost/x", Ok("localhost/x:latest"));
        check("local/x", Ok("docker.io/local/x:latest"));
        check("host:/x", format());
        check("a--b", Ok("docker.io/library/a--b:latest"));
        check("a..b", format());
        check("a-", format());
        check("a/", format());
        check("a//b", format());
        check("é", format());
        check("x:é", format());
        check(&format!("x:{}", "a".repeat(129)), format());
        check(&"ab".repeat(32), Err(ReferenceError::Identifier));
        check(&format!("q/{}", "a".repeat(254)), Err(ReferenceError::TooLong));
        check(&format!("x@sha256:{}", "A".repeat(64)), Err(ReferenceError::Digest));
        check(&format!("x@md5:{}", "a".repeat(32)), Err(ReferenceError::Digest));
    }

    #[test]
    fn the_tag_of_a_reference_with_a_digest_is_ignored() {
        let digest = format!("@sha256:{}", "a".repeat(64));
        let check = |one: &str, other: &str, same: bool| {
            let one = Reference::parse(one).unwrap();
            assert_eq!(one.same_image(&Reference::parse(other).unwrap()), same, "{one} {other}");
        };
        check("x", "docker.io/library/x:latest", true);
        check("x:1", "x", false);
        check(&format!("x:1{digest}"), &format!("x{digest}"), true);
        check(&format!("x:1{digest}"), "x:1", false);
        check("x", "y", false);
    }
}
