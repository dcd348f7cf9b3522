//! A registry that fails, returns wrong data, or does not exist.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::faults::{Fault, Faults};
use crate::common::registry::{Registry, ask};
use crate::releases::immutable;
use crate::world::{Machine, Tree, generation, held};

fn tree() -> Tree {
    Tree::new(&[("base", "", &[]), ("dev", "base", &[])])
}

#[test]
fn transient_registry_errors_are_retried() {
    let Some(registry) = Registry::start() else { return };
    let Some(first) = Machine::start_or_skip() else { return };
    let Some(second) = Machine::start_or_skip() else { return };
    let before =
        Faults::before(registry.address(), |request| match (request.count, &*request.method) {
            (1, "GET" | "HEAD") => Fault::status(500),
            (2, "GET") if request.path.contains("/blobs/") => Fault::CutAfter(10),
            (1, "PUT") if request.path.ends_with("/manifests/latest") => {
                Fault::header(429, "Retry-After", "1")
            }
            (2, "HEAD") => Fault::Late(Duration::from_millis(300)),
            _ => Fault::Pass,
        });
    let (address, tree) = (before.address(), tree());
    let printed = first.build(&tree, address, "--all --push").well();
    assert_eq!(printed.counts(), "2 built of 2 images", "{}", printed.err);
    assert_eq!(generation(address, &tree).as_deref(), Some("0"));
    let printed = second.build(&tree.clone_of(), address, "--all").well();
    assert_eq!(printed.counts(), "0 built, 2 fresh (in registry) of 2 images", "{}", printed.err);
}

#[test]
fn registry_content_with_a_wrong_digest_is_rejected() {
    let Some(registry) = Registry::start() else { return };
    let Some(first) = Machine::start_or_skip() else { return };
    let Some(second) = Machine::start_or_skip() else { return };
    let tree = tree();
    for part in ["/manifests/layers-", "/blobs/"] {
        let lies = Faults::before(registry.address(), move |request| {
            match request.method == "GET" && request.path.contains(part) {
                true => Fault::Lie,
                false => Fault::Pass,
            }
        });
        // A name in the registry contains its address, so both machines use the same one.
        first.build(&tree, lies.address(), "--all --push=keys");
        let other = tree.clone_of();
        let printed = second.build(&other, lies.address(), "--all").well();
        assert_eq!(printed.counts(), "2 built of 2 images", "{part}: {}", printed.err);
        // What has the key counts as missing. The registry may have other images.
        let warning = printed.err.lines().find(|line| line.starts_with("warning: ")).unwrap();
        assert!(warning.contains("digest mismatch: expected sha256:"), "{part}: {}", printed.err);
        second.docker(&["image", "rm", "-f", &tree.reference("dev"), &tree.reference("base")]);
    }
}

#[test]
fn an_unreachable_registry_prevents_pushes_but_not_builds() {
    let Some(machine) = Machine::start_or_skip() else { return };
    let tree = tree();
    // No process listens on a port that was released.
    let address = Faults::alone(|_| Fault::Close).address().to_owned();
    let printed = machine.build(&tree, &address, "--all --push");
    assert_eq!(printed.code, 4, "{}", printed.err);
    assert!(printed.err.contains("hint: "), "{}", printed.err);
    assert_eq!(machine.docker(&["images", "-q"]), "", "nothing was begun");
    let printed = machine.build(&tree, &address, "--all").well();
    assert_eq!(printed.counts(), "2 built of 2 images", "{}", printed.err);
    assert_eq!(
        printed.err.matches("warning: the registry is not used").count(),
        1,
        "{}",
        printed.err
    );
}

#[test]
fn a_rejected_tag_rolls_back_the_other_tags() {
    let Some(registry) = Registry::start() else { return };
    let Some(machine) = Machine::start_or_skip() else { return };
    let tree = tree();
    let refused = format!("/v2/{}/manifests/latest", tree.repository("dev"));
    let before = Faults::before(registry.address(), move |request| {
        match request.method == "PUT" && request.path == refused && request.count > 1 {
            true => Fault::json(
                405,
                r#"{"errors": [{"code": "UNSUPPORTED", "message": "tags here never move"}]}"#,
            ),
            false => Fault::Pass,
        }
    });
    let address = before.address();
    machine.build(&tree, address, "--all --push").well();
    tree.set_generation(1);
    let printed = machine.build(&tree, address, "--all --push");
    assert_eq!(printed.code, 4, "{}", printed.err);
    assert!(printed.err.contains("no tags were moved"), "{}", printed.err);
    assert!(printed.err.contains("tags here never move"), "{}", printed.err);
    assert_eq!(generation(address, &tree).as_deref(), Some("0"), "{}", printed.err);
}

