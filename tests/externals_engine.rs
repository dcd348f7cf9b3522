//! Externals whose tags move: pinning, reports, and builds, with a real registry and a real engine.
//!
//! Needs Debian's docker-registry. Set `LAYERS_TEST_NO_ENGINE=1` if there is no engine.

#![expect(clippy::unwrap_used, reason = "a test that can't go on says where it stopped")]

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use layers::engine::{Builder, Frontend, ImageStore};
use serde_json::{Value, json};

mod common;

use common::faults::{Fault, Faults};
use common::registry::Registry;
use common::{Name, TEST_LABEL, engine_or_skip, program};

/// A repository of `base`, which is based on an external, and `app`, which is based on `base`.
struct Tree {
    root: PathBuf,
    variables: Vec<(&'static str, String)>,
    _directory: tempfile::TempDir,
}

impl Tree {
    fn new(namespace: &str, external: &str) -> Tree {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let tree = Tree { root, variables: Vec::new(), _directory: directory };
        let config = format!("namespace = \"{namespace}\"\napp = \"x\"\n");
        fs::write(tree.root.join("layers.toml"), config).unwrap();
        let label = format!("LABEL {TEST_LABEL}={namespace}\n");
        tree.dockerfile("base", &format!("FROM {external}\n{label}"));
        tree.dockerfile("app", &format!("FROM {namespace}/x-base\nENV APP=1\n"));
        tree
    }

    fn dockerfile(&self, image: &str, text: &str) {
        let directory = self.root.join("docker").join(image);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("Dockerfile"), text).unwrap();
    }

    fn with(mut self, name: &'static str, value: &str) -> Tree {
        self.variables.push((name, value.to_owned()));
        self
    }

    /// Runs the program. Returns both streams.
    fn run(&self, words: &str, code: i32) -> (String, String) {
        let mut command = program::layers_without_settings();
        command.args(words.split(' ')).current_dir(&self.root);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let Output { status, stdout, stderr } = command.output().unwrap();
        let [out, err] = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(status.code(), Some(code), "{words}:\n{out}\n{err}");
        (out, err)
    }

    /// Returns the digest of `base`'s external in graph.json.
    fn pin(&self) -> Value {
        let text = fs::read_to_string(self.root.join("graph.json")).unwrap();
        let lock: Value = serde_json::from_str(&text).unwrap();
        lock["images"][1]["externals"][0]["digest"].clone()
    }
}

/// Whether the engine has Docker's classic store. containerd's store removes an image that has lost its last
/// tag, and gives every image a digest, whatever its origin.
fn is_classic_store() -> bool {
    let info = ["info", "--format", "{{.DriverStatus}}"];
    let output = program::docker(&info).output().unwrap();
    !String::from_utf8_lossy(&output.stdout).contains("io.containerd.snapshotter")
}

/// Removes the images that an engine has pulled from a registry.
struct PulledImages(String);

impl Drop for PulledImages {
    fn drop(&mut self) {
        let filter = format!("reference={}/*/*", self.0);
        // By name: other tests can have pulled the same image from elsewhere.
        let names = "{{.Repository}}:{{.Tag}} {{.Repository}}@{{.Digest}}";
        let list = ["image", "ls", "--digests", "--format", names, "--filter", &filter];
        let listed = program::docker(&list).output().unwrap();
        for name in String::from_utf8_lossy(&listed.stdout).split_whitespace() {
            // An image does not have all of these names.
            drop(program::docker(&["image", "rm", name]).output());
        }
    }
}

