//! Which registry images are shared through, and what of them is put there.
//!
//! Owns the words for it on the command line, in the environment and in `layers.toml`, and which of
//! them wins.

use crate::base::error::usage;
use crate::base::{Diagnostic, Platform, Rule};
use crate::cli::{Global, Push};
use crate::credentials;
use crate::plan::{Home, SharedStore};
use crate::registry::{Proxies, Registries, Settings};
use crate::scan::config::{self, ConfigFile};

use super::environment::Environment;
use super::load::Workspace;

/// How a registry is written.
const FORM: &str = "write it as `ghcr.io/acme` or `localhost:5000`";

/// The registry of the command line or the environment, else that of `layers.toml`. An empty one
/// means none.
///
/// # Errors
/// Where an option or variable names none. What is wrong in `layers.toml` is a diagnostic.
pub fn home_of(
    global: &Global,
    file: &ConfigFile,
) -> anyhow::Result<(Option<Home>, Option<Diagnostic>)> {
    if let Some(text) = &global.registry {
        if text.is_empty() {
            return Ok((None, None));
        }
        let home = Home::parse(text);
        let home = home.map_err(|wrong| usage(format!("--registry: {wrong}")).hint(FORM))?;
        return Ok((Some(home), None));
    }
    let Some(setting) = &file.config.registry else { return Ok((None, None)) };
    Ok(match Home::parse(setting.get_ref()) {
        Ok(home) => (Some(home), None),
        Err(wrong) => {
            let problem = Diagnostic::new(Rule::Config, wrong);
            let problem = problem.at(&file.source, ConfigFile::span(setting), "").hint(FORM);
            (None, Some(problem))
        }
    })
}

/// What is put into the registry: as the option says, else as `layers.toml` does.
pub fn push_of(option: Option<Push>, file: &ConfigFile) -> Push {
    option.unwrap_or(match file.config.push {
        config::Push::No => Push::No,
        config::Push::Keys => Push::Keys,
        config::Push::Tags => Push::Tags,
    })
}

/// How registries are spoken to here.
pub fn settings(file: &ConfigFile, environment: &Environment) -> Settings {
    let plain = file.config.insecure_registries.iter();
    settings_with(plain.map(|setting| setting.get_ref().clone()).collect(), environment)
}

/// How they are spoken to where some of them want no TLS.
pub fn settings_with(plain_http: Vec<String>, environment: &Environment) -> Settings {
    let variable = |name: &str| environment.var(name).map(Into::into);
    Settings {
        docker_config: credentials::folder(variable),
        plain_http,
        certificates: None,
        proxies: Proxies::read(variable),
    }
}

/// The registry in which images are looked for; nothing where none is named and nothing is put into
/// one.
pub fn shared_store(
    workspace: &Workspace,
    push: Push,
    platform: &Platform,
    environment: &Environment,
) -> Option<SharedStore> {
    let (home, is_needed) = (workspace.home.clone(), push != Push::No);
    if home.is_none() && !is_needed {
        return None;
    }
    let registries = Registries::new(settings(&workspace.config, environment));
    Some(SharedStore::new(registries, home, platform.clone(), is_needed))
}