#[test]
fn a_different_image_under_a_key_tag_is_not_used() {
    let Some(registry) = Registry::start() else { return };
    let Some(first) = Machine::start_or_skip() else { return };
    let Some(second) = Machine::start_or_skip() else { return };
    let (address, tree) = (registry.address(), tree());
    first.build(&tree, address, "--all --push=keys").well();
    let key = key_of(&first, &tree, address, "base");
    let tag = format!("layers-{key}");
    assert!(held(address, &tree.repository("base"), &tag).is_some());
    registry.push(&tree.repository("base"), &tag, "somebody else's");
    let printed = second.build(&tree.clone_of(), address, "--all").well();
    assert!(printed.built().contains("base"), "{}", printed.err);
}

/// Returns the key of an image, as `why` prints it.
fn key_of(machine: &Machine, tree: &Tree, registry: &str, image: &str) -> String {
    let printed = machine.layers(tree, registry, &format!("why {image}")).well();
    printed.out.split_once("has its key ").unwrap().1.lines().next().unwrap().to_owned()
}

/// Returns the digest of the first layer of an image.
fn layer_of(registry: &Registry, repository: &str) -> String {
    let path = format!("/v2/{repository}/manifests/latest");
    let (_, body) = ask(registry.address(), "GET", &path, "", b"");
    let manifest: serde_json::Value = serde_json::from_slice(&body).unwrap();
    manifest["layers"][0]["digest"].as_str().unwrap().to_owned()
}

#[test]
fn an_image_of_which_the_registry_lost_a_layer_is_built_again() {
    let Some(registry) = Registry::start() else { return };
    let Some(first) = Machine::start_or_skip() else { return };
    let Some(second) = Machine::start_or_skip() else { return };
    let tree = tree();
    let lost: Arc<Mutex<Option<String>>> = Arc::default();
    let of_proxy = Arc::clone(&lost);
    let before = Faults::before(registry.address(), move |request| {
        let mut lost = of_proxy.lock().unwrap();
        let is_lost = |digest: &String| request.path.replace("%3A", ":").contains(digest.as_str());
        match request.method.as_str() {
            "GET" | "HEAD" if lost.as_ref().is_some_and(is_lost) => {
                Fault::json(404, r#"{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown"}]}"#)
            }
            // It is there again once it was uploaded.
            "PUT" if lost.as_ref().is_some_and(is_lost) => {
                *lost = None;
                Fault::Pass
            }
            _ => Fault::Pass,
        }
    });
    let address = before.address();
    first.build(&tree, address, "--all --push").well();
    *lost.lock().unwrap() = Some(layer_of(&registry, &tree.repository("base")));
    let other = tree.clone_of();
    other.write("docker/dev/file", "changed\n");
    let printed = second.build(&other, address, "--all --push").well();
    assert!(printed.built().contains("base"), "{}", printed.err);
    assert!(printed.err.contains("the registry has lost a part of"), "{}", printed.err);
    assert_eq!(*lost.lock().unwrap(), None, "the layer was uploaded again");
    // Without a push, the image is built for this machine.
    *lost.lock().unwrap() = Some(layer_of(&registry, &tree.repository("base")));
    let third = Machine::start_or_skip().unwrap();
    other.write("docker/dev/file", "changed again\n");
    let printed = third.build(&other, address, "--all").well();
    assert!(printed.built().contains("base"), "{}", printed.err);
}

#[test]
fn a_key_whose_name_is_taken_gets_the_next_name() {
    let Some(registry) = Registry::start() else { return };
    let Some(machine) = Machine::start_or_skip() else { return };
    let tree = tree();
    machine.build(&tree, "", "--all").well();
    let key = key_of(&machine, &tree, "", "base");
    let repository = tree.repository("base");
    registry.push(&repository, &format!("layers-{key}"), "someone else's");
    let before = immutable(&registry);
    machine.build(&tree, before.address(), "--all --push").well();
    assert!(held(registry.address(), &repository, &format!("layers-{key}-2")).is_some());
    let printed = machine.build(&tree, before.address(), "--all --push").well();
    assert!(printed.err.contains("0 images pushed"), "{}", printed.err);
}

#[test]
fn a_signal_ends_a_run_that_waits_for_a_registry() {
    let Some(registry) = Registry::start() else { return };
    let Some(machine) = Machine::start_or_skip() else { return };
    // The key of `dev` is known, and looked up, after `base` was built.
    let silent = Faults::before(registry.address(), |request| {
        match request.path.contains("/shop-dev/manifests/") {
            true => Fault::Late(Duration::from_secs(3600)),
            false => Fault::Pass,
        }
    });
    let tree = tree();
    let mut run = machine.command(&tree, silent.address(), "build --all --progress plain");
    let mut child = run.stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut printed = String::new();
    while !printed.contains(&format!("waiting for `{}` to respond", silent.address())) {
        assert!(stderr.read_line(&mut printed).unwrap() > 0, "{printed}");
    }
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
    stderr.read_to_string(&mut printed).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(2), "{printed}");
    assert!(printed.contains("dev: canceled") && printed.contains("1 built"), "{printed}");
}
