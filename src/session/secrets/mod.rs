//! What `layers build` gives to builds that request it: secrets and ssh agents.
//!
//! Owns where they come from (the command line takes precedence over `layers.toml`), when they are looked up, and what
//! is printed if one is missing. What the command line names must exist, and is given to all builds. What `layers.toml`
//! names is given only to builds that may request it, and from outside the repository only with consent. If it does not
//! exist, that is an error only if an image that is to be built mounts it: the token of an image that is fresh, or not
//! selected, is not needed.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::base::error::{ErrorKind, printed, usage};
use crate::base::text::suggest;
use crate::base::{Diagnostic, Rule, Span};
use crate::cli::BuildArgs;
use crate::engine::Secrets;
use crate::engine::build_option::Entitlement;
use crate::graph::evaluate::{SecretKind, SecretUse};
use crate::graph::{Graph, Image};
use crate::report::{diagnostics, printer};
use crate::scan::config::ConfigFile;
use crate::workspace::load::once_each;
use crate::workspace::{Invocation, proxies};

use super::Session;
use super::consent::{self, AllowOptions, Boundary, Consents};

mod configured;
mod key_agent;
mod requests;
mod source;
mod syntax;

pub use configured::{ConfiguredSecret, SecretOrigin};
use key_agent::KeyAgent;
pub use requests::SecretRequests;
pub use source::UnavailableSecret;
use source::{AgentSource, SecretContext};

/// The secrets and agents from the command line, and later also from `layers.toml`.
pub struct SecretOptions {
    secrets: BTreeMap<String, Vec<u8>>,
    agents: BTreeMap<String, AgentSource>,
    allowed: AllowOptions,
}

/// What a run gives to its builds.
#[derive(Default)]
pub struct PreparedSecrets {
    /// What the engine may request.
    pub secrets: Secrets,
    /// Warnings about them.
    pub doubts: Vec<Diagnostic>,
    /// The lines that announce environment variables that `layers.toml` makes secrets.
    pub announced: String,
    /// What is withheld because consent is missing, one message each.
    pub withheld: Vec<String>,
    /// The agents that were started for the run, and end with it.
    _agents: Vec<KeyAgent>,
}

/// Removes duplicates and keeps the order.
fn once<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    names.filter(|name| seen.insert(*name)).collect()
}

/// What `layers.toml` names and cannot be read, with the position of the setting.
type UnreadSources<'a> = BTreeMap<(SecretKind, &'a str), (UnavailableSecret, Span)>;

impl SecretOptions {
    /// Reads what the command line names. Relative paths start at `directory`.
    ///
    /// # Errors
    /// Returns an error if an option is not valid, or if its source cannot be read.
    pub fn read(
        options: &BuildArgs,
        directory: &Path,
        at: &Invocation,
    ) -> anyhow::Result<SecretOptions> {
        let context = SecretContext { directory, environment: &at.environment };
        let allowed = AllowOptions::read(&options.allow, directory, &at.environment)?;
        let mut secret_options =
            SecretOptions { secrets: BTreeMap::new(), agents: BTreeMap::new(), allowed };
        for text in &options.secret {
            let word = syntax::read_secret(text)?;
            let value = match &word.source {
                Some(source) => context.value(source),
                None => context.value_of(&word.id),
            };
            let value = value.map_err(|it| cant_be_read("secret", &word.id, &it))?;
            put(&mut secret_options.secrets, "secret", word.id, value)?;
        }
        for text in &options.ssh {
            let (id, paths) = syntax::read_agent(text);
            let paths: Vec<_> = paths.iter().map(|path| context.locate(path)).collect();
            let agent = context.agent(&paths).map_err(|it| cant_be_read("ssh agent", id, &it))?;
            put(&mut secret_options.agents, "ssh agent", id, agent)?;
        }
        Ok(secret_options)
    }

    /// Returns the entitlements that the command line allows.
    pub fn entitlements(&self) -> &BTreeSet<Entitlement> {
        self.allowed.entitlements()
    }