#[test]
fn tags_are_pinned_and_reported_when_they_move() {
    let Some(registry) = Registry::start() else { return };
    let one = registry.push("a/b", "1", "one");
    let faults = Faults::before(registry.address(), |_| Fault::Pass);
    let external = format!("{}/a/b:1", faults.address());
    let tree = Tree::new("none", &external).with("LAYERS_ENGINE", "fake");

    let (out, err) = tree.run("outdated --check", 0);
    assert_eq!(out, "");
    let expected = format!(
        "unknown for `{external}`: not pinned, and not found in the engine\n\
         0 moved, 0 unchanged, 1 unknown of 1 external with a tag\nhint: layers update\n"
    );
    assert_eq!(err, expected);
    let (out, _) = tree.run("update", 0);
    assert_eq!(out, format!("- `{external}`: pinned to `{one}` (`app` and `base`)\n"));
    assert_eq!(tree.pin(), json!(one));
    tree.run("graph --check", 0);
    let (out, err) = tree.run("update", 0);
    let same = "1 external image is up to date\n";
    assert_eq!((out.as_str(), err.as_str()), ("", same));
    let (out, err) = tree.run("outdated --check", 0);
    let same = "0 moved, 1 unchanged of 1 external with a tag\n";
    assert_eq!((out.as_str(), err.as_str()), ("", same));

    let two = registry.push("a/b", "1", "two");
    faults.forget();
    let (out, err) = tree.run("outdated --check", 1);
    let (short_one, short_two) = (&one[7..19], &two[7..19]);
    let width = external.len();
    let expected = format!(
        "{:<width$}  CURRENT                LATEST        DEPENDENTS\n\
         {external}  {short_one} (pinned)  {short_two}  app, base\n",
        "EXTERNAL"
    );
    assert_eq!(out, expected);
    assert!(err.starts_with("1 moved, 0 unchanged of 1 external"), "{err}");
    tree.run("outdated", 0);
    let (out, _) = tree.run("outdated --json", 0);
    let row = json!({
        "external": external, "from": {"basis": "pin", "digests": [one]}, "now": two,
        "moved": true, "why": null, "images": ["app", "base"],
    });
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), json!([row]));
    assert_eq!(tree.pin(), json!(one), "only reported");
    let (out, _) = tree.run("update", 0);
    assert_eq!(out, format!("- `{external}`: `{one}` → `{two}` (`app` and `base`)\n"));
    // `update` reads what it pins.
    let requests = ["HEAD", "HEAD", "HEAD", "GET"];
    assert_eq!(faults.seen(), requests.map(|method| format!("{method} /v2/a/b/manifests/1")));
}

#[test]
fn only_the_selected_externals_are_updated() {
    let Some(registry) = Registry::start() else { return };
    let one = [("a/b", "1"), ("a/b", "2"), ("a/c", "1")]
        .map(|(path, tag)| registry.push(path, tag, &format!("{path}{tag}")));
    let at = registry.address();
    let tree = Tree::new("none", &format!("{at}/a/b:1"));
    tree.dockerfile("more", &format!("FROM {at}/a/b:2\nCOPY --from={at}/a/c:1 /word /\n"));
    let lines = |words: &str| tree.run(words, 0).0.lines().count();
    assert_eq!(lines(&format!("update {at}/a/c:1")), 1);
    assert_eq!(lines(&format!("update {at}/a/b")), 2);
    assert_eq!(tree.pin(), json!(one[0]));
    for (path, tag) in [("a/b", "1"), ("a/b", "2"), ("a/c", "1")] {
        registry.push(path, tag, "new");
    }
    let (out, _) = tree.run(&format!("update {at}/a/b:2 {at}/a/b:2"), 0);
    assert!(out.starts_with(&format!("- `{at}/a/b:2`: `{}` → ", one[1])), "{out}");
    assert_eq!((out.lines().count(), tree.pin()), (1, json!(one[0])));
    assert_eq!(lines("update"), 2);
}

#[test]
fn pins_are_kept_if_the_registry_is_unreachable() {
    let Some(mut registry) = Registry::start() else { return };
    let one = registry.push("a/b", "1", "one");
    let external = format!("{}/a/b:1", registry.address());
    let tree = Tree::new("none", &external);
    tree.run("update", 0);
    tree.dockerfile("more", &format!("FROM {}/a/b:gone\n", registry.address()));
    let (out, err) = tree.run("update", 4);
    let missing =
        format!("`{}/a/b:gone` was not updated: tag not found in its registry", registry.address());
    assert!(out.is_empty() && err.contains(&missing), "{out}{err}");
    tree.run("graph --check", 0);
    registry.stop();
    let (_, err) = tree.run("outdated --check", 0);
    assert!(err.contains(&format!("unknown for `{external}`: `")), "{err}");
    assert!(err.contains("is unreachable: connection refused (5 attempts)\n"), "{err}");
    assert!(err.contains("0 moved, 0 unchanged, 2 unknown of 2 externals"), "{err}");
    let (out, err) = tree.run("update", 4);
    assert!(out.is_empty() && err.contains(&format!("`{external}` was not updated: `")), "{err}");
    assert_eq!(tree.pin(), json!(one));
}

