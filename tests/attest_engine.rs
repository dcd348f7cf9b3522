//! Annotations, SBOM, provenance, and SOURCE_DATE_EPOCH on a real engine, with the binary.
//!
//! Attestations need an engine with containerd's image store (Docker 24 or newer with `"features":
//! {"containerd-snapshotter": true}`). On other engines, these tests print a note, and the refusal is tested.
//! The scanner is an image of the test. Set `LAYERS_TEST_NO_ENGINE=1` if there is no engine.

#![expect(clippy::unwrap_used, reason = "a test that can't go on says where it stopped")]
#![expect(clippy::disallowed_methods, reason = "tests drive programs")]
#![expect(clippy::print_stderr, reason = "a skipped test says why")]

mod common;

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use common::{Files, Name, TEST_LABEL, engine_or_skip};
use layers::engine::docker::Docker;
use layers::engine::{Builder, Frontend, ImageStore};
use serde_json::Value;

/// Writes what BuildKit expects as the SBOM of a scan (its `docs/attestations/sbom-protocol.md`).
const SCAN: &str = r#"#!/bin/sh
name=${BUILDKIT_SCAN_SOURCE##*/}
echo '{"_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://spdx.dev/Document",
 "predicate": {"SPDXID": "SPDXRef-DOCUMENT", "spdxVersion": "SPDX-2.3", "name": "scanned by a test"}}' \
 > "$BUILDKIT_SCAN_DESTINATION/$name.spdx.json"
"#;

/// A repository of `base`, `app` on it, and a scanner. Its images are removed when the test ends.
struct Repository {
    directory: tempfile::TempDir,
    name: Name,
}

impl Repository {
    fn new() -> Repository {
        let directory = tempfile::tempdir().unwrap();
        let name = Name::new();
        let (label, namespace) = (format!("{TEST_LABEL}={}", name.label()), name.reference(""));
        let dockerfile = |image: &str, text: String| {
            let directory = directory.path().join("shop/docker").join(image);
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("Dockerfile"), text).unwrap();
            directory
        };
        let base = dockerfile("base", format!("FROM scratch\nCOPY f /\nLABEL {label}\n"));
        fs::write(base.join("f"), name.label()).unwrap();
        let app = format!("FROM {namespace}/shop-base AS one\nCOPY part /\nFROM one\nENV A=b\n");
        fs::write(dockerfile("app", app).join("part"), "one\n").unwrap();
        let scanner = format!("FROM scratch\nCOPY . /\nENTRYPOINT [\"/scan\"]\nLABEL {label}\n");
        let scanner = dockerfile("scanner", scanner);
        Files::with_busybox().and_mode("scan", 0o755, SCAN).write_below(&scanner);
        fs::create_dir(directory.path().join("shop/.git")).unwrap();
        Repository { directory, name }
    }

    fn reference(&self, image: &str) -> String {
        self.name.reference(&format!("/shop-{image}:latest"))
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_layers"));
        command.args(words.split_whitespace()).current_dir(self.directory.path().join("shop"));
        for name in ["IMAGE_NAME", "APP_NAME", "VERSION", "REPO_VERSION", "SOURCE_DATE_EPOCH"] {
            command.env_remove(name);
        }
        command.env("REPO_NS", self.name.reference("")).stdin(Stdio::null());
        command
    }

    fn run(&self, words: &str, code: i32) -> String {
        printed(&self.command(words).output().unwrap(), code)
    }

    /// Returns the JSON objects that an engine stores for an image, except its layers.
    fn kept(&self, image: &str) -> Vec<Value> {
        let path: PathBuf = self.directory.path().join("saved.tar");
        let mut save = Command::new("docker");
        save.args(["image", "save", &self.reference(image), "--output"]).arg(&path);
        assert!(save.status().expect("docker can be run").success());
        let mut found = Vec::new();
        for entry in tar::Archive::new(fs::File::open(path).unwrap()).entries().unwrap() {
            let mut bytes = Vec::new();
            entry.unwrap().read_to_end(&mut bytes).unwrap();
            found.extend(serde_json::from_slice::<Value>(&bytes).ok());
        }
        found
    }
}

fn printed(output: &Output, code: i32) -> String {
    let printed = [&output.stdout[..], &output.stderr].concat();
    let printed = String::from_utf8(printed).unwrap();
    assert_eq!(output.status.code(), Some(code), "{printed}");
    printed
}

/// Returns the engine if it supports attestations.
fn attesting_or_skip() -> Option<Docker> {
    let engine = engine_or_skip()?;
    if !engine.features().unwrap().attestations {
        eprintln!("skipped: the engine does not have containerd's image store");
        return None;
    }
    Some(engine)
}

/// Returns the attestation with this type of predicate.
fn attested<'a>(kept: &'a [Value], kind: &str) -> Option<&'a Value> {
    kept.iter().find(|it| it["predicateType"].as_str().is_some_and(|it| it.contains(kind)))
}

