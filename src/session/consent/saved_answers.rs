//! The answers that were given at a terminal.
//!
//! Owns their file, `layers/consents.json` in the user's state directory. It is never inside the repository, which
//! could then bring its own answers. An answer is valid for one repository, by its canonical path, for one ID, and for
//! one source, by its canonical path. If one of them changes, the user is asked again. Paths that are not UTF-8 are not
//! remembered.

use std::borrow::Cow;
use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::base::file::write_private;
use crate::base::screen::visible_path;
use crate::workspace::environment::Environment;

use super::location::resolve;
use super::{OutsideAccess, OutsideSource, Role};

const FILE: &str = "consents.json";

/// The mode bits that let users other than the owner write to the file or its directory, which is refused.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// The source of the ssh agent, in the file.
const AGENT: &str = "SSH_AUTH_SOCK";

/// The answers for one repository.
pub(super) struct SavedAnswers {
    /// The directory that they are kept in, or `None` if they cannot be kept.
    directory: Option<PathBuf>,
    /// The repository's canonical path, if it is UTF-8.
    repository: Option<String>,
    consents: Vec<Consent<'static>>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Consent<'a> {
    repository: Cow<'a, str>,
    role: Cow<'a, str>,
    id: Cow<'a, str>,
    source: Cow<'a, str>,
}

#[derive(Default, Serialize, Deserialize)]
struct ConsentFile<'a> {
    consents: Vec<Consent<'a>>,
}

impl SavedAnswers {
    /// Reads the answers for the repository at a canonical path. Also returns what is wrong with their file. A file
    /// that others can write, or that cannot be read, counts as empty.
    pub(super) fn open(root: &Path, environment: &Environment) -> (SavedAnswers, Option<String>) {
        let directory =
            directory_of(environment).filter(|directory| !resolve(directory).starts_with(root));
        let repository = root.to_str().map(str::to_owned);
        let consents = directory.as_deref().map_or(Ok(Vec::new()), read);
        let problem = consents.as_ref().err();
        let problem = problem.map(|error| format!("saved answers are ignored: {error:#}"));
        (SavedAnswers { directory, repository, consents: consents.unwrap_or_default() }, problem)
    }

    /// The directory for new answers, or `None` if they cannot be kept.
    pub(super) fn directory(&self) -> Option<&Path> {
        self.repository.as_ref().and(self.directory.as_deref())
    }

    /// Returns whether there was consent to a source.
    pub(super) fn has(&self, role: Role, id: &str, source: &OutsideSource) -> bool {
        self.describe(role, id, source).is_some_and(|consent| self.consents.contains(&consent))
    }

    /// Remembers consent.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written, which leaves it unchanged.
    pub(super) fn add(&self, accesses: &[&OutsideAccess<'_>]) -> anyhow::Result<()> {
        let Some(directory) = self.directory() else { return Ok(()) };
        // Another run may have added its own answers meanwhile.
        let mut consents: Vec<Consent<'_>> = read(directory).unwrap_or_default();
        for outside in accesses {
            let consent = self.describe(outside.role, outside.id, &outside.source);
            consents.extend(consent.filter(|consent| !consents.contains(consent)));
        }
        write(directory, &ConsentFile { consents })
    }

    fn describe<'a>(
        &'a self,
        role: Role,
        id: &'a str,
        source: &'a OutsideSource,
    ) -> Option<Consent<'a>> {
        let role = match role {
            Role::Secret => "secret",
            Role::Agent => "ssh",
            Role::Context => "context",
            Role::Dockerfile => "dockerfile",
            Role::NamedContext => "named-context",
        };
        let source = match source {
            OutsideSource::Path(path) => path.to_str()?,
            OutsideSource::Agent => AGENT,
        };
        Some(Consent {
            repository: self.repository.as_deref()?.into(),
            role: role.into(),
            id: id.into(),
            source: source.into(),
        })
    }
}

/// Returns the user's state directory. Relative paths are ignored
/// (<https://specifications.freedesktop.org/basedir-spec/latest/>).
fn directory_of(environment: &Environment) -> Option<PathBuf> {
    let absolute = |path: PathBuf| Some(path).filter(|path| path.is_absolute());
    let state = environment.path("XDG_STATE_HOME").and_then(absolute);
    let of_home = || Some(environment.path("HOME").and_then(absolute)?.join(".local/state"));
    Some(state.or_else(of_home)?.join("layers"))
}

fn read(directory: &Path) -> anyhow::Result<Vec<Consent<'static>>> {
    let path = directory.join(FILE);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error).context(format!("can't read `{}`", visible_path(&path))),
    };
    for location in [directory, &path] {
        let mode = fs::metadata(location).map_or(0, |it| it.mode());
        if mode & WRITABLE_BY_OTHERS != 0 {
            anyhow::bail!("other users can write to `{}`", visible_path(location));
        }
    }
    let file: ConsentFile<'_> = serde_json::from_slice(&text)
        .with_context(|| format!("`{}` is not a valid list of answers", visible_path(&path)))?;
    Ok(file.consents)
}

/// Writes the file atomically, and readable only by the user.
fn write(directory: &Path, file: &ConsentFile<'_>) -> anyhow::Result<()> {
    let path = directory.join(FILE);
    let cant = || format!("can't write `{}`", visible_path(&path));
    DirBuilder::new().recursive(true).mode(0o700).create(directory).with_context(cant)?;
    let text = serde_json::to_vec_pretty(file).with_context(cant)?;
    write_private(&path, &text).with_context(cant)
}
