//! The command line, as clap reads it.
//!
//! Owns the words and their help. What they do is `command/`'s affair.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

mod build;
mod ci;
pub mod command_line;
mod global;
mod graph;
pub mod output;
mod program;

pub use build::{BuildArgs, Progress};
pub use ci::{
    CiArgs, CiFile, CiGithub, CiGitlab, CiSystem, USUAL_BRANCH, USUAL_IMAGE, USUAL_RUNNER,
    usual_action,
};
pub use global::GlobalArgs;
pub use graph::{ColorBy, Format, GraphArgs};
pub use program::{completed, parse, program};

/// The examples in the help of `layers build`.
const BUILD_EXAMPLES: &str = "\
Examples:
  layers build --all           Build everything that is stale
  layers build web             Build `web` and its dependencies
  layers build base+           Build `base` and all its dependents
  layers build --since main    Build what changed since `main`
  layers build --all --push    Build everything, and push it to the registry";

/// The examples in the help of `layers plan`.
const PLAN_EXAMPLES: &str = "\
Examples:
  layers plan                  Show what is stale, and why
  layers plan web              Show the plan for `web` and its dependencies
  layers plan --estimate       Estimate how long the builds will take
  layers plan --check          Fail in CI if anything is stale";

/// The examples in the help of `layers affected`.
const AFFECTED_EXAMPLES: &str = "\
Examples:
  layers affected --since HEAD~1           List what the last commit changed
  layers affected --since origin/main...   List what this branch changed
  layers affected --missing                List what the registry lacks
  layers affected --moved                  List images on externals that moved";

/// The examples in the help of `layers graph`.
const GRAPH_EXAMPLES: &str = "\
Examples:
  layers graph                      Print a tree
  layers graph --focus web          Show `web`, its dependencies, and dependents
  layers graph --output graph.svg   Draw an SVG
  layers graph --output graph.json  Write the lock file graph.json
  layers graph --check              Fail in CI if graph.json is out of date";

/// The examples in the help of `layers ci`.
const CI_EXAMPLES: &str = "\
Examples:
  layers ci github --output .github/workflows/images.yml
  layers ci gitlab --output .gitlab/images.yml
  layers ci github --check     Fail in CI if the workflow is out of date";

/// The name of the command by which a run moves tags. No word that someone types is near it.
pub const MOVE_TAGS: &str = "__move-tags";

/// Build a repository's container images in dependency order.
///
/// Reads the Dockerfiles (by default, docker/*/Dockerfile), finds out which image depends on which,
/// and builds them in that order, in parallel where possible.
#[derive(Debug, Parser)]
#[command(name = "layers", version, propagate_version = true, max_term_width = 80)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// Options of all commands.
    #[command(flatten)]
    pub global: GlobalArgs,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build images and their dependencies, skipping up-to-date ones.
    #[command(after_help = BUILD_EXAMPLES)]
    Build(BuildArgs),
    /// Show what a build would do, and why.
    #[command(after_help = PLAN_EXAMPLES)]
    Plan(PlanArgs),
    /// Explain why an image would, or would not, be rebuilt.
    Why(WhyArgs),
    /// List images changed since a git revision, and their dependents.
    #[command(after_help = AFFECTED_EXAMPLES)]
    Affected(AffectedArgs),
    /// Summarize a change's effect on images, as Markdown for a PR.
    Diff(DiffArgs),
    /// Print the log of a run, or of one image in it.
    Log(LogArgs),
    /// List recent runs that built something.
    Runs(RunsArgs),
    /// Write an HTML report of a run.
    Report(ReportArgs),
    /// Print, draw, or export the dependency graph.
    #[command(after_help = GRAPH_EXAMPLES)]
    Graph(GraphArgs),
    /// Generate a CI pipeline with one job per image.
    #[command(after_help = CI_EXAMPLES)]
    Ci(CiArgs),
    /// List external images whose tags now point to other digests.
    Outdated(OutdatedArgs),
    /// Pin external images to the current digests of their tags.
    Update(UpdateArgs),
    /// List images and their references.
    List(ListArgs),
    /// Check Dockerfiles without building anything.
    Check(CheckArgs),
    /// Write a layers.toml that fits the Dockerfiles.
    Init(InitArgs),
    /// Print a shell completion script.
    Completions {
        /// Complete commands in this shell.
        shell: clap_complete::Shell,
    },
    /// Move tags in registries as a file specifies (internal).
    #[command(name = MOVE_TAGS, hide = true)]
    MoveTags {
        /// Read the moves from FILE, or from stdin if it is `-`.
        #[arg(value_name = "FILE")]
        moves: PathBuf,
        /// First finish the moves that interrupted runs left in these directories.
        #[arg(value_name = "DIRECTORY")]
        interrupted: Vec<PathBuf>,
    },
    /// Write the manual pages to a directory.
    Man {
        /// Write to DIR, which is created if it does not exist.
        #[arg(value_name = "DIR")]
        man_directory: PathBuf,
    },
}

/// The engine.
#[derive(Debug, Args)]
pub struct EngineChoice {
    /// Use this engine.
    #[arg(long, value_enum, env = "LAYERS_ENGINE", default_value_t = EngineName::Docker)]
    pub engine: EngineName,
}

