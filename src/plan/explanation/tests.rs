//! The reasons why an image is built.

use crate::engine::StoredImage;
use crate::engine::stub::Stub;
use crate::graph::reference::Reference;
use crate::inputs::KEY_LABEL;
use crate::plan::Decision;
use crate::plan::tests::{World, describe_reason, stored};

const APP: &str = "acme/shop-app:latest";

fn world() -> World {
    World::new(&[("app", "FROM scratch\nENV A=1\n")])
}

/// Returns the reason why `app` is built.
fn reason(world: &World, store: &Stub<'_>) -> String {
    let freshness = world.freshness(store);
    let decision = freshness.decide(world.unit("app"), &|_| None).unwrap();
    let Decision::Build { reason, .. } = decision else { panic!("{decision:?}") };
    describe_reason(&reason)
}

fn image(key: Option<&str>) -> StoredImage {
    let labels = key.map(|key| (KEY_LABEL.to_owned(), key.to_owned())).into_iter().collect();
    StoredImage { labels, references: vec![APP.into()], ..stored("app", "x") }
}

#[test]
fn images_that_were_never_built_are_missing() {
    let (world, store) = (world(), Stub::default());
    assert_eq!(reason(&world, &store), "no-image");
    // An image from elsewhere under the reference is not looked up before the first build.
    store.put(image(None), &[]);
    store.take_calls();
    assert_eq!(reason(&world, &store), "no-image");
    assert!(!store.take_calls().contains(&format!("inspect {APP}")));
}

#[test]
fn references_to_images_not_built_by_layers_have_moved() {
    let (world, store) = (world(), Stub::default());
    world.build("app", "one", &store);
    let store = Stub::default();
    assert_eq!(reason(&world, &store), "no-image");
    store.put(image(None), &[]);
    assert_eq!(reason(&world, &store), format!("tag-moved {APP}"));
}

#[test]
fn a_reference_missing_from_a_built_image_is_reported_as_moved() {
    let (mut world, store) = (world(), Stub::default());
    let app = world.id("app");
    world.graph.images[app].references.push(Reference::parse("acme/shop-app:1").unwrap());
    store.put(image(Some("unknown")), &[]);
    assert_eq!(reason(&world, &store), "tag-moved acme/shop-app:1");
}

#[test]
fn unknown_keys_have_other_inputs() {
    let (world, store) = (world(), Stub::default());
    store.put(image(Some("unknown")), &[]);
    assert_eq!(reason(&world, &store), "other-inputs");
}

#[test]
fn known_keys_explain_what_changed() {
    let (mut world, store) = (world(), Stub::default());
    world.build("app", "one", &store);
    world.edit("app", "# syntax=docker/dockerfile:1\nFROM scratch\nENV A=2\n");
    assert_eq!(reason(&world, &store), "changed syntax instruction");
}

#[test]
fn images_with_an_inherited_key_are_not_matched() {
    let (world, store) = (world(), Stub::default());
    world.build("app", "one", &store);
    let labels = store.image(APP).unwrap().labels;
    let store = Stub::default();
    store.put(StoredImage { labels, ..image(None) }, &["ENV".into(), "sh".into()]);
    assert_eq!(reason(&world, &store), format!("tag-moved {APP}"));
}

#[test]
fn only_certain_reasons_are_given_before_parents_are_built() {
    let mut world = World::new(&[
        ("base", "FROM scratch\nENV A=1\n"),
        ("app", "FROM acme/shop-base\nENV B=1\n"),
    ]);
    let store = Stub::default();
    world.build("base", "one", &store);
    let certain = |world: &World, store: &Stub<'_>| {
        let freshness = world.freshness(store);
        let reason = freshness.certain_reason(world.unit("app")).unwrap();
        reason.as_ref().map(describe_reason)
    };
    assert_eq!(certain(&world, &store).as_deref(), Some("no-image"));
    world.build("app", "two", &store);
    assert_eq!(certain(&world, &store), None);
    // A change of the parent is not known yet.
    world.build("base", "other", &store);
    assert_eq!(certain(&world, &store), None);
    world.edit("app", "FROM acme/shop-base\nENV B=2\n");
    assert_eq!(certain(&world, &store).as_deref(), Some("changed instruction"));
}
