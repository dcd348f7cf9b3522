//! Verdicts on small repositories with a store in memory: what is fresh, what is built, and what waits.

use super::*;
use crate::base::error::permanent;
use crate::engine::StoredImage;
use crate::engine::stub::Stub;
use crate::inputs::Inheritance;
use crate::plan::tests::{World, describe, external, stored};

/// An image and a child of it.
fn pair() -> World {
    World::new(&[("base", "FROM scratch\nENV A=1\n"), ("dev", "FROM acme/shop-base\nENV B=1\n")])
}

/// A pair that is built.
fn built() -> (World, Stub<'static>) {
    let (world, store) = (pair(), Stub::default());
    world.build("base", "one", &store);
    world.build("dev", "two", &store);
    (world, store)
}

#[track_caller]
fn check(world: &World, store: &Stub<'_>, expected: &[&str]) {
    assert_eq!(world.plan(&world.freshness(store)), expected);
}

#[test]
fn missing_images_are_built() {
    check(&pair(), &Stub::default(), &["base: build no-image", "dev: build no-image"]);
}

#[test]
fn images_built_from_the_same_inputs_are_fresh() {
    let (world, store) = built();
    check(&world, &store, &["base: fresh sha256:base-one", "dev: fresh sha256:dev-two"]);
    store.untag("acme/shop-base:latest");
    let lost = "base: fresh sha256:base-one lost acme/shop-base:latest";
    check(&world, &store, &[lost, "dev: fresh sha256:dev-two"]);
}

#[test]
fn changed_images_are_built_and_their_children_wait() {
    let (mut world, store) = built();
    world.edit("base", "FROM scratch\nENV A=2\n");
    check(&world, &store, &["base: build changed instruction", "dev: waits base"]);
    world.edit("base", "# A comment is not an input.\nFROM scratch\nENV A=1\n");
    check(&world, &store, &["base: fresh sha256:base-one", "dev: fresh sha256:dev-two"]);
    world.edit("dev", "FROM acme/shop-base\nENV B=2\n");
    check(&world, &store, &["base: fresh sha256:base-one", "dev: build changed instruction"]);
}

#[test]
fn changes_are_known_before_the_parents_are_built() {
    let (mut world, store) = built();
    world.edit("base", "FROM scratch\nENV A=2\n");
    world.edit("dev", "FROM acme/shop-base\nENV B=2\n");
    check(&world, &store, &["base: build changed instruction", "dev: build changed instruction"]);
}

#[test]
fn children_of_an_identical_rebuilt_parent_stay_fresh() {
    let (mut world, store) = built();
    world.edit("base", "FROM scratch\nENV A=2\n");
    // The same layers and configuration under another key and ID.
    let again = world.build("base", "one", &store);
    let fresh = "base: fresh sha256:base-one-again";
    check(&world, &store, &[fresh, "dev: fresh sha256:dev-two"]);
    let freshness = world.freshness(&store);
    let decision = freshness.decide(world.unit("dev"), &among(&[again])).unwrap();
    assert!(
        matches!(decision, Decision::Fresh(it) if !it.is_remote && it.image_id == "sha256:dev-two")
    );
}

#[test]
fn children_of_a_changed_rebuilt_parent_are_stale() {
    let (mut world, store) = built();
    world.edit("base", "FROM scratch\nENV A=2\n");
    let other = world.build("base", "other", &store);
    check(&world, &store, &["base: fresh sha256:base-other", "dev: build changed parent"]);
    let freshness = world.freshness(&store);
    let decision = freshness.decide(world.unit("dev"), &among(&[other])).unwrap();
    assert!(matches!(decision, Decision::Build { reason: Reason::Changed { .. }, .. }));
}

#[test]
fn forced_images_are_built_even_if_they_are_in_the_store() {
    let (world, store) = built();
    let check = |forced: &[&str], expected: [&str; 2]| {
        let mut freshness = world.freshness(&store);
        freshness.forced = forced.iter().map(|name| world.unit(name)).collect();
        assert_eq!(world.plan(&freshness), expected);
    };
    check(&["dev"], ["base: fresh sha256:base-one", "dev: build forced"]);
    check(&["base"], ["base: build forced", "dev: waits base"]);
    check(&["base", "dev"], ["base: build forced", "dev: build forced"]);
    let mut freshness = world.freshness(&store);
    freshness.forced = [world.unit("base")].into();
    let decision = freshness.decide(world.unit("base"), &|_| None).unwrap();
    assert!(matches!(decision, Decision::Build { reason: Reason::Forced, .. }));
}

#[test]
fn unreadable_images_are_built_even_if_they_are_in_the_store() {
    let (world, store) = built();
    let mut freshness = world.freshness(&store);
    freshness.own[world.unit("base")] = Some(Err(permanent("denied")));
    assert_eq!(world.plan(&freshness), ["base: build unreadable denied", "dev: waits base"]);
    // The reason of a child is known before its parents are built.
    freshness.own[world.unit("dev")] = Some(Err(permanent("gone")));
    let expected = ["base: build unreadable denied", "dev: build unreadable gone"];
    assert_eq!(world.plan(&freshness), expected);
    let decision = freshness.decide(world.unit("base"), &|_| None).unwrap();
    assert!(matches!(decision, Decision::Build { reason: Reason::Unreadable { .. }, .. }));
}

