//! `layers build`: its options.
//!
//! Owns their words and their help.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{EngineChoice, PushOption};

/// `layers build`
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// Build these images and their dependencies.
    ///
    /// Select images by name, directory (docker/base), glob, or /regex/. NAME+ selects an image and
    /// its dependents.
    #[arg(value_name = "IMAGE", conflicts_with = "all")]
    pub images: Vec<String>,

    /// Build all images.
    #[arg(long, short)]
    pub all: bool,

    /// Build only images changed since git revision REV, and dependents.
    ///
    /// With REV..., compares with the merge base of REV and HEAD.
    #[arg(long, value_name = "REV")]
    pub since: Option<String>,

    /// Build up to N images in parallel [default: two per CPU of the engine].
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,

    /// Continue with independent images after a failure.
    #[arg(long, short)]
    pub keep_going: bool,

    /// Cancel running builds and pushes on the first failure.
    #[arg(long, conflicts_with = "keep_going")]
    pub fail_fast: bool,

    /// Retry up to N times after a registry, network, or engine failure.
    ///
    /// A failing RUN instruction is never retried. Pushes are retried at least 2 times, unless the
    /// engine itself retries, and 6 times while the registry limits the rate of requests.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub retries: u32,

    /// Cancel a build that takes longer than TIME, such as 90s or 1h30m.
    #[arg(long, value_name = "TIME", value_parser = read_time)]
    pub timeout: Option<Duration>,

    /// Skip these images; dependents use the existing ones.
    #[arg(long, value_name = "IMAGE")]
    pub exclude: Vec<String>,

    /// Rebuild the chosen images even if they are up to date.
    #[arg(long)]
    pub force: bool,

    /// Rebuild the chosen images without the build cache.
    #[arg(long)]
    pub no_cache: bool,

    /// Pull newer versions of external images first.
    #[arg(long, conflicts_with = "dry_run")]
    pub pull: bool,

    /// Use the external images pinned in graph.json.
    #[arg(long, conflicts_with = "pull")]
    pub locked: bool,

    /// Pass a secret to builds that mount it.
    ///
    /// src names a file, and env an environment variable. Without both, uses the variable or the
    /// file called ID.
    #[arg(long, value_name = "id=ID[,src=FILE|,env=NAME]")]
    pub secret: Vec<String>,

    /// Pass an ssh agent or private keys to builds that mount it.
    ///
    /// Without a socket or keys, uses the agent of SSH_AUTH_SOCK.
    #[arg(long, value_name = "default|ID[=SOCKET|KEY[,KEY]]")]
    pub ssh: Vec<String>,

    /// Let builds use what is outside the repository or the sandbox.
    ///
    /// Needed for what the repository's own files name, not for --secret, --ssh, and --network.
    /// fs.read=PATH allows everything below PATH, fs.read=* everything, ssh the agent, network.host
    /// the network of the engine's machine, and security.insecure RUN --security=insecure.
    /// Repeatable.
    #[arg(long, value_name = "fs.read=PATH|ssh|network.host|security.insecure")]
    pub allow: Vec<String>,

    /// Push images to the registry [default: `push` in layers.toml].
    #[arg(
        long,
        value_enum,
        value_name = "WHAT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "tags"
    )]
    pub push: Option<PushOption>,

    /// Push up to N images in parallel.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    pub push_jobs: u16,

    /// Move tags even if another commit was released during the run.
    #[arg(long)]
    pub force_tags: bool,

    /// Load the chosen images into the engine, from the registry if needed.
    #[arg(long)]
    pub load: bool,

    /// Print the plan without building anything.
    #[arg(long)]
    pub dry_run: bool,

    /// The engine.
    #[command(flatten)]
    pub engine: EngineChoice,

    /// Show progress in this style.
    #[arg(long, value_enum, default_value_t = Progress::Auto)]
    pub progress: Progress,

    /// Write the digests of all images to FILE, in the format of bake.
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub metadata_file: Option<PathBuf>,

    /// Write an HTML report [default: report.html in the run's directory].
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, conflicts_with = "dry_run")]
    pub timings: Option<Option<PathBuf>>,

    /// Write a trace for Perfetto or chrome://tracing to FILE.
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub trace: Option<PathBuf>,
}

/// The styles of progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// Live on a terminal, plain otherwise.
    Auto,
    /// Live rows and a progress bar.
    Tty,
    /// One line per event.
    Plain,
    /// Events as lines of JSON on stdout.
    Json,
    /// Only the final summary.
    Quiet,
}

fn read_time(text: &str) -> anyhow::Result<Duration> {
    let time = humantime::parse_duration(text)?;
    anyhow::ensure!(!time.is_zero(), "must be longer than zero");
    Ok(time)
}
