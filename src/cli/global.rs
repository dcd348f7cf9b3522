//! Options that every command takes.
//!
//! Owns their words and their help: what images are built of, and what they are called.

use std::path::PathBuf;

use clap::Args;

use crate::base::Platform;
use crate::engine::attest::{AttestationKind, AttestationOption};
use crate::engine::build_option::Label;
use crate::engine::sandbox::{ExtraHost, NetworkMode, ShmSize, Ulimit};

/// Options that every command takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Run as if started in DIR.
    #[arg(short = 'C', value_name = "DIR", global = true)]
    pub directory: Option<PathBuf>,

    /// Read settings from FILE instead of layers.toml.
    ///
    /// Its directory is the root of the repository.
    #[arg(long, short, value_name = "FILE", global = true)]
    pub file: Option<PathBuf>,

    /// Print only warnings and errors.
    #[arg(long, short, global = true)]
    pub quiet: bool,

    /// Print more: all reasons of a plan, all steps of a build.
    #[arg(long, short, global = true, conflicts_with = "quiet")]
    pub verbose: bool,

    /// Set a build argument; without VALUE, use the environment variable.
    #[arg(
        long = "build-arg",
        value_name = "NAME[=VALUE]",
        value_parser = read_build_arg,
        global = true
    )]
    pub build_args: Vec<String>,

    /// Add a label to every image; repeatable.
    #[arg(long = "label", value_name = "NAME=VALUE", global = true)]
    pub labels: Vec<Label>,

    /// Set the network of RUN instructions: default, none, or host.
    #[arg(long, value_name = "MODE", global = true)]
    pub network: Option<NetworkMode>,

    /// Set the size of /dev/shm for RUN instructions, such as 128m.
    #[arg(long, value_name = "SIZE", global = true)]
    pub shm_size: Option<ShmSize>,

    /// Set a ulimit of RUN instructions; repeatable.
    #[arg(long = "ulimit", value_name = "NAME=SOFT[:HARD]", global = true)]
    pub ulimits: Vec<Ulimit>,

    /// Add a host name for RUN instructions; repeatable.
    #[arg(long = "add-host", value_name = "HOST:IP", global = true)]
    pub add_hosts: Vec<ExtraHost>,

    /// Use a directory, image, or URL in place of an image or stage.
    ///
    /// VALUE is a directory, docker-image://IMAGE, or a URL, as for docker build.
    #[arg(
        long = "build-context",
        value_name = "NAME=VALUE",
        value_parser = read_build_context,
        global = true
    )]
    pub build_contexts: Vec<String>,

    /// Build for this platform, such as linux/arm64.
    #[arg(long, value_name = "PLATFORM", global = true)]
    pub platform: Option<Platform>,

    /// Build this stage of the Dockerfiles that have it.
    #[arg(long, value_name = "STAGE", global = true)]
    pub target: Option<String>,

    /// Attach an SBOM to each image: true, false, or generator=IMAGE.
    #[arg(
        long,
        value_name = "HOW",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = |text: &str| AttestationKind::Sbom.read(text),
        global = true
    )]
    pub sbom: Option<AttestationOption>,

    /// Attach provenance to each image: true, false, or mode=min|max.
    #[arg(
        long,
        value_name = "HOW",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = |text: &str| AttestationKind::Provenance.read(text),
        global = true
    )]
    pub provenance: Option<AttestationOption>,

    /// Namespace for image names (NAMESPACE/APP-NAME) [env: REPO_NS].
    #[arg(long, value_name = "NAME", global = true)]
    pub namespace: Option<String>,

    /// Application name, the prefix of image names [env: IMAGE_NAME, APP_NAME].
    #[arg(long, value_name = "NAME", global = true)]
    pub app: Option<String>,

    /// Look up images in this registry, and push to it with --push.
    #[arg(long, value_name = "HOST[/PATH]", env = "LAYERS_REGISTRY", global = true)]
    pub registry: Option<String>,

    /// Additional tag for every image; repeatable [env: VERSION, REPO_VERSION].
    ///
    /// {git.sha}, {git.branch}, and {git.tag} are replaced.
    #[arg(long = "tag", value_name = "TAG", global = true)]
    pub tags: Vec<String>,
}

fn read_build_arg(argument: &str) -> Result<String, &'static str> {
    let is_named = !argument.is_empty() && !argument.starts_with('=');
    if is_named { Ok(argument.to_owned()) } else { Err("the name is missing") }
}

fn read_build_context(argument: &str) -> Result<String, &'static str> {
    match argument.split_once('=') {
        Some(("", _)) => Err("the name is missing"),
        Some((_, "")) | None => Err("the value is missing: write NAME=DIR"),
        Some(_) => Ok(argument.to_owned()),
    }
}
