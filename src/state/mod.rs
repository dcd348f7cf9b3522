//! The state directory, `.layers/`: what is kept from one run to the next.
//!
//! Owns the files in it: digests of files, what engines have of contexts, inputs behind keys, identities, claims, durations, and the directories of
//! runs. None of it decides what is fresh: deleting it costs time, never correctness.

mod claims;
mod context_copies;
mod digests;
mod directory;
mod durations;
mod intents;
mod repository;
pub mod runs;

pub use claims::Claim;
pub use context_copies::{ContextCopies, SentDirectory, SentFile};
pub use digests::Digests;
pub use directory::StateDir;
pub use durations::Durations;
pub use intents::IntentDirs;
pub use repository::RepositoryState;
