//! The fake engine's images: those that were built, and the one that a request would result in.
//!
//! Owns the derivation of IDs and layers from requests, which makes runs reproducible, and the file that keeps
//! images between processes.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::PathBuf;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::steps::{bases, chain_of, is_trigger, labels, on_build};
use crate::base::Platform;
use crate::base::file::write_whole;
use crate::base::screen::visible_path;
use crate::engine::{BuildRequest, ContextSource, HistoryEntry, StoredImage};

/// Images by their references.
#[derive(Default)]
pub(super) struct FakeStore {
    file: Option<PathBuf>,
    images: BTreeMap<String, FakeImage>,
}

/// An image with its history, as stored in the file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct FakeImage {
    #[serde(flatten)]
    pub(super) image: StoredImage,
    /// The history, oldest entry first.
    #[serde(default)]
    pub(super) history: Vec<HistoryEntry>,
}

impl FakeStore {
    /// Opens the images of a file; there are none if the file does not exist yet.
    pub(super) fn open(file: Option<PathBuf>) -> anyhow::Result<FakeStore> {
        let images = match file.as_deref().map(fs::read) {
            Some(Ok(text)) => serde_json::from_slice(&text).context("the store is unreadable")?,
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => BTreeMap::new(),
        };
        Ok(FakeStore { file, images })
    }

    /// Reads the file again, as another process may have written it.
    pub(super) fn refresh(&mut self) -> anyhow::Result<()> {
        if self.file.is_some() {
            *self = FakeStore::open(self.file.take())?;
        }
        Ok(())
    }

    /// Returns the image with a reference or an ID.
    pub(super) fn find(&self, reference: &str) -> Option<FakeImage> {
        let reference = full_reference(reference);
        let by_id = || self.images.values().find(|it| it.image.id == reference);
        let mut found = self.images.get(&*reference).or_else(by_id)?.clone();
        let same = self.images.iter().filter(|(_, other)| other.image.id == found.image.id);
        let names = same.map(|(name, _)| name).filter(|name| **name != found.image.id);
        found.image.references = names.cloned().collect();
        Some(found)
    }

    /// Returns all images, each once, sorted by ID.
    pub(super) fn all(&self) -> Vec<StoredImage> {
        let ids: BTreeSet<_> = self.images.values().map(|it| &it.image.id).collect();
        ids.into_iter().filter_map(|id| self.find(id)).map(|it| it.image).collect()
    }

    /// Puts references on an image.
    pub(super) fn put(&mut self, found: &FakeImage, references: &[&str]) -> anyhow::Result<()> {
        let id = found.image.id.as_str();
        // An image without references is kept under its ID, as in an engine.
        let names = if references.is_empty() { &[id] } else { references };
        for name in names {
            let displaced = self.images.insert(full_reference(name).into_owned(), found.clone());
            // An image that has lost its last reference is kept under its ID.
            if let Some(previous) =
                displaced.filter(|previous| self.find(&previous.image.id).is_none())
            {
                self.images.insert(previous.image.id.clone(), previous);
            }
        }
        if !references.is_empty() {
            self.images.remove(id);
        }
        self.save()
    }

    /// Removes a reference, or an image with all its references by ID.
    pub(super) fn remove(&mut self, reference: &str) -> anyhow::Result<()> {
        let reference = full_reference(reference);
        self.images.retain(|name, it| *name != reference && it.image.id != reference);
        self.save()
    }

