//! Versions of `docker/dockerfile`, the BuildKit frontend that reads Dockerfiles.
//!
//! Owns what each version supports, as far as it affects what is passed to a build.

use std::fmt::{self, Display};

/// A version of `docker/dockerfile`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Frontend {
    /// The major version.
    pub major: u32,
    /// The minor version.
    pub minor: u32,
}

impl Frontend {
    /// Returns the version with these numbers.
    pub const fn new(major: u32, minor: u32) -> Frontend {
        Frontend { major, minor }
    }

    /// Parses a version such as `1.4`.
    pub fn parse(text: &str) -> Option<Frontend> {
        let (major, minor) = text.split_once('.')?;
        Some(Frontend::new(major.parse().ok()?, minor.parse().ok()?))
    }

    /// Returns whether this version supports named contexts.
    pub fn knows_contexts(self) -> bool {
        self >= Frontend::new(1, 4)
    }
}

impl Display for Frontend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Which frontends of a builder support named contexts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedContexts {
    /// No frontends.
    None,
    /// Frontends that a Dockerfile names with `# syntax=`, if they are new enough.
    OfNamedFrontends,
    /// Those, and the built-in frontend.
    All,
}

impl NamedContexts {
    /// Returns the value for a BuildKit with this built-in frontend; `None` if its version is unknown.
    pub fn of_buildkit(frontend: Option<Frontend>) -> NamedContexts {
        match frontend.is_none_or(Frontend::knows_contexts) {
            true => NamedContexts::All,
            false => NamedContexts::OfNamedFrontends,
        }
    }
}
