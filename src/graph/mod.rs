//! Names, references and what a Dockerfile means; edges between images.
//!
//! Owns resolution. It reads no file and asks no engine.

pub mod evaluate;
pub mod reference;
