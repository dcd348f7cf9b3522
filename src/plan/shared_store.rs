//! The registry as the store that all machines share.
//!
//! Owns where an image is in it: under a tag made from its key, and under its references. A machine that finds the key
//! has nothing to build. An image that is found is used only if it proves its origin, by the same rule as in an
//! engine's own store (`origin`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::origin;
use crate::base::Platform;
use crate::base::error::{self, ErrorKind};
use crate::base::text::names_registry;
use crate::engine::{Evidence, HistoryEntry};
use crate::graph::Image;
use crate::graph::reference::{HUB, Reference};
use crate::inputs::{ExternalDescription, Identity, Inheritance};
use crate::registry::{Registries, Remote, RemoteImage};

/// The prefix of the tag that makes an image available by its key.
const KEY_TAG: &str = "layers-";

/// The number of names that an image can have for its key.
pub const MOST_NAMES: usize = 5;

/// Where Docker Hub keeps names without a slash.
const OFFICIAL: &str = "library/";

/// The registry through which a repository's images are shared, such as `ghcr.io/acme`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryNamespace {
    /// The host of the registry, and its port.
    pub registry: String,
    /// The prefix of the names of images in it. May be empty.
    pub prefix: String,
}

/// An image of the repository in the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryImage {
    /// Its reference by digest: `ghcr.io/acme/base@sha256:…`.
    pub reference: String,
    /// Its digest.
    pub digest: String,
    /// Its ID: the digest of its configuration.
    pub image_id: String,
    /// What it is to a child.
    pub identity: Identity,
    /// What it passes on to its children.
    pub inheritance: Box<Inheritance>,
    /// Its compressed size in bytes.
    pub size: u64,
}

/// The registry of a run.
pub struct SharedStore {
    /// The registry client.
    pub registries: Arc<Registries>,
    home: Option<RegistryNamespace>,
    platform: Platform,
    is_needed: bool,
    lost: LostImages,
    trouble: OnceLock<String>,
    denied: OnceLock<String>,
    /// Why it is not known whether the registry has something, by the name of the image or the external.
    unknown: Mutex<BTreeMap<String, String>>,
}

impl RegistryNamespace {
    /// Parses `HOST[:PORT][/PATH]`.
    ///
    /// # Errors
    /// Returns a message if the text is not a registry.
    pub fn parse(text: &str) -> Result<RegistryNamespace, String> {
        let (registry, prefix) = text.split_once('/').unwrap_or((text, ""));
        let prefix = prefix.trim_end_matches('/').to_owned();
        let home = RegistryNamespace { registry: registry.to_owned(), prefix };
        let sample = Reference::parse(&home.join("x"));
        match sample {
            Ok(sample) if names_registry(registry) && sample.domain == registry => Ok(home),
            _ => Err(format!("`{text}` is not a valid registry")),
        }
    }

    fn join(&self, path: &str) -> String {
        let RegistryNamespace { registry, prefix } = self;
        // `ghcr.io/acme` with `acme/base` is `ghcr.io/acme/base`.
        let is_below = path.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.starts_with('/'));
        match prefix.as_str() {
            "" => format!("{registry}/{path}"),
            _ if is_below => format!("{registry}/{path}"),
            _ => format!("{registry}/{prefix}/{path}"),
        }
    }

    /// Returns where a reference is: in the registry that it names, or else in this one.
    fn registry_reference(&self, reference: &Reference) -> Reference {
        if reference.domain != HUB || self.registry == HUB && self.prefix.is_empty() {
            return reference.clone();
        }
        let path = reference.path.strip_prefix(OFFICIAL).unwrap_or(&reference.path);
        let placed = Reference::parse(&self.join(path));
        // A valid prefix can be joined with any path.
        let placed = placed.unwrap_or_else(|_| reference.clone());
        Reference { tag: reference.tag.clone(), digest: reference.digest.clone(), ..placed }
    }
}

impl SharedStore {
    /// Returns the registry at `home`, or without one, the registries that references name. If images are to be pushed,
    /// it is needed, and a failure to reach it is an error. Images that are `lost` are not used.
    pub fn new(
        registries: Registries,
        home: Option<RegistryNamespace>,
        platform: Platform,
        is_needed: bool,
        lost: LostImages,
    ) -> SharedStore {
        SharedStore {
            registries: Arc::new(registries),
            home,
            platform,
            is_needed,
            lost,
            trouble: OnceLock::new(),
            denied: OnceLock::new(),
            unknown: Mutex::default(),
        }
    }

    /// Returns whether images are to be pushed to it.
    pub fn is_needed(&self) -> bool {
        self.is_needed
    }

