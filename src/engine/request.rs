//! What a builder is given: all that goes into the build of one image.
//!
//! Owns the request, where named contexts come from, and the interface to the files of the context.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::io::{self, Write};
use std::sync::Arc;

use super::{Attestations, Secrets};
use crate::base::Platform;

/// All that goes into the build of one image.
#[derive(Clone)]
pub struct BuildRequest {
    /// The Dockerfile's whole text.
    pub dockerfile: String,
    /// The stage to build; the last one where nothing is said.
    pub target: Option<String>,
    /// The references that the image gets.
    pub references: Vec<String>,
    /// A reference that it gets beside them and that no other run moves: containerd's store drops an image along
    /// with its last reference.
    pub alias: Option<String>,
    /// The labels that the image gets beside its own.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the image's manifest; only for an engine that keeps one.
    pub annotations: BTreeMap<String, String>,
    /// What is attested of the image; likewise.
    pub attestations: Attestations,
    /// Build arguments.
    pub build_args: BTreeMap<String, String>,
    /// Named contexts, by what a `FROM` or `--from` calls them.
    pub contexts: BTreeMap<String, ContextSource>,
    /// The platform to build for; the engine's own where nothing is said.
    pub platform: Option<Platform>,
    /// Whether the engine's own cache is to be left unused.
    pub no_cache: bool,
    /// The secrets and ssh agents that the build may ask for.
    pub secrets: Secrets,
    /// The files that the build may read.
    pub context: Arc<dyn ContextFiles>,
}

impl BuildRequest {
    /// Returns all references that the image gets, those for its users first.
    pub fn names(&self) -> Vec<&str> {
        self.references.iter().chain(&self.alias).map(String::as_str).collect()
    }
}

impl Default for BuildRequest {
    fn default() -> BuildRequest {
        BuildRequest {
            dockerfile: String::new(),
            target: None,
            references: Vec::new(),
            alias: None,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            attestations: Attestations::default(),
            build_args: BTreeMap::new(),
            contexts: BTreeMap::new(),
            platform: None,
            no_cache: false,
            secrets: Secrets::default(),
            context: Arc::new(NoFiles),
        }
    }
}

/// Where a named context is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextSource {
    /// An image, by its reference.
    Image(String),
    /// A directory of the repository.
    Directory(String),
    /// An address that the frontend resolves.
    Url(String),
}

impl ContextSource {
    /// Reads a source as command lines write it.
    pub fn parse(text: String) -> ContextSource {
        match text.strip_prefix(IMAGE_SCHEME) {
            Some(reference) => ContextSource::Image(reference.to_owned()),
            None if text.contains("://") => ContextSource::Url(text),
            None => ContextSource::Directory(text),
        }
    }
}

impl Display for ContextSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ContextSource::Image(reference) => write!(f, "{IMAGE_SCHEME}{reference}"),
            ContextSource::Directory(text) | ContextSource::Url(text) => f.write_str(text),
        }
    }
}

/// What begins the source of a named context that is an image.
const IMAGE_SCHEME: &str = "docker-image://";

/// The files of a context, written as a tar stream when the engine asks for them.
pub trait ContextFiles: Send + Sync {
    /// Writes all files as one tar archive: sorted, owner 0:0, paths relative to the context.
    ///
    /// Called as often as the engine needs it, from any thread: to name the context by its hash,
    /// and to send it where the engine has not got it. The same bytes each time; others are an
    /// error of the build.
    ///
    /// # Errors
    /// Where a file can't be read, or the reader of the stream went away.
    fn write_tar(&self, to: &mut dyn Write) -> io::Result<()>;
}

/// A context that has no files.
#[derive(Debug, Clone, Copy)]
pub struct NoFiles;

impl ContextFiles for NoFiles {
    fn write_tar(&self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}
