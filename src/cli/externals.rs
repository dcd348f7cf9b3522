//! `layers outdated` and `layers update` on the command line.
//!
//! Owns their words and their help.

use clap::Args;

use super::EngineChoice;

/// `layers outdated`
#[derive(Debug, Args)]
pub struct Outdated {
    /// Print all externals as JSON.
    #[arg(long)]
    pub json: bool,

    /// End with exit code 1 when an external has moved.
    #[arg(long)]
    pub check: bool,

    /// Which engine, for externals that are not pinned.
    #[command(flatten)]
    pub engine: EngineChoice,
}

/// `layers update`
#[derive(Debug, Args)]
pub struct Update {
    /// Externals as Dockerfiles name them, such as debian:12, or all tags of a repository, such as
    /// debian [default: all].
    #[arg(value_name = "EXTERNAL")]
    pub externals: Vec<String>,
}
