//! The registry as the store that all machines share.
//!
//! Owns where an image lies in it: under a tag that is made of its key, and under its references.
//! Whoever finds the key there has nothing to build. What is found counts only if it proves its origin, by
//! the same rule as in an engine's own store (`origin`).

use std::sync::OnceLock;

use super::origin;
use crate::base::Platform;
use crate::base::error::{self, ErrorKind};
use crate::base::text::names_registry;
use crate::engine::{Evidence, HistoryEntry};
use crate::graph::Image;
use crate::graph::reference::{HUB, Reference};
use crate::inputs::{Identity, Inheritance, Outside};
use crate::registry::{Registries, Remote, RemoteImage};

/// What the tag begins with under which an image lies in the registry for whoever has its key.
const KEY_TAG: &str = "layers-";

/// Where Docker Hub keeps names of one part.
const OFFICIAL: &str = "library/";

/// The registry that a repository's images are shared by, as `ghcr.io/acme` says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// The registry.
    pub registry: String,
    /// What comes before the names of images in it; may be empty.
    pub prefix: String,
}

/// An image of the repository in the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// Where it is, by digest: `ghcr.io/acme/base@sha256:…`.
    pub reference: String,
    /// The digest.
    pub digest: String,
    /// Its ID: the digest of its configuration.
    pub image_id: String,
    /// What it is to a child.
    pub identity: Identity,
    /// What it hands down.
    pub inheritance: Box<Inheritance>,
    /// How many bytes it takes as it travels.
    pub size: u64,
}

/// The registry of a run.
pub struct SharedStore {
    /// Whoever asks.
    pub registries: Registries,
    home: Option<Home>,
    platform: Platform,
    is_needed: bool,
    trouble: OnceLock<String>,
    denied: OnceLock<String>,
}

impl Home {
    /// Reads `HOST[:PORT][/PATH]`.
    ///
    /// # Errors
    /// Where it is no registry; what is wrong, in words.
    pub fn parse(text: &str) -> Result<Home, String> {
        let (registry, prefix) = text.split_once('/').unwrap_or((text, ""));
        let prefix = prefix.trim_end_matches('/').to_owned();
        let home = Home { registry: registry.to_owned(), prefix };
        let sample = Reference::parse(&home.join("x"));
        match sample {
            Ok(sample) if names_registry(registry) && sample.domain == registry => Ok(home),
            _ => Err(format!("`{text}` names no registry")),
        }
    }

    fn join(&self, path: &str) -> String {
        let Home { registry, prefix } = self;
        // `ghcr.io/acme` and `acme/base` mean `ghcr.io/acme/base`.
        let is_below = path.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.starts_with('/'));
        match prefix.as_str() {
            "" => format!("{registry}/{path}"),
            _ if is_below => format!("{registry}/{path}"),
            _ => format!("{registry}/{prefix}/{path}"),
        }
    }

    /// Where a reference lies: one that names its registry there, any other here.
    fn place(&self, reference: &Reference) -> Reference {
        if reference.domain != HUB || self.registry == HUB && self.prefix.is_empty() {
            return reference.clone();
        }
        let path = reference.path.strip_prefix(OFFICIAL).unwrap_or(&reference.path);
        let placed = Reference::parse(&self.join(path));
        // A prefix that was read once joins any path.
        let placed = placed.unwrap_or_else(|_| reference.clone());
        Reference { tag: reference.tag.clone(), digest: reference.digest.clone(), ..placed }
    }
}

impl SharedStore {
    /// The registry at `home`, or wherever references lead without one, for a platform. Where images are to
    /// be put into it, it is needed: that it can't be asked is then an error.
    pub fn new(
        registries: Registries,
        home: Option<Home>,
        platform: Platform,
        is_needed: bool,
    ) -> SharedStore {
        SharedStore {
            registries,
            home,
            platform,
            is_needed,
            trouble: OnceLock::new(),
            denied: OnceLock::new(),
        }
    }

    /// Whether images are to be put into it.
    pub fn is_needed(&self) -> bool {
        self.is_needed
    }

