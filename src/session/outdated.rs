//! Which externals have moved since they were pinned or built on.
//!
//! Owns what is compared: the digest in graph.json, or else that of the engine's image, with the digest that the tag
//! points to in its registry. What cannot be compared is reported and is not a failure.

use std::cell::OnceCell;

use anyhow::{Context, anyhow, ensure};

use super::image_provider::connect;
use crate::base::{ExternalId, error, parallel};
use crate::cli::EngineName;
use crate::engine::Builder;
use crate::graph::pins::Pins;
use crate::graph::reference::Reference;
use crate::graph::{Graph, select};
use crate::plan::remote;
use crate::registry::{AT_ONCE, Registries};
use crate::report::pins::{Basis, KnownDigests, OutdatedRow, UnknownDigest};
use crate::workspace::load::Workspace;
use crate::workspace::{Invocation, registry};

/// Compares the externals that have a tag: for each, what it was with what it is now.
pub fn compare(
    workspace: &Workspace,
    pins: &Pins,
    engine: EngineName,
    at: &Invocation,
) -> Vec<(ExternalId, OutdatedRow)> {
    let graph = &workspace.graph;
    let externals = graph.externals_by_tag();
    let connected = OnceCell::new();
    let engine = || {
        let connect = || connect_now(engine, at).map_err(|error| in_a_line(&error));
        let connected: &Result<_, String> = connected.get_or_init(connect);
        connected.as_deref().map_err(|why| anyhow!("{why}"))
    };
    let basis = |it| basis(it, pins, &engine).map_err(|error| in_a_line(&error));
    let bases: Vec<(ExternalId, Result<KnownDigests, String>)> =
        externals.into_iter().map(|(id, it)| (id, basis(it))).collect();
    let registries = Registries::new(registry::settings(&workspace.config, &at.environment));
    let found = parallel::each(&bases, AT_ONCE, |(id, from)| match from {
        // Without anything to compare with, the registry is not queried.
        Err(why) => Err(UnknownDigest { why: why.clone(), hint: None }),
        Ok(_) => look(&registries, &graph.externals[*id]).map_err(|error| UnknownDigest {
            why: in_a_line(&error),
            hint: error::hint(&error).map(str::to_owned),
        }),
    });
    let rows = bases.into_iter().zip(found).map(|((id, from), found)| {
        let (name, images) = (graph.externals[id].familiar(), images_on(graph, id));
        (id, OutdatedRow::new(name, from.ok(), found, images))
    });
    rows.collect()
}

/// Returns the digest that a tag points to, after the manifest was read and verified against it: what is pinned must
/// exist.
///
/// # Errors
/// As [`look`].
pub fn look_for_pin(registries: &Registries, reference: &Reference) -> anyhow::Result<String> {
    let manifest = registries.manifest(&remote(reference))?;
    Ok(manifest.context("tag not found in its registry")?.digest)
}

/// Returns the digest that a tag points to.
///
/// # Errors
/// Returns an error if the registry does not have the tag, or cannot be reached.
pub fn look(registries: &Registries, reference: &Reference) -> anyhow::Result<String> {
    registries.digest(&remote(reference))?.context("tag not found in its registry")
}

/// Returns what an external is compared with: its pin, or else what the engine's store has under its tag. Connects to
/// the engine only if needed.
fn basis<'a>(
    reference: &Reference,
    pins: &Pins,
    engine: &dyn Fn() -> anyhow::Result<&'a dyn Builder>,
) -> anyhow::Result<KnownDigests> {
    if let Some(digest) = pins.digest(reference) {
        return Ok(KnownDigests { basis: Basis::Pin, digests: vec![digest.to_owned()] });
    }
    let digests = engine().and_then(|engine| stored_digests(engine, reference));
    let digests = digests.map_err(|error| anyhow!("not pinned, and {}", in_a_line(&error)))?;
    Ok(KnownDigests { basis: Basis::Store, digests })
}

fn connect_now(name: EngineName, at: &Invocation) -> anyhow::Result<Box<dyn Builder>> {
    let engine = connect(name, at)?;
    engine.info()?;
    Ok(engine)
}

/// Returns the digests that an image in the engine's store has in its registry.
fn stored_digests(engine: &dyn Builder, reference: &Reference) -> anyhow::Result<Vec<String>> {
    ensure!(engine.images().is_queried(), "no engine was queried");
    let stored = engine.images().inspect(&reference.familiar())?;
    let digests = digests_of(&stored.context("not found in the engine")?.digests, reference);
    ensure!(!digests.is_empty(), "the engine's image was not pulled from its registry");
    Ok(digests)
}

/// Returns the digests that an image has in the repository of a reference. It may have others in other repositories.
fn digests_of(names: &[String], reference: &Reference) -> Vec<String> {
    let read = names.iter().filter_map(|name| Reference::parse(name).ok());
    read.filter(|name| name.same_repository(reference)).filter_map(|name| name.digest).collect()
}

/// Returns the names of all dependents of an external, direct or not.
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

/// Formats an error without its hint.
fn in_a_line(error: &anyhow::Error) -> String {
    format!("{error:#}").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digests_of_the_same_repository_are_returned() {
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
