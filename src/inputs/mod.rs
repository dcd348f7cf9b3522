//! What an image is made of.
//!
//! Owns the files of a context as they are read (which of them an image can read, their digests,
//! the archive in which they are sent), an image's inputs and the key that is their hash, what a
//! built image is to a child, the difference between two keys, and what is remembered of all that
//! under `.layers/`. It starts no build and asks no engine.

pub mod archive;
mod canonical;
pub mod claims;
pub mod diff;
pub mod digests;
pub mod durations;
pub mod files;
pub mod gather;
pub mod identity;
pub mod inheritance;
pub mod key;
pub mod memory;
pub mod missing;
mod own;
pub mod reading;
pub mod select;
pub mod since;
mod state;
pub mod wildcard;

pub use archive::ContextArchive;
pub use claims::{Claim, Claimed};
pub use diff::Change;
pub use durations::Durations;
pub use gather::{Externals, Outside, Own, gather};
pub use identity::{Identity, KEY_LABEL, PROOF_LABEL};
pub use inheritance::Inheritance;
pub use key::{Inputs, NeedInputs};
pub use memory::Memory;
pub use own::commands_of;
pub use select::{Use, select};
pub use state::StateDir;