#[test]
fn certificates_from_ssl_cert_file_are_trusted() {
    let Some(registry) = Registry::plan().with_tls().start() else { return };
    let one = registry.push("a/b", "1", "one");
    let external = format!("{}/a/b:1", registry.by_name());
    let tree = Tree::new("none", &external);
    let (_, err) = tree.run("update", 4);
    assert!(err.contains("is not trusted: unknown issuer\nhint: save its"), "{err}");
    let tree = tree.with("SSL_CERT_FILE", registry.authority().to_str().unwrap());
    tree.run("update", 0);
    assert_eq!(tree.pin(), json!(one));
}

#[test]
fn unpinned_externals_are_compared_with_the_engine() {
    let Some(engine) = engine_or_skip() else { return };
    let Some(registry) = Registry::start() else { return };
    let one = registry.push("a/b", "1", "one");
    let _fetched = PulledImages(registry.address().to_owned());
    let external = format!("{}/a/b:1", registry.address());
    let tree = Tree::new("none", &external);
    let (_, err) = tree.run("outdated", 0);
    assert!(err.contains("not pinned, and not found in the engine"), "{err}");
    engine.pull(&external, None, &mut || ()).unwrap();
    let (out, err) = tree.run("outdated --check", 0);
    assert!(out.is_empty() && err.starts_with("0 moved, 1 unchanged of 1 external"), "{err}");
    let two = registry.push("a/b", "1", "two");
    let (out, _) = tree.run("outdated --check", 1);
    let expected = format!("{} (in the engine)  {}  app, base\n", &one[7..19], &two[7..19]);
    assert!(out.ends_with(&expected), "{out}");
    // An image that was built here and tagged manually.
    let name = Name::new();
    let own =
        common::request(&name, "FROM scratch\nCOPY f /\n", common::Files::new().and("f", "x"));
    common::build(&engine, &own);
    engine.tag(&own.references[0], &external).unwrap();
    if is_classic_store() {
        let (_, err) = tree.run("outdated --check", 0);
        assert!(err.contains("the engine's image was not pulled from its registry"), "{err}");
    }
    engine.remove(&external).unwrap();
    let deaf = tree.with("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    let (_, err) = deaf.run("outdated --check", 0);
    assert!(err.contains("not pinned, and no engine is running: socket not found:"), "{err}");
    assert!(!err.contains("\nhint: start"), "{err}");
}

#[test]
fn locked_builds_use_the_pinned_digest_even_if_the_tag_moves() {
    let Some(engine) = engine_or_skip() else { return };
    let Some(registry) = Registry::start() else { return };
    registry.push("a/b", "1", "one");
    let _fetched = PulledImages(registry.address().to_owned());
    let name = Name::new();
    let external = format!("{}/a/b:1", registry.address());
    let tree = Tree::new(name.label(), &external);
    tree.run("update", 0);
    registry.push("a/b", "1", "two");
    let word = |image: &str| {
        let image = engine.inspect(&format!("{}/x-{image}:latest", name.label())).unwrap().unwrap();
        let environment: Vec<String> = serde_json::from_value(image.config["Env"].clone()).unwrap();
        environment.into_iter().find(|it| it.starts_with("WORD=")).unwrap()
    };
    tree.run("build --all --locked", 0);
    assert_eq!((word("base").as_str(), word("app").as_str()), ("WORD=one", "WORD=one"));
    let (out, _) = tree.run("plan --locked --check", 0);
    assert!(out.ends_with("0 to build, 0 waiting, 2 fresh of 2 images\n"), "{out}");
    // Without `--locked`, the image that the tag points to is used.
    let (_, err) = tree.run("build --all --pull", 0);
    assert!(err.contains("base: external ") || err.contains(": pulled\n"), "{err}");
    assert_eq!(word("app"), "WORD=two");
    // With the lock again, nothing is built if the images on the pinned external still exist.
    let (_, err) = tree.run("build --all --locked --progress plain", 0);
    let is_kept = err.contains("0 built, 2 fresh of 2 images");
    assert!(is_kept || !is_classic_store(), "{err}");
    assert_eq!(word("app"), "WORD=one");
    // The tag now points to the other image, and images must be built.
    let takes_contexts = engine.info().unwrap().frontend.is_none_or(|it| it >= Frontend::new(1, 4));
    let (_, err) = tree.run("build --all --locked --force", if takes_contexts { 0 } else { 4 });
    if !takes_contexts {
        assert!(err.contains(&format!("`{external}` is pinned to `")), "{err}");
    }
    assert_eq!(word("app"), "WORD=one");
    // Without a network: the engine has all pinned images.
    drop(registry);
    tree.run("build --all --locked", 0);
}
