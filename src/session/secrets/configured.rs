//! What `layers.toml` gives to builds: secrets and ssh agents, and where each is.
//!
//! Owns how a setting becomes a path on the disk. Links are resolved once, and the resolved path is the one that is
//! read, so consent to a file is consent to that very file.

use std::path::PathBuf;

use crate::base::Span;
use crate::graph::evaluate::SecretKind;
use crate::scan::config::{ConfigFile, SecretSource};
use crate::session::consent::{Boundary, LocatedPath, OutsideSource, Role};
use crate::workspace::environment::Environment;
use crate::workspace::load::Workspace;

use super::source::SecretContext;
use super::syntax;

/// A secret or an agent from `layers.toml`.
#[derive(Debug, Clone)]
pub struct ConfiguredSecret<'a> {
    /// Whether it is a secret or an agent.
    pub kind: SecretKind,
    /// Its ID.
    pub id: &'a str,
    /// The position of the setting.
    pub span: Span,
    /// Where it is.
    pub origin: SecretOrigin<'a>,
}

/// Where a secret or an agent from `layers.toml` is.
#[derive(Debug, Clone)]
pub enum SecretOrigin<'a> {
    /// In the environment variable with this name.
    Variable(&'a str),
    /// The agent of SSH_AUTH_SOCK.
    Agent {
        /// Whether the variable is set.
        is_set: bool,
    },
    /// A file, or the socket or the keys of an agent.
    Paths(Vec<LocatedPath<'a>>),
}

impl<'a> ConfiguredSecret<'a> {
    /// Returns all secrets and agents of a repository, as [`ConfiguredSecret::all_at`] does.
    pub fn all(workspace: &'a Workspace, environment: &Environment) -> Vec<ConfiguredSecret<'a>> {
        ConfiguredSecret::all_at(
            workspace,
            SecretContext { directory: &workspace.root, environment },
        )
    }

    /// Returns all secrets and agents of a repository: first the secrets by ID, then the agents in the order of the
    /// file.
    pub(super) fn all_at(
        workspace: &'a Workspace,
        context: SecretContext<'_>,
    ) -> Vec<ConfiguredSecret<'a>> {
        let config = &workspace.config.config;
        let secrets = config.secrets.iter().map(|(id, setting)| ConfiguredSecret {
            kind: SecretKind::Value,
            id,
            span: ConfigFile::span(setting),
            origin: match setting.get_ref() {
                SecretSource::Variable(name) => SecretOrigin::Variable(name),
                SecretSource::File(path) => SecretOrigin::Paths(vec![context.resolve(path)]),
            },
        });
        let agents = config.ssh.iter().map(|setting| {
            let (id, paths) = syntax::read_agent(setting.get_ref());
            let origin = match paths.as_slice() {
                [] => SecretOrigin::Agent {
                    is_set: context.environment.path("SSH_AUTH_SOCK").is_some(),
                },
                paths => {
                    SecretOrigin::Paths(paths.iter().map(|path| context.resolve(path)).collect())
                }
            };
            ConfiguredSecret {
                kind: SecretKind::Agent,
                id,
                span: ConfigFile::span(setting),
                origin,
            }
        });
        secrets.chain(agents).collect()
    }

    /// Its role in a build.
    pub fn role(&self) -> Role {
        match self.kind {
            SecretKind::Value => Role::Secret,
            SecretKind::Agent => Role::Agent,
        }
    }

    /// Returns its sources that exist and are outside the repository. An agent is always outside.
    pub fn outside(&self, boundary: &Boundary) -> Vec<OutsideSource> {
        match &self.origin {
            SecretOrigin::Variable(_) => Vec::new(),
            SecretOrigin::Agent { is_set } => {
                is_set.then_some(OutsideSource::Agent).into_iter().collect()
            }
            SecretOrigin::Paths(paths) => {
                let found = paths.iter().filter_map(|path| path.path.as_ref().ok());
                let outside = found.filter(|path| boundary.is_outside(path));
                outside.map(|path: &PathBuf| OutsideSource::Path(path.clone())).collect()
            }
        }
    }
}
