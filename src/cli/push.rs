//! `--push`: what a build puts into the registry.
//!
//! Owns its words.

use clap::ValueEnum;

/// What is put into the registry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Push {
    /// The images, under their keys and all their tags.
    Tags,
    /// The images, under their keys alone.
    Keys,
    /// Nothing.
    #[default]
    No,
}
