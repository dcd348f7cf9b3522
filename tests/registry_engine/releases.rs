//! Which tags a release moves, and what happens if another run moves them at the same time.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::faults::{Fault, Faults};
use crate::common::program::output_of;
use crate::common::registry::{Registry, ask};
use crate::world::{Machine, STATE_HOME, Tree, held};

/// Returns the tags of an image in the registry, except for those of keys and release records.
fn tags(registry: &str, tree: &Tree, image: &str) -> BTreeSet<String> {
    let path = format!("/v2/{}/tags/list", tree.repository(image));
    let (_, body) = ask(registry, "GET", &path, "", b"");
    let list: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let tags = list["tags"].as_array().cloned().unwrap_or_default();
    let tags = tags.iter().map(|tag| tag.as_str().unwrap().to_owned());
    tags.filter(|tag| !tag.starts_with("layers-")).collect()
}

#[track_caller]
fn check_tags(registry: &str, tree: &Tree, image: &str, expected: &[&str]) {
    assert_eq!(tags(registry, tree, image), expected.iter().map(|it| (*it).to_owned()).collect());
}

fn git(root: &Path, words: &[&str]) -> String {
    let mut command = Command::new("git");
    command.arg("-C").arg(root).args(["-c", "user.name=a", "-c", "user.email=a@b"]).args(words);
    output_of(&mut command)
}

/// Commits everything in a checkout, and returns the commit.
fn commit(tree: &Tree) -> String {
    if !tree.root().join(".git").exists() {
        git(tree.root(), &["init", "-q", "-b", "main"]);
    }
    git(tree.root(), &["add", "-A"]);
    git(tree.root(), &["commit", "-q", "--allow-empty", "-m", "change"]);
    git(tree.root(), &["rev-parse", "HEAD"])
}

fn generation_of(registry: &str, tree: &Tree, image: &str) -> String {
    let found = held(registry, &tree.repository(image), "latest").unwrap();
    found.config["Labels"]["generation"].as_str().unwrap().to_owned()
}

#[test]
fn only_the_given_tags_are_moved() {
    let Some(registry) = Registry::start() else { return };
    let Some(machine) = Machine::start_or_skip() else { return };
    let (address, tree) =
        (registry.address(), Tree::new(&[("base", "", &[]), ("dev", "base", &[])]));
    let config = std::fs::read_to_string(tree.root().join("layers.toml")).unwrap();
    let push = |words: &str| {
        machine.build(&tree, address, format!("--all --push {words}").trim_end()).well()
    };
    push("--tag pr-7");
    check_tags(address, &tree, "dev", &["pr-7"]);
    // In the engine, siblings still find the image under the name that they use.
    let names = machine.docker(&["image", "ls", "--format", "{{.Tag}}", &tree.repository("base")]);
    assert!(names.lines().any(|tag| tag == "latest"), "{names}");
    tree.write("layers.toml", &format!("latest = \"always\"\n{config}"));
    push("--tag pr-8");
    check_tags(address, &tree, "base", &["latest", "pr-7", "pr-8"]);
    tree.write("layers.toml", &config);
    tree.set_generation(1);
    push("--tag pr-9");
    assert_eq!(generation_of(address, &tree, "dev"), "0");
    push("--tag latest --tag pr-9");
    assert_eq!(generation_of(address, &tree, "dev"), "1");
    tree.set_generation(2);
    push("");
    assert_eq!(generation_of(address, &tree, "dev"), "2");
}

#[test]
fn release_versions_from_git_tags_also_move_latest() {
    let Some(registry) = Registry::start() else { return };
    let Some(machine) = Machine::start_or_skip() else { return };
    let (address, tree) = (registry.address(), Tree::new(&[("base", "", &[])]));
    let release = |generation: usize, tag: &str| {
        tree.set_generation(generation);
        commit(&tree);
        git(tree.root(), &["tag", tag]);
        machine.build(&tree, address, "--all --push --tag {git.tag}").well();
    };
    release(1, "v1.2-rc1");
    check_tags(address, &tree, "base", &["v1.2-rc1"]);
    release(2, "v1.2");
    check_tags(address, &tree, "base", &["latest", "v1.2", "v1.2-rc1"]);
    let config = std::fs::read_to_string(tree.root().join("layers.toml")).unwrap();
    tree.write("layers.toml", &format!("latest = \"never\"\n{config}"));
    release(3, "v1.3");
    check_tags(address, &tree, "base", &["latest", "v1.2", "v1.2-rc1", "v1.3"]);
    assert_eq!(generation_of(address, &tree, "base"), "2");
}