    /// Adds what `layers.toml` names, and prepares what the images that a plan builds may request. Prints diagnostics
    /// about what they mount and cannot be read.
    ///
    /// # Errors
    /// Returns an error if something that they mount is missing, if there is no consent to what is outside the
    /// repository, or if an agent cannot be started.
    pub fn complete(
        mut self,
        session: &Session<'_>,
        at: &Invocation,
    ) -> anyhow::Result<PreparedSecrets> {
        let workspace = session.workspace;
        let images = session.plan.stale_images().map(|image| &workspace.graph.images[image]);
        let images: Vec<&Image> = images.collect();
        let hidden = workspace.builds.proxies.secrets();
        if images.is_empty() {
            // Nothing requests them, but the command line of the run may contain them.
            let secrets = Secrets::new(self.secrets, BTreeMap::new(), &hidden)?;
            return Ok(PreparedSecrets { secrets, ..PreparedSecrets::default() });
        }
        proxies::check(&workspace.builds.proxies, &workspace.attestations)?;
        let doubts = workspace.silence.apply(self.misspelt(&workspace.graph));
        let mut prepared = PreparedSecrets { doubts, ..PreparedSecrets::default() };
        let unread = self.add_configured(session, &images, &mut prepared, at)?;
        let uses = images.iter().flat_map(|image| &image.evaluation.secret_uses);
        let missing = uses.filter_map(|it| self.missing(it, &unread, &workspace.config));
        let missing: Vec<Diagnostic> = once_each(missing);
        if !missing.is_empty() {
            printer::err(&diagnostics::draw(&missing, at.paint))?;
            return Err(printed(ErrorKind::Usage).into());
        }
        let mut sockets = BTreeMap::new();
        for (id, agent) in self.agents {
            let socket = match agent {
                AgentSource::Socket(path) => path,
                AgentSource::Keys(keys) => {
                    let agent = KeyAgent::start(&keys)?;
                    let socket = agent.socket();
                    prepared._agents.push(agent);
                    socket
                }
            };
            sockets.insert(id, socket);
        }
        prepared.secrets = Secrets::new(self.secrets, sockets, &hidden)?;
        Ok(prepared)
    }