    /// Returns why it is not used any more, if that is so.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.get().map(String::as_str)
    }

    /// Returns why images were not found, if access to their repositories was denied, or if what has their keys is not
    /// usable.
    pub fn denied(&self) -> Option<&str> {
        self.denied.get().map(String::as_str)
    }

    /// Returns why it is not known whether a registry has an image or an external with this name; `None` if that is
    /// known.
    pub fn why_unknown(&self, name: &str) -> Option<String> {
        let unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        let trouble = || self.trouble()?.lines().next().map(str::to_owned);
        unknown.get(name).cloned().or_else(trouble)
    }

    fn note_unknown(&self, name: &str, error: &anyhow::Error) {
        let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        unknown.insert(name.to_owned(), error.to_string());
    }

    /// Returns where a reference of an image is in the registry.
    pub fn registry_reference(&self, reference: &Reference) -> Reference {
        match &self.home {
            Some(home) => home.registry_reference(reference),
            None => reference.clone(),
        }
    }

    /// Returns the references under which an image is available by its key: one in each repository that it has a
    /// reference in, starting with the repository of the first reference. `number`, from 1, is that of the name: the
    /// next one is used if an earlier one is taken by something else and cannot be moved.
    pub fn key_references(&self, image: &Image, key: &str, number: usize) -> Vec<Reference> {
        let tag = match number {
            1 => format!("{KEY_TAG}{key}"),
            number => format!("{KEY_TAG}{key}-{number}"),
        };
        let mut references: Vec<Reference> = Vec::new();
        for reference in &image.references {
            let repository = self.registry_reference(reference);
            if !references.iter().any(|it| it.same_repository(&repository)) {
                references.push(Reference { tag: Some(tag.clone()), digest: None, ..repository });
            }
        }
        references
    }

    /// Returns the image that has a key, if the registry has it.
    ///
    /// If images are only looked up, a registry that cannot be reached is not used any more: building what it may have
    /// only costs time.
    ///
    /// # Errors
    /// Returns an error if the registry cannot be reached and images are to be pushed to it.
    pub fn find(&self, image: &Image, key: &str) -> anyhow::Result<Option<RegistryImage>> {
        if self.trouble().is_some() {
            return Ok(None);
        }
        match self.look(image, key) {
            Ok(found) => Ok(found),
            // Registries also deny access to repositories that do not exist yet, which the first
            // push creates. That push finds out which it is.
            Err(error) if error::kind(&error) == ErrorKind::Denied => {
                self.note_unknown(&image.name, &error);
                if !self.is_needed {
                    drop(self.denied.set(error::text(&error)));
                }
                Ok(None)
            }
            Err(error) if self.is_needed => Err(error),
            Err(error) => {
                // If several requests fail at the same time, one failure is reported.
                drop(self.trouble.set(error::text(&error)));
                Ok(None)
            }
        }
    }

    /// Returns an external as its registry describes it, and its reference by digest. Returns `None` if the registry
    /// cannot be reached: the external is then pulled, and the engine reports the error.
    pub fn external(&self, reference: &Reference) -> Option<(ExternalDescription, String)> {
        let found = self.registries.image(&remote(reference), &self.platform);
        let found = found.inspect_err(|error| self.note_unknown(&reference.familiar(), error));
        let found = found.ok()??;
        let digest = Some(found.digest.clone());
        let by_digest = Reference { tag: None, digest, ..reference.clone() }.familiar();
        let outside = ExternalDescription {
            identity: Identity::of_remote(&found),
            inheritance: Inheritance::of_remote(&found),
            triggers: Some(found.on_build()),
            image_id: None,
        };
        Some((outside, by_digest))
    }

    /// Returns the image that has a key, and all errors.
    fn look(&self, image: &Image, key: &str) -> anyhow::Result<Option<RegistryImage>> {
        for number in 1..=MOST_NAMES {
            match self.look_at(image, key, number) {
                Ok(KeyName::Free) => break,
                Ok(KeyName::Taken) => {}
                Ok(KeyName::Image(found)) => return Ok(Some(*found)),
                Err(error) if error::kind(&error) == ErrorKind::Corrupt => {
                    drop(self.denied.set(error::text(&error)));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Returns what has a name of a key.
    fn look_at(&self, image: &Image, key: &str, number: usize) -> anyhow::Result<KeyName> {
        let references = self.key_references(image, key, number);
        let Some((first, others)) = references.split_first() else { return Ok(KeyName::Free) };
        let Some(found) = self.registries.image(&remote(first), &self.platform)? else {
            return Ok(KeyName::Free);
        };
        if self.lost.contains(&found.digest) {
            return Ok(KeyName::Taken);
        }
        // A tag can point to anything.
        let history = found.history.iter().cloned().map(HistoryEntry::from).collect();
        let evidence = Evidence { labels: found.labels(), on_build: found.on_build(), history };
        if !origin::is_proved(image, key, &evidence) {
            return Ok(KeyName::Taken);
        }
        for other in others {
            // An image that is only in some of its repositories was not pushed completely.
            if self.registries.digest(&remote(other))?.as_ref() != Some(&found.digest) {
                return Ok(KeyName::Taken);
            }
        }
        Ok(KeyName::Image(Box::new(describe(first, found))))
    }

    /// Returns whether something has one of the names of a key, so that another image cannot be pushed there if the
    /// registry's tags are immutable.
    ///
    /// # Errors
    /// Returns an error if the registry cannot be reached.
    pub fn is_taken(&self, image: &Image, key: &str, number: usize) -> anyhow::Result<bool> {
        let references = self.key_references(image, key, number);
        let found = references.iter().map(|it| Ok(self.registries.digest(&remote(it))?.is_some()));
        Ok(found.collect::<anyhow::Result<Vec<bool>>>()?.contains(&true))
    }

    /// Checks whether the registry has lost a part of an image, given by its reference by digest. If so, the image is
    /// not used any more.
    ///
    /// # Errors
    /// Returns an error if the registry cannot be reached.
    pub fn check_lost(&self, reference: &str) -> anyhow::Result<bool> {
        let Ok(reference) = Reference::parse(reference) else { return Ok(false) };
        let is_lost = !self.registries.is_complete(&remote(&reference), &self.platform)?;
        if let (true, Some(digest)) = (is_lost, reference.digest) {
            self.lost.add(digest);
        }
        Ok(is_lost)
    }
}

/// What has a name of a key.
enum KeyName {
    /// Nothing.
    Free,
    /// Something that is not the image, or of which a part is lost.
    Taken,
    /// The image.
    Image(Box<RegistryImage>),
}

/// The digests of images of which a registry has lost a part. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct LostImages(Arc<Mutex<BTreeSet<String>>>);

impl LostImages {
    fn digests(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, digest: String) {
        self.digests().insert(digest);
    }

    fn contains(&self, digest: &str) -> bool {
        self.digests().contains(digest)
    }

    /// Returns the number of images.
    pub fn count(&self) -> usize {
        self.digests().len()
    }
}

/// Returns a reference in the form of registry requests.
pub fn remote(reference: &Reference) -> Remote {
    let version = reference.digest.as_ref().or(reference.tag.as_ref());
    Remote {
        registry: reference.domain.clone(),
        repository: reference.path.clone(),
        version: version.map_or("latest", String::as_str).to_owned(),
    }
}

fn describe(reference: &Reference, found: RemoteImage) -> RegistryImage {
    let identity = Identity::of_remote(&found);
    let inheritance = Box::new(Inheritance::of_remote(&found));
    let RemoteImage { digest, id, size, .. } = found;
    let by_digest = Reference { tag: None, digest: Some(digest.clone()), ..reference.clone() };
    RegistryImage {
        reference: by_digest.familiar(),
        digest,
        image_id: id,
        identity,
        inheritance,
        size,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_in_the_registry_unless_they_name_another() {
        let check = |home: &str, reference: &str, expected: &str| {
            let home = RegistryNamespace::parse(home).unwrap();
            let placed = home.registry_reference(&Reference::parse(reference).unwrap());
            assert_eq!(placed.familiar(), expected, "{reference} in {home:?}");
        };
        check("ghcr.io", "acme/shop-base:1", "ghcr.io/acme/shop-base:1");
        check("ghcr.io/acme", "acme/shop-base", "ghcr.io/acme/shop-base:latest");
        check("ghcr.io/acme/", "acmeshop", "ghcr.io/acme/acmeshop:latest");
        check("ghcr.io/acme", "other/shop-base", "ghcr.io/acme/other/shop-base:latest");
        check("localhost:5000", "base", "localhost:5000/base:latest");
        check("ghcr.io", "quay.io/acme/base", "quay.io/acme/base:latest");
        check("ghcr.io", "ghcr.io/acme/base:2", "ghcr.io/acme/base:2");
        check("docker.io", "acme/base:2", "acme/base:2");
        check("docker.io/acme", "base:2", "acme/base:2");
    }

    #[test]
    fn invalid_registries_are_rejected() {
        let check = |text: &str| assert!(RegistryNamespace::parse(text).is_err(), "{text}");
        ["", "acme", "acme/shop", "https://ghcr.io", "ghcr.io/Acme", "ghcr.io:", "ghcr.io/a b"]
            .into_iter()
            .for_each(check);
    }
}