#[test]
fn images_with_push_disabled_get_no_tags() {
    let Some(registry) = Registry::start() else { return };
    let Some(machine) = Machine::start_or_skip() else { return };
    let address = registry.address();
    let tree = Tree::new(&[("base", "", &[]), ("dev", "base", &[]), ("agent", "", &[])]);
    let config = std::fs::read_to_string(tree.root().join("layers.toml")).unwrap();
    let unpublished = "[image.base]\npush = false\n[image.agent]\npush = false\n";
    tree.write("layers.toml", &format!("{config}{unpublished}"));
    let printed = machine.build(&tree, address, "--all --push").well();
    assert!(
        printed.err.contains("2 images pushed, 1 tag moved in the registry"),
        "{}",
        printed.err
    );
    check_tags(address, &tree, "base", &[]);
    check_tags(address, &tree, "agent", &[]);
    check_tags(address, &tree, "dev", &["latest"]);
    // Another machine needs the key of `base`, but nothing needs `agent`.
    let other = Machine::start_or_skip().unwrap();
    let printed = other.build(&tree, address, "--all").well();
    assert_eq!(printed.built(), ["agent".to_owned()].into(), "{}", printed.err);
}

/// A registry whose tags are immutable: a second push to a tag is rejected.
pub fn immutable(registry: &Registry) -> Faults {
    let target = registry.address().to_owned();
    Faults::before(registry.address(), move |request| {
        let is_tag = request.path.contains("/manifests/") && !request.path.contains("sha256:");
        if request.method == "PUT" && is_tag {
            let (head, found) = ask(&target, "GET", &request.path, "", b"");
            if head.starts_with("HTTP/1.1 200") && found != request.body {
                let text = r#"{"errors":[{"code":"TAG_INVALID","message":"The image tag is immutable."}]}"#;
                return Fault::json(400, text);
            }
        }
        Fault::Pass
    })
}

#[test]
fn a_second_release_to_immutable_tags_succeeds() {
    let Some(registry) = Registry::start() else { return };
    let Some(machine) = Machine::start_or_skip() else { return };
    let tree = Tree::new(&[("base", "", &[]), ("dev", "base", &[])]);
    let before = immutable(&registry);
    let push =
        |words: &str| machine.build(&tree, before.address(), &format!("--all --push {words}"));
    commit(&tree);
    push("--tag 1.0").well();
    tree.write("docker/dev/file", "changed\n");
    commit(&tree);
    push("--tag 1.1").well();
    check_tags(registry.address(), &tree, "dev", &["1.0", "1.1"]);
    commit(&tree);
    push("--tag 1.1").well();
    tree.write("docker/dev/file", "changed again\n");
    let printed = push("--tag 1.1");
    assert_eq!(printed.code, 4, "{}", printed.err);
    assert!(printed.err.contains("The image tag is immutable."), "{}", printed.err);
}

