//! Uploads: each layer is sent once, and a registry that limits requests is given time.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::common::dice::Dice;
use crate::common::faults::{Fault, Faults};
use crate::common::registry::Registry;
use crate::world::{Machine, Tree, held};

/// Returns the number of uploads that were completed per digest.
fn uploads(seen: &[String]) -> BTreeMap<String, usize> {
    let mut uploads = BTreeMap::new();
    for request in seen {
        let digest = request.strip_prefix("PUT ").and_then(|it| it.split_once("digest="));
        if let Some((_, digest)) = digest {
            *uploads.entry(digest.replace("%3A", ":")).or_default() += 1;
        }
    }
    uploads
}

/// Builds all images before anything is pushed, so that all of them could be pushed at once.
#[track_caller]
fn check_uploads(tree: &Tree, machine: &Machine, registry: &Registry, images: usize) {
    let before = Faults::before(registry.address(), |_| Fault::Pass);
    machine.build(tree, before.address(), "--all").well();
    let printed = machine.build(tree, before.address(), "--all --push --push-jobs 8").well();
    assert!(printed.err.contains(&format!("{images} images pushed")), "{}", printed.err);
    let uploads = uploads(&before.seen());
    assert!(!uploads.is_empty(), "{:?}", before.seen());
    let repeated: Vec<_> = uploads.iter().filter(|(_, count)| **count > 1).collect();
    assert!(repeated.is_empty(), "{repeated:?}");
}

fn noise(bytes: usize) -> String {
    let mut dice = Dice::new(Dice::fresh_seed());
    (0..bytes).map(|_| char::from(b'a' + u8::try_from(dice.below(26)).unwrap())).collect()
}

#[test]
fn layers_of_parents_are_uploaded_once() {
    let Some(registry) = Registry::start() else { return };
    let Some(machine) = Machine::start_or_skip() else { return };
    let tree = Tree::new(&[
        ("base", "", &[]),
        ("one", "base", &[]),
        ("two", "base", &[]),
        ("three", "base", &[]),
        ("four", "three", &["one"]),
    ]);
    tree.write("docker/base/file", &noise(4_000_000));
    check_uploads(&tree, &machine, &registry, 5);
}

#[test]
fn layers_of_parents_in_the_registry_are_uploaded_once() {
    let Some(registry) = Registry::start() else { return };
    let Some(machine) = Machine::start_or_skip() else { return };
    let tree = Tree::new(&[("base", "", &[]), ("one", "base", &[]), ("two", "base", &[])]);
    tree.write("docker/base/file", &noise(4_000_000));
    // containerd's store reports what was sent a few times per second.
    let slow = Faults::before(registry.address(), |request| match request.method.as_str() {
        "PUT" => Fault::Late(Duration::from_secs(1)),
        _ => Fault::Pass,
    });
    // Afterward, the engine does not know that the registry has the image: it has another address.
    let printed = machine.layers(&tree, slow.address(), "build base --push=keys --progress json");
    let events = printed.out.lines().map(|line| serde_json::from_str(line).unwrap());
    let is_progress = |event: &serde_json::Value| event["event"] == "push-progress";
    let progress: Vec<serde_json::Value> = events.filter(is_progress).collect();
    let last = progress.last().expect("the progress of the upload");
    // containerd's store counts compressed bytes. A letter of 26 has 4.7 bits.
    assert!(last["total"].as_u64() >= Some(4_000_000 * 47 / 80), "{last}");
    check_uploads(&tree, &machine, &registry, 2);
}

#[test]
fn layers_of_external_images_are_uploaded_once() {
    let Some(registry) = Registry::start() else { return };
    let Some(machine) = Machine::start_or_skip() else { return };
    let tree = Tree::new(&[("one", "", &[]), ("two", "", &[]), ("three", "", &[])]);
    let (file, archive) = (tree.root().join("noise"), tree.root().join("external.tar"));
    std::fs::write(&file, noise(4_000_000)).unwrap();
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(tree.root()).arg("-cf").arg(&archive).arg("noise");
    assert!(tar.status().unwrap().success());
    let external = format!("{}:1", tree.repository("external"));
    machine.docker(&["import", archive.to_str().unwrap(), &external]);
    for image in tree.images() {
        let text = format!("FROM {external}\nCOPY file /{image}\nLABEL generation=0\n");
        tree.write(&format!("docker/{image}/Dockerfile"), &text);
    }
    check_uploads(&tree, &machine, &registry, 3);
}

#[test]
fn a_registry_that_limits_requests_is_given_time() {
    let Some(registry) = Registry::start() else { return };
    let Some(machine) = Machine::start_or_skip() else { return };
    let tree = Tree::new(&[("base", "", &[]), ("dev", "base", &[])]);
    let first: Mutex<Option<Instant>> = Mutex::default();
    let before = Faults::before(registry.address(), move |request| {
        if request.method == "POST" && request.path.contains("/blobs/uploads/") {
            let since = *first.lock().unwrap().get_or_insert_with(Instant::now);
            if since.elapsed() < Duration::from_secs(7) {
                let text = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#;
                return Fault::json(429, text);
            }
        }
        Fault::Pass
    });
    machine.build(&tree, before.address(), "--all --push").well();
    assert!(held(registry.address(), &tree.repository("dev"), "latest").is_some());
}
