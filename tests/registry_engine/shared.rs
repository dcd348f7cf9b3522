//! Images that one machine has built are not built by others.

use std::collections::BTreeSet;

use crate::common::faults::{Fault, Faults};
use crate::common::registry::Registry;
use crate::world::{Machine, RunOutput, Tree, generation, held};

/// 30 images: four on `base`, twenty on those, one that copies from both kinds, four standalone ones.
fn thirty() -> Tree {
    let mut images: Vec<(String, String, Vec<&str>)> = vec![("base".into(), "".into(), vec![])];
    for middle in 0..4 {
        images.push((format!("middle{middle}"), "base".into(), vec![]));
        for leaf in 0..5 {
            images.push((format!("leaf{middle}{leaf}"), format!("middle{middle}"), vec![]));
        }
    }
    images.push(("copies".into(), "".into(), vec!["base", "alone0"]));
    images.extend((0..4).map(|it| (format!("alone{it}"), String::new(), vec![])));
    assert_eq!(images.len(), 30);
    let described: Vec<_> =
        images.iter().map(|(name, base, copies)| (&**name, &**base, &**copies)).collect();
    Tree::new(&described)
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn images_built_on_one_machine_are_not_rebuilt_on_another() {
    let Some(registry) = Registry::start() else { return };
    let Some(first) = Machine::start_or_skip() else { return };
    let Some(second) = Machine::start_or_skip() else { return };
    let before = Faults::before(registry.address(), |_| Fault::Pass);
    let address = before.address().to_owned();
    let tree = thirty();
    let printed = first.build(&tree, &address, "--all --push").well();
    assert_eq!(printed.counts(), "30 built of 30 images", "{}", printed.err);
    assert!(
        printed.err.contains("30 images pushed, 30 tags moved in the registry"),
        "{}",
        printed.err
    );
    assert_eq!(generation(&address, &tree).as_deref(), Some("0"));

    let other = tree.clone_of();
    before.forget();
    let printed = second.build(&other, &address, "--all").well();
    assert_eq!(printed.counts(), "0 built, 30 fresh (in registry) of 30 images", "{}", printed.err);
    let seen = before.seen();
    assert!(seen.len() <= 3 * 30, "{} questions: {seen:#?}", seen.len());
    assert_eq!(second.docker(&["images", "-q"]), "", "nothing was fetched");
    let plan = second.layers(&other, &address, "plan --check").well();
    assert!(plan.out.contains("base     fresh (in registry)\n"), "{}", plan.out);

    // Only dependents of base are built after a change to it.
    other.write("docker/base/file", "another base\n");
    let printed = second.build(&other, &address, "--all --push").well();
    assert_eq!(printed.counts(), "26 built, 4 fresh (in registry) of 30 images", "{}", printed.err);
    let alone: BTreeSet<String> = names(&["alone0", "alone1", "alone2", "alone3"]);
    assert!(printed.built().is_disjoint(&alone), "{:?}", printed.built());
    assert!(printed.err.contains("26 tags moved in the registry, 4 unchanged"), "{}", printed.err);

    // The first machine has the old images in its engine, and finds the new ones in the registry.
    tree.write("docker/base/file", "another base\n");
    let printed = first.build(&tree, &address, "--all").well();
    assert_eq!(
        printed.counts(),
        "0 built, 30 fresh (26 in registry) of 30 images",
        "{}",
        printed.err
    );
}

#[test]
fn images_are_pulled_only_if_built_upon_or_if_load_is_given() {
    let Some(registry) = Registry::start() else { return };
    let Some(first) = Machine::start_or_skip() else { return };
    let Some(second) = Machine::start_or_skip() else { return };
    let address = registry.address();
    let tree = Tree::new(&[("base", "", &[]), ("dev", "base", &[]), ("other", "base", &[])]);
    first.build(&tree, address, "--all --push=keys").well();
    assert_eq!(held(address, &tree.repository("base"), "latest"), None, "no tag was moved");
    let tree = tree.clone_of();
    tree.write("docker/dev/file", "changed\n");
    let printed = second.build(&tree, address, "--all").well();
    assert_eq!(printed.counts(), "1 built, 2 fresh (in registry) of 3 images", "{}", printed.err);
    assert_eq!(printed.built(), names(&["dev"]));
    let pulled = printed.err.lines().filter(|line| line.contains("pulled")).count();
    assert_eq!(pulled, 1, "{}", printed.err);
    let on_base = second.layers_of(&tree.reference("dev"));
    assert_eq!(on_base[..1], second.layers_of(&tree.reference("base")));
    // From then on, pulled images count as images in the engine.
    let printed = second.build(&tree, address, "--all").well();
    assert_eq!(printed.counts(), "0 built, 3 fresh (1 in registry) of 3 images", "{}", printed.err);
    let printed = second.build(&tree, address, "other --load").well();
    assert_eq!(printed.counts(), "0 built, 2 fresh of 2 images", "{}", printed.err);
    assert_eq!(second.layers_of(&tree.reference("other")).len(), 2);
}

/// Images are built on the parents of their own checkout, whatever images others have given the parents'
/// names.
#[test]
fn a_branch_never_builds_on_the_base_of_another() {
    let Some(registry) = Registry::start() else { return };
    let Some(machine) = Machine::start_or_skip() else { return };
    let Some(builder) = Machine::start_or_skip() else { return };
    let address = registry.address();
    let main = Tree::new(&[("base", "", &[]), ("dev", "base", &[]), ("end", "dev", &["base"])]);
    let branch = main.clone_of();
    branch.write("docker/base/file", "the base of a branch\n");
    builder.build(&main, address, "--all --push").well();
    builder.build(&branch, address, "base --push=keys").well();
    let bases = [&main, &branch].map(|tree| {
        builder.build(tree, address, "base --load").well();
        builder.layers_of(&tree.reference("base"))
    });
    assert_ne!(bases[0], bases[1]);
    // The engine has main's images under the names in the branch's Dockerfiles.
    machine.build(&main, address, "--all --load").well();
    assert_eq!(machine.layers_of(&main.reference("base")), bases[0]);
    let printed = machine.build(&branch, address, "--all --push=keys").well();
    assert_eq!(printed.built(), names(&["dev", "end"]), "{}", printed.err);
    let check = |machine: &Machine, tree: &Tree, base: &Vec<String>| {
        assert_eq!(machine.layers_of(&tree.reference("dev"))[..1], base[..]);
        assert_eq!(machine.layers_of(&tree.reference("end"))[..1], base[..]);
    };
    check(&machine, &branch, &bases[1]);
    // And back again, without building. If the engine has removed images without names, all are pulled.
    let printed = machine.build(&main, address, "--all --load").well();
    assert_eq!(printed.counts(), "0 built, 3 fresh of 3 images", "{}", printed.err);
    check(&machine, &main, &bases[0]);
    assert_eq!(generation(address, &main).as_deref(), Some("0"));
    let latest = held(address, &main.repository("base"), "latest").unwrap();
    assert_eq!(latest.diff_ids, bases[0], "the branch has moved no tag");
}

/// Two concurrent runs on one engine, from checkouts with different bases.
#[test]
fn concurrent_branches_on_one_engine_use_their_own_bases() {
    let Some(registry) = Registry::start() else { return };
    let Some(machine) = Machine::start_or_skip() else { return };
    let address = registry.address();
    let tree = Tree::new(&[("base", "", &[]), ("dev", "base", &[])]);
    let trees = [tree.clone_of(), tree];
    for (number, tree) in trees.iter().enumerate() {
        tree.write("docker/base/file", &format!("base {number}\n"));
    }
    for round in 0..5 {
        let printed: Vec<RunOutput> = std::thread::scope(|scope| {
            let build = |tree| machine.build(tree, address, "--all --push=keys --retries 3");
            let builds: Vec<_> = trees
                .iter()
                .map(|tree| {
                    tree.write("docker/dev/file", &format!("round {round}\n"));
                    scope.spawn(move || build(tree))
                })
                .collect();
            builds.into_iter().map(|it| it.join().unwrap()).collect()
        });
        for (printed, tree) in printed.iter().zip(&trees) {
            // A run that lost its base to the other one reports that. The pushed images are right in any
            // case. With named contexts, parents have unique names, and no base is lost.
            if printed.code != 0 && !machine.knows_contexts() {
                assert!(printed.err.contains("moved to another image"), "{}", printed.err);
                continue;
            }
            assert_eq!(printed.code, 0, "{}", printed.err);
            let key = |image: &str| key_of(&machine, tree, address, image);
            let found = |image: &str| {
                held(address, &tree.repository(image), &format!("layers-{}", key(image))).unwrap()
            };
            assert_eq!(found("dev").diff_ids[..1], found("base").diff_ids);
        }
    }
}

fn key_of(machine: &Machine, tree: &Tree, address: &str, image: &str) -> String {
    let printed = machine.layers(tree, address, &format!("why {image}")).well();
    let (_, rest) = printed.out.split_once("has its key ").unwrap();
    rest.lines().next().unwrap().to_owned()
}

#[test]
fn no_tags_are_moved_if_an_image_fails() {
    let Some(registry) = Registry::start() else { return };
    let Some(machine) = Machine::start_or_skip() else { return };
    let address = registry.address();
    let tree = Tree::new(&[("base", "", &[]), ("dev", "base", &[]), ("other", "base", &[])]);
    machine.build(&tree, address, "--all --push").well();
    tree.set_generation(1);
    tree.write("docker/dev/Dockerfile", &format!("FROM {}\nCOPY gone /\n", tree.reference("base")));
    let printed = machine.build(&tree, address, "--all --push --keep-going");
    assert_eq!(printed.code, 1, "{}", printed.err);
    assert!(
        printed.err.contains("2 images pushed, no tags moved in the registry"),
        "{}",
        printed.err
    );
    let of = |image: &str| held(address, &tree.repository(image), "latest").unwrap();
    for image in ["base", "dev", "other"] {
        assert_eq!(of(image).config["Labels"]["generation"], "0", "{image}");
    }
    // Pushed images are found by key.
    tree.write(
        "docker/dev/Dockerfile",
        &format!("FROM {}\nCOPY file /dev\nLABEL generation=1\n", tree.reference("base")),
    );
    let printed = machine.build(&tree, address, "--all --push --tag v1 --tag latest").well();
    assert_eq!(printed.built(), names(&["dev"]), "{}", printed.err);
    assert!(
        printed.err.contains("1 image pushed, 6 tags moved in the registry"),
        "{}",
        printed.err
    );
    assert_eq!(generation(address, &tree).as_deref(), Some("1"));
    assert!(held(address, &tree.repository("other"), "v1").is_some());
    let printed = machine.build(&tree, address, "--all --push --tag v1 --tag latest").well();
    assert!(printed.err.contains("6 tags already up to date in the registry"), "{}", printed.err);
}

#[test]
fn registry_and_push_can_be_set_in_layers_toml() {
    let Some(registry) = Registry::start() else { return };
    let Some(machine) = Machine::start_or_skip() else { return };
    let (address, tree) = (registry.address(), Tree::new(&[("base", "", &[])]));
    let config = std::fs::read_to_string(tree.root().join("layers.toml")).unwrap();
    let build = |settings: &str, words: &str| {
        tree.write("layers.toml", &format!("registry = \"{address}\"\n{settings}\n{config}"));
        let mut command = machine.command(&tree, "", words);
        let output = command.env_remove("LAYERS_REGISTRY").output().unwrap();
        let printed = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{printed}");
        printed
    };
    let printed = build("", "build --all --progress quiet");
    assert!(!printed.contains("pushed"), "{printed}");
    let printed = build("push = true", "build --all --progress quiet --push=no");
    assert!(!printed.contains("pushed"), "{printed}");
    let printed = build("push = \"keys\"", "build --all --progress quiet");
    assert!(printed.ends_with("\n1 image pushed\n"), "{printed}");
    assert_eq!(held(address, &tree.repository("base"), "latest"), None);
    let printed = build("push = true", "build --all --progress quiet");
    assert!(printed.ends_with("\n0 images pushed, 1 tag moved in the registry\n"), "{printed}");
    assert!(held(address, &tree.repository("base"), "latest").is_some());
}
