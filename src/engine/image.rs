//! Images as an engine's store describes them.
//!
//! Owns the types that stores return. It sends no requests.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use super::buildkit::wording;
use crate::base::Platform;
use crate::base::clock::UnixTime;

/// An image in an engine's store.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct StoredImage {
    /// The image ID (`sha256:…`).
    pub id: String,
    /// The platform that the image is for.
    pub platform: Platform,
    /// When the image was created, as the engine reports it (RFC 3339).
    pub created: String,
    /// The size in bytes, as the engine counts it.
    pub size: u64,
    /// The `ONBUILD` triggers, which run at the start of a child's build.
    pub on_build: Vec<String>,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// The digests of the uncompressed layers, lowest first.
    pub diff_ids: Vec<String>,
    /// The references with a tag that the image has in this store.
    pub references: Vec<String>,
    /// The references with a digest under which registries have the image.
    pub digests: Vec<String>,
    /// The runtime configuration: the whole `Config` object as the engine returns it.
    pub config: serde_json::Value,
    /// The author (`MAINTAINER`); empty if there is none.
    pub author: String,
    /// The version of the operating system; only Windows images have one.
    pub os_version: String,
}

/// One entry of an image's history (OCI image specification, `config.md`, `history`).
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct HistoryEntry {
    /// The instruction that created the entry, in the builder's wording; may be empty.
    pub created_by: String,
}

impl HistoryEntry {
    /// Returns whether the entry comes from an instruction with this keyword.
    pub fn is_of(&self, keyword: &str) -> bool {
        wording::keyword_of(&self.created_by).eq_ignore_ascii_case(keyword)
    }
}

impl From<String> for HistoryEntry {
    fn from(created_by: String) -> HistoryEntry {
        HistoryEntry { created_by }
    }
}

/// What proves the origin of an image: traces of its build that no image built on it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// The `ONBUILD` triggers.
    pub on_build: Vec<String>,
    /// The history, oldest entry first.
    pub history: Vec<HistoryEntry>,
}

/// A filter for images by label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelFilter<'a> {
    /// The label's name.
    pub name: &'a str,
    /// The label's value; `None` matches any value.
    pub value: Option<&'a str>,
}

impl<'a> LabelFilter<'a> {
    /// Returns a filter for a label with this name and any value.
    pub const fn named(name: &'a str) -> LabelFilter<'a> {
        LabelFilter { name, value: None }
    }

    /// Returns whether these labels match the filter.
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

/// An image in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedImage {
    /// The image ID (`sha256:…`).
    pub id: String,
    /// When the image was created.
    pub created: UnixTime,
    /// The references with a tag that the image has in this store.
    pub references: Vec<String>,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// The size in bytes, as the engine counts it.
    pub size: u64,
}
