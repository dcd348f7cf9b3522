//! References to images: `[domain/]path[:tag][@digest]` and their normal form.
//!
//! Owns the grammar and the defaults of distribution/reference
//! (<https://pkg.go.dev/github.com/distribution/reference>): docker.io, `library/`, `:latest`. It
//! does not know which image of this repository a reference means.

use std::fmt;

const DEFAULT_DOMAIN: &str = "docker.io";
const LEGACY_DOMAIN: &str = "index.docker.io";
const OFFICIAL: &str = "library/";
const DEFAULT_TAG: &str = "latest";
const LONGEST_TAG: usize = 128;
const LONGEST_PATH: usize = 255;

/// A reference in its normal form: the domain is written out, `library/` too.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// The registry, such as `docker.io` or `localhost:5000`.
    pub domain: String,
    /// The repository's path in the registry, such as `library/debian`.
    pub path: String,
    /// The tag as it is written.
    pub tag: Option<String>,
    /// The digest as it is written, such as `sha256:…`.
    pub digest: Option<String>,
}

/// Why a text is no reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReferenceError {
    /// It does not follow the grammar.
    Format,
    /// Its path has upper-case letters; the path as it was understood.
    UpperCase(String),
    /// It is 64 hexadecimal digits, which would be an image's ID.
    Id(String),
    /// Its path is longer than 255 characters.
    TooLong,
}

impl fmt::Display for ReferenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReferenceError::Format => f.write_str("invalid reference format"),
            ReferenceError::UpperCase(path) => {
                write!(f, "invalid reference format: repository name ({path}) must be lowercase")
            }
            ReferenceError::Id(id) => {
                write!(f, "invalid repository name ({id}), 64 hexadecimal digits are an image ID")
            }
            ReferenceError::TooLong => {
                write!(f, "repository name must not be longer than {LONGEST_PATH} characters")
            }
        }
    }
}

impl std::error::Error for ReferenceError {}

impl Reference {
    /// Reads a reference as the docker command does.
    ///
    /// # Errors
    /// Where the text is no reference.
    pub fn parse(text: &str) -> Result<Reference, ReferenceError> {
        if text.len() == 64 && text.bytes().all(is_lower_hex) {
            return Err(ReferenceError::Id(text.to_owned()));
        }
        let (domain, rest) = split_domain(text);
        let (name, digest) = match rest.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (rest, None),
        };
        // A colon before the last slash can't be a tag's; it makes the path wrong.
        let (path, tag) = match name.rfind(':') {
            Some(at) if !name[at..].contains('/') => (&name[..at], Some(&name[at + 1..])),
            _ => (name, None),
        };
        let path = if domain == DEFAULT_DOMAIN && !path.contains('/') {
            format!("{OFFICIAL}{path}")
        } else {
            path.to_owned()
        };
        if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(ReferenceError::UpperCase(path));
        }
        let is_right = is_domain(domain)
            && path.split('/').all(is_component)
            && tag.is_none_or(is_tag)
            && digest.is_none_or(is_digest);
        if !is_right {
            return Err(ReferenceError::Format);
        }
        if path.len() > LONGEST_PATH {
            return Err(ReferenceError::TooLong);
        }
        Ok(Reference {
            domain: domain.to_owned(),
            path,
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        })
    }

    /// The domain and path, such as `docker.io/acme/shop-base`.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The repository as people write it: without `docker.io/`, without `library/`.
    pub fn familiar_repository(&self) -> String {
        if self.domain != DEFAULT_DOMAIN {
            return self.repository();
        }
        match self.path.strip_prefix(OFFICIAL) {
            Some(name) if !name.contains('/') => name.to_owned(),
            _ => self.path.clone(),
        }
    }

    /// The whole normal form, with the default tag where there is neither tag nor digest.
    pub fn normalised(&self) -> String {
        self.repository() + &self.suffix()
    }

    /// The reference as people write it, with the default tag likewise.
    pub fn familiar(&self) -> String {
        self.familiar_repository() + &self.suffix()
    }

    /// The tag that counts: the written one, or `latest`.
    pub fn effective_tag(&self) -> &str {
        self.tag.as_deref().unwrap_or(DEFAULT_TAG)
    }

    /// Whether both name the same image: equal normal forms.
    pub fn same_image(&self, other: &Reference) -> bool {
        self.normalised() == other.normalised()
    }

    fn suffix(&self) -> String {
        match (&self.tag, &self.digest) {
            (None, None) => format!(":{DEFAULT_TAG}"),
            (Some(tag), None) => format!(":{tag}"),
            (None, Some(digest)) => format!("@{digest}"),
            (Some(tag), Some(digest)) => format!(":{tag}@{digest}"),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.familiar())
    }
}

