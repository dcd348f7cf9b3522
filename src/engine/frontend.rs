//! What reads Dockerfiles: a version of `docker/dockerfile`, BuildKit's frontend.
//!
//! Owns what the versions can do, as far as the choice of what a build is given depends on it.

use std::fmt::{self, Display};

/// A version of `docker/dockerfile`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Frontend {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
}

impl Frontend {
    /// A version.
    pub const fn new(major: u32, minor: u32) -> Frontend {
        Frontend { major, minor }
    }

    /// Reads a version as it is written: `1.4`.
    pub fn parse(text: &str) -> Option<Frontend> {
        let (major, minor) = text.split_once('.')?;
        Some(Frontend::new(major.parse().ok()?, minor.parse().ok()?))
    }

    /// Whether it takes named contexts.
    pub fn knows_contexts(self) -> bool {
        self >= Frontend::new(1, 4)
    }
}

impl Display for Frontend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Which frontends of a builder take named contexts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedContexts {
    /// None.
    None,
    /// Those that a Dockerfile names and that are new enough.
    OfNamedFrontends,
    /// Those and its own.
    All,
}

impl NamedContexts {
    /// Those of a BuildKit with a built-in frontend, whose version may not be known.
    pub fn of_buildkit(frontend: Option<Frontend>) -> NamedContexts {
        match frontend.is_none_or(Frontend::knows_contexts) {
            true => NamedContexts::All,
            false => NamedContexts::OfNamedFrontends,
        }
    }
}
