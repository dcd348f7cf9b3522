//! The key of an image: the hash of a readable struct.
//!
//! Owns what a key consists of. [`Inputs`] contains everything that BuildKit considers before it reuses a cached
//! step, and nothing else: no comments, blank lines, case of keywords, names of stages, stages that the target does
//! not need, files that no instruction can read, times, or owners. The same serialization is hashed and printed by
//! `layers why --inputs`, so the explanation always matches the key.
//!
//! Adding a field requires a new [`FORMAT`], which changes every key.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Identity;
use super::files::FileList;
use crate::base::Platform;
use crate::graph::evaluate::DependencyKind;
use crate::graph::reference::Reference;

/// The version of [`Inputs`].
pub const FORMAT: u32 = 5;

/// Everything that determines an image's content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// The [`FORMAT`] with which it was written.
    pub format: u32,
    /// The frontend that the Dockerfile names.
    pub syntax: Option<String>,
    /// The escape character of the Dockerfile.
    pub escape: char,
    /// The target platform. The platform and the image with these inputs form the unit.
    pub platform: Platform,
    /// The text of the Dockerfile, if its frontend is unknown.
    pub text: Option<String>,
    /// Build arguments that affect the builder itself, attestations, labels, the options of `RUN` instructions, and
    /// named contexts.
    pub settings: BTreeMap<String, String>,
    /// The stages that the target needs, in source order.
    pub stages: Vec<StageInputs>,
    /// The index of the target in `stages`.
    pub target: Option<usize>,
    /// The dependencies of those stages.
    #[serde(rename = "needs")]
    pub dependencies: Vec<DependencyInputs>,
    /// The downloads of those stages.
    pub downloads: Vec<DownloadInputs>,
    /// Whether all files count, because it is unknown which ones are read.
    pub whole_context: bool,
    /// The files that those stages can read, in walk order.
    pub files: FileList,
    /// The directories of named contexts that those stages can read, sorted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub directories: Vec<DirectoryInputs>,
}

/// The directory of a named context. Where it is does not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryInputs {
    /// The first name of the context.
    pub name: String,
    /// Whether all files count, because it is unknown which ones are read.
    pub whole_context: bool,
    /// The files that can be read, in walk order.
    pub files: FileList,
}

/// A stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageInputs {
    /// The base; other stages by their index among those that count.
    pub base: String,
    /// The value of `--platform` after expansion.
    pub platform: Option<Platform>,
    /// The name, but only if triggers run, because triggers refer to stages by name.
    pub name: Option<String>,
    /// The `ONBUILD` triggers of the base.
    pub triggers: Vec<String>,
    /// The arguments that the stage declares, and those that its `FROM` uses to name an external image, with their
    /// values.
    pub arguments: Vec<ArgumentInputs>,
    /// The instructions in canonical form.
    pub instructions: Vec<String>,
}

/// A build argument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArgumentInputs {
    /// The name.
    pub name: String,
    /// The value; an empty value is not the same as none.
    pub value: Option<String>,
}

/// A dependency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DependencyInputs {
    /// The image.
    #[serde(flatten)]
    pub name: DependencyName,
    /// How the stage uses the image.
    pub kind: DependencyKind,
    /// The platform to use the image for.
    pub platform: Option<Platform>,
    /// The identity of the layers; `None` if the engine does not have the image.
    pub layers: Option<String>,
    /// The identity of the configuration, if it is inherited.
    pub config: Option<String>,
    /// The references of an image of the repository that the engine does not have: it is unknown what they point to
    /// elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unresolved: Vec<Reference>,
}

/// What counts of the name of a dependency.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DependencyName {
    /// The name of an image of the repository. The reference by which the Dockerfile refers to it does not count: it
    /// changes with every version, and a child cannot observe it.
    Image(String),
    /// The reference of an external image.
    Reference(Reference),
}

impl fmt::Display for DependencyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DependencyName::Image(name) => f.write_str(name),
            DependencyName::Reference(reference) => reference.fmt(f),
        }
    }
}

impl DependencyInputs {
    /// Returns the reference of an external image.
    pub fn reference(&self) -> Option<&Reference> {
        match &self.name {
            DependencyName::Image(_) => None,
            DependencyName::Reference(reference) => Some(reference),
        }
    }

    /// Sets the identity of the image.
    pub fn identify(&mut self, identity: Option<&Identity>) {
        let inherits = !matches!(self.kind, DependencyKind::Copy | DependencyKind::Mount);
        self.layers = identity.map(|identity| identity.layers.clone());
        self.config = identity.filter(|_| inherits).map(|identity| identity.config.clone());
        self.unresolved.clear();
    }
}

/// Something that an `ADD` downloads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownloadInputs {
    /// The URL after expansion.
    pub address: String,
    /// The required checksum; empty if there is none.
    pub checksum: String,
}

impl Inputs {
    /// Returns the key: the hash of the canonical serialization. Files contribute the hash of their list, which is
    /// computed once, no matter how many images read them and how often this is called.
    pub fn key(&self) -> String {
        let mut rest = Inputs { files: FileList::default(), ..self.clone() };
        rest.directories.iter_mut().for_each(|it| it.files = FileList::default());
        // Serializing strings, numbers, lists, and maps with string keys cannot fail.
        let mut text = serde_json::to_vec(&rest).unwrap_or_default();
        text.extend_from_slice(self.files.digest().as_bytes());
        for directory in &self.directories {
            text.extend_from_slice(directory.files.digest().as_bytes());
        }
        blake3::hash(&text).to_hex().to_string()
    }
}
