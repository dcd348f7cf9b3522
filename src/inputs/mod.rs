//! The inputs of images.
//!
//! Owns how the files of a context are read (which of them an image can read, their digests, and what of
//! them is sent), an image's inputs and the key that is their hash, the identity of a built image as its
//! children see it, and the difference between two keys. It starts no builds, calls no engine, and stores nothing.

mod canonical;
pub mod diff;
pub mod files;
pub mod gather;
pub mod identity;
pub mod inheritance;
pub mod key;
pub mod missing;
mod own;
pub mod reading;
mod reads;
pub mod select;
mod selection;
pub mod since;
mod walks;
pub mod wildcard;

pub use diff::Change;
pub use gather::{
    ExternalDescription, Externals, FileDigests, NamedDependency, NamedDirectory, OwnInputs, gather,
};
pub use identity::{Identity, KEY_LABEL, PROOF_LABEL};
pub use inheritance::Inheritance;
pub use key::{DependencyInputs, DependencyName, Inputs};
pub use own::commands_of;
pub use select::{SourceUse, select};
pub use selection::ContextSelection;
