//! Parent aliases and context overrides: what the build of one image gets in place of what its Dockerfile names.
//!
//! Owns the named contexts that point to the planned images, whatever the names in the Dockerfile point to when the
//! engine looks them up. `plan` decides which images are replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::base::{ErrorKind, UnitId, error};
use crate::engine::{ContextSource, ImageStore, StoredImage};
use crate::graph::evaluate::DependencyKind;
use crate::graph::reference::{IMAGE_SCHEME, Reference};
use crate::inputs::NamedDependency;
use crate::plan::{FreshnessCheck, ParentImage, alias};

/// What the build of an image gets in place of what its Dockerfile names.
#[derive(Default)]
pub struct ContextOverrides {
    /// Named contexts: the name in `FROM` or `--from`, and its replacement.
    pub contexts: BTreeMap<String, ContextSource>,
    /// References, and the aliases of the images that they mean.
    pub names: BTreeMap<Reference, String>,
}

/// Gives images in the engine's store aliases, which they keep until the end of the run: an engine writes its list of
/// names to the disk whenever one is added or removed.
#[derive(Default)]
pub struct ParentAliases {
    names: Mutex<AliasNames>,
}

#[derive(Default)]
struct AliasNames {
    /// The aliases, by image ID.
    of: BTreeMap<String, String>,
    /// The aliases of images that are being built.
    promised: BTreeSet<String>,
}

impl ParentAliases {
    fn names(&self) -> MutexGuard<'_, AliasNames> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the alias of an image, and creates it if there is none.
    ///
    /// # Errors
    /// Returns an error if the engine's store does not have the image any more, or if the engine cannot be reached.
    pub fn alias(&self, image_id: &str, store: &dyn ImageStore) -> anyhow::Result<String> {
        // Other builds on the same image wait here until it has its alias.
        let mut names = self.names();
        if let Some(name) = names.of.get(image_id) {
            return Ok(name.clone());
        }
        let name = alias::new_alias();
        store.tag(image_id, &name)?;
        names.of.insert(image_id.to_owned(), name.clone());
        Ok(name)
    }

    /// Gives an image an alias, which keeps it until the end of the run. Returns false if the engine's store does not
    /// have it any more.
    ///
    /// # Errors
    /// Returns an error if the engine cannot be reached.
    pub fn hold(&self, image_id: &str, store: &dyn ImageStore) -> anyhow::Result<bool> {
        match self.alias(image_id, store) {
            Err(_) if store.inspect(image_id)?.is_none() => Ok(false),
            alias => alias.map(|_| true),
        }
    }

    /// Returns an alias for an image that is about to be built.
    pub fn promise(&self) -> String {
        let name = alias::new_alias();
        self.names().promised.insert(name.clone());
        name
    }

    /// Records the alias that an image was built with, if any.
    pub fn note(&self, built: &StoredImage) {
        let mut names = self.names();
        for reference in &built.references {
            if names.promised.remove(reference)
                && let Some(other) = names.of.insert(built.id.clone(), reference.clone())
            {
                // A build can result in an image that has an alias already. Both are removed in the end.
                names.promised.insert(other);
            }
        }
    }

    /// Removes all aliases, unless the engine does not respond. A later run removes those that stay.
    pub fn remove_all(&self, store: &dyn ImageStore) {
        let AliasNames { of, promised } = std::mem::take(&mut *self.names());
        for name in of.into_values().chain(promised) {
            let removed = store.remove(&name);
            if removed.is_err_and(|error| error::kind(&error) == ErrorKind::Unreachable) {
                return;
            }
        }
    }
}

impl ContextOverrides {
    /// Returns what an image is built on in place of what its Dockerfile names: an image from a registry by digest, and
    /// an image in the engine's store by its alias.
    ///
    /// # Errors
    /// Returns an error if the engine's store does not have an image any more, or if the engine cannot be reached.
    pub fn of(
        freshness: &FreshnessCheck<'_>,
        unit: UnitId,
        parents: &[ParentImage],
        parent_aliases: &ParentAliases,
    ) -> anyhow::Result<ContextOverrides> {
        let mut found = ContextOverrides::default();
        let Some(Ok(own)) = &freshness.own[unit] else { return Ok(found) };
        if !freshness.resolves_by_digest(unit) {
            return Ok(found);
        }
        for (dependency, NamedDependency { reference, of, .. }) in own.named_dependencies() {
            let of = *of;
            let is_context = dependency.kind == DependencyKind::Context;
            if let Some(id) = freshness.alias_id(unit, dependency, of, parents) {
                let name = parent_aliases.alias(id, freshness.store)?;
                if !is_context {
                    let source = ContextSource::Image(name.clone());
                    found.contexts.insert(reference.context_name(), source);
                }
                found.names.insert(reference.clone(), name);
            } else if let Some(digest) = freshness.remote_of(of, parents).filter(|_| !is_context) {
                let source = ContextSource::Image(digest.to_owned());
                found.contexts.insert(reference.context_name(), source);
            }
        }
        Ok(found)
    }
}

