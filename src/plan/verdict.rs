//! What a plan says of an image, and why.
//!
//! Owns the verdicts and the reasons as data. Only `report/` makes sentences of them.

use serde::{Deserialize, Serialize};

use crate::inputs::Change;

/// What a plan says of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// The engine or the registry holds an image that carries the key of today: there is nothing to
    /// build.
    Fresh {
        /// The image's ID.
        image_id: String,
        /// Its references that lead elsewhere or nowhere, and are put on it.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        lost: Vec<String>,
        /// Where it is by digest, when only the registry holds it.
        #[serde(skip_serializing_if = "Option::is_none")]
        registry: Option<String>,
    },
    /// It is built.
    Build {
        /// Why.
        reason: Reason,
    },
    /// Something it needs is built first; what comes out decides.
    Waits {
        /// The names of what it waits for.
        on: Vec<String>,
    },
}

/// Why an image is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Reason {
    /// The engine holds no image under any of its references.
    NoImage,
    /// One of its references leads elsewhere, or nowhere.
    TagMoved {
        /// The reference.
        reference: String,
    },
    /// It was built from other inputs, and these differ; at least one.
    Changed {
        /// What differs, what a person wants to know first first.
        changes: Vec<Change>,
    },
    /// It was built from other inputs, and nobody knows any more which.
    OtherInputs,
    /// It was asked for.
    Forced,
    /// Its inputs can't be read; the build will say so too.
    Unreadable {
        /// What is wrong.
        message: String,
    },
}
