//! Another run on the same engine moves the references of images while this run still needs them.
//! containerd's store removes an image with its last reference.

use std::fs;

use layers::engine::ImageStore;

use crate::common::between::{Between, engine_at};
use crate::common::registry::Registry;
use crate::world::{Machine, Tree, held};

/// Runs `layers build`, and calls a function just before the engine receives a request that contains a text.
#[track_caller]
fn build_with(
    (machine, tree, address): (&Machine, &Tree, &str),
    words: &str,
    text: &'static str,
    hook: impl FnOnce() + Send + 'static,
) -> String {
    let between = Between::new(&engine_at(machine.daemon.socket()));
    between.before_request(text, hook);
    let mut command = machine.command(tree, address, &format!("build --progress plain {words}"));
    let host = format!("unix://{}", between.socket().display());
    let output = command.env("DOCKER_HOST", host).output().unwrap();
    let printed = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{printed}");
    printed
}

/// Returns a machine and a repository of which it has built `base`.
fn prepared(address: &str) -> Option<(Machine, Tree, String)> {
    let machine = Machine::start_or_skip()?;
    let tree = Tree::new(&[("base", "", &[]), ("dev", "base", &[])]);
    machine.build(&tree, address, "base --push=no").well();
    let id = machine.docker(&["image", "inspect", "-f", "{{.Id}}", &tree.reference("base")]);
    Some((machine, tree, id.trim().to_owned()))
}

#[test]
fn an_image_that_loses_its_references_is_still_pushed() {
    let Some(registry) = Registry::start() else { return };
    let address = registry.address();
    let Some((machine, tree, _)) = prepared(address) else { return };
    let branch = tree.clone_of();
    branch.write("docker/dev/file", "the file of a branch\n");
    // Tagging another image leaves the first one in the store; building another one does not.
    let mut other = machine.command(&branch, address, "build dev --push=no");
    build_with((&machine, &tree, address), "--all --push", "shop-dev&tag=layers-", move || {
        assert!(other.status().unwrap().success());
    });
    let pushed = held(address, &tree.repository("dev"), "latest").unwrap();
    assert_ne!(pushed.diff_ids, machine.layers_of(&tree.reference("dev")));
}

/// Another run that pushes the same image removes the reference with its key at the end.
#[test]
fn two_runs_can_push_the_same_image() {
    let Some(registry) = Registry::start() else { return };
    let address = registry.address();
    let Some((machine, tree, base)) = prepared(address) else { return };
    let docker = engine_at(machine.daemon.socket());
    build_with((&machine, &tree, address), "base --push", "/push?", move || {
        let image = docker.inspect(&base).unwrap().unwrap();
        let of_key = image.references.iter().find(|it| it.contains(":layers-")).unwrap();
        docker.remove(of_key).unwrap();
    });
    assert!(held(address, &tree.repository("base"), "latest").is_some());
}

/// A run that is rejected after its plan was made.
#[test]
fn a_rejected_run_leaves_no_temporary_names() {
    let Some(registry) = Registry::start() else { return };
    let Some((machine, tree, _)) = prepared(registry.address()) else { return };
    let config = fs::read_to_string(tree.root().join("layers.toml")).unwrap();
    tree.write(
        "layers.toml",
        &format!("{config}[secrets]\nhost = {{ src = \"/etc/hostname\" }}\n"),
    );
    let text = fs::read_to_string(tree.root().join("docker/dev/Dockerfile")).unwrap();
    tree.write("docker/dev/Dockerfile", &format!("{text}RUN --mount=type=secret,id=host true\n"));
    let printed = machine.build(&tree, registry.address(), "--all --push=no");
    assert_eq!(printed.code, 2, "{}", printed.err);
    let names = machine.docker(&["image", "ls", "--format", "{{.Repository}}"]);
    assert!(!names.contains("layers.invalid"), "{names}");
}

#[test]
fn a_fresh_parent_removed_during_the_run_is_rebuilt() {
    let Some(registry) = Registry::start() else { return };
    let Some((machine, tree, base)) = prepared(registry.address()) else { return };
    if !machine.knows_contexts() {
        eprintln!("skipped: the engine gives parents no names of their own");
        return;
    }
    let docker = engine_at(machine.daemon.socket());
    let world = (&machine, &tree, registry.address());
    let printed = build_with(world, "--all --push=no", "/tag?repo=layers.invalid", move || {
        docker.remove(&base).unwrap();
    });
    assert!(printed.contains("2 built of 2 images"), "{printed}");
    assert_eq!(machine.layers_of(&tree.reference("dev")).len(), 2);
}
