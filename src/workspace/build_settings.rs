//! What builds get in addition to the Dockerfiles: build arguments, platform, target stage, proxies, labels, and the
//! options of `RUN` instructions.
//!
//! Owns which of the options, the environment, and `layers.toml` takes precedence. Everything is resolved once per
//! workspace.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::error::usage;
use crate::base::platform::NotAPlatform;
use crate::base::screen::visible;
use crate::base::text::suggest;
use crate::base::{Diagnostic, Platform, Rule};
use crate::cli::GlobalArgs;
use crate::credentials::BuildProxies;
use crate::engine::{Frontend, Sandbox};
use crate::graph::Graph;
use crate::graph::link::LinkSettings;
use crate::scan::config::ConfigFile;

use super::{Invocation, proxies};

/// The variable that sets the current time for builds (<https://reproducible-builds.org/docs/source-date-epoch/>).
pub const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

/// The variable that sets the target platform of builds (docker/cli, `cli/command/image/build.go`).
const DEFAULT_PLATFORM: &str = "DOCKER_DEFAULT_PLATFORM";

/// The settings of a workspace's builds.
pub struct BuildSettings {
    /// The platform to build for, if one is requested.
    pub platform: Option<Platform>,
    /// The same without the environment, for files that are kept.
    pub lasting_platform: Option<Platform>,
    /// The proxies that builds get, if Docker's configuration has any.
    pub proxies: BuildProxies,
}

impl BuildSettings {
    /// Resolves the settings.
    ///
    /// # Errors
    /// Returns an error if the environment has a value that is not a platform.
    pub fn resolve(at: &Invocation, file: &ConfigFile) -> anyhow::Result<BuildSettings> {
        Ok(BuildSettings {
            platform: platform_of(at, file)?,
            lasting_platform: lasting_platform(&at.global, file),
            // A configuration that cannot be read matters only to commands that need an engine.
            proxies: proxies::read(at).unwrap_or_default(),
        })
    }

    /// Returns what images are linked with.
    pub fn link_settings(&self, at: &Invocation) -> LinkSettings {
        LinkSettings {
            build_args: build_args_of(at),
            proxies: self.proxies.clone(),
            platform: self.platform.clone(),
            build_platform: Platform::of_this_machine(),
            target: at.global.target.clone(),
            labels: labels_of(&at.global),
            sandbox: sandbox_of(&at.global),
        }
    }
}

/// Returns the labels of the command line. Of several values for a name, the last one counts, as with `docker build`.
fn labels_of(global: &GlobalArgs) -> BTreeMap<String, String> {
    let labels = global.labels.iter().cloned();
    labels.map(|label| (label.name, label.value)).collect()
}

/// Returns the options of `RUN` instructions from the command line.
fn sandbox_of(global: &GlobalArgs) -> Sandbox {
    let ulimits = global.ulimits.iter().cloned().map(|limit| (limit.name, limit.limits));
    let mut sandbox = Sandbox {
        network: global.network,
        shm_size: global.shm_size,
        ulimits: ulimits.collect(),
        hosts: BTreeMap::new(),
    };
    global.add_hosts.iter().for_each(|host| sandbox.add_host(host.clone()));
    sandbox
}

/// Returns the build arguments of the command line.
///
/// They are `NAME=VALUE`, or `NAME` for the value in the environment. As in `docker build`, a name that the environment
/// lacks is omitted. As in Buildx, the environment's SOURCE_DATE_EPOCH is included without being requested
/// (docker/buildx, `commands/build.go`).
pub fn build_args_of(at: &Invocation) -> BTreeMap<String, String> {
    let env = &at.environment;
    let arguments =
        at.global.build_args.iter().filter_map(|argument| match argument.split_once('=') {
            None => Some((argument.as_str(), env.var(argument)?)),
            both => both,
        });
    let epoch = env.set_var(SOURCE_DATE_EPOCH).map(|epoch| (SOURCE_DATE_EPOCH, epoch));
    // The options come last, so they take precedence.
    let all = epoch.into_iter().chain(arguments);
    all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Returns the requested platform: that of the command line, or else of the environment, or else of `layers.toml`.
/// Returns `None` for the engine's own.
///
/// # Errors
/// Returns an error if the environment has a value that is not a platform.
fn platform_of(at: &Invocation, file: &ConfigFile) -> anyhow::Result<Option<Platform>> {
    let Invocation { global, environment, .. } = at;
    let Some(value) = environment.set_var(DEFAULT_PLATFORM).filter(|_| global.platform.is_none())
    else {
        return Ok(lasting_platform(global, file));
    };
    value.parse().map(Some).map_err(|wrong: NotAPlatform| {
        let (shown, what) = (value.escape_debug(), wrong.what());
        let message = format!("{DEFAULT_PLATFORM} is `{shown}`, which is {what}");
        usage(message).hint(format!("{}, or pass --platform", wrong.hint())).into()
    })
}

/// Returns the requested platform for files that are kept. The environment belongs to whoever writes such a file, not
/// to whoever builds from it.
fn lasting_platform(global: &GlobalArgs, file: &ConfigFile) -> Option<Platform> {
    // A mistake in the file is reported with the graph.
    global.platform.clone().or_else(|| configured_platform(file).ok().flatten())
}

/// Returns the platform of `layers.toml`, or a diagnostic if the value is not a platform.
pub fn configured_platform(file: &ConfigFile) -> Result<Option<Platform>, Diagnostic> {
    let Some(setting) = &file.config.platform else { return Ok(None) };
    setting.get_ref().parse().map(Some).map_err(|wrong: NotAPlatform| {
        let message = format!("`{}` is {}", visible(setting.get_ref()), wrong.what());
        Diagnostic::new(Rule::InvalidPlatform, message)
            .at(&file.source, ConfigFile::span(setting), "")
            .hint(wrong.hint())
    })
}

/// Checks that a Dockerfile has the stage of `--target`.
///
/// # Errors
/// Returns an error if none has it.
pub fn check_target(global: &GlobalArgs, graph: &Graph) -> anyhow::Result<()> {
    let Some(target) = &global.target else { return Ok(()) };
    if graph.images.values().any(|image| image.target.as_ref() == Some(target)) {
        return Ok(());
    }
    let stages = graph.images.values().flat_map(|image| &image.file.stages);
    let names: BTreeSet<&str> =
        stages.filter_map(|stage| Some(stage.name.as_ref()?.value.as_str())).collect();
    let error = usage(format!("no Dockerfile has a stage `{target}`"));
    Err(match suggest(&target.to_lowercase(), names) {
        Some(hint) => error.hint(hint).into(),
        None => error.into(),
    })
}

/// Returns the frontend that `layers.toml` sets, and a diagnostic if the value is not valid.
pub fn frontend_of(file: &ConfigFile) -> (Option<Frontend>, Option<Diagnostic>) {
    let Some(setting) = &file.config.check.frontend else { return (None, None) };
    let version = Frontend::parse(setting.get_ref());
    let mistake = version.is_none().then(|| {
        let message =
            format!("`{}` is not a valid version of Docker's frontend", setting.get_ref());
        Diagnostic::new(Rule::Config, message)
            .at(&file.source, ConfigFile::span(setting), "")
            .hint("write it like `frontend = \"1.4\"`")
    });
    (version, mistake)
}
