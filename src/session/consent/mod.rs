//! Consent to what a repository takes from outside itself.
//!
//! Owns where consent comes from and how it is requested. Files outside the repository and ssh agents reach a build
//! only with consent, as in `docker buildx bake` (docker/buildx, `bake/entitlements.go`): with `--allow`, or with an
//! answer at the terminal, which is remembered. What the command line itself names does not need consent. Environment
//! variables do not need consent either; they are announced.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::base::error::usage;
use crate::graph::Image;
use crate::report::printer;
use crate::workspace::Invocation;
use crate::workspace::load::Workspace;

use super::secrets::{ConfiguredSecret, SecretRequests};

mod allow;
mod directories;
mod location;
mod pipeline;
mod saved_answers;
mod wording;

pub use allow::AllowOptions;
pub use directories::outside_directories;
pub use location::{Boundary, LocatedPath, canonical};
pub use pipeline::allow_options;
pub use wording::{announce, withheld};

use saved_answers::SavedAnswers;

/// What a build would get from outside the repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OutsideAccess<'a> {
    /// Its role in the build.
    pub role: Role,
    /// The ID of the secret or agent, or the name of the image or named context.
    pub id: &'a str,
    /// Where it is.
    pub source: OutsideSource,
    /// The images whose builds get it.
    pub images: Vec<&'a str>,
}

/// The role of something outside the repository in a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// A secret.
    Secret,
    /// An ssh agent, or a key for one.
    Agent,
    /// The context of an image.
    Context,
    /// The Dockerfile of an image.
    Dockerfile,
    /// A named context.
    NamedContext,
}

/// Where something outside the repository is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum OutsideSource {
    /// A file or directory, by its canonical path.
    Path(PathBuf),
    /// The agent of SSH_AUTH_SOCK.
    Agent,
}

/// Returns everything outside the repository that the builds of some images would get.
pub fn outside_of<'a>(
    workspace: &Workspace,
    images: &[&'a Image],
    needed: &SecretRequests<'a>,
    configured: &[ConfiguredSecret<'a>],
    boundary: &Boundary,
) -> Vec<OutsideAccess<'a>> {
    let mut found = BTreeSet::new();
    for image in images {
        let paths = [(Role::Context, &image.context), (Role::Dockerfile, &image.dockerfile)];
        for (role, path) in paths {
            let Ok(path) = canonical(&path.under(&workspace.root)) else { continue };
            if boundary.is_outside(&path) {
                let (id, source) = (image.name.as_str(), OutsideSource::Path(path));
                found.insert(OutsideAccess { role, id, source, images: vec![id] });
            }
        }
    }
    for one in configured {
        let images = needed.by(one.kind, one.id);
        if images.is_empty() {
            continue;
        }
        for source in one.outside(boundary) {
            let (role, id, images) = (one.role(), one.id, images.clone());
            found.insert(OutsideAccess { role, id, source, images });
        }
    }
    found.into_iter().collect()
}

/// What the user has consented to.
pub struct Consents {
    allowed: AllowOptions,
    remembered: SavedAnswers,
    /// What the user consented to in this run.
    answered: Vec<(Role, String, OutsideSource)>,
}

impl Consents {
    /// Reads what the command line allows, and the remembered answers for a repository.
    ///
    /// # Errors
    /// Returns an error if a warning about the remembered answers cannot be printed.
    pub fn open(
        allowed: AllowOptions,
        boundary: &Boundary,
        at: &Invocation,
    ) -> anyhow::Result<Consents> {
        let (remembered, problem) = SavedAnswers::open(boundary.root(), &at.environment);
        if let Some(problem) = problem {
            printer::warning(&problem, at.paint)?;
        }
        Ok(Consents { allowed, remembered, answered: Vec::new() })
    }

    /// Returns whether there is consent to a source.
    pub fn cover(&self, role: Role, id: &str, source: &OutsideSource) -> bool {
        self.allowed.covers(source)
            || self.remembered.has(role, id, source)
            || self.answered.iter().any(|(it, of, at)| (*it, &**of, at) == (role, id, source))
    }

    /// Makes sure that there is consent to everything. Asks for what lacks it, if a user can answer.
    ///
    /// # Errors
    /// Returns an error if consent is missing or refused.
    pub fn obtain(
        &mut self,
        accesses: &[OutsideAccess<'_>],
        at: &Invocation,
    ) -> anyhow::Result<()> {
        let open = accesses.iter().filter(|it| !self.cover(it.role, it.id, &it.source));
        let open: Vec<&OutsideAccess<'_>> = open.collect();
        if open.is_empty() {
            return Ok(());
        }
        let list = wording::list(&open);
        let hint = wording::hint(&open, at.environment.arguments());
        if !at.environment.can_ask() {
            return Err(usage(format!("{}\n{list}", wording::NEEDS_CONSENT)).hint(hint).into());
        }
        let remembers = self.remembered.directory().is_some();
        if !printer::ask(&wording::question(&list, remembers))? {
            return Err(usage("consent was refused").hint(hint).into());
        }
        if let Err(problem) = self.remembered.add(&open) {
            printer::warning(&format!("can't save the answer: {problem:#}"), at.paint)?;
        }
        let answered = open.iter().map(|it| (it.role, it.id.into(), it.source.clone()));
        self.answered.extend(answered);
        Ok(())
    }
}

/// Joins a path to a directory, and replaces `~` by the home directory: shells do not expand it after a `=`.
pub fn with_home(written: &str, directory: &Path, home: Option<PathBuf>) -> PathBuf {
    match (home, written.strip_prefix("~/")) {
        (Some(home), Some(rest)) => home.join(rest),
        (Some(home), None) if written == "~" => home,
        _ => directory.join(written),
    }
}
