//! The command line, as clap reads it.
//!
//! Owns the words and their help. What they do is `command/`'s affair.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

mod build;
mod ci;
mod global;
mod graph;
pub mod output;
mod program;
pub mod retyped;

pub use build::{Build, Progress};
pub use ci::{
    Ci, CiFile, CiGithub, CiGitlab, CiSystem, USUAL_BRANCH, USUAL_IMAGE, USUAL_RUNNER, usual_action,
};
pub use global::Global;
pub use graph::{ColorBy, Format, Graph};
pub use program::{parse, program};

/// The name of the command by which a run moves tags. No word that someone types is near it.
pub const MOVE_TAGS: &str = "__move-tags";

/// Builds a repository's container images in dependency order.
///
/// Reads docker/*/Dockerfile, finds out which image needs which, and builds them in that order,
/// independent ones at the same time.
#[derive(Debug, Parser)]
#[command(name = "layers", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// Options of all commands.
    #[command(flatten)]
    pub global: Global,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build images, and what they need, in dependency order: those that are not fresh.
    Build(Build),
    /// Show what a build would do, and why.
    Plan(Plan),
    /// Show why an image would be built, or what says that it is fresh.
    Why(Why),
    /// List the images that differ from a git revision, and all that needs them.
    Affected(Affected),
    /// Tell in Markdown what a change means for images, for a pull request.
    Diff(Diff),
    /// Show the log of a run, or of an image in it.
    Log(Log),
    /// List the last runs that built something.
    Runs(Runs),
    /// Write a page that shows a run: when each image was built, and what it waited for.
    Report(Report),
    /// Show which image needs which.
    Graph(Graph),
    /// Print a pipeline that builds the images, a job each, in their order.
    Ci(Ci),
    /// List the externals whose tags have moved since they were pinned or built on.
    Outdated(Outdated),
    /// Pin externals in graph.json to what their tags lead to now.
    Update(Update),
    /// List the images with their references.
    List(List),
    /// Check the Dockerfiles without building anything.
    Check(Check),
    /// Write the layers.toml that the Dockerfiles suggest.
    Init(Init),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Move tags in registries as a file says, for a run's own use.
    #[command(name = MOVE_TAGS, hide = true)]
    MoveTags {
        /// The file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Write the manual pages into a folder.
    Man {
        /// The folder; it is made where it is missing.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

/// Returns how many images are built at once: as many as `--jobs` says, else one per CPU.
pub fn jobs(option: Option<u16>) -> usize {
    match option {
        Some(jobs) => usize::from(jobs),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

/// Which engine.
#[derive(Debug, Args)]
pub struct EngineChoice {
    /// What builds.
    #[arg(long, value_enum, env = "LAYERS_ENGINE", default_value_t = EngineName::Docker)]
    pub engine: EngineName,
}

/// `layers plan`
#[derive(Debug, Args)]
pub struct Plan {
    /// Images to plan, with what they need, as for build [default: all].
    #[arg(value_name = "IMAGE", conflicts_with = "all")]
    pub images: Vec<String>,

    /// Plan all images.
    #[arg(long, short)]
    pub all: bool,

    /// Of the images, choose those that differ from this git revision and those that need them.
    #[arg(long, value_name = "REV")]
    pub since: Option<String>,

    /// Leave these images out.
    #[arg(long, value_name = "IMAGE")]
    pub exclude: Vec<String>,

    /// Print as JSON.
    #[arg(long)]
    pub json: bool,

    /// End with exit code 1 when there is anything to do.
    #[arg(long)]
    pub check: bool,

    /// Plan with the externals that graph.json pins.
    #[arg(long)]
    pub locked: bool,

    /// Say how long the builds will take, by what they took before.
    #[arg(long)]
    pub estimate: bool,

    /// How many images are built at once, for the estimate [default: number of CPUs].
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,

    /// Which engine.
    #[command(flatten)]
    pub engine: EngineChoice,
}

/// `layers why`
#[derive(Debug, Args)]
pub struct Why {
    /// The image.
    #[arg(value_name = "IMAGE")]
    pub image: String,

    /// Print all that counts for the image's key, as JSON.
    #[arg(long)]
    pub inputs: bool,

    /// Which engine.
    #[command(flatten)]
    pub engine: EngineChoice,
}

/// `layers log`
#[derive(Debug, Args)]
pub struct Log {
    /// An image: all that its build wrote [default: the run told again].
    #[arg(value_name = "IMAGE")]
    pub image: Option<String>,

    /// The run, as `layers runs` calls it [default: the last one].
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
}

/// `layers report`
#[derive(Debug, Args)]
pub struct Report {
    /// The run, as `layers runs` calls it [default: the last one].
    #[arg(value_name = "RUN")]
    pub run: Option<String>,

    /// Write the page to FILE; `-` is the standard output [default: report.html in the run's folder].
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Write a trace to FILE instead, for Perfetto or chrome://tracing; with --output, both.
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
}

/// `layers runs`
#[derive(Debug, Args)]
pub struct Runs {
    /// Print as JSON.
    #[arg(long)]
    pub json: bool,
}

/// The engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    /// The Docker Engine API: DOCKER_HOST, the docker context, or the default socket.
    Docker,
    /// No engine: only the registry is looked at, and nothing can be built.
    None,
    /// A scripted engine for tests (LAYERS_FAKE_SCRIPT names its script).
    #[cfg(any(debug_assertions, feature = "fake"))]
    #[value(hide = true)]
    Fake,
}

/// `layers check`
#[derive(Debug, Args)]
pub struct Check {
    /// How problems are told [default: text; github where GITHUB_ACTIONS=true].
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<CheckFormat>,

    /// Fail where there are warnings, too.
    #[arg(long, value_enum, value_name = "WHAT")]
    pub deny: Option<Deny>,
}

/// The ways of telling problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    /// Drawn, with the source lines.
    Text,
    /// One JSON array, on the standard output.
    Json,
    /// Annotations for GitHub Actions on the standard output, beside the text.
    Github,
}

/// What a check does not let pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Deny {
    /// Warnings.
    Warnings,
}

/// `layers affected`
#[derive(Debug, Args)]
pub struct Affected {
    /// List what differs from this git revision; REV... is where REV and HEAD parted.
    #[arg(long, value_name = "REV", required_unless_present_any = ["missing", "moved"])]
    pub since: Option<String>,

    /// List what the registry does not hold, too. No engine is asked.
    #[arg(long)]
    pub missing: bool,

    /// List what needs an external, too, whose tag leads elsewhere than its pin in graph.json.
    #[arg(long)]
    pub moved: bool,

    /// How they are listed.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = AffectedFormat::Text)]
    pub format: AffectedFormat,
}

/// The ways of listing affected images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AffectedFormat {
    /// A line for each, with a reason.
    Text,
    /// A JSON array with all reasons.
    Json,
    /// `matrix={…}` for the output of a job in GitHub Actions.
    Github,
}

/// `layers list`
#[derive(Debug, Args)]
pub struct List {
    /// List those that differ from this git revision and those that need them.
    #[arg(long, value_name = "REV")]
    pub since: Option<String>,

    /// Print as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `layers init`
#[derive(Debug, Args)]
pub struct Init {
    /// Print it instead of writing the file.
    #[arg(long)]
    pub print: bool,
}

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
