//! The `--allow` option, as in `docker buildx bake`.
//!
//! Owns its keys, and which paths it covers. It supports those of bake's keys that have a meaning here: a repository
//! can make a build read files, use ssh agents, and request entitlements.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::base::error::usage;
use crate::engine::build_option::Entitlement;
use crate::workspace::environment::Environment;

use super::location::resolve;
use super::{OutsideSource, with_home};

/// What the command line allows.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct AllowOptions {
    any_file: bool,
    paths: Vec<PathBuf>,
    agent: bool,
    entitlements: BTreeSet<Entitlement>,
}

impl AllowOptions {
    /// Parses `fs.read=PATH`, `fs=PATH`, `ssh`, and the names of entitlements. Relative paths start at `directory`.
    ///
    /// # Errors
    /// Returns an error if a value is anything else.
    pub fn read(
        words: &[String],
        directory: &Path,
        environment: &Environment,
    ) -> anyhow::Result<AllowOptions> {
        let mut allowed = AllowOptions::default();
        for word in words {
            let (key, value) = match word.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None => (word.as_str(), None),
            };
            let wrong = |what: &str, hint: &str| {
                Err(usage(format!("`--allow {}`: {what}", word.escape_debug())).hint(hint).into())
            };
            let entitlement = Entitlement::ALL.into_iter().find(|it| it.to_string() == *word);
            if let Some(entitlement) = entitlement {
                allowed.entitlements.insert(entitlement);
                continue;
            }
            match (key, value) {
                ("ssh", None) => allowed.agent = true,
                ("ssh", Some(_)) => {
                    let hint = "`--allow ssh` allows the agent of SSH_AUTH_SOCK, and \
                                `--allow fs.read=PATH` a key or another socket";
                    return wrong("`ssh` takes no value", hint);
                }
                ("fs" | "fs.read", None | Some("")) => {
                    return wrong("the path is missing", "write `--allow fs.read=PATH`");
                }
                ("fs" | "fs.read", Some("*")) => allowed.any_file = true,
                ("fs" | "fs.read", Some(path)) => {
                    let path = with_home(path, directory, environment.path("HOME"));
                    allowed.paths.push(resolve(&path));
                }
                _ => {
                    let hint = "use `fs.read=PATH`, `ssh`, `network.host`, or `security.insecure`";
                    return wrong("not supported", hint);
                }
            }
        }
        Ok(allowed)
    }

    /// Returns the entitlements that are allowed.
    pub fn entitlements(&self) -> &BTreeSet<Entitlement> {
        &self.entitlements
    }

    /// Returns whether a source is allowed. A path covers everything below it.
    pub(super) fn covers(&self, source: &OutsideSource) -> bool {
        match source {
            OutsideSource::Agent => self.agent,
            OutsideSource::Path(path) => {
                self.any_file || self.paths.iter().any(|allowed| path.starts_with(allowed))
            }
        }
    }
}
