//! What `layers build` gives to builds that ask: secrets and ssh agents.
//!
//! Owns who gives what (the command line wins over `layers.toml`), when it is looked for, and what
//! is said where something is missing. What the command line gives must be there. What
//! `layers.toml` gives and is not there is missed only where an image that is to be built mounts
//! it: nobody needs the token of an image that is fresh, or was not asked for. What is there is
//! given to all builds, for not every wish for it can be seen in a Dockerfile: a base from outside
//! may mount it by `ONBUILD`, and an `ADD` of a private repository asks for it too.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::base::text::closest;
use crate::base::{Diagnostic, Span};
use crate::cli::Build;
use crate::engine::Secrets;
use crate::graph::Graph;
use crate::graph::evaluate::{SecretKind, SecretUse};
use crate::plan::Plan;
use crate::scan::config::ConfigFile;

use super::load::{Repository, once_each};
use super::{Surroundings, usage};

mod key_agent;
mod source;
mod words;

use key_agent::KeyAgent;
use source::{Agent, Lacking, Place};

/// The code of what is said where a secret is missing. It is no rule of Dockerfiles, which can't
/// know what a command will be given.
const MISSING: &str = "missing-secret";

/// The code of what is said where a secret has the wrong name, as it seems.
const MISSPELT: &str = "misspelt-secret";

/// What was given so far.
pub struct Given {
    secrets: BTreeMap<String, Vec<u8>>,
    agents: BTreeMap<String, Agent>,
}

/// What a run gives to its builds.
pub struct Gifts {
    /// What the engine may ask for.
    pub secrets: Secrets,
    /// What is suspicious about them.
    pub doubts: Vec<Diagnostic>,
    /// The agents that run for it, and end with it.
    _agents: Vec<KeyAgent>,
}

/// What `layers.toml` gives and can't be had, with where it says so.
type Unread = BTreeMap<(SecretKind, String), (Lacking, Span)>;

impl Given {
    /// Reads what the command line gives; its paths begin at `folder`.
    ///
    /// # Errors
    /// Where it is written wrongly, or can't be read.
    pub fn read(options: &Build, folder: &Path, at: &Surroundings) -> anyhow::Result<Given> {
        let place = Place { folder, environment: &at.environment };
        let mut given = Given { secrets: BTreeMap::new(), agents: BTreeMap::new() };
        for text in &options.secret {
            let word = words::read_secret(text).map_err(usage)?;
            let value = match &word.source {
                Some(source) => place.value(source),
                None => place.value_of(&word.id),
            };
            let value = value.map_err(|it| cant_be_read("secret", &word.id, &it))?;
            put(&mut given.secrets, "secret", word.id, value)?;
        }
        for text in &options.ssh {
            let (id, paths) = words::read_agent(text);
            let agent = place.agent(&paths).map_err(|it| cant_be_read("ssh agent", &id, &it))?;
            put(&mut given.agents, "ssh agent", id, agent)?;
        }
        Ok(given)
    }

    /// Adds what `layers.toml` gives, and gets ready what the images that a plan builds may ask
    /// for. What they mount and can't be had is told as diagnostics.
    ///
    /// # Errors
    /// Where an agent can't be started.
    pub fn complete(
        mut self,
        repository: &Repository,
        plan: &Plan,
        at: &Surroundings,
    ) -> anyhow::Result<Result<Gifts, Vec<Diagnostic>>> {
        let images = plan.order().iter().filter(|image| !plan.is_fresh(**image));
        let images = images.map(|image| &repository.graph.images[*image]);
        let uses: Vec<&SecretUse> = images.flat_map(|it| &it.evaluation.secret_uses).collect();
        if plan.order().iter().all(|image| plan.is_fresh(*image)) {
            let (secrets, doubts) = (Secrets::default(), Vec::new());
            return Ok(Ok(Gifts { secrets, doubts, _agents: Vec::new() }));
        }
        let doubts = self.misspelt(&repository.graph);
        let unread = self.add_configured(repository, at);
        let missing = uses.iter().filter_map(|it| self.missing(it, &unread, &repository.config));
        let missing: Vec<Diagnostic> = once_each(missing);
        if !missing.is_empty() {
            return Ok(Err(missing));
        }
        let mut sockets = BTreeMap::new();
        let mut agents = Vec::new();
        for (id, agent) in self.agents {
            let socket = match agent {
                Agent::Socket(path) => path,
                Agent::Keys(keys) => {
                    let agent = KeyAgent::start(&keys)?;
                    let socket = agent.socket();
                    agents.push(agent);
                    socket
                }
            };
            sockets.insert(id, socket);
        }
        let secrets = Secrets::new(self.secrets, sockets)?;
        Ok(Ok(Gifts { secrets, doubts, _agents: agents }))
    }

