//! Which externals have moved since they were pinned, or built on.
//!
//! Owns what is compared with what: the digest in graph.json, else that of the engine's image, with the
//! digest that the tag leads to in its registry. What can't be compared is told, and is no fault.

use std::cell::OnceCell;

use super::image_provider;
use crate::base::{ExternalId, parallel};
use crate::cli::EngineName;
use crate::engine::Builder;
use crate::graph::pins::Pins;
use crate::graph::reference::Reference;
use crate::graph::{Graph, select};
use crate::plan::remote;
use crate::registry::{AT_ONCE, Registries};
use crate::report::pins::{Basis, Row, Was};
use crate::workspace::load::Workspace;
use crate::workspace::{Invocation, registry};

/// The externals by tag, each with what it was and what it is now.
pub fn compare(
    workspace: &Workspace,
    pins: &Pins,
    engine: EngineName,
    at: &Invocation,
) -> Vec<(ExternalId, Row)> {
    let graph = &workspace.graph;
    let externals = graph.externals_by_tag();
    let store = Store::new(engine, at);
    let bases: Vec<(ExternalId, Result<Was, String>)> =
        externals.into_iter().map(|(id, it)| (id, basis(it, pins, &store))).collect();
    let registries = Registries::new(registry::settings(&workspace.config, &at.environment));
    let found = parallel::each(&bases, AT_ONCE, |(id, from)| match from {
        // Without anything to compare with, no registry need be asked.
        Err(why) => Err(why.clone()),
        Ok(_) => match registries.digest(&remote(&graph.externals[*id])) {
            Ok(Some(digest)) => Ok(digest),
            Ok(None) => Err("its registry has no such tag".to_owned()),
            Err(error) => Err(in_a_line(&error)),
        },
    });
    let rows = bases.into_iter().zip(found).map(|((id, from), found)| {
        let (name, images) = (graph.externals[id].familiar(), images_on(graph, id));
        (id, Row::new(name, from.ok(), found, images))
    });
    rows.collect()
}

/// What an external is compared with: its pin, else what the engine holds under its tag.
fn basis(reference: &Reference, pins: &Pins, store: &Store<'_>) -> Result<Was, String> {
    if let Some(digest) = pins.digest(reference) {
        return Ok(Was { basis: Basis::Pin, digests: vec![digest.to_owned()] });
    }
    let digests = store.digests(reference).map_err(|why| format!("not pinned, and {why}"))?;
    Ok(Was { basis: Basis::Store, digests })
}

/// The engine's store, which is asked only where something is not pinned.
struct Store<'a> {
    name: EngineName,
    at: &'a Invocation,
    engine: OnceCell<Result<Box<dyn Builder>, String>>,
}

impl<'a> Store<'a> {
    fn new(name: EngineName, at: &'a Invocation) -> Store<'a> {
        Store { name, at, engine: OnceCell::new() }
    }

    /// The digests under which an engine's image is known in its registry.
    fn digests(&self, reference: &Reference) -> Result<Vec<String>, String> {
        let in_words = |error: anyhow::Error| in_a_line(&error);
        let engine = self.engine.get_or_init(|| {
            let engine = image_provider::connect(self.name, self.at).map_err(in_words)?;
            engine.info().map_err(in_words)?;
            Ok(engine)
        });
        let stored = engine.as_ref().map_err(Clone::clone)?.images().inspect(&reference.familiar());
        let Some(stored) = stored.map_err(in_words)? else {
            return Err("the engine does not hold it".to_owned());
        };
        let digests = digests_of(&stored.digests, reference);
        if digests.is_empty() {
            return Err("the engine's image did not come from its registry".to_owned());
        }
        Ok(digests)
    }
}

/// The digests that an image has in the repository of a reference; in others it may have other ones.
fn digests_of(names: &[String], reference: &Reference) -> Vec<String> {
    let read = names.iter().filter_map(|name| Reference::parse(name).ok());
    read.filter(|name| name.same_repository(reference)).filter_map(|name| name.digest).collect()
}

/// The names of the images that need an external, at any distance.
pub fn images_on(graph: &Graph, external: ExternalId) -> Vec<String> {
    let direct: Vec<_> = graph
        .images
        .iter()
        .filter(|(_, image)| image.externals.iter().any(|it| it.id == external))
        .map(|(id, _)| id)
        .collect();
    let all = select::with_dependents(graph, &direct);
    all.into_iter().map(|id| graph.images[id].name.clone()).collect()
}

/// An error without its hint: what helps is said once for all.
fn in_a_line(error: &anyhow::Error) -> String {
    format!("{error:#}").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_repository() {
        let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
        let names = [
            format!("debian@{}", digest("1")),
            format!("ghcr.io/acme/debian@{}", digest("2")),
            format!("debian@{}", digest("3")),
            "debian:12".to_owned(),
        ];
        let check = |reference: &str, expected: &[String]| {
            let reference = Reference::parse(reference).unwrap();
            assert_eq!(digests_of(&names, &reference), expected, "{reference}");
        };
        check("docker.io/library/debian:12", &[digest("1"), digest("3")]);
        check("ghcr.io/acme/debian:12", &[digest("2")]);
        check("ghcr.io/debian:12", &[]);
    }
}
