//! Basic types: IDs, relative paths, platforms, spans, and diagnostics.
//!
//! Owns the small types that all modules share, and the only code that writes files atomically. It imports no
//! other module, reads no files, and prints nothing.

pub mod backoff;
pub mod cancel;
pub mod clock;
pub mod diagnostic;
pub mod entry_kind;
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
pub mod waiting;

pub use cancel::{Cancel, CancelGuard};
pub use diagnostic::{Diagnostic, Label, Level};
pub use entry_kind::EntryKind;
pub use error::{ErrorKind, InfrastructureError};
pub use id::{ExternalId, Id, IdMap, ImageId, UnitId};
pub use path::RelPath;
pub use platform::Platform;
pub use rule::Rule;
pub use span::{Location, Source, Span, Spanned};