/// Replaces the images that named contexts point to.
pub fn redirect<'a>(
    mut contexts: BTreeMap<String, String>,
    override_of: impl Fn(&Reference) -> Option<&'a String>,
) -> BTreeMap<String, String> {
    for value in contexts.values_mut() {
        let reference = Reference::in_context(value);
        if let Some(name) = reference.and_then(|it| override_of(&it)) {
            *value = format!("{IMAGE_SCHEME}{name}");
        }
    }
    contexts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::NamedContexts;
    use crate::engine::stub::Stub;
    use crate::plan::tests::{World, external, stored};

    /// The named contexts of `app`, which is built on `base` and copies from an external.
    fn contexts(first_line: &str, contexts: NamedContexts) -> BTreeMap<String, ContextSource> {
        let text = format!("{first_line}FROM acme/shop-base\nCOPY --from=debian:12 /a /a\n");
        let world = World::new(&[("base", "FROM scratch\nENV A=1\n"), ("app", &text)]);
        let (store, aliases) = (Stub::default(), ParentAliases::default());
        store.put(external("debian:12", "x"), &[]);
        world.build("base", "one", &store);
        let (app, parents) = (world.unit("app"), world.parents("app", &store));
        let mut freshness = world.freshness(&store);
        freshness.contexts = contexts;
        let found = ContextOverrides::of(&freshness, app, &parents, &aliases).unwrap().contexts;
        let again = ContextOverrides::of(&freshness, app, &parents, &aliases).unwrap().contexts;
        assert_eq!(found, again, "an image has one name");
        for source in found.values() {
            let ContextSource::Image(name) = source else { panic!("{source}") };
            assert!(store.image(name).unwrap().references.contains(name));
        }
        found
    }

    #[test]
    fn contexts_replace_parents_and_externals_with_private_aliases() {
        let found = contexts("", NamedContexts::All);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["acme/shop-base", "debian:12"]);
        assert_eq!(contexts("", NamedContexts::None), BTreeMap::new());
        let frontend = "# syntax=docker/dockerfile:1.4\n";
        assert_eq!(contexts(frontend, NamedContexts::OfNamedFrontends).len(), 2);
    }

    #[test]
    fn aliases_are_removed_however_the_builds_end() {
        let (store, aliases) = (Stub::default(), ParentAliases::default());
        let [first, built, failed] = std::array::from_fn(|_| aliases.promise());
        for alias in [&first, &built] {
            let references = vec!["acme/base:latest".to_owned(), alias.clone()];
            let image = StoredImage { references, ..stored("base", "one") };
            store.put(image.clone(), &[]);
            aliases.note(&image);
        }
        assert_eq!(aliases.alias("sha256:base-one", &store).unwrap(), built);
        aliases.remove_all(&store);
        let mut removed = [first, built, failed].map(|alias| format!("remove {alias}"));
        removed.sort();
        let mut calls = store.take_calls();
        calls.sort();
        assert_eq!(calls, removed);
    }

    #[test]
    fn image_contexts_are_redirected_to_their_overrides() {
        let (debian, pinned) = (Reference::parse("debian:12").unwrap(), "debian@sha256:1".into());
        let check = |value: &str, expected: &str| {
            let contexts = BTreeMap::from([("base".to_owned(), value.to_owned())]);
            assert_eq!(
                redirect(contexts, |it| (*it == debian).then_some(&pinned))["base"],
                expected
            );
        };
        check("docker-image://debian:12", "docker-image://debian@sha256:1");
        check("docker-image://docker.io/library/debian:12", "docker-image://debian@sha256:1");
        check("docker-image://debian:11", "docker-image://debian:11");
        check("debian:12", "debian:12");
        check("https://example.com/x.git", "https://example.com/x.git");
    }
}