    /// Adds what `layers.toml` names and the command line does not, if images may request it, it can be read, and there
    /// is consent.
    fn add_configured<'a>(
        &mut self,
        session: &Session<'a>,
        images: &[&'a Image],
        prepared: &mut PreparedSecrets,
        at: &Invocation,
    ) -> anyhow::Result<UnreadSources<'a>> {
        let workspace = session.workspace;
        let context = SecretContext { directory: &workspace.root, environment: &at.environment };
        let needed = SecretRequests::of(images.iter().copied());
        let hidden = needed.hidden(&session.provider.freshness.externals);
        let boundary = Boundary::of(&workspace.root)?;
        let mut configured = ConfiguredSecret::all_at(workspace, context);
        configured.retain(|one| !self.has(one.kind, one.id));
        let mut outside = consent::outside_of(workspace, images, &needed, &configured, &boundary);
        outside.extend(consent::outside_directories(session, images, &boundary, at)?);
        let mut consents = Consents::open(std::mem::take(&mut self.allowed), &boundary, at)?;
        consents.obtain(&outside, at)?;
        let mut unread = UnreadSources::new();
        for one in configured {
            let by = needed.by(one.kind, one.id);
            let names = || once(by.iter().chain(&hidden).copied());
            if self.has(one.kind, one.id) || (by.is_empty() && hidden.is_empty()) {
                continue;
            }
            let sources = one.outside(&boundary);
            if !sources.iter().all(|source| consents.cover(one.role(), one.id, source)) {
                // Only instructions that were not read may mount it, so consent was not requested.
                prepared.withheld.push(consent::withheld(one.kind, one.id, &names()));
                continue;
            }
            if let Err(lacking) = self.take(&one, context) {
                unread.insert((one.kind, one.id), (lacking, one.span));
                continue;
            }
            if let SecretOrigin::Variable(variable) = one.origin {
                let mounted = needed.mounted_by(one.kind, one.id);
                let line = consent::announce(one.id, variable, &names(), &mounted);
                prepared.announced.push_str(&line);
            }
        }
        Ok(unread)
    }

    fn has(&self, kind: SecretKind, id: &str) -> bool {
        match kind {
            SecretKind::Value => self.secrets.contains_key(id),
            SecretKind::Agent => self.agents.contains_key(id),
        }
    }

    /// Reads something that `layers.toml` names.
    fn take(
        &mut self,
        one: &ConfiguredSecret<'_>,
        context: SecretContext<'_>,
    ) -> Result<(), UnavailableSecret> {
        match (one.kind, &one.origin) {
            (SecretKind::Value, origin) => {
                let value = match origin {
                    SecretOrigin::Variable(name) => context.variable(name)?,
                    SecretOrigin::Paths(paths) => context.file(&paths[0])?,
                    // A secret is always in a variable or a file.
                    SecretOrigin::Agent { .. } => return Ok(()),
                };
                self.secrets.insert(one.id.into(), value);
            }
            (SecretKind::Agent, origin) => {
                let paths = match origin {
                    SecretOrigin::Paths(paths) => paths.as_slice(),
                    SecretOrigin::Agent { .. } | SecretOrigin::Variable(_) => &[],
                };
                self.agents.insert(one.id.into(), context.agent(paths)?);
            }
        }
        Ok(())
    }

    /// Finds secrets of the command line that no image mounts, if an image mounts a similar name that was not given.
    /// BuildKit silently omits a mount that is not required.
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
            let hint = suggest(id, absent.iter().copied())?;
            let message = format!("no image mounts the secret `{id}`");
            Some(Diagnostic::new(Rule::MisspeltSecret, message).hint(hint))
        });
        doubts.collect()
    }

    /// Returns the diagnostic about a mount whose secret is required and was not given, or was given and cannot be
    /// read.
    fn missing(
        &self,
        mount: &SecretUse,
        unread: &UnreadSources<'_>,
        config: &ConfigFile,
    ) -> Option<Diagnostic> {
        let id = mount.id.as_str();
        let (what, is_given, hint) = match mount.kind {
            SecretKind::Value => (
                "secret",
                self.secrets.contains_key(id),
                format!("pass it with `--secret id={id},src=FILE` or `--secret id={id},env=NAME`"),
            ),
            SecretKind::Agent => {
                let is_given = self.agents.contains_key(id);
                ("ssh agent", is_given, format!("pass it with `--ssh {id}`"))
            }
        };
        if is_given || !mount.certain {
            return None;
        }
        if let Some((lacking, span)) = unread.get(&(mount.kind, id)) {
            let message = format!("the {what} `{id}` can't be read: {}", lacking.why);
            let problem = Diagnostic::new(Rule::MissingSecret, message)
                .at(&mount.source, mount.span, "mounted here")
                .at(&config.source, *span, "set here")
                .hint(lacking.hint.clone());
            return Some(problem);
        }
        let message = format!("the {what} `{id}` is required, but was not provided");
        let problem = Diagnostic::new(Rule::MissingSecret, message);
        mount.required.then(|| problem.at(&mount.source, mount.span, "").hint(hint))
    }
}

fn cant_be_read(what: &str, id: &str, lacking: &UnavailableSecret) -> anyhow::Error {
    let UnavailableSecret { why, hint } = lacking;
    usage(format!("the {what} `{id}` can't be read: {why}")).hint(hint).into()
}

fn put<T>(
    all: &mut BTreeMap<String, T>,
    what: &str,
    id: impl Into<String>,
    value: T,
) -> anyhow::Result<()> {
    match all.entry(id.into()) {
        Entry::Vacant(entry) => {
            entry.insert(value);
            Ok(())
        }
        Entry::Occupied(entry) => {
            let id = entry.key();
            Err(usage(format!("the {what} `{id}` is specified twice"))
                .hint("remove one of them")
                .into())
        }
    }
}
