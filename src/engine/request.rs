//! A build request: everything that goes into the build of one image.
//!
//! Owns the request and the sources of named contexts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Debug, Display};
use std::sync::Arc;

use super::build_option::Entitlement;
use super::{Attestations, ContextFiles, NoFiles, Sandbox, Secrets};
use crate::base::Platform;

/// Everything that goes into the build of one image.
#[derive(Clone)]
pub struct BuildRequest {
    /// The complete text of the Dockerfile.
    pub dockerfile: String,
    /// The frontend that reads the Dockerfile, if it is not the engine's own: that of the build argument
    /// BUILDKIT_SYNTAX, or else of the `# syntax=` line.
    pub frontend: Option<String>,
    /// The stage to build; the last one by default.
    pub target: Option<String>,
    /// The references to put on the image.
    pub references: Vec<String>,
    /// An additional reference that no other run moves: containerd's store deletes an image along with its last
    /// reference.
    pub alias: Option<String>,
    /// Labels to add to the image's own.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the image's manifest; only for engines that keep manifests.
    pub annotations: BTreeMap<String, String>,
    /// Attestations of the image; only for engines that keep manifests.
    pub attestations: Attestations,
    /// Build arguments.
    pub build_args: BTreeMap<String, String>,
    /// Named contexts, by the name in `FROM` or `--from`.
    pub contexts: BTreeMap<String, ContextSource>,
    /// What its `RUN` instructions run in.
    pub sandbox: Sandbox,
    /// What its `RUN` instructions may do beyond the sandbox.
    pub entitlements: BTreeSet<Entitlement>,
    /// The platform to build for; the engine's own by default.
    pub platform: Option<Platform>,
    /// Whether to ignore the engine's cache.
    pub no_cache: bool,
    /// The secrets and SSH agents that the build may use.
    pub secrets: Secrets,
    /// The files that the build may read.
    pub context: Arc<dyn ContextFiles>,
}

impl BuildRequest {
    /// Returns all references of the image, the user-facing ones first.
    pub fn names(&self) -> Vec<&str> {
        self.references.iter().chain(&self.alias).map(String::as_str).collect()
    }
}

impl Default for BuildRequest {
    fn default() -> BuildRequest {
        BuildRequest {
            dockerfile: String::new(),
            frontend: None,
            target: None,
            references: Vec::new(),
            alias: None,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            attestations: Attestations::default(),
            build_args: BTreeMap::new(),
            contexts: BTreeMap::new(),
            sandbox: Sandbox::default(),
            entitlements: BTreeSet::new(),
            platform: None,
            no_cache: false,
            secrets: Secrets::default(),
            context: Arc::new(NoFiles),
        }
    }
}

/// The source of a named context.
#[derive(Clone)]
pub enum ContextSource {
    /// An image, by reference.
    Image(String),
    /// A directory: its path, and the files that the build may read.
    Directory(String, Arc<dyn ContextFiles>),
    /// A URL that the frontend resolves.
    Url(String),
}

impl ContextSource {
    /// Parses an image or a URL in the syntax of `docker build --build-context`.
    pub fn parse(text: String) -> ContextSource {
        match text.strip_prefix(IMAGE_SCHEME) {
            Some(reference) => ContextSource::Image(reference.to_owned()),
            None => ContextSource::Url(text),
        }
    }

    /// Returns the files of a directory.
    pub fn files(&self) -> Option<&Arc<dyn ContextFiles>> {
        match self {
            ContextSource::Directory(_, files) => Some(files),
            ContextSource::Image(_) | ContextSource::Url(_) => None,
        }
    }
}

impl PartialEq for ContextSource {
    fn eq(&self, other: &ContextSource) -> bool {
        match (self, other) {
            (ContextSource::Image(one), ContextSource::Image(other))
            | (ContextSource::Url(one), ContextSource::Url(other)) => one == other,
            (ContextSource::Directory(_, one), ContextSource::Directory(_, other)) => {
                Arc::ptr_eq(one, other)
            }
            _ => false,
        }
    }
}

impl Debug for ContextSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl Display for ContextSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ContextSource::Image(reference) => write!(f, "{IMAGE_SCHEME}{reference}"),
            ContextSource::Directory(text, _) | ContextSource::Url(text) => f.write_str(text),
        }
    }
}

/// The prefix of sources that are images.
const IMAGE_SCHEME: &str = "docker-image://";
