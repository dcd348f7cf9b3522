//! The ground floor: ids, relative paths, spans, diagnostics and the wording of lists.
//!
//! Owns the small types that every room speaks in, and the one way of writing a file whole. It imports
//! nothing of ours, reads no file and prints nothing.

pub mod backoff;
pub mod clock;
pub mod diagnostic;
pub mod error;
pub mod file;
pub mod id;
pub mod parallel;
pub mod path;
pub mod platform;
pub mod rule;
pub mod screen;
pub mod span;
pub mod text;

pub use diagnostic::{Diagnostic, Label, Level};
pub use error::{ErrorKind, InfrastructureError};
pub use id::{ExternalId, Id, IdMap, ImageId, UnitId};
pub use path::RelPath;
pub use platform::Platform;
pub use rule::Rule;
pub use span::{Place, Source, Span, Spanned};
