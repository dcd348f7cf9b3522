//! Faults of the machinery, in words and with a way out.
//!
//! Owns the form that they have: what is wrong, then a line that begins with `hint:`. What another
//! try may find gone is told from what it won't.

use std::fmt::{self, Display};

/// An error that ends with a `hint:` line.
pub fn hinted(message: impl Display, hint: impl Display) -> anyhow::Error {
    anyhow::anyhow!("{message}\nhint: {hint}")
}

/// A fault of the machinery that may be gone at the next try: an engine that restarts, a
/// connection that broke, a registry that has too much to do.
#[derive(Debug)]
pub struct Passing {
    message: String,
}

impl Passing {
    /// The fault in words; they end with a `hint:` line, as those of every other do.
    pub fn error(message: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Passing { message: message.into() })
    }

    /// Whether an error is of this kind.
    pub fn is(error: &anyhow::Error) -> bool {
        error.downcast_ref::<Passing>().is_some()
    }
}

impl Display for Passing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Passing {}