    /// Writes a temporary file and renames it, so that readers never see a partial file.
    fn save(&self) -> anyhow::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        write_whole(file, &serde_json::to_vec_pretty(&self.images)?)
            .with_context(|| format!("can't write `{}`", visible_path(file)))
    }

    /// Returns a registry's image with this content. Lines that begin with `ONBUILD` are its triggers.
    pub(super) fn external(content: &str, platform: &Platform) -> FakeImage {
        let layer = format!("sha256:{}", blake3::hash(content.as_bytes()).to_hex());
        let image = StoredImage {
            id: format!("sha256:{}", blake3::hash(layer.as_bytes()).to_hex()),
            platform: platform.clone(),
            created: "2000-01-01T00:00:00Z".to_owned(),
            on_build: on_build(content),
            diff_ids: vec![layer],
            ..StoredImage::default()
        };
        let created_by = "ADD rootfs.tar / # buildkit".to_owned();
        FakeImage { image, history: vec![HistoryEntry { created_by }] }
    }

    /// Returns the image that results from a request and the bytes of its context, or from `content` instead.
    pub(super) fn derive(
        &self,
        request: &BuildRequest,
        context: &[u8],
        content: Option<&str>,
        platform: &Platform,
    ) -> FakeImage {
        let platform = request.platform.as_ref().unwrap_or(platform);
        let mut hash = blake3::Hasher::new();
        let mut layers = Vec::new();
        let chain = chain_of(&request.dockerfile, request.target.as_deref());
        let (base, chain) = chain.unwrap_or_default();
        let base = self.find(resolve(&base, &request.contexts)).unwrap_or_default();
        if let Some(content) = content {
            feed(&mut hash, content.as_bytes());
        } else {
            let find = |name: &String| self.find(resolve(name, &request.contexts));
            for base in bases(&request.dockerfile).iter().filter_map(find) {
                feed(&mut hash, base.image.diff_ids.concat().as_bytes());
            }
            layers.clone_from(&base.image.diff_ids);
            feed(&mut hash, request.dockerfile.as_bytes());
            feed(&mut hash, request.target.as_deref().unwrap_or_default().as_bytes());
            feed(&mut hash, context);
            feed(&mut hash, format!("{:?} {platform}", request.build_args).as_bytes());
            feed(&mut hash, format!("{:?}", request.sandbox.described()).as_bytes());
        }
        layers.push(format!("sha256:{}", hash.finalize().to_hex()));
        let mut all_labels = base.image.labels;
        all_labels.extend(chain.iter().flat_map(|it| labels(it)));
        all_labels.extend(request.labels.clone());
        let mut id = blake3::Hasher::new();
        feed(&mut id, layers.concat().as_bytes());
        feed(&mut id, format!("{all_labels:?} {platform}").as_bytes());
        let entries = base.image.on_build.iter().chain(chain.iter().filter(|it| !is_trigger(it)));
        let entries = entries.cloned().map(HistoryEntry::from);
        let history = base.history.into_iter().chain(entries).collect();
        let image = StoredImage {
            id: format!("sha256:{}", id.finalize().to_hex()),
            platform: platform.clone(),
            created: "2000-01-01T00:00:00Z".to_owned(),
            size: u64::try_from(context.len()).unwrap_or(u64::MAX),
            on_build: on_build(&request.dockerfile),
            config: serde_json::json!({ "Labels": all_labels }),
            labels: all_labels,
            diff_ids: layers,
            ..StoredImage::default()
        };
        FakeImage { image, history }
    }
}

/// Adds a part with its length, so that different parts never result in the same input.
fn feed(hash: &mut blake3::Hasher, part: &[u8]) {
    hash.update(&part.len().to_le_bytes()).update(part);
}

/// Returns what a name in a Dockerfile refers to: named contexts take precedence over images.
fn resolve<'a>(name: &'a str, contexts: &'a BTreeMap<String, ContextSource>) -> &'a str {
    let short = name.strip_suffix(":latest").unwrap_or(name);
    match contexts.get(short) {
        Some(ContextSource::Image(reference)) => reference,
        _ => name,
    }
}

/// Returns a reference with its tag, which defaults to `latest`.
fn full_reference(reference: &str) -> Cow<'_, str> {
    let last = reference.rsplit('/').next().unwrap_or(reference);
    if last.contains(':') || last.contains('@') {
        return reference.into();
    }
    format!("{reference}:latest").into()
}
