//! The failure of a command, as a value.
//!
//! Owns what every such failure consists of: its kind, a message, a hint, and the error that it results
//! from. It travels in an [`anyhow::Error`], below the context that callers add; [`kind`], [`hint`],
//! and [`text`] read it from there. Failures of other libraries have no kind of their own and count as
//! permanent. Diagnostics and failed images are not failures of this kind.

use std::error::Error;
use std::fmt::{self, Display};
use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What a failure means to whoever could go on without, or try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorKind {
    /// Another try fails alike.
    Permanent,
    /// Another try may succeed: a connection broke, a registry is too busy.
    Transient,
    /// Nothing answers; another try may succeed.
    Unreachable,
    /// The credentials or permissions do not suffice. Registries answer alike for what does not exist.
    Denied,
    /// What was named does not exist.
    NotFound,
    /// The command line is wrong.
    Usage,
    /// The repository's files are wrong.
    Files,
}

/// A failure of the infrastructure, or of how the program was called. [`Display`] shows the message
/// alone. One process can pass it to another, which does not learn of its source.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InfrastructureError {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    #[serde(skip)]
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl InfrastructureError {
    /// A failure without a hint.
    pub fn new(kind: ErrorKind, message: impl Display) -> InfrastructureError {
        InfrastructureError { kind, message: message.to_string(), hint: None, source: None }
    }

    /// Adds the command or the edit that helps.
    #[must_use]
    pub fn hint(mut self, hint: impl Display) -> InfrastructureError {
        self.hint = Some(hint.to_string());
        self
    }

    /// Adds the error that it results from.
    #[must_use]
    pub fn source(mut self, source: impl Error + Send + Sync + 'static) -> InfrastructureError {
        self.source = Some(Arc::new(source));
        self
    }

    /// Restates an error, with its causes and its hint, as one of a kind.
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

/// Returns a failure that another try does not change.
pub fn permanent(message: impl Display) -> InfrastructureError {
    InfrastructureError::new(ErrorKind::Permanent, message)
}

/// Returns a failure that another try may not meet.
pub fn transient(message: impl Display) -> InfrastructureError {
    InfrastructureError::new(ErrorKind::Transient, message)
}

/// Returns a failure of the command line.
pub fn usage(message: impl Display) -> InfrastructureError {
    InfrastructureError::new(ErrorKind::Usage, message)
}

/// Returns a failure for lack of credentials or permissions.
pub fn denied(message: impl Display) -> InfrastructureError {
    InfrastructureError::new(ErrorKind::Denied, message)
}

/// Returns the end of a command whose reasons have been printed.
pub fn printed(kind: ErrorKind) -> InfrastructureError {
    InfrastructureError::new(kind, "")
}

/// Restates an error as one of the command line, which named what failed.
#[expect(clippy::needless_pass_by_value, reason = "it is passed to `map_err` by name")]
pub fn as_usage(error: anyhow::Error) -> anyhow::Error {
    InfrastructureError::restate(ErrorKind::Usage, &error).into()
}

/// Returns an error's kind.
pub fn kind(error: &anyhow::Error) -> ErrorKind {
    find(error).map_or(ErrorKind::Permanent, |failure| failure.kind)
}

/// Whether another try may not meet an error.
pub fn is_transient(error: &anyhow::Error) -> bool {
    matches!(kind(error), ErrorKind::Transient | ErrorKind::Unreachable)
}

/// Returns an error's hint.
pub fn hint(error: &anyhow::Error) -> Option<&str> {
    find(error)?.hint.as_deref()
}

/// Returns an error with its causes, and its hint on a line of its own.
pub fn text(error: &anyhow::Error) -> String {
    match hint(error) {
        Some(hint) => format!("{error:#}\nhint: {hint}"),
        None => format!("{error:#}"),
    }
}

/// Callers may have added context above it, and what reads may have wrapped it.
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
    fn a_failure_keeps_its_kind_and_its_hint_below_context() {
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
    fn other_errors_are_permanent() {
        let error = anyhow::anyhow!("no");
        assert_eq!((kind(&error), hint(&error)), (ErrorKind::Permanent, None));
        assert!(!is_transient(&error) && is_transient(&transient("busy").into()));
    }
}