    /// Adds what `layers.toml` gives and is not given yet, as far as it can be had.
    fn add_configured(&mut self, repository: &Repository, at: &Surroundings) -> Unread {
        let place = Place { folder: &repository.root, environment: &at.environment };
        let config = &repository.config.config;
        let mut unread = Unread::new();
        for (id, setting) in &config.secrets {
            if self.secrets.contains_key(id) {
                continue;
            }
            match place.value(setting.get_ref()) {
                Ok(value) => drop(self.secrets.insert(id.clone(), value)),
                Err(lacking) => {
                    let said = (lacking, ConfigFile::span(setting));
                    unread.insert((SecretKind::Value, id.clone()), said);
                }
            }
        }
        for setting in &config.ssh {
            let (id, paths) = words::read_agent(setting.get_ref());
            if self.agents.contains_key(&id) {
                continue;
            }
            match place.agent(&paths) {
                Ok(agent) => drop(self.agents.insert(id, agent)),
                Err(lacking) => {
                    let said = (lacking, ConfigFile::span(setting));
                    unread.insert((SecretKind::Agent, id), said);
                }
            }
        }
        unread
    }

    /// Secrets of the command line that no image mounts, where one mounts something that is called
    /// nearly so and was not given. A mount that is not required would be absent without a word.
    fn misspelt(&self, graph: &Graph) -> Vec<Diagnostic> {
        let uses = graph.images.values().flat_map(|image| &image.evaluation.secret_uses);
        let mounted: BTreeSet<&str> = uses
            .filter(|it| it.kind == SecretKind::Value && it.certain)
            .map(|it| it.id.as_str())
            .collect();
        let absent = mounted.iter().copied().filter(|id| !self.secrets.contains_key(*id));
        let absent: Vec<&str> = absent.collect();
        let unused = self.secrets.keys().filter(|id| !mounted.contains(id.as_str()));
        let doubts = unused.filter_map(|id| {
            let near = closest(id, absent.iter().copied())?;
            let message = format!("no image mounts the secret `{id}`");
            Some(Diagnostic::warning(MISSPELT, message).hint(format!("did you mean `{near}`?")))
        });
        doubts.collect()
    }

    /// What is said of a mount whose secret was not given and must be, or was and can't be read.
    fn missing(
        &self,
        mount: &SecretUse,
        unread: &Unread,
        config: &ConfigFile,
    ) -> Option<Diagnostic> {
        let id = mount.id.as_str();
        let (what, is_given, hint) = match mount.kind {
            SecretKind::Value => (
                "secret",
                self.secrets.contains_key(id),
                format!("give it with `--secret id={id},src=FILE` or `--secret id={id},env=NAME`"),
            ),
            SecretKind::Agent => {
                let is_given = self.agents.contains_key(id);
                ("ssh agent", is_given, format!("give it with `--ssh {id}`"))
            }
        };
        if is_given || !mount.certain {
            return None;
        }
        if let Some((lacking, span)) = unread.get(&(mount.kind, mount.id.clone())) {
            let message = format!("the {what} `{id}` can't be read: {}", lacking.why);
            let problem = Diagnostic::error(MISSING, message)
                .at(&mount.source, mount.span, "mounted here")
                .at(&config.source, *span, "given here")
                .hint(lacking.hint.clone());
            return Some(problem);
        }
        let message = format!("the {what} `{id}` is required, and is not given");
        let problem = Diagnostic::error(MISSING, message);
        mount.required.then(|| problem.at(&mount.source, mount.span, "").hint(hint))
    }
}

fn cant_be_read(what: &str, id: &str, lacking: &Lacking) -> anyhow::Error {
    let Lacking { why, hint } = lacking;
    usage(format!("the {what} `{id}` can't be read: {why}\nhint: {hint}"))
}

fn put<T>(all: &mut BTreeMap<String, T>, what: &str, id: String, value: T) -> anyhow::Result<()> {
    match all.entry(id) {
        Entry::Vacant(entry) => {
            entry.insert(value);
            Ok(())
        }
        Entry::Occupied(entry) => {
            let id = entry.key();
            Err(usage(format!("the {what} `{id}` is given twice\nhint: leave one of them out")))
        }
    }
}
