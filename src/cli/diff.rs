//! The words of `layers diff`.

use std::path::PathBuf;

use clap::Args;

/// `layers diff`
#[derive(Debug, Args)]
pub struct Diff {
    /// Two git revisions, HEAD where one is left out; BASE...HEAD begins where they parted, and BASE alone
    /// is compared with the work tree.
    #[arg(value_name = "BASE[..HEAD]")]
    pub range: String,

    /// Print as JSON.
    #[arg(long)]
    pub json: bool,

    /// Write to FILE instead of the standard output, which is also `-`.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// How many images are built at once, for the estimate [default: number of CPUs].
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
}
