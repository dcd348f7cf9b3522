//! The commands of a generated pipeline, each on a new machine.

use crate::common::registry::Registry;
use crate::world::{Machine, Tree, generation, held};

/// Returns the commands of a pipeline in the order of its jobs.
fn commands(machine: &Machine, tree: &Tree, registry: &str, words: &str) -> Vec<String> {
    let printed = machine.layers(tree, registry, words).well();
    let of_layers = |line: &str| {
        let (_, command) = line.split_once("layers build ")?;
        Some(format!("build {}", command.trim_end_matches(['"', ' '])))
    };
    printed.out.lines().filter_map(of_layers).collect()
}

#[test]
fn jobs_build_on_new_machines_and_the_last_job_moves_the_tags() {
    let Some(registry) = Registry::start() else { return };
    let Some(machine) = Machine::start_or_skip() else { return };
    let address = registry.address();
    let tree = Tree::new(&[
        ("base", "", &[]),
        ("dev", "base", &[]),
        ("release", "base", &["dev"]),
        ("agent", "", &[]),
    ]);
    for (generation_now, system) in [(0, "github"), (1, "gitlab")] {
        tree.set_generation(generation_now);
        let mut commands = commands(&machine, &tree, address, &format!("ci {system}"));
        assert_eq!(commands.len(), 5, "{commands:?}");
        let last = commands.pop().unwrap();
        // Jobs are in dependency order.
        for command in commands {
            let empty = machine.docker(&["images", "-aq"]);
            let images: Vec<&str> = empty.split_whitespace().collect();
            if !images.is_empty() {
                machine.docker(&[&["image", "rm", "-f"], &images[..]].concat());
            }
            let checkout = tree.clone_of();
            let words = command.replace("build ", "build --progress plain ");
            let printed = machine.layers(&checkout, address, &words).well();
            let image = command.split(' ').nth(1).unwrap();
            assert_eq!(printed.built().into_iter().collect::<Vec<_>>(), [image], "{}", printed.err);
        }
        let latest = held(address, &tree.repository("base"), "latest");
        assert_eq!(latest.is_some(), generation_now > 0, "no job but the last moves a tag");
        let words = last.replace("build ", "build --progress plain ");
        let printed = machine.layers(&tree.clone_of(), address, &words).well();
        assert!(printed.built().is_empty(), "{}", printed.err);
        assert_eq!(generation(address, &tree), Some(generation_now.to_string()));
    }
}