#[test]
fn annotations_are_in_the_manifest_and_keep_the_image_id() {
    let Some(engine) = attesting_or_skip() else { return };
    let repository = Repository::new();
    repository.run("build app --progress plain", 0);
    let kept = repository.kept("app");
    let annotated = kept.iter().find_map(|it| {
        let annotations = it["annotations"].as_object()?;
        annotations.get("org.opencontainers.image.title").map(|_| annotations)
    });
    let base = engine.inspect(&repository.reference("base")).unwrap().unwrap();
    let digest = base.digests[0].split('@').nth(1).unwrap();
    let expected = serde_json::json!({
        "org.opencontainers.image.title": "app",
        "org.opencontainers.image.base.name":
            format!("docker.io/{}", repository.reference("base")),
        "org.opencontainers.image.base.digest": digest,
    });
    assert_eq!(annotated, expected.as_object());
    // A rebuild from the cache is identical to the last byte.
    let before = engine.inspect(&repository.reference("app")).unwrap().unwrap();
    repository.run("build app --force --progress plain", 0);
    let after = engine.inspect(&repository.reference("app")).unwrap().unwrap();
    assert_eq!(after.id, before.id);
}

#[test]
fn images_get_an_sbom_and_provenance() {
    let Some(_) = attesting_or_skip() else { return };
    let repository = Repository::new();
    let built = repository.run("build --all --progress plain", 0);
    assert!(built.contains("3 built of 3 images"), "{built}");
    assert_eq!(attested(&repository.kept("app"), ""), None);
    let needs = |words: &str| -> Value {
        let printed = repository.run(&format!("why app --inputs {words}"), 0);
        serde_json::from_str::<Value>(&printed).unwrap()["needs"].clone()
    };
    let before = needs("");
    let scanner = repository.reference("scanner");
    let words = format!("--sbom=generator={scanner} --provenance=mode=max");
    let printed = repository.run(&format!("plan app {words}"), 0);
    assert!(
        printed.contains("--provenance is mode=max, was not set, and 1 more change"),
        "{printed}"
    );
    let printed = repository.run(&format!("build app --progress plain {words}"), 0);
    assert!(printed.contains("] COPY part / (cached)"), "{printed}");
    let kept = repository.kept("app");
    let sbom = attested(&kept, "spdx.dev").expect("there is an SBOM");
    assert_eq!(sbom["predicate"]["name"], "scanned by a test");
    let provenance = attested(&kept, "slsa.dev").expect("there is a provenance").to_string();
    let base = format!("pkg:docker/{}@latest", repository.name.reference("/shop-base"));
    assert!(provenance.contains(&base), "{provenance}");
    // It describes how the image was built, and lists none of the files that it was built from.
    assert!(
        provenance.contains("llbDefinition") && provenance.contains("\"path\":\"/Dockerfile\"")
    );
    assert!(!provenance.contains("\"path\":\"/context\""), "{provenance}");
    // Attestations are next to the image and have no effect on children.
    assert_eq!(needs(&words), before);
    let printed = repository.run(&format!("build app --progress plain {words}"), 0);
    assert!(printed.contains("0 built, 2 fresh of 2 images"), "{printed}");
}

#[test]
fn a_provenance_has_no_file_of_a_named_directory() {
    let Some(_) = attesting_or_skip() else { return };
    let repository = Repository::new();
    let root = repository.directory.path().join("shop");
    fs::create_dir(root.join("notes")).unwrap();
    fs::write(root.join("notes/note"), "one\n").unwrap();
    let label = format!("{TEST_LABEL}={}", repository.name.label());
    let text = format!("FROM scratch\nLABEL {label}\nCOPY --from=notes note /\n");
    fs::write(root.join("docker/app/Dockerfile"), text).unwrap();
    let words = "--build-context notes=notes --provenance=mode=max";
    repository.run(&format!("build app --progress plain {words}"), 0);
    let kept = repository.kept("app");
    let provenance = attested(&kept, "slsa.dev").expect("there is a provenance").to_string();
    assert!(provenance.contains("llbDefinition") && provenance.contains("context:notes"));
    assert!(!provenance.contains("\"path\":\"/context\""), "{provenance}");
}

#[test]
fn engines_without_attestations_build_nothing() {
    let Some(engine) = engine_or_skip() else { return };
    if engine.features().unwrap().attestations {
        eprintln!("skipped: the engine can attest");
        return;
    }
    let repository = Repository::new();
    let printed = repository.run("build --all --sbom --progress plain", 4);
    assert!(printed.starts_with("error: docker "), "{printed}");
    assert!(
        printed.contains(" does not support `--sbom`: its image store keeps no attestations"),
        "{printed}"
    );
    assert!(
        printed.contains("\nhint: with Docker 24 or newer, set `\"features\": {\"containerd-snapshotter\": true}`"),
        "{printed}"
    );
    assert_eq!(engine.inspect(&repository.reference("base")).unwrap(), None);
    let printed = repository.run("build --all --progress plain", 0);
    assert!(printed.contains("3 built of 3 images") && !printed.contains("warning"), "{printed}");
}

#[test]
fn source_date_epoch_sets_the_creation_time_of_images() {
    let Some(engine) = engine_or_skip() else { return };
    let repository = Repository::new();
    let mut build = repository.command("build base --progress plain");
    let printed = printed(&build.env("SOURCE_DATE_EPOCH", "1700000000").output().unwrap(), 0);
    let is_old =
        engine.info().unwrap().frontend.is_some_and(|frontend| frontend < Frontend::new(1, 5));
    assert_eq!(
        printed.contains("which ignores it: images will have the time of their build"),
        is_old
    );
    let image = engine.inspect(&repository.reference("base")).unwrap().unwrap();
    assert_eq!(image.created.starts_with("2023-11-14T22:13:20"), !is_old, "{}", image.created);
}
