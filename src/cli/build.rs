//! `layers build`: its options.
//!
//! Owns their words and their help.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{EngineChoice, Push};

/// `layers build`
#[derive(Debug, Args)]
pub struct Build {
    /// Images to build, with what they need: names, folders (docker/base), globs of names or
    /// /regexes/; NAME+ is an image with all that needs it.
    #[arg(value_name = "IMAGE", conflicts_with = "all")]
    pub images: Vec<String>,

    /// Build all images.
    #[arg(long, short)]
    pub all: bool,

    /// Of the images, choose those that differ from this git revision and those that need them;
    /// REV... is where REV and HEAD parted.
    #[arg(long, value_name = "REV")]
    pub since: Option<String>,

    /// How many images are built at once [default: number of CPUs].
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,

    /// Go on with all that is independent of a failure.
    #[arg(long, short)]
    pub keep_going: bool,

    /// Cancel the running builds upon a failure instead of finishing them.
    #[arg(long, conflicts_with = "keep_going")]
    pub fail_fast: bool,

    /// Try an image again up to N times where a registry, the network or the engine failed; a
    /// failing RUN never is.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub retries: u32,

    /// Cancel an image that takes longer than TIME, such as 90s or 1h30m.
    #[arg(long, value_name = "TIME", value_parser = read_time)]
    pub timeout: Option<Duration>,

    /// Leave these images out, also where others need them; those take them as they are.
    #[arg(long, value_name = "IMAGE")]
    pub exclude: Vec<String>,

    /// Build the chosen images also where they are fresh.
    #[arg(long)]
    pub force: bool,

    /// Build the chosen images without the engine's own cache, also where they are fresh.
    #[arg(long)]
    pub no_cache: bool,

    /// Ask the registries for newer externals first.
    #[arg(long, conflicts_with = "dry_run")]
    pub pull: bool,

    /// Build on the externals that graph.json pins, whatever their tags lead to now.
    #[arg(long, conflicts_with = "pull")]
    pub locked: bool,

    /// Give a secret to the builds that mount it: a file or an environment variable, the one
    /// called ID where neither is said.
    #[arg(long, value_name = "id=ID[,src=FILE|,env=NAME]")]
    pub secret: Vec<String>,

    /// Let builds that mount it use an ssh agent, the one of SSH_AUTH_SOCK where nothing is said,
    /// or these private keys.
    #[arg(long, value_name = "default|ID[=SOCKET|KEY[,KEY]]")]
    pub ssh: Vec<String>,

    /// Let builds read files outside the repository that it names itself (fs.read=PATH, with
    /// everything below PATH, or * for all), or use the ssh agent (ssh); repeatable.
    #[arg(long, value_name = "fs.read=PATH|ssh")]
    pub allow: Vec<String>,

    /// Put the images into the registry; their tags move there when all have arrived. With `keys`
    /// only under their keys, with `no` not at all [default: as layers.toml says].
    #[arg(
        long,
        value_enum,
        value_name = "WHAT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "tags"
    )]
    pub push: Option<Push>,

    /// Bring the chosen images into the engine's store, also where only the registry has them.
    #[arg(long)]
    pub load: bool,

    /// Show what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,

    /// Which engine.
    #[command(flatten)]
    pub engine: EngineChoice,

    /// How progress is shown.
    #[arg(long, value_enum, default_value_t = Progress::Auto)]
    pub progress: Progress,

    /// Write a page of the run as HTML [default: report.html in the run's folder].
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, conflicts_with = "dry_run")]
    pub timings: Option<Option<PathBuf>>,

    /// Write a trace of the run to FILE, for Perfetto or chrome://tracing.
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub trace: Option<PathBuf>,
}

/// The ways of showing progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// Live on a terminal, plain lines elsewhere.
    Auto,
    /// Live rows and a bar.
    Tty,
    /// One line a fact.
    Plain,
    /// The events as lines of JSON, on the standard output.
    Json,
    /// Only the end.
    Quiet,
}

fn read_time(text: &str) -> anyhow::Result<Duration> {
    let time = humantime::parse_duration(text)?;
    anyhow::ensure!(!time.is_zero(), "it must be longer than nothing");
    Ok(time)
}
