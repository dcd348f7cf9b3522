//! Images as an engine's store describes them.
//!
//! Owns the vocabulary of stores. It asks nothing.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use super::buildkit::wording;
use crate::base::Platform;
use crate::base::clock::UnixTime;

/// An image in an engine's store.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct StoredImage {
    /// Its ID (`sha256:…`).
    pub id: String,
    /// What it runs on.
    pub platform: Platform,
    /// When it was made, as the engine says it (RFC 3339).
    pub created: String,
    /// Its size in bytes, as the engine counts.
    pub size: u64,
    /// The instructions that a child begins with.
    pub on_build: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The digests of its layers, unpacked, lowest first.
    pub diff_ids: Vec<String>,
    /// The references that it has here, with tags.
    pub references: Vec<String>,
    /// The references by digest under which registries know it.
    pub digests: Vec<String>,
    /// Its runtime configuration, the whole `Config` object as the engine gives it.
    pub config: serde_json::Value,
    /// Its author (`MAINTAINER`); empty if it has none.
    pub author: String,
    /// The version of its operating system, which only Windows images have.
    pub os_version: String,
}

/// One entry of an image's history (OCI image specification, `config.md`, `history`).
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct HistoryEntry {
    /// The instruction that made it, in the builder's own wording; may be empty.
    pub created_by: String,
}

impl HistoryEntry {
    /// Whether the instruction with a keyword leaves such an entry.
    pub fn is_of(&self, keyword: &str) -> bool {
        wording::keyword_of(&self.created_by).eq_ignore_ascii_case(keyword)
    }
}

impl From<String> for HistoryEntry {
    fn from(created_by: String) -> HistoryEntry {
        HistoryEntry { created_by }
    }
}

/// What proves the origin of an image: what a build leaves in it, and nothing built on it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The triggers that it carries.
    pub on_build: Vec<String>,
    /// Its history, oldest entry first.
    pub history: Vec<HistoryEntry>,
}

/// A label that images of a listing carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelFilter<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value; any where there is none.
    pub value: Option<&'a str>,
}

impl<'a> LabelFilter<'a> {
    /// A label with a name, whatever its value.
    pub const fn named(name: &'a str) -> LabelFilter<'a> {
        LabelFilter { name, value: None }
    }

    /// Whether some labels pass.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        labels.get(self.name).is_some_and(|found| self.value.is_none_or(|value| found == value))
    }
}

impl Display for LabelFilter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            Some(value) => write!(f, "{}={value}", self.name),
            None => f.write_str(self.name),
        }
    }
}

/// An image as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedImage {
    /// Its ID (`sha256:…`).
    pub id: String,
    /// When it was made.
    pub created: UnixTime,
    /// The references that it has here, with tags.
    pub references: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its size in bytes, as the engine counts.
    pub size: u64,
}
