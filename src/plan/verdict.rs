//! The verdicts of a plan, and their reasons.
//!
//! Owns both as data. Only `report/` turns them into sentences.

use serde::{Deserialize, Serialize};

use crate::base::Location;
use crate::inputs::{Change, OwnInputs};

/// What a plan says about an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// The engine's store or the registry has an image with the current key: there is nothing to build.
    Fresh {
        /// The image's ID.
        image_id: String,
        /// Its references that point elsewhere or nowhere, and are restored.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        lost: Vec<String>,
        /// Its reference by digest, if only the registry has it.
        #[serde(skip_serializing_if = "Option::is_none")]
        registry: Option<String>,
    },
    /// It is built.
    Build {
        /// Why it is built.
        reason: Reason,
    },
    /// A dependency is built first; its result decides.
    Waits {
        /// The names of the parents that it waits for.
        on: Vec<String>,
    },
}

/// Why an image is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Reason {
    /// The engine's store has no image under any of its references.
    NoImage,
    /// No engine was queried, and the registry has no image with its key.
    NotInRegistry,
    /// Whether there is an image with its key is not known: no engine was queried, and no registry answered.
    Unknown {
        /// Why it is not known.
        message: String,
    },
    /// One of its references points elsewhere, or nowhere.
    TagMoved {
        /// The reference.
        reference: String,
    },
    /// It was built from different inputs, and at least one change is known.
    Changed {
        /// The changes, most relevant first.
        changes: Vec<Change>,
    },
    /// It was built from different inputs, which are not known any more.
    OtherInputs,
    /// It was requested.
    Forced,
    /// Its build requires a file that the context lacks, so it fails.
    MissingFile {
        /// The source of the instruction.
        at: Location,
        /// What is missing.
        message: String,
        /// An edit that helps.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// Its inputs cannot be read. The build reports that too.
    Unreadable {
        /// The error message.
        message: String,
    },
}

impl Reason {
    /// Returns the reason if the build of an image with these inputs fails because a file is missing.
    pub fn of_missing_file(own: &OwnInputs) -> Option<Reason> {
        let missing = own.missing.as_ref()?;
        let label = missing.labels.first()?;
        let (message, hint) = (missing.message.clone(), missing.hint.clone());
        Some(Reason::MissingFile { at: label.source.location(label.span), message, hint })
    }
}