    /// Why it is no longer asked, where that is so.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.get().map(String::as_str)
    }

    /// Why images were not found, where it did not let us at their repositories.
    pub fn denied(&self) -> Option<&str> {
        self.denied.get().map(String::as_str)
    }

    /// Where a reference of an image lies.
    pub fn place(&self, reference: &Reference) -> Reference {
        match &self.home {
            Some(home) => home.place(reference),
            None => reference.clone(),
        }
    }

    /// The references under which an image lies for whoever has its key: one in each repository that
    /// it has a reference in, that of the first reference first.
    pub fn key_references(&self, image: &Image, key: &str) -> Vec<Reference> {
        let tag = format!("{KEY_TAG}{key}");
        let mut places: Vec<Reference> = Vec::new();
        for reference in &image.references {
            let place = self.place(reference);
            if !places.iter().any(|it| it.same_repository(&place)) {
                places.push(Reference { tag: Some(tag.clone()), digest: None, ..place });
            }
        }
        places
    }

    /// The image that carries a key, where the registry has it.
    ///
    /// Where images are only looked for, a registry that can't be asked is left alone from then on:
    /// to build what it may have costs time, and nothing else.
    ///
    /// # Errors
    /// Where the registry can't be asked and images are to be put into it.
    pub fn find(&self, image: &Image, key: &str) -> anyhow::Result<Option<Registered>> {
        if self.trouble().is_some() {
            return Ok(None);
        }
        match self.look(image, key) {
            Ok(found) => Ok(found),
            // Registries say this of repositories that are not there, too, and the first push makes one:
            // whether it is so, that push finds out.
            Err(error) if error::kind(&error) == ErrorKind::Denied => {
                if !self.is_needed {
                    drop(self.denied.set(error::text(&error)));
                }
                Ok(None)
            }
            Err(error) if self.is_needed => Err(error),
            Err(error) => {
                // Of several that fail at once one is told.
                drop(self.trouble.set(error::text(&error)));
                Ok(None)
            }
        }
    }

    /// An external as its registry describes it, and where it is by digest; nothing where it can't be
    /// asked. What is not known is fetched, and then the engine says what is wrong.
    pub fn external(&self, reference: &Reference) -> Option<(Outside, String)> {
        let found = self.registries.image(&remote(reference), &self.platform).ok()??;
        let digest = Some(found.digest.clone());
        let place = Reference { tag: None, digest, ..reference.clone() }.familiar();
        let outside = Outside {
            identity: Identity::of_remote(&found),
            inheritance: Inheritance::of_remote(&found),
            triggers: Some(found.on_build()),
            image_id: None,
        };
        Some((outside, place))
    }

    /// The image that carries a key, whatever a fault means.
    fn look(&self, image: &Image, key: &str) -> anyhow::Result<Option<Registered>> {
        let places = self.key_references(image, key);
        let Some((first, others)) = places.split_first() else { return Ok(None) };
        let Some(found) = self.registries.image(&remote(first), &self.platform)? else {
            return Ok(None);
        };
        // A tag can be put on anything.
        let history = found.history.iter().cloned().map(HistoryEntry::from).collect();
        let evidence = Evidence { labels: found.labels(), on_build: found.on_build(), history };
        if !origin::is_proved(image, key, &evidence) {
            return Ok(None);
        }
        for other in others {
            // An image that is in one repository of several has not arrived.
            if self.registries.digest(&remote(other))?.as_ref() != Some(&found.digest) {
                return Ok(None);
            }
        }
        Ok(Some(describe(first, found)))
    }
}

/// A reference as registries are asked for it.
pub fn remote(reference: &Reference) -> Remote {
    let version = reference.digest.as_ref().or(reference.tag.as_ref());
    Remote {
        registry: reference.domain.clone(),
        repository: reference.path.clone(),
        version: version.map_or("latest", String::as_str).to_owned(),
    }
}

fn describe(reference: &Reference, found: RemoteImage) -> Registered {
    let identity = Identity::of_remote(&found);
    let inheritance = Box::new(Inheritance::of_remote(&found));
    let RemoteImage { digest, id, size, .. } = found;
    let by_digest = Reference { tag: None, digest: Some(digest.clone()), ..reference.clone() };
    Registered {
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
    fn a_reference_lies_in_the_registry_unless_it_names_another() {
        let check = |home: &str, reference: &str, expected: &str| {
            let home = Home::parse(home).unwrap();
            let placed = home.place(&Reference::parse(reference).unwrap());
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
    fn what_is_no_registry_is_refused() {
        let check = |text: &str| assert!(Home::parse(text).is_err(), "{text}");
        ["", "acme", "acme/shop", "https://ghcr.io", "ghcr.io/Acme", "ghcr.io:", "ghcr.io/a b"]
            .into_iter()
            .for_each(check);
    }
}
