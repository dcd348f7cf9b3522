//! The failure of a command, as a value.
//!
//! Owns what such a failure consists of: its kind, a message, a hint, and the error that caused it. It
//! travels in an [`anyhow::Error`], below the context that callers add; [`kind`], [`hint`], and [`text`] read
//! it from there. Errors of other libraries have no kind and count as permanent. Diagnostics and failed
//! images are not failures in this sense.

use std::error::Error;
use std::fmt::{self, Display};
use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What a failure means to a caller that could retry, or continue without the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorKind {
    /// A retry fails the same way.
    Permanent,
    /// A retry can succeed, for example after a lost connection or if a registry was overloaded.
    Transient,
    /// The other side limits the rate of requests; a retry can succeed after a while.
    RateLimited,
    /// There is no answer; a retry can succeed.
    Unreachable,
    /// Credentials or permissions are missing. Registries give the same answer for names that do not exist.
    Denied,
    /// The named thing does not exist.
    NotFound,
    /// What was received is not what it should be.
    Corrupt,
    /// The command line is wrong.
    Usage,
    /// The repository's files are wrong.
    Files,
}

/// A failure of the infrastructure, or a mistake in how the program was called. [`Display`] shows only the
/// message. It can be sent to another process, without its source.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InfrastructureError {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    #[serde(skip)]
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl InfrastructureError {
    /// Creates a failure without a hint.
    pub fn new(kind: ErrorKind, message: impl Display) -> InfrastructureError {
        InfrastructureError { kind, message: message.to_string(), hint: None, source: None }
    }

    /// Adds a command or an edit that helps.
    #[must_use]
    pub fn hint(mut self, hint: impl Display) -> InfrastructureError {
        self.hint = Some(hint.to_string());
        self
    }

    /// Adds the error that caused the failure.
    #[must_use]
    pub fn source(mut self, source: impl Error + Send + Sync + 'static) -> InfrastructureError {
        self.source = Some(Arc::new(source));
        self
    }

    /// Converts an error, with its causes and its hint, into a failure of the given kind.
    pub fn restate(kind: ErrorKind, error: &anyhow::Error) -> InfrastructureError {
        InfrastructureError {
            kind,
            message: format!("{error:#}"),
            hint: hint(error).map(str::to_owned),
            source: None,
        }
    }
}

impl Display for InfrastructureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for InfrastructureError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

/// Returns a permanent failure.
pub fn permanent(message: impl Display) -> InfrastructureError {
    InfrastructureError::new(ErrorKind::Permanent, message)
}

/// Returns a transient failure.
pub fn transient(message: impl Display) -> InfrastructureError {
    InfrastructureError::new(ErrorKind::Transient, message)
}

/// Returns a failure caused by the command line.
pub fn usage(message: impl Display) -> InfrastructureError {
    InfrastructureError::new(ErrorKind::Usage, message)
}

/// Returns a failure caused by missing credentials or permissions.
pub fn denied(message: impl Display) -> InfrastructureError {
    InfrastructureError::new(ErrorKind::Denied, message)
}

/// Returns a failure without a message, for a command that has already printed what went wrong.
pub fn printed(kind: ErrorKind) -> InfrastructureError {
    InfrastructureError::new(kind, "")
}

/// Converts an error into a usage error, for values that the command line named.
#[expect(clippy::needless_pass_by_value, reason = "it is passed to `map_err` by name")]
pub fn as_usage(error: anyhow::Error) -> anyhow::Error {
    InfrastructureError::restate(ErrorKind::Usage, &error).into()
}

/// Returns an error's kind.
pub fn kind(error: &anyhow::Error) -> ErrorKind {
    find(error).map_or(ErrorKind::Permanent, |failure| failure.kind)
}

/// Whether a retry can succeed.
pub fn is_transient(error: &anyhow::Error) -> bool {
    matches!(kind(error), ErrorKind::Transient | ErrorKind::RateLimited | ErrorKind::Unreachable)
}

/// Returns an error's hint.
pub fn hint(error: &anyhow::Error) -> Option<&str> {
    find(error)?.hint.as_deref()
}

/// Returns an error with its causes, followed by its hint on a separate line.
pub fn text(error: &anyhow::Error) -> String {
    match hint(error) {
        Some(hint) => format!("{error:#}\nhint: {hint}"),
        None => format!("{error:#}"),
    }
}

/// Finds the failure in an error's chain. Callers can have added context, and readers can have wrapped it in
/// an [`io::Error`].
fn find(error: &anyhow::Error) -> Option<&InfrastructureError> {
    error.chain().find_map(|cause| match cause.downcast_ref::<io::Error>() {
        Some(error) => error.get_ref()?.downcast_ref(),
        None => cause.downcast_ref(),
    })
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn errors_keep_their_kind_and_hint_when_context_is_added() {
        let cause = io::Error::other("it broke");
        let error = InfrastructureError::new(ErrorKind::Denied, "can't look").source(cause);
        let error: anyhow::Error = error.hint("log in").into();
        let error = Err::<(), _>(error).context("no images").unwrap_err();
        assert_eq!((kind(&error), hint(&error)), (ErrorKind::Denied, Some("log in")));
        assert_eq!(text(&error), "no images: can't look: it broke\nhint: log in");
        let restated = InfrastructureError::restate(ErrorKind::Usage, &error).into();
        assert_eq!((kind(&restated), text(&restated)), (ErrorKind::Usage, text(&error)));
    }

    #[test]
    fn errors_without_a_kind_are_permanent() {
        let error = anyhow::anyhow!("no");
        assert_eq!((kind(&error), hint(&error)), (ErrorKind::Permanent, None));
        assert!(!is_transient(&error) && is_transient(&transient("busy").into()));
    }
}