#[test]
fn planning_fails_if_inputs_were_not_gathered() {
    let (world, store) = built();
    let mut freshness = world.freshness(&store);
    freshness.own[world.unit("base")] = None;
    let error = freshness.plan(&world.order()).unwrap_err();
    assert_eq!(error.to_string(), "the inputs of `base` were never gathered");
}

#[test]
fn images_with_an_inherited_key_are_ignored() {
    let (world, store) = built();
    // As `docker commit` makes it: all labels and references of the image, and one more layer.
    let base = store.image("sha256:base-one").unwrap();
    store.untag("acme/shop-base:latest");
    let committed = StoredImage {
        diff_ids: [base.diff_ids, vec!["more".into()]].concat(),
        ..stored("commit", "x")
    };
    let committed = StoredImage { labels: base.labels, references: base.references, ..committed };
    store.put(committed, &["ENV".to_owned(), "sh".to_owned()]);
    check(
        &world,
        &store,
        &["base: fresh sha256:base-one lost acme/shop-base:latest", "dev: fresh sha256:dev-two"],
    );
}

#[test]
fn keys_on_images_with_a_different_history_are_ignored() {
    let (world, mut source) = built();
    let key = |name: &str| source.image(name).unwrap();
    let (base, dev) = (key("sha256:base-one"), key("sha256:dev-two"));
    source = Stub::default();
    source.put(base.clone(), &["ENV".to_owned(), "sh".to_owned()]);
    source.put(dev, &["ENV".to_owned(), "ENV".to_owned()]);
    // The same labels with another history: the image was made by something else.
    check(&world, &source, &["base: build tag-moved acme/shop-base:latest", "dev: waits base"]);
}

#[test]
fn referenced_images_are_preferred_then_the_newest_one() {
    let case = |has_first: bool, has_second: bool, expected: &str| {
        // Results are remembered, so each case starts from scratch.
        let (world, store) = (pair(), Stub::default());
        world.build("base", "one", &store);
        let first = store.image("sha256:base-one").unwrap();
        let references = if has_second { first.references.clone() } else { Vec::new() };
        let second = StoredImage { id: "sha256:base-second".into(), references, ..first };
        store.put(second, &["ENV".to_owned()]);
        if !has_first && !has_second {
            store.untag("acme/shop-base:latest");
        }
        check(&world, &store, &[expected, "dev: build no-image"]);
    };
    case(false, true, "base: fresh sha256:base-second");
    case(true, false, "base: fresh sha256:base-one");
    case(false, false, "base: fresh sha256:base-second lost acme/shop-base:latest");
}

#[test]
fn verified_images_are_not_inspected_again() {
    let (world, store) = built();
    let freshness = world.freshness(&store);
    store.take_calls();
    freshness.plan(&world.order()).unwrap();
    assert!(store.take_calls().contains(&"history sha256:dev-two".to_owned()));
    let freshness = world.freshness(&store);
    store.take_calls();
    freshness.plan(&world.order()).unwrap();
    assert_eq!(store.take_calls(), Vec::<String>::new(), "all of it is known");
}

#[test]
fn changed_externals_make_their_dependents_stale() {
    let world = World::new(&[("app", "FROM debian:12\nENV A=1\n")]);
    let store = Stub::default();
    store.put(external("debian:12", "old"), &["ADD".to_owned()]);
    world.build("app", "one", &store);
    check(&world, &store, &["app: fresh sha256:app-one"]);
    // The tag is on another image, then on one that differs only in its ID, then on none.
    store.put(external("debian:12", "new"), &["ADD".to_owned()]);
    check(&world, &store, &["app: build changed external"]);
    let same = StoredImage { id: "sha256:again".into(), ..external("debian:12", "old") };
    store.put(same, &["ADD".to_owned()]);
    check(&world, &store, &["app: fresh sha256:app-one"]);
    store.untag("debian:12");
    check(&world, &store, &["app: build changed external"]);
}

#[test]
fn unselected_parents_are_compared_as_they_are_in_the_store() {
    let (world, store) = built();
    let dev = [world.id("dev")];
    let check = |store: &Stub<'_>, expected: &str| {
        let freshness = world.freshness_of(&dev, store);
        let plan = freshness.plan(&[world.unit("dev")]).unwrap();
        assert_eq!(world.lines(&plan), [expected]);
    };
    check(&store, "dev: fresh sha256:dev-two");
    let other =
        StoredImage { references: vec!["acme/shop-base:latest".into()], ..stored("x", "y") };
    store.put(other, &["ENV".to_owned()]);
    check(&store, "dev: build changed parent");
}

