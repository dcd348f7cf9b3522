//! Images that others built on ours never count as ours, neither in a registry nor in an engine.

use layers::engine::BuildOutcome;
use layers::engine::docker::Docker;
use layers::engine::docker::endpoint::EndpointEnvironment;

use crate::common::{self, registry::Registry};
use crate::world::{Machine, Tree, held};

/// Builds an image on another one without the program, under a name.
fn build_on(machine: &Machine, base: &str, more: &str, name: &str) {
    let host = Some(machine.daemon.address());
    let engine =
        Docker::find(&EndpointEnvironment { host, ..EndpointEnvironment::default() }).unwrap();
    let text = format!("FROM {base}\n{more}");
    let mut request = common::request(&common::Name::new(), &text, common::Files::new());
    request.references = vec![name.to_owned()];
    request.labels.clear();
    let (outcome, _) = common::build(&engine, &request);
    assert!(matches!(outcome, BuildOutcome::Built { .. }), "{outcome:?}");
}

#[test]
fn foreign_images_under_a_key_or_tag_are_not_used() {
    let Some(registry) = Registry::start() else { return };
    let Some(first) = Machine::start_or_skip() else { return };
    let Some(second) = Machine::start_or_skip() else { return };
    let address = registry.address();
    // The last instruction again, and one that leaves no entry in the history.
    for more in ["LABEL generation=0\n", "ONBUILD ENV EVIL=1\n"] {
        let tree = Tree::new(&[("base", "", &[]), ("app", "base", &[])]);
        first.build(&tree, address, "--all --push").well();
        let repository = tree.repository("base");
        let ours = held(address, &repository, "latest").unwrap();
        let key = ours.config["Labels"]["dev.layers.key"].as_str().unwrap().to_owned();
        let under_key = format!("layers-{key}");
        build_on(&first, &tree.reference("base"), more, "foreign:latest");
        for tag in [&under_key, "latest"] {
            let there = format!("{address}/{repository}:{tag}");
            first.docker(&["tag", "foreign:latest", &there]);
            first.docker(&["push", &there]);
            first.docker(&["image", "rm", &there]);
        }
        assert_ne!(held(address, &repository, &under_key).unwrap().id, ours.id);
        let plan = second.layers(&tree, address, "plan").well();
        assert!(!plan.out.contains("base     fresh"), "{}", plan.out);
        let printed = second.build(&tree, address, "--all --push").well();
        assert!(printed.built().contains("base"), "{}", printed.err);
        for tag in [&under_key, "latest"] {
            let now = held(address, &repository, tag).unwrap();
            assert_eq!((now.diff_ids, now.config), (ours.diff_ids.clone(), ours.config.clone()));
        }
        // Even if only the foreign image is in the engine, it is not pushed.
        first.docker(&["image", "rm", "--force", &tree.reference("base")]);
        first.docker(&["tag", "foreign:latest", &tree.reference("base")]);
        first.build(&tree, address, "--all --push").well();
        let now = held(address, &repository, "latest").unwrap();
        assert_eq!(now.config, ours.config);
    }
}
