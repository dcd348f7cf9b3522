//! Checks after a build: whether an image was built on what was planned.

use super::*;
use crate::base::error;
use crate::engine::NamedContexts;
use crate::engine::stub::Stub;
use crate::plan::tests::{World, external, stored};

const BASE: &str = "acme/shop-base:latest";

/// `app` on `base`, with a copy from an external, planned and built while references can move.
struct BuiltWorld {
    world: World,
    store: Stub<'static>,
    parents: Vec<ParentImage>,
    /// The content of the store when the build was planned.
    planned: Stub<'static>,
    app: StoredImage,
    contexts: NamedContexts,
    publishes_names: bool,
    resolved: BTreeSet<String>,
}

impl BuiltWorld {
    fn new() -> BuiltWorld {
        let world = World::new(&[
            ("base", "FROM scratch\nENV A=1\n"),
            ("app", "FROM acme/shop-base\nCOPY --from=debian:12 /a /a\n"),
        ]);
        let (store, mut planned) = (Stub::default(), Stub::default());
        for store in [&store, &mut planned] {
            store.put(external("debian:12", "x"), &[]);
            world.build("base", "one", store);
        }
        let parents = world.parents("app", &store);
        world.build("app", "two", &store);
        let app = store.image("sha256:app-two").unwrap();
        let (contexts, resolved) = (NamedContexts::None, BTreeSet::new());
        BuiltWorld {
            world,
            store,
            parents,
            planned,
            app,
            contexts,
            publishes_names: false,
            resolved,
        }
    }

    /// Moves `base`'s reference to another image.
    fn move_base(&mut self, stored: StoredImage, history: &[&str]) {
        let stored = StoredImage { references: vec![BASE.into()], ..stored };
        let history: Vec<String> = history.iter().map(|it| (*it).to_owned()).collect();
        self.store.put(stored, &history);
    }

    /// Returns the error message of the check, or `None` if it passes.
    fn confirm(&self) -> Option<String> {
        let mut freshness = self.world.freshness(&self.planned);
        (freshness.contexts, freshness.publishes_names) = (self.contexts, self.publishes_names);
        freshness.store = &self.store;
        let image = self.world.unit("app");
        let result = freshness.confirm((image, &self.app), &self.resolved, &self.parents);
        let error = result.err()?;
        assert!(error::hint(&error).is_some());
        Some(error.to_string())
    }
}

#[track_caller]
fn assert_moved(built: &BuiltWorld, reference: &str) {
    let message = format!("`{reference}` was moved to another image while `app` was built on it");
    assert_eq!(built.confirm(), Some(message));
}

#[test]
fn builds_on_the_planned_parents_are_confirmed() {
    assert_eq!(BuiltWorld::new().confirm(), None);
}

#[test]
fn moved_references_are_detected() {
    let mut built = BuiltWorld::new();
    built.move_base(stored("base", "other"), &["ENV"]);
    assert_moved(&built, BASE);
    let built = BuiltWorld::new();
    built.store.put(external("debian:12", "other"), &[]);
    assert_moved(&built, "debian:12");
}

#[test]
fn identical_externals_with_a_different_id_are_confirmed() {
    let built = BuiltWorld::new();
    let again = StoredImage { id: "sha256:again".into(), ..external("debian:12", "x") };
    built.store.put(again, &[]);
    assert_eq!(built.confirm(), None);
}

#[test]
fn removed_references_are_detected() {
    let built = BuiltWorld::new();
    built.store.untag(BASE);
    let message = format!("`{BASE}` was removed while `app` was built on it");
    assert_eq!(built.confirm(), Some(message));
}

#[test]
fn temporarily_moved_bases_are_detected_by_layers_and_history() {
    // The reference is back on what was planned, but the image is on other layers.
    let mut built = BuiltWorld::new();
    built.app.diff_ids[0] = "sha256:layer-other".into();
    assert_moved(&built, BASE);
    // The layers are the same, but the configuration was another one, as the history shows.
    let mut built = BuiltWorld::new();
    built.app.id = "sha256:app-other".into();
    let history = ["USER".to_owned(), "COPY".to_owned()];
    let app = StoredImage { references: Vec::new(), ..built.app.clone() };
    built.store.put(app, &history);
    assert_moved(&built, BASE);
    // A history that is too short cannot continue that of the base.
    let mut built = BuiltWorld::new();
    built.app.id = "sha256:app-short".into();
    built.store.put(StoredImage { references: Vec::new(), ..built.app.clone() }, &[]);
    assert_moved(&built, BASE);
}

#[test]
fn parent_aliases_are_not_checked_again() {
    let mut built = BuiltWorld::new();
    built.contexts = NamedContexts::All;
    built.move_base(stored("base", "other"), &["ENV"]);
    built.store.put(external("debian:12", "other"), &[]);
    built.store.take_calls();
    assert_eq!(built.confirm(), None);
    assert!(built.store.take_calls().is_empty());
    // With a provenance, parents keep the names in the Dockerfile.
    built.publishes_names = true;
    assert_moved(&built, BASE);
}

#[test]
fn digests_resolved_by_the_build_are_compared() {
    let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
    let mut built = BuiltWorld::new();
    (built.contexts, built.publishes_names) = (NamedContexts::All, true);
    built.parents[0].image_id = digest("a");
    let mut check = |resolved: &[String], is_right: bool| {
        built.resolved = resolved.iter().cloned().collect();
        assert_eq!(built.confirm().is_none(), is_right, "{resolved:?}");
    };
    check(&[], true);
    check(&[format!("docker.io/{BASE}@{}", digest("a"))], true);
    check(&[format!("docker.io/{BASE}@{}", digest("b"))], false);
    let both = ["a", "b"].map(|it| format!("docker.io/{BASE}@{}", digest(it)));
    check(&both, false);
    // Of another reference, and without a digest.
    check(&[format!("docker.io/acme/other:latest@{}", digest("b"))], true);
    check(&[format!("docker.io/{BASE}")], true);
}

#[test]
fn externals_pulled_by_the_build_are_not_compared() {
    let built = BuiltWorld::new();
    built.planned.untag("debian:12");
    built.store.put(external("debian:12", "other"), &[]);
    assert_eq!(built.confirm(), None);
}

#[test]
fn images_without_a_proof_label_are_recorded_by_id() {
    let mut built = BuiltWorld::new();
    assert_eq!(built.confirm(), None);
    let is_known =
        |built: &BuiltWorld| built.world.freshness(&built.planned).built.contains(&built.app.id);
    assert!(!is_known(&built), "its label proves it");
    built.app.labels.remove(PROOF_LABEL);
    assert_eq!(built.confirm(), None);
    assert!(is_known(&built));
}