/// The part before the first slash is a domain where it looks like one.
fn split_domain(text: &str) -> (&str, &str) {
    match text.split_once('/') {
        Some((first, rest)) => {
            let is_domain = first.contains(['.', ':'])
                || first == "localhost"
                || first.chars().any(char::is_uppercase);
            match first {
                LEGACY_DOMAIN => (DEFAULT_DOMAIN, rest),
                first if is_domain => (first, rest),
                _ => (DEFAULT_DOMAIN, text),
            }
        }
        None => (DEFAULT_DOMAIN, text),
    }
}

fn is_lower_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

/// Host names and IPv4 addresses divided by dots, or an IPv6 address in brackets; then a port.
fn is_domain(domain: &str) -> bool {
    let (host, port) = match domain.strip_prefix('[') {
        Some(rest) => {
            let Some((address, rest)) = rest.split_once(']') else { return false };
            let is_address = !address.is_empty()
                && address.bytes().all(|it| it.is_ascii_hexdigit() || it == b':');
            if !is_address || !(rest.is_empty() || rest.starts_with(':')) {
                return false;
            }
            return rest.strip_prefix(':').is_none_or(is_port);
        }
        None => match domain.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (domain, None),
        },
    };
    port.is_none_or(is_port) && host.split('.').all(is_domain_component)
}

fn is_port(port: &str) -> bool {
    !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_domain_component(component: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !component.is_empty()
        && component.bytes().all(is_inner)
        && !component.starts_with('-')
        && !component.ends_with('-')
}

/// Lower-case letters and digits, divided by one `.`, one or two `_`, or any number of `-`.
fn is_component(component: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    if !bytes.first().is_some_and(|it| is_plain(*it))
        || !bytes.last().is_some_and(|it| is_plain(*it))
    {
        return false;
    }
    let separators = component.split(|character: char| character.is_ascii_alphanumeric());
    component.bytes().all(|it| is_plain(it) || matches!(it, b'.' | b'_' | b'-'))
        && separators.into_iter().all(|separator| {
            matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|it| it == b'-')
        })
}

fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=LONGEST_TAG).contains(&tag.len())
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|byte| is_word(byte) || byte == b'.' || byte == b'-')
}

/// An algorithm that is known, and exactly as many hexadecimal digits as it makes, in lower case.
fn is_digest(digest: &str) -> bool {
    let Some((algorithm, hex)) = digest.split_once(':') else { return false };
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return false,
    };
    hex.len() == length && hex.bytes().all(is_lower_hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, normalised: Option<&str>) {
        let found = Reference::parse(text).ok().map(|reference| reference.normalised());
        assert_eq!(found.as_deref(), normalised, "{text}");
    }

    #[test]
    fn references_have_one_normal_form() {
        check("a", Some("docker.io/library/a:latest"));
        check("a:1", Some("docker.io/library/a:1"));
        check("acme/shop-base", Some("docker.io/acme/shop-base:latest"));
        check("[::1]:5000/a", Some("[::1]:5000/a:latest"));
        check("a.example/b/c:d", Some("a.example/b/c:d"));
        check("localhost/a", Some("localhost/a:latest"));
        check("a//b", None);
        check("a-/b", None);
        check("-a", None);
        check("a--b", Some("docker.io/library/a--b:latest"));
        check("a..b", None);
        check("a:b/c", None);
        check("a b", None);
        check("a@md5:0123456789abcdef0123456789abcdef", None);
        check(
            &format!("a@sha256:{}", "0".repeat(64)),
            Some(&format!("docker.io/library/a@sha256:{}", "0".repeat(64))),
        );
        check(&format!("a@sha256:{}", "A".repeat(64)), None);
        check(&"0".repeat(64), None);
        check(&"a".repeat(300), None);
    }

    #[test]
    fn equal_normal_forms_are_the_same_image() {
        let parse = |text: &str| Reference::parse(text).unwrap();
        assert!(parse("debian").same_image(&parse("docker.io/library/debian:latest")));
        assert!(!parse("debian").same_image(&parse("debian:12")));
        assert_eq!(parse("library/debian:12").to_string(), "debian:12");
    }
}
