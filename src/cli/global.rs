//! Options that every command takes.
//!
//! Owns their words and their help: what images are built of, and what they are called.

use std::path::PathBuf;

use clap::Args;

use crate::base::Platform;
use crate::engine::attest::{Kind, Said};

/// Options that every command takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Options of all commands")]
pub struct Global {
    /// Act as if started in DIR.
    #[arg(short = 'C', value_name = "DIR", global = true)]
    pub directory: Option<PathBuf>,

    /// Set a build argument of all images; without a value, the environment's is taken.
    #[arg(
        long = "build-arg",
        value_name = "NAME[=VALUE]",
        value_parser = read_build_arg,
        global = true
    )]
    pub build_args: Vec<String>,

    /// Build for a platform, such as linux/arm64.
    #[arg(long, value_name = "PLATFORM", global = true)]
    pub platform: Option<Platform>,

    /// Build this stage of the Dockerfiles that have it.
    #[arg(long, value_name = "STAGE", global = true)]
    pub target: Option<String>,

    /// Have the engine list what is in each image (SBOM): true, false or generator=IMAGE.
    #[arg(
        long,
        value_name = "HOW",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = |text: &str| Kind::Sbom.read(text),
        global = true
    )]
    pub sbom: Option<Said>,

    /// Have the engine attest what each image was built of: true, false or mode=min|max.
    #[arg(
        long,
        value_name = "HOW",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = |text: &str| Kind::Provenance.read(text),
        global = true
    )]
    pub provenance: Option<Said>,

    /// What stands before the app in references [env: REPO_NS].
    #[arg(long, value_name = "NAME", global = true)]
    pub namespace: Option<String>,

    /// What all images are called after [env: IMAGE_NAME, APP_NAME].
    #[arg(long, value_name = "NAME", global = true)]
    pub app: Option<String>,

    /// The registry through which images are shared: looked for there by their keys, and pushed
    /// there.
    #[arg(long, value_name = "HOST[/PATH]", env = "LAYERS_REGISTRY", global = true)]
    pub registry: Option<String>,

    /// A further tag for every image, as {git.sha}, {git.branch} or {git.tag} too; may be given several
    /// times [env: VERSION, REPO_VERSION].
    #[arg(long = "tag", value_name = "TAG", global = true)]
    pub tags: Vec<String>,
}

fn read_build_arg(argument: &str) -> Result<String, &'static str> {
    let is_named = !argument.is_empty() && !argument.starts_with('=');
    if is_named { Ok(argument.to_owned()) } else { Err("it has no name") }
}
