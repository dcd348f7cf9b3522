//! A repository that we are not let at.
//!
//! Owns the kind of that fault. Registries answer so for repositories that are not there, too, so
//! whoever is about to make one goes on; all others tell it.

use std::fmt::{self, Display};

/// A registry does not let us at a repository, with the login that there is.
#[derive(Debug)]
pub struct Denied(String);

impl Denied {
    /// The fault in words, with a way out.
    pub(super) fn error(message: impl Display, hint: impl Display) -> anyhow::Error {
        anyhow::Error::new(Denied(format!("{message}\nhint: {hint}")))
    }

    /// Whether an error is of this kind.
    pub fn is(error: &anyhow::Error) -> bool {
        error.downcast_ref::<Denied>().is_some()
    }
}

impl Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Denied {}