/// `layers plan`
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Plan only these images and their dependencies [default: all].
    ///
    /// `layers build --help` explains how to select images.
    #[arg(value_name = "IMAGE", conflicts_with = "all")]
    pub images: Vec<String>,

    /// Plan all images.
    #[arg(long, short)]
    pub all: bool,

    /// Plan only images changed since git revision REV, and dependents.
    #[arg(long, value_name = "REV")]
    pub since: Option<String>,

    /// Skip these images; dependents use the existing ones.
    #[arg(long, value_name = "IMAGE")]
    pub exclude: Vec<String>,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,

    /// Exit with code 1 if anything is to be built or tagged.
    #[arg(long)]
    pub check: bool,

    /// Use the external images pinned in graph.json.
    #[arg(long)]
    pub locked: bool,

    /// Estimate how long the builds will take, from earlier runs.
    #[arg(long)]
    pub estimate: bool,

    /// Assume N parallel builds for the estimate [default: two per CPU of the engine].
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,

    /// The engine.
    #[command(flatten)]
    pub engine: EngineChoice,
}

/// `layers why`
#[derive(Debug, Args)]
pub struct WhyArgs {
    /// Explain this image.
    #[arg(value_name = "IMAGE")]
    pub image: String,

    /// Print all inputs of the image's key, as JSON.
    #[arg(long)]
    pub inputs: bool,

    /// The engine.
    #[command(flatten)]
    pub engine: EngineChoice,
}

/// `layers log`
#[derive(Debug, Args)]
pub struct LogArgs {
    /// Print the build output of this image [default: replay the run].
    #[arg(value_name = "IMAGE")]
    pub image: Option<String>,

    /// Read this run, by its ID in `layers runs` [default: the latest].
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
}

/// `layers report`
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Report on this run, by its ID in `layers runs` [default: the latest].
    #[arg(value_name = "RUN")]
    pub run: Option<String>,

    /// Write the report to FILE, or to stdout (`-`) [default: report.html in the run's directory].
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Write a trace for Perfetto or chrome://tracing to FILE.
    ///
    /// The report is then written only with --output.
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
}

/// `layers runs`
#[derive(Debug, Args)]
pub struct RunsArgs {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// The engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    /// Docker, found by DOCKER_HOST, the docker context, or the default socket.
    Docker,
    /// No engine: read only the registry, and build nothing.
    None,
    /// A scripted engine for tests (LAYERS_FAKE_SCRIPT names its script).
    #[cfg(any(debug_assertions, feature = "fake"))]
    #[value(hide = true)]
    Fake,
}

/// `layers check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Print problems in this format [default: text; github in GitHub Actions].
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<CheckFormat>,

    /// Fail on warnings, not only on errors.
    #[arg(long, value_enum, value_name = "WHAT")]
    pub deny: Option<Deny>,
}

/// The formats of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    /// Text with source lines.
    Text,
    /// A JSON array on stdout.
    Json,
    /// Annotations for GitHub Actions on stdout, in addition to the text.
    Github,
}

/// What makes a check fail in addition to errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Deny {
    /// Warnings.
    Warnings,
}

/// `layers affected`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("causes").required(true).multiple(true).args(["since", "missing", "moved"]))]
pub struct AffectedArgs {
    /// List images changed since git revision REV, and their dependents.
    ///
    /// With REV..., compares with the merge base of REV and HEAD.
    #[arg(long, value_name = "REV")]
    pub since: Option<String>,

    /// Also list images missing from the registry; needs no engine.
    #[arg(long)]
    pub missing: bool,

    /// Also list images on externals that moved since they were pinned.
    ///
    /// An external image has moved if its tag points to another digest than in graph.json.
    #[arg(long)]
    pub moved: bool,

    /// Print the list in this format.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = AffectedFormat::Text)]
    pub format: AffectedFormat,
}

/// The formats of the list of affected images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AffectedFormat {
    /// One line per image, with a reason.
    Text,
    /// A JSON array with all reasons.
    Json,
    /// `matrix={…}` for a job output in GitHub Actions.
    Github,
}

/// `layers list`
#[derive(Debug, Args)]
pub struct ListArgs {
    /// List only images changed since git revision REV, and dependents.
    #[arg(long, value_name = "REV")]
    pub since: Option<String>,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `layers init`
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Print the file instead of writing it.
    #[arg(long)]
    pub print: bool,
}

/// `layers diff`
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// Compare two git revisions, or BASE with the work tree.
    ///
    /// BASE...HEAD compares with the merge base of the two. A side that is left out means HEAD.
    #[arg(value_name = "BASE[..HEAD]")]
    pub range: String,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,

    /// Write to FILE instead of stdout (`-`).
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Assume N parallel builds for the estimate [default: two per CPU of the engine].
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
}

/// `layers outdated`
#[derive(Debug, Args)]
pub struct OutdatedArgs {
    /// Print all external images as JSON.
    #[arg(long)]
    pub json: bool,

    /// Exit with code 1 if a tag has moved.
    #[arg(long)]
    pub check: bool,

    /// The engine, for external images that are not pinned.
    #[command(flatten)]
    pub engine: EngineChoice,
}

/// `layers update`
#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// Update only these external images [default: all].
    ///
    /// Write them as Dockerfiles do, such as debian:12, or debian for all its tags.
    #[arg(value_name = "EXTERNAL")]
    pub externals: Vec<String>,
}

/// What is pushed to the registry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum PushOption {
    /// Push images, then move all their tags.
    Tags,
    /// Push images only under their keys.
    Keys,
    /// Push nothing.
    #[default]
    No,
}
