//! Which registry images are shared through, and what is pushed to it.
//!
//! Owns how it is set on the command line, in the environment, and in `layers.toml`, and which of these takes
//! precedence.

use crate::base::error::usage;
use crate::base::{Diagnostic, Platform, Rule};
use crate::cli::{GlobalArgs, PushOption};
use crate::credentials;
use crate::plan::{LostImages, RegistryNamespace, SharedStore};
use crate::registry::{Proxies, Registries, RegistrySettings};
use crate::scan::config::{self, ConfigFile};

use super::environment::Environment;
use super::load::Workspace;

/// The hint about how a registry is written.
const FORM: &str = "write it as `ghcr.io/acme` or `localhost:5000`";

/// Returns the registry of the command line or the environment, or else that of `layers.toml`. An empty value means
/// none.
///
/// # Errors
/// Returns an error if an option or a variable is not a registry. A bad value in `layers.toml` is a diagnostic.
pub fn home_of(
    global: &GlobalArgs,
    file: &ConfigFile,
) -> anyhow::Result<(Option<RegistryNamespace>, Option<Diagnostic>)> {
    if let Some(text) = &global.registry {
        if text.is_empty() {
            return Ok((None, None));
        }
        let home = RegistryNamespace::parse(text);
        let home = home.map_err(|wrong| usage(format!("--registry: {wrong}")).hint(FORM))?;
        return Ok((Some(home), None));
    }
    let Some(setting) = &file.config.registry else { return Ok((None, None)) };
    Ok(match RegistryNamespace::parse(setting.get_ref()) {
        Ok(home) => (Some(home), None),
        Err(wrong) => {
            let problem = Diagnostic::new(Rule::Config, wrong);
            let problem = problem.at(&file.source, ConfigFile::span(setting), "").hint(FORM);
            (None, Some(problem))
        }
    })
}

/// Returns what to push: what the option says, or else what `layers.toml` says.
pub fn push_of(option: Option<PushOption>, file: &ConfigFile) -> PushOption {
    option.unwrap_or(match file.config.push {
        config::Push::No => PushOption::No,
        config::Push::Keys => PushOption::Keys,
        config::Push::Tags => PushOption::Tags,
    })
}

/// Returns the settings of connections to registries.
pub fn settings(file: &ConfigFile, environment: &Environment) -> RegistrySettings {
    let plain = file.config.insecure_registries.iter();
    settings_with(plain.map(|setting| setting.get_ref().clone()).collect(), environment)
}

/// Returns the settings of connections to registries, of which those in `plain_http` are used without TLS.
pub fn settings_with(plain_http: Vec<String>, environment: &Environment) -> RegistrySettings {
    let variable = |name: &str| environment.var(name).map(Into::into);
    RegistrySettings {
        docker_config: credentials::directory(variable),
        plain_http,
        certificates: None,
        proxies: Proxies::read(variable),
    }
}

/// Returns the registry in which images are looked up, or `None` if no registry is set and nothing is pushed. Images
/// that are `lost` are not used.
pub fn shared_store(
    workspace: &Workspace,
    push: PushOption,
    platform: &Platform,
    lost: &LostImages,
    environment: &Environment,
) -> Option<SharedStore> {
    let (home, is_needed) = (workspace.home.clone(), push != PushOption::No);
    if home.is_none() && !is_needed {
        return None;
    }
    let registries = Registries::new(settings(&workspace.config, environment));
    Some(SharedStore::new(registries, home, platform.clone(), is_needed, lost.clone()))
}
