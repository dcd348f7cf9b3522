//! The fake engine's images: what was built, and what an image of a request would be.
//!
//! Owns the derivation of IDs and layers from what is asked for, so that runs can be repeated,
//! and the file that keeps images from one process to the next.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::steps::{base_of, bases, on_build};
use crate::base::screen::visible_path;
use crate::engine::{BuildRequest, StoredImage};

/// Images by their references.
#[derive(Default)]
pub(super) struct Store {
    file: Option<PathBuf>,
    images: BTreeMap<String, StoredImage>,
}

impl Store {
    /// The images of a file, none where it is not there yet.
    pub(super) fn open(file: Option<PathBuf>) -> anyhow::Result<Store> {
        let images = match file.as_deref().map(fs::read) {
            Some(Ok(text)) => serde_json::from_slice(&text).context("the store is unreadable")?,
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => BTreeMap::new(),
        };
        Ok(Store { file, images })
    }

    /// Looks again at the file, which another process may have written meanwhile.
    pub(super) fn refresh(&mut self) -> anyhow::Result<()> {
        if self.file.is_some() {
            *self = Store::open(self.file.take())?;
        }
        Ok(())
    }

    /// The image under a reference or an ID.
    pub(super) fn find(&self, reference: &str) -> Option<StoredImage> {
        let reference = whole_reference(reference);
        let by_id = || self.images.values().find(|image| image.id == reference);
        let mut image = self.images.get(&reference).or_else(by_id)?.clone();
        let same = self.images.iter().filter(|(_, other)| other.id == image.id);
        let names = same.map(|(name, _)| name).filter(|name| **name != image.id);
        image.references = names.cloned().collect();
        Some(image)
    }

    /// All images, each once, in the order of their IDs.
    pub(super) fn all(&self) -> Vec<StoredImage> {
        let ids: BTreeMap<_, _> = self.images.values().map(|image| (&image.id, ())).collect();
        ids.into_keys().filter_map(|id| self.find(id)).collect()
    }

    /// Puts an image under references.
    pub(super) fn put(&mut self, image: &StoredImage, references: &[String]) -> anyhow::Result<()> {
        // Without a reference it is found by its ID alone, as an engine keeps it.
        let names =
            if references.is_empty() { std::slice::from_ref(&image.id) } else { references };
        for name in names {
            let displaced = self.images.insert(whole_reference(name), image.clone());
            // An image that has lost its last reference is still there, under its ID.
            if let Some(lost) = displaced.filter(|lost| self.find(&lost.id).is_none()) {
                self.images.insert(lost.id.clone(), lost);
            }
        }
        if !references.is_empty() {
            self.images.remove(&image.id);
        }
        self.save()
    }

    /// Takes a reference, or all of an image by its ID, away.
    pub(super) fn remove(&mut self, reference: &str) -> anyhow::Result<()> {
        let reference = whole_reference(reference);
        self.images.retain(|name, image| *name != reference && image.id != reference);
        self.save()
    }

    /// Written beside and moved: whoever reads finds a whole file.
    fn save(&self) -> anyhow::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        write_whole(file, &serde_json::to_vec_pretty(&self.images)?)
            .with_context(|| format!("can't write `{}`", visible_path(file)))
    }

    /// An image of a registry, given what it holds.
    pub(super) fn external(content: &str, platform: &str) -> StoredImage {
        let layer = format!("sha256:{}", blake3::hash(content.as_bytes()).to_hex());
        StoredImage {
            id: format!("sha256:{}", blake3::hash(layer.as_bytes()).to_hex()),
            platform: platform.to_owned(),
            created: "2000-01-01T00:00:00Z".to_owned(),
            diff_ids: vec![layer],
            ..StoredImage::default()
        }
    }

    /// The image that a request makes, given its context's bytes, or `content` in place of all.
    pub(super) fn derive(
        &self,
        request: &BuildRequest,
        context: &[u8],
        content: Option<&str>,
        platform: &str,
    ) -> StoredImage {
        let platform = request.platform.as_deref().unwrap_or(platform);
        let mut hash = blake3::Hasher::new();
        let mut layers = Vec::new();
        if let Some(content) = content {
            feed(&mut hash, content.as_bytes());
        } else {
            let find = |name: &String| self.find(&meant(name, &request.contexts));
            for base in bases(&request.dockerfile).iter().filter_map(find) {
                feed(&mut hash, base.diff_ids.concat().as_bytes());
            }
            let base = base_of(&request.dockerfile, request.target.as_deref());
            layers = base.as_ref().and_then(find).map(|base| base.diff_ids).unwrap_or_default();
            feed(&mut hash, request.dockerfile.as_bytes());
            feed(&mut hash, request.target.as_deref().unwrap_or_default().as_bytes());
            feed(&mut hash, context);
            feed(&mut hash, format!("{:?} {platform}", request.build_args).as_bytes());
        }
        layers.push(format!("sha256:{}", hash.finalize().to_hex()));
        let mut id = blake3::Hasher::new();
        feed(&mut id, layers.concat().as_bytes());
        feed(&mut id, format!("{:?} {platform}", request.labels).as_bytes());
        StoredImage {
            id: format!("sha256:{}", id.finalize().to_hex()),
            platform: platform.to_owned(),
            created: "2000-01-01T00:00:00Z".to_owned(),
            size: u64::try_from(context.len()).unwrap_or(u64::MAX),
            on_build: on_build(&request.dockerfile),
            labels: request.labels.clone(),
            diff_ids: layers,
            references: Vec::new(),
            digests: Vec::new(),
            config: serde_json::json!({ "Labels": request.labels }),
        }
    }
}

/// Adds a part with its length, so that two parts never pass for two others.
fn feed(hash: &mut blake3::Hasher, part: &[u8]) {
    hash.update(&part.len().to_le_bytes()).update(part);
}

/// What a name in a Dockerfile means: a named context comes before an image.
fn meant(name: &str, contexts: &BTreeMap<String, String>) -> String {
    let short = name.strip_suffix(":latest").unwrap_or(name);
    let context = contexts.get(short).and_then(|value| value.strip_prefix("docker-image://"));
    context.unwrap_or(name).to_owned()
}

/// A reference with its tag, as an engine files it.
fn whole_reference(reference: &str) -> String {
    let last = reference.rsplit('/').next().unwrap_or(reference);
    if last.contains(':') || last.contains('@') {
        return reference.to_owned();
    }
    format!("{reference}:latest")
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    fs::write(&beside, bytes)?;
    fs::rename(&beside, path)
}
