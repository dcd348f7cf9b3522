//! The requests about parents that are not selected, and about externals.

use super::*;
use crate::engine::stub::Stub;
use crate::plan::tests::{World, external, stored};

/// The first reference of `base`, as in requests to engines.
const BASE: &str = "acme/shop-base:latest";

fn world() -> World {
    World::new(&[
        ("base", "FROM debian:12\nONBUILD RUN x\n"),
        ("one", "FROM acme/shop-base\n"),
        ("two", "FROM debian:12\nCOPY --from=acme/shop-base /a /a\n"),
    ])
}

fn ask(world: &World, store: &Stub<'_>) -> (BTreeMap<ImageId, UnselectedParent>, Externals) {
    let mut externals = Externals::new();
    let selected = [world.id("one"), world.id("two")];
    let found = inspect_unselected_parents(&world.graph, &selected, store, &mut externals).unwrap();
    (found, externals)
}

fn base(on_build: &[&str]) -> StoredImage {
    let on_build = on_build.iter().map(|it| (*it).to_owned()).collect();
    StoredImage { on_build, references: vec![BASE.into()], ..stored("base", "x") }
}

#[test]
fn shared_parents_are_inspected_once() {
    let (world, store) = (world(), Stub::default());
    store.put(base(&["RUN x"]), &[]);
    let (found, externals) = ask(&world, &store);
    assert_eq!(store.take_calls(), [format!("inspect {BASE}")]);
    assert!(externals.is_empty(), "its triggers are those of its Dockerfile");
    let found = &found[&world.id("base")];
    assert_eq!(found.image_id, "sha256:base-x");
    assert_eq!(found.identity, Identity::of(&store.image(BASE).unwrap()));
}

#[test]
fn nothing_is_inspected_if_all_images_are_selected() {
    let (world, store) = (world(), Stub::default());
    let mut externals = Externals::new();
    let order = world.graph.order();
    let found = inspect_unselected_parents(&world.graph, order, &store, &mut externals).unwrap();
    assert!(found.is_empty() && externals.is_empty() && store.take_calls().is_empty());
}

#[test]
fn missing_images_are_unknown() {
    let world = world();
    let (found, externals) = ask(&world, &Stub::default());
    assert!(found.is_empty());
    assert_eq!(externals, [(Dependency::Image(world.id("base")), None)].into());
}

#[test]
fn triggers_that_differ_from_the_dockerfile_are_unknown() {
    for on_build in [&["RUN y"][..], &[], &["RUN x", "RUN y"]] {
        let (world, store) = (world(), Stub::default());
        store.put(base(on_build), &[]);
        let (found, externals) = ask(&world, &store);
        assert_eq!(found.len(), 1, "{on_build:?}");
        let outside = externals[&Dependency::Image(world.id("base"))].as_ref().unwrap();
        assert_eq!((&outside.triggers, &outside.image_id), (&None, &None), "{on_build:?}");
    }
}

#[test]
fn only_externals_of_selected_images_are_returned() {
    let world = world();
    let names = |selected: &[&str]| {
        let selected: Vec<ImageId> = selected.iter().map(|name| world.id(name)).collect();
        let externals = externals_of(&world.graph, &selected).into_iter();
        externals.map(|id| world.graph.externals[id].normalized()).collect::<Vec<_>>()
    };
    assert_eq!(names(&["base", "two"]), ["docker.io/library/debian:12"]);
    assert!(names(&["one"]).is_empty());
}

#[test]
fn externals_for_another_platform_are_partially_known() {
    let freshness = |platform: &str, target: &str| {
        let stored = StoredImage {
            platform: platform.parse().unwrap(),
            on_build: vec!["RUN x".into()],
            ..external("debian:12", "x")
        };
        let outside = describe_external(Some(stored.clone()), &target.parse().unwrap()).unwrap();
        assert_eq!(outside.identity, Identity::of(&stored), "what is there is compared");
        assert_eq!(outside.triggers.is_some(), outside.image_id.is_some());
        outside.image_id.is_some()
    };
    assert!(freshness("linux/amd64", "linux/amd64"));
    assert!(
        freshness("linux/arm64", "linux/arm64/v8"),
        "engines differ in when they name a variant"
    );
    assert!(!freshness("linux/arm64", "linux/amd64"));
    assert!(!freshness("windows/amd64", "linux/amd64"));
    assert_eq!(describe_external(None, &Platform::default()), None);
}