/// Runs a release of `older`, and `during` once its images have been built, but before its tags are moved: when it pushes
/// the last image. While `older` builds, `during` would move the name of a parent in the engine that both use.
#[track_caller]
fn race(
    older: &Tree,
    machine: &Machine,
    registry: &Registry,
    during: impl FnOnce(),
) -> (i32, String) {
    let (waits, goes_on) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (reached, released) = (Arc::clone(&waits), Arc::clone(&goes_on));
    let last = format!("{}/manifests/layers-", older.repository("dev"));
    let before = Faults::before(registry.address(), move |request| {
        if request.method == "PUT" && request.path.contains(&last) {
            reached.store(true, Ordering::SeqCst);
            while !released.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        Fault::Pass
    });
    std::thread::scope(|scope| {
        let run = scope.spawn(|| machine.build(older, before.address(), "--all --push"));
        while !waits.load(Ordering::SeqCst) && !run.is_finished() {
            std::thread::sleep(Duration::from_millis(10));
        }
        during();
        goes_on.store(true, Ordering::SeqCst);
        let printed = run.join().unwrap();
        (printed.code, printed.err)
    })
}

/// Returns a checkout whose first commit was released.
fn released_commits() -> Option<(Registry, Machine, Tree)> {
    let registry = Registry::start()?;
    let machine = Machine::start_or_skip()?;
    let tree = Tree::new(&[("base", "", &[]), ("dev", "base", &[])]);
    commit(&tree);
    machine.build(&tree, registry.address(), "--all --push").well();
    Some((registry, machine, tree))
}

/// Two pipelines after a release: the checkouts of an older commit and of a newer one.
struct Pipelines {
    registry: Registry,
    machine: Machine,
    older: Tree,
    newer: Tree,
    /// The newer commit.
    newest: String,
}

impl Pipelines {
    /// Generation 0 is released, the older commit has generation 1, and the newer one the given one. The older checkout
    /// knows the newer commit, as one with a full history does after a fetch.
    fn start(generation: usize) -> Option<Pipelines> {
        let (registry, machine, older) = released_commits()?;
        older.set_generation(1);
        commit(&older);
        let newer = older.clone_of();
        let status =
            Command::new("cp").arg("-a").arg(older.root().join(".git")).arg(newer.root()).status();
        assert!(status.unwrap().success());
        newer.set_generation(generation);
        let newest = commit(&newer);
        git(older.root(), &["fetch", "-q", newer.root().to_str().unwrap(), "main"]);
        Some(Pipelines { registry, machine, older, newer, newest })
    }
}

#[test]
fn an_older_pipeline_that_ends_last_does_not_move_tags_back() {
    let Some(pipelines) = Pipelines::start(2) else { return };
    let Pipelines { registry, machine, older, newer, newest } = &pipelines;
    let address = registry.address();
    let (code, printed) = race(older, machine, registry, || {
        machine.build(newer, address, "--all --push").well();
    });
    assert_eq!(code, 4, "{printed}");
    let expected = format!("was moved by the newer commit {} during this run", &newest[..12]);
    assert!(printed.contains(&expected), "{printed}");
    assert_eq!(generation_of(address, newer, "dev"), "2");
}

#[test]
fn a_newer_pipeline_that_ends_last_moves_the_tags() {
    let Some(pipelines) = Pipelines::start(2) else { return };
    let Pipelines { registry, machine, older, newer, .. } = &pipelines;
    let address = registry.address();
    let (code, printed) = race(newer, machine, registry, || {
        machine.build(older, address, "--all --push").well();
    });
    assert_eq!(code, 0, "{printed}");
    assert_eq!(generation_of(address, newer, "dev"), "2");
}

/// The newer commit reverts the older one, so its images are those that the tags already pointed to.
#[test]
fn an_older_pipeline_does_not_undo_a_revert() {
    let Some(pipelines) = Pipelines::start(0) else { return };
    let Pipelines { registry, machine, older, newer, .. } = &pipelines;
    let address = registry.address();
    let (code, printed) = race(older, machine, registry, || {
        machine.build(newer, address, "--all --push").well();
    });
    assert_eq!(code, 4, "{printed}");
    assert_eq!(generation_of(address, newer, "dev"), "0");
}

#[test]
fn tags_moved_by_an_unknown_commit_need_an_explicit_option() {
    let Some((registry, machine, tree)) = released_commits() else { return };
    let address = registry.address();
    tree.set_generation(1);
    let stranger = tree.clone_of();
    stranger.set_generation(2);
    let (code, printed) = race(&tree, &machine, &registry, || {
        machine.build(&stranger, address, "--all --push").well();
    });
    assert_eq!(code, 4, "{printed}");
    assert!(printed.contains("was moved during this run, and its commit is unknown"), "{printed}");
    assert!(printed.contains("--force-tags"), "{printed}");
    assert_eq!(generation_of(address, &tree, "dev"), "2");
    machine.build(&tree, address, "--all --push --force-tags").well();
    assert_eq!(generation_of(address, &tree, "dev"), "1");
}

/// A registry rejects one of several new tags. `removes` is whether it can remove tags.
#[track_caller]
fn check_rejected(removes: bool) {
    let Some(registry) = Registry::start() else { return };
    let Some(machine) = Machine::start_or_skip() else { return };
    let tree = Tree::new(&[("base", "", &[]), ("dev", "base", &[])]);
    let (base, dev) = (tree.repository("base"), tree.repository("dev"));
    let of_base = format!("/v2/{base}/manifests/latest");
    let deletion = format!("DELETE {of_base}");
    let removed = AtomicBool::new(false);
    let before = Faults::before(registry.address(), move |request| {
        let is_tag_of_dev = request.path == format!("/v2/{dev}/manifests/latest");
        let is_tag_of_base = request.path == of_base;
        match request.method.as_str() {
            "PUT" if is_tag_of_dev => Fault::json(403, r#"{"errors":[{"code":"DENIED"}]}"#),
            "DELETE" if removes && is_tag_of_base => {
                removed.store(true, Ordering::SeqCst);
                Fault::status(202)
            }
            "HEAD" | "GET" if is_tag_of_base && removed.load(Ordering::SeqCst) => {
                Fault::json(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#)
            }
            _ => Fault::Pass,
        }
    });
    let printed = machine.build(&tree, before.address(), "--all --push");
    assert_eq!(printed.code, 4, "{}", printed.err);
    let named = printed.err.contains("these tags are new and could not be removed");
    assert_eq!(named, !removes, "{}", printed.err);
    assert!(before.seen().contains(&deletion), "{:?}", before.seen());
}

#[test]
fn new_tags_are_removed_if_another_one_is_rejected() {
    check_rejected(true);
}

#[test]
fn new_tags_that_cannot_be_removed_are_named() {
    check_rejected(false);
}

#[test]
fn tags_move_even_if_the_moves_cannot_be_recorded() {
    let Some(registry) = Registry::start() else { return };
    let Some(mut machine) = Machine::start_or_skip() else { return };
    let tree = Tree::new(&[("base", "", &[])]);
    // Files are in the place of all directories that the moves could be recorded in.
    let temporary = tempfile::tempdir().unwrap();
    let user = temporary.path().metadata().unwrap().uid();
    std::fs::write(temporary.path().join(format!("layers-{user}")), "").unwrap();
    for name in [".layers", STATE_HOME] {
        std::fs::write(tree.root().join(name), "").unwrap();
    }
    machine.variables.insert("TMPDIR", temporary.path().into());
    let printed = machine.build(&tree, registry.address(), "--all --push").well();
    assert_eq!(printed.err.matches("warning: the moves of tags can't be recorded: ").count(), 1);
    assert!(printed.err.contains("1 tag moved in the registry"), "{}", printed.err);
    check_tags(registry.address(), &tree, "base", &["latest"]);
}

/// Returns the content of a metadata file after a build.
fn metadata(machine: &Machine, tree: &Tree, registry: &str, words: &str) -> serde_json::Value {
    let file = tree.root().join("metadata.json");
    drop(std::fs::remove_file(&file));
    let words = format!("--all --metadata-file {} {words}", file.display());
    machine.build(tree, registry, words.trim_end()).well();
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

#[test]
fn the_metadata_file_describes_built_and_found_images() {
    let Some(registry) = Registry::start() else { return };
    let Some(machine) = Machine::start_or_skip() else { return };
    let (address, tree) =
        (registry.address(), Tree::new(&[("base", "", &[]), ("dev", "base", &[])]));
    let local = metadata(&machine, &tree, "", "");
    let reference = tree.reference("base");
    assert_eq!(local["base"]["image.name"], format!("docker.io/{reference}"));
    let id = machine.docker(&["image", "inspect", "-f", "{{.Id}}", &reference]);
    let fields = ["containerimage.config.digest", "containerimage.digest"];
    assert!(fields.iter().any(|field| local["base"][*field] == id.trim()), "{local}");
    tree.write("docker/dev/file", "changed\n");
    let pushed = metadata(&machine, &tree, address, "--push --tag 1.0");
    let other = Machine::start_or_skip().unwrap();
    let found = metadata(&other, &tree, address, "");
    for image in ["base", "dev"] {
        let stored = held(address, &tree.repository(image), "1.0").unwrap();
        for (content, is_pushed) in [(&pushed[image], true), (&found[image], false)] {
            assert_eq!(content["containerimage.digest"], stored.digest, "{content}");
            assert_eq!(content["containerimage.config.digest"], stored.id, "{content}");
            assert_eq!(content["containerimage.descriptor"]["digest"], stored.digest, "{content}");
            let name = match is_pushed {
                true => format!("{address}/{}:1.0", tree.repository(image)),
                false => format!("docker.io/{}", tree.reference(image)),
            };
            assert_eq!(content["image.name"], name, "{content}");
        }
    }
}
