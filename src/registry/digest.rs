//! Digests of content.
//!
//! Owns the computation and verification of digests (OCI Image Specification, "Digests"). SHA-256 is the only
//! algorithm that registries must support, and the only one supported here.

use std::fmt::Display;

use crate::base::error::{ErrorKind, InfrastructureError, permanent};
const PREFIX: &str = "sha256:";

/// Returns the digest of some bytes.
pub(super) fn digest_of(bytes: &[u8]) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, bytes);
    let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{PREFIX}{hex}")
}

/// Returns whether a version is a digest and not a tag: tags contain no colon.
pub(super) fn is_digest(version: &str) -> bool {
    version.contains(':')
}

/// Checks that a digest is well-formed and of a supported algorithm.
///
/// # Errors
/// Returns an error if the digest is malformed or of another algorithm.
pub(super) fn check_form(digest: &str, at: impl Display) -> anyhow::Result<()> {
    let is_hex = |hex: &str| {
        hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    match digest.split_once(':') {
        Some(("sha256", hex)) if is_hex(hex) => Ok(()),
        Some((algorithm, _)) if algorithm != "sha256" => {
            let message = format!("`{at}`: the digest algorithm `{algorithm}` is not supported");
            Err(permanent(message).hint("use a `sha256:` digest, or a tag").into())
        }
        _ => Err(permanent(format!("`{digest}` is not a valid digest (of `{at}`)"))
            .hint("a digest is `sha256:` followed by 64 hexadecimal digits")
            .into()),
    }
}

/// Checks that bytes have a digest. `at` names them in the error.
///
/// # Errors
/// Returns an error if they do not; a retry would not help.
pub(super) fn check_bytes(bytes: &[u8], digest: &str, at: impl Display) -> anyhow::Result<()> {
    check_form(digest, &at)?;
    let found = digest_of(bytes);
    if found == digest {
        return Ok(());
    }
    let message = format!("`{at}`: digest mismatch: expected {digest}, got {found}");
    let hint = "contact the registry's operator: a proxy may change responses, or its storage may \
                be damaged";
    Err(InfrastructureError::new(ErrorKind::Corrupt, message).hint(hint).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn content_is_verified_against_its_digest() {
        assert_eq!(digest_of(b""), EMPTY);
        let check = |bytes: &[u8], digest: &str, expected: &str| {
            let error = crate::base::error::text(&check_bytes(bytes, digest, "a/b").unwrap_err());
            assert!(error.contains(expected) && error.contains("\nhint: "), "{error}");
        };
        check_bytes(b"", EMPTY, "a/b").unwrap();
        check(b"x", EMPTY, "`a/b`: digest mismatch: expected sha256:e3b");
        check(b"", "sha512:00", "the digest algorithm `sha512` is not supported");
        check(b"", "sha256:00", "`sha256:00` is not a valid digest (of `a/b`)");
        check(b"", &EMPTY.to_uppercase().replace("SHA", "sha"), "is not a valid digest");
        check(b"", "latest", "`latest` is not a valid digest");
        assert!(is_digest(EMPTY) && !is_digest("latest"));
    }
}