#[test]
fn the_reference_of_a_missing_parent_counts() {
    let key = |from: &str, store: &Stub<'_>| {
        let text = format!("FROM {from}\nENV B=1\n");
        let world = World::new(&[("base", "FROM scratch\nENV A=1\n"), ("dev", &text)]);
        let freshness = world.freshness_of(&[world.id("dev")], store);
        freshness.key_of(world.unit("dev"), &[]).unwrap()
    };
    let store = Stub::default();
    let [one, two] = ["acme/shop-base:1", "acme/shop-base:2"];
    assert_ne!(key(one, &store), key(two, &store), "each can be another image in the registry");
    let references = [one, two].map(str::to_owned).to_vec();
    store.put(StoredImage { references, ..stored("base", "x") }, &["ENV".to_owned()]);
    assert_eq!(key(one, &store), key(two, &store));
}

/// What a registry has under the key of `base`.
fn registry_image(identity: Identity) -> RegistryImage {
    RegistryImage {
        reference: "r.example/base@sha256:0".into(),
        digest: "sha256:0".into(),
        image_id: "sha256:remote".into(),
        identity,
        inheritance: Box::new(Inheritance::of_nothing()),
        size: 1,
    }
}

/// Decides on `base`, given what the registry has of it.
fn close(freshness: &FreshnessCheck<'_>, found: Option<Identity>) -> Decision {
    let base = freshness.units.first_of(freshness.graph.find("base").unwrap());
    let open = freshness.open(base, &|_| None).unwrap().unwrap();
    freshness.close(open, found.map(registry_image)).unwrap()
}

#[test]
fn images_only_in_the_registry_are_used_from_the_registry() {
    let world = pair();
    let store = Stub::default();
    let mut freshness = world.freshness(&store);
    let remote = Identity::of(&stored("base", "remote"));
    let Decision::Fresh(here) = close(&freshness, Some(remote.clone())) else {
        panic!("the registry holds it")
    };
    assert!(here.is_remote && here.registry_image.is_some());
    assert_eq!((here.image_id.as_str(), here.lost.len()), ("sha256:remote", 0));
    freshness.loads = [world.unit("base")].into();
    let Decision::Fresh(here) = close(&freshness, Some(remote)) else {
        panic!("the registry holds it")
    };
    assert!(here.is_remote);
    assert_eq!(here.lost, ["acme/shop-base:latest"], "the engine is to have it");
    let decision = close(&freshness, None);
    assert!(matches!(decision, Decision::Build { reason: Reason::NoImage, .. }));
}

#[test]
fn the_registry_takes_precedence_over_the_engine() {
    let (world, store) = built();
    let freshness = world.freshness(&store);
    let here = Identity::of(&store.image("sha256:base-one").unwrap());
    let decision = close(&freshness, None);
    let is_here = |it: &FreshImage| !it.is_remote;
    assert!(matches!(decision, Decision::Fresh(it) if is_here(&it) && it.registry_image.is_none()));
    let decision = close(&freshness, Some(here));
    assert!(matches!(decision, Decision::Fresh(it) if is_here(&it) && it.registry_image.is_some()));
    let decision = close(&freshness, Some(Identity::of(&stored("base", "remote"))));
    assert!(matches!(decision, Decision::Fresh(it) if it.is_remote));
}

#[test]
fn plans_locate_remote_images_and_use_them_for_keys_of_children() {
    let (world, store) = built();
    let freshness = world.freshness(&store);
    let (base, dev) = (world.unit("base"), world.unit("dev"));
    let mut plan = Plan::new(&world.graph, &world.units(), &world.order());
    let remote = Identity::of(&stored("base", "remote"));
    let decision = close(&freshness, Some(remote.clone()));
    freshness.note(base, decision, &mut plan, &mut BTreeMap::new()).unwrap();
    let verdict = describe(plan.verdict(base).unwrap());
    assert_eq!(verdict, "fresh sha256:remote at r.example/base@sha256:0");
    assert!(plan.is_remote(base) && plan.parent(base).unwrap().remote.is_some());
    assert_eq!(plan.identity(base), Some(&remote));
    freshness.decide_together(&[dev], &mut plan, &mut BTreeMap::new()).unwrap();
    assert_eq!(describe(plan.verdict(dev).unwrap()), "build changed parent");
}

#[test]
fn images_built_by_a_concurrent_run_are_found() {
    let (world, store) = (pair(), Stub::default());
    let base = world.unit("base");
    let planned = Stub::default();
    let mut before = world.freshness(&planned);
    let key = before.key_of(base, &[]).unwrap();
    assert_eq!(before.look_again(base, &key).unwrap(), None);
    world.build("base", "one", &store);
    before.store = &store;
    let found = before.look_again(base, &key).unwrap();
    assert_eq!(found, Some(("sha256:base-one".to_owned(), Vec::new())));
    assert_eq!(before.look_again(base, "other").unwrap(), None);
}
