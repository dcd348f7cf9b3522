//! What a build is given in place of the names in its Dockerfile, depending on where the images are and which frontend
//! reads the file.

use super::*;
use crate::engine::stub::Stub;
use crate::graph::reference::Reference;
use crate::inputs::{Identity, Inheritance};
use crate::plan::RegistryImage;
use crate::plan::tests::{World, external, parents_of, stored};

/// An image with a parent and an external.
fn world(first_line: &str, from: &str) -> (World, Stub<'static>) {
    let text = format!("{first_line}FROM {from}\nCOPY --from=debian:12 /a /a\n");
    let world = World::new(&[("base", "FROM scratch\nENV A=1\n"), ("app", &text)]);
    let store = Stub::default();
    store.put(external("debian:12", "x"), &[]);
    world.build("base", "one", &store);
    (world, store)
}

/// Returns for each dependency of `app` the ID that it gets under an alias, and the reference by digest.
fn replacements(
    freshness: &FreshnessCheck<'_>,
    parents: &[ParentImage],
) -> Vec<(Option<String>, Option<String>)> {
    let app = freshness.units.first_of(freshness.graph.find("app").unwrap());
    let replacement = |(dependency, of): &(DependencyInputs, Dependency<UnitId>)| {
        let alias_id = freshness.alias_id(app, dependency, *of, parents).map(str::to_owned);
        (alias_id, freshness.override_of(app, dependency, *of, parents).map(str::to_owned))
    };
    parents_of(freshness, app).iter().map(replacement).collect()
}

fn alias(id: &str) -> (Option<String>, Option<String>) {
    (Some(id.to_owned()), None)
}

fn by_digest(reference: &str) -> (Option<String>, Option<String>) {
    (None, Some(reference.to_owned()))
}

const NOTHING: (Option<String>, Option<String>) = (None, None);

#[test]
fn images_in_the_engine_get_an_alias() {
    let (world, store) = world("", "acme/shop-base");
    let parents = world.parents("app", &store);
    let mut freshness = world.freshness(&store);
    let snapshot = [alias("sha256:base-one"), alias("sha256:external-x")];
    assert_eq!(replacements(&freshness, &parents), snapshot);
    freshness.publishes_names = true;
    assert_eq!(replacements(&freshness, &parents), [NOTHING, NOTHING], "a provenance shows names");
    freshness.publishes_names = false;
    freshness.contexts = NamedContexts::None;
    assert_eq!(replacements(&freshness, &parents), [NOTHING, NOTHING], "the frontend takes none");
}

#[test]
fn unselected_parents_get_an_alias() {
    let (world, store) = world("", "acme/shop-base");
    let freshness = world.freshness_of(&[world.id("app")], &store);
    assert_eq!(
        replacements(&freshness, &[]),
        [alias("sha256:base-one"), alias("sha256:external-x")]
    );
}

#[test]
fn images_only_in_a_registry_are_referenced_by_digest() {
    let (world, store) = world("", "acme/shop-base");
    let mut freshness = world.freshness(&store);
    let mut parents = world.parents("app", &store);
    let external = world.graph.externals.find(&Reference::parse("debian:12").unwrap()).unwrap();
    let reference = "r.example/base@sha256:0";
    parents[0].remote = Some(RegistryImage {
        reference: reference.into(),
        digest: "sha256:0".into(),
        image_id: "sha256:base-one".into(),
        identity: Identity::of(&stored("base", "one")),
        inheritance: Box::new(Inheritance::of_nothing()),
        size: 1,
    });
    freshness.remote_externals = [(external, "debian@sha256:1".to_owned())].into();
    assert_eq!(
        replacements(&freshness, &parents),
        [by_digest(reference), by_digest("debian@sha256:1")]
    );
    // A pin takes precedence over what the tag points to.
    freshness.pinned = [(external, "debian@sha256:2".to_owned())].into();
    assert_eq!(
        replacements(&freshness, &parents),
        [by_digest(reference), by_digest("debian@sha256:2")]
    );
    freshness.publishes_names = true;
    assert_eq!(
        replacements(&freshness, &parents),
        [by_digest(reference), by_digest("debian@sha256:2")]
    );
    freshness.contexts = NamedContexts::None;
    assert_eq!(replacements(&freshness, &parents), [NOTHING, NOTHING]);
}

#[test]
fn externals_with_a_digest_keep_their_name() {
    let digest = format!("debian@sha256:{}", "0".repeat(64));
    let world = World::new(&[("app", &format!("FROM {digest}\n"))]);
    let store = Stub::default();
    store.put(external(&digest, "x"), &[]);
    let freshness = world.freshness(&store);
    let (dependency, of) = &parents_of(&freshness, world.unit("app"))[0];
    assert!(freshness.stored_id(*of, &[]).is_some(), "it is held");
    assert_eq!(replacements(&freshness, &[]), [NOTHING], "{dependency:?}");
}

#[test]
fn externals_for_another_platform_keep_their_name() {
    let check = |platform: &str, expected| {
        let world = World::new(&[("app", &format!("FROM --platform={platform} debian:12\n"))]);
        let store = Stub::default();
        store.put(external("debian:12", "x"), &[]);
        assert_eq!(replacements(&world.freshness(&store), &[]), [expected], "{platform}");
    };
    check("linux/amd64", alias("sha256:external-x"));
    check("linux/amd64/v2", alias("sha256:external-x"));
    check("linux/arm64", NOTHING);
}

#[test]
fn images_missing_from_the_engine_keep_their_name() {
    let (world, store) = world("", "acme/shop-base");
    store.untag("debian:12");
    let parents = world.parents("app", &store);
    assert_eq!(
        replacements(&world.freshness(&store), &parents),
        [alias("sha256:base-one"), NOTHING]
    );
}

#[test]
fn named_context_support_depends_on_the_frontend_version() {
    let check = |first_line: &str, expected: [bool; 3]| {
        let (world, store) = world(first_line, "acme/shop-base");
        let mut freshness = world.freshness(&store);
        for (contexts, expected) in
            [NamedContexts::None, NamedContexts::OfNamedFrontends, NamedContexts::All]
                .into_iter()
                .zip(expected)
        {
            freshness.contexts = contexts;
            let found = freshness.resolves_by_digest(world.unit("app"));
            assert_eq!(found, expected, "{first_line:?} {contexts:?}");
        }
    };
    check("", [false, false, true]);
    check("# syntax=docker/dockerfile:1\n", [false, true, true]);
    check("# syntax=docker/dockerfile:1.4\n", [false, true, true]);
    check("# syntax=docker/dockerfile:1.3\n", [false, false, false]);
    check("# syntax=acme/frontend:1.4\n", [false, false, false]);
}
