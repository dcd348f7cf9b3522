//! What an image is made of.
//!
//! Owns the files of a context as they are read: which of them an image can read, their digests,
//! and the archive in which they are sent. It starts no build.

pub mod archive;
pub mod missing;
pub mod reading;
pub mod request;
pub mod select;
pub mod wildcard;

pub use archive::ContextArchive;
pub use request::request;
pub use select::{Use, select};
