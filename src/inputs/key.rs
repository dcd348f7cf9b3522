//! The key of an image: the hash of a readable struct.
//!
//! Owns what feeds a key. Everything that BuildKit would look at before it takes a step from its
//! cache is in [`Inputs`], and nothing else is: comments, blank lines, the case of keywords, the
//! names of stages, stages that the target does not reach, files that no instruction can read,
//! times and owners are not. One serialisation makes both the hash and what `layers why --inputs`
//! prints, so that the explanation can't drift from the key.
//!
//! The struct only grows by raising [`FORMAT`], which makes every key another one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Identity;
use super::files::FileList;
use crate::base::Platform;
use crate::graph::evaluate::NeedKind;
use crate::graph::reference::Reference;

/// The form of [`Inputs`].
pub const FORMAT: u32 = 4;

/// All that an image is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// [`FORMAT`] when it was written.
    pub format: u32,
    /// The frontend that the Dockerfile asks for.
    pub syntax: Option<String>,
    /// The escape character of the Dockerfile.
    pub escape: char,
    /// The platform that is built for: with the image, whose inputs these are, the unit.
    pub platform: Platform,
    /// The Dockerfile as it is, where its frontend is not known here.
    pub text: Option<String>,
    /// Build arguments that mean something to the builder itself.
    pub settings: BTreeMap<String, String>,
    /// The stages that the target needs, in the order written.
    pub stages: Vec<StageInputs>,
    /// The target, by its place in `stages`.
    pub target: Option<usize>,
    /// The images that those stages need.
    pub needs: Vec<NeedInputs>,
    /// What they download.
    pub downloads: Vec<DownloadInputs>,
    /// Whether all files count, because nobody knows which are read.
    pub whole_context: bool,
    /// The files that those stages can read, in the order of a walk.
    pub files: FileList,
}

/// A stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageInputs {
    /// What it starts from; another stage by its place among those that count.
    pub base: String,
    /// `--platform` after expansion.
    pub platform: Option<Platform>,
    /// Its name, only where triggers run, which name stages by their names.
    pub name: Option<String>,
    /// The `ONBUILD` lines of its base.
    pub triggers: Vec<String>,
    /// The arguments that it declares or its `FROM` uses, with their values.
    pub arguments: Vec<ArgumentInputs>,
    /// The instructions in a form that knows no formatting.
    pub instructions: Vec<String>,
}

/// A build argument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArgumentInputs {
    /// Its name.
    pub name: String,
    /// Its value; an empty one is not the same as none.
    pub value: Option<String>,
}

/// An image that is needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeedInputs {
    /// What it is called.
    pub reference: Reference,
    /// How it is needed.
    pub kind: NeedKind,
    /// The platform it is wanted for.
    pub platform: Option<Platform>,
    /// The identity of its layers; nothing where the engine does not hold it.
    pub layers: Option<String>,
    /// The identity of its configuration, where that is inherited.
    pub config: Option<String>,
}

impl NeedInputs {
    /// Sets what the needed image is.
    pub fn identify(&mut self, identity: Option<&Identity>) {
        let inherits = !matches!(self.kind, NeedKind::Copy | NeedKind::Mount);
        self.layers = identity.map(|identity| identity.layers.clone());
        self.config = identity.filter(|_| inherits).map(|identity| identity.config.clone());
    }
}

/// Something that an `ADD` downloads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownloadInputs {
    /// Its address after expansion.
    pub address: String,
    /// The checksum that it must have; empty where there is none.
    pub checksum: String,
}

impl Inputs {
    /// The key: the hash of the canonical serialisation. The files enter by the hash of theirs,
    /// which is made once, however many images read them and however often one is asked.
    pub fn key(&self) -> String {
        let rest = Inputs { files: FileList::default(), ..self.clone() };
        // Strings, numbers, lists and maps with strings for names always become JSON.
        let mut text = serde_json::to_vec(&rest).unwrap_or_default();
        text.extend_from_slice(self.files.digest().as_bytes());
        blake3::hash(&text).to_hex().to_string()
    }
}
