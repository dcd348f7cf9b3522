//! Which images get aliases, and what happens if an image has disappeared since the store was listed.

use super::*;
use crate::engine::stub::Stub;
use crate::plan::tests::World;

/// Returns an image and a child of it, `dev`, which is to be built.
fn world() -> (World, Stub<'static>) {
    let (base, dev) = (("base", "FROM scratch\nENV A=1\n"), "FROM acme/shop-base\nENV B=1\n");
    let mut world = World::new(&[base, ("dev", dev)]);
    let store = Stub::default();
    world.build("base", "one", &store);
    world.build("dev", "two", &store);
    world.edit("dev", "FROM acme/shop-base\nENV B=2\n");
    (world, store)
}

fn planned(
    world: &World,
    freshness: &mut FreshnessCheck<'_>,
    aliases: &ParentAliases,
) -> (Vec<String>, usize) {
    let (plan, aliased) = make_plan(freshness, &world.order(), Some(aliases)).unwrap();
    (world.lines(&plan), aliased.len())
}

#[test]
fn parents_get_aliases() {
    let (world, store) = world();
    let aliases = ParentAliases::default();
    let (lines, aliased) = planned(&world, &mut world.freshness(&store), &aliases);
    assert_eq!(lines, ["base: fresh sha256:base-one", "dev: build changed instruction"]);
    assert_eq!(aliased, 1);
    let references = store.image("sha256:base-one").unwrap().references;
    assert_eq!(references.len(), 2, "{references:?}");
    aliases.remove_all(&store);
    assert_eq!(store.image("sha256:base-one").unwrap().references, ["acme/shop-base:latest"]);
}

#[test]
fn fresh_images_get_no_aliases() {
    let (mut world, store) = world();
    world.edit("dev", "FROM acme/shop-base\nENV B=1\n");
    let aliases = ParentAliases::default();
    let (lines, aliased) = planned(&world, &mut world.freshness(&store), &aliases);
    assert_eq!(lines, ["base: fresh sha256:base-one", "dev: fresh sha256:dev-two"]);
    assert_eq!(aliased, 0);
    assert!(!store.take_calls().iter().any(|call| call.starts_with("tag ")));
}

#[test]
fn engines_without_named_contexts_get_no_aliases() {
    let (world, store) = world();
    let mut freshness = world.freshness(&store);
    freshness.contexts = NamedContexts::None;
    let (_, aliased) = planned(&world, &mut freshness, &ParentAliases::default());
    assert_eq!(aliased, 0);
    assert!(!store.take_calls().iter().any(|call| call.starts_with("tag ")));
}

#[test]
fn freshness_is_checked_again_when_a_parent_disappears() {
    let (world, store) = world();
    let mut freshness = world.freshness(&store);
    ImageStore::remove(&store, "sha256:base-one").unwrap();
    let (lines, _) = planned(&world, &mut freshness, &ParentAliases::default());
    assert_eq!(
        lines,
        ["base: build tag-moved acme/shop-base:latest", "dev: build changed instruction"]
    );
}

#[test]
fn planning_fails_when_images_keep_disappearing() {
    let (world, store) = world();
    let store = store.losing_tagged_images();
    let mut freshness = world.freshness(&store);
    let ended = make_plan(&mut freshness, &world.order(), Some(&ParentAliases::default()));
    let message = ended.unwrap_err().to_string();
    assert_eq!(message, "images disappeared from the engine's store during 5 attempts to plan");
}

#[test]
fn planning_fails_immediately_if_an_image_cannot_be_tagged() {
    let (world, store) = world();
    let store = store.rejecting_tags();
    let mut freshness = world.freshness(&store);
    store.take_calls();
    let ended = make_plan(&mut freshness, &world.order(), Some(&ParentAliases::default()));
    assert_eq!(ended.unwrap_err().to_string(), "tags are rejected");
    assert!(!store.take_calls().iter().any(|call| call.starts_with("list ")));
}
