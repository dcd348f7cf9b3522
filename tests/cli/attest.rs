//! Annotations, `--sbom`, `--provenance`, and SOURCE_DATE_EPOCH on the scripted engine: what the engine
//! receives, what becomes stale, and the errors if the engine does not support them.

use serde_json::{Value, json};

use crate::harness::Project;

const KEEPS: &str = r#"{"store": "store.json", "record": "calls.jsonl", "keeps_manifests": true}"#;
const CLASSIC: &str = r#"{"store": "store.json", "record": "calls.jsonl"}"#;

fn project(script: &str) -> Project {
    Project::new()
        .dockerfile("base", "FROM debian:12\nRUN true\n")
        .dockerfile("app", "FROM shop-base AS one\nRUN true\nFROM one\nRUN true\n")
        .dockerfile("tool", "FROM scratch\nCOPY --from=debian:12 /bin/true /\n")
        .script(script)
}

/// Returns the build requests to the engine, sorted by image, and clears the record.
fn builds(project: &Project) -> Vec<Value> {
    let calls = project.read(".layers/calls.jsonl");
    std::fs::write(project.root().join(".layers/calls.jsonl"), "").unwrap();
    let calls = calls.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut builds: Vec<Value> = calls.filter(|call| call["call"] == "build").collect();
    builds.sort_by_key(|call| call["references"][0].as_str().map(str::to_owned));
    builds
}

fn build(project: &Project, words: &str) -> String {
    let printed = project.run(&format!("build --all --engine fake -j1 --progress quiet {words}"));
    printed.code(0).err().replace(" in 0.0s\n", "")
}

fn reason(project: &Project, words: &str) -> String {
    let printed = project.run(&format!("plan --engine fake {words}")).code(0).out();
    let line = printed.lines().find(|line| line.starts_with("tool")).unwrap();
    line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
}

#[test]
fn annotations_contain_the_names_of_the_image_and_its_base() {
    let project = project(KEEPS);
    build(&project, "");
    let annotations: Vec<Value> =
        builds(&project).into_iter().map(|build| build["annotations"].clone()).collect();
    let title = "org.opencontainers.image.title";
    let base = "org.opencontainers.image.base.name";
    assert_eq!(
        annotations,
        [
            // The base is found through another stage.
            json!({title: "app", base: "docker.io/library/shop-base:latest"}),
            json!({title: "base", base: "docker.io/library/debian:12"}),
            // An image that is only copied from is not a base.
            json!({title: "tool"}),
        ]
    );
}

#[test]
fn base_annotations_use_pinned_digests_and_context_overrides() {
    let pin = format!("sha256:{}", "a".repeat(64));
    let project = Project::new()
        .dockerfile("pinned", &format!("FROM debian:12@{pin}\nRUN true\n"))
        .dockerfile("other", "FROM debian:12\nRUN true\n")
        .file(
            "layers.toml",
            "[image.other.contexts]\n'debian:12' = 'docker-image://mirror.example/debian:12'\n",
        )
        .script(KEEPS);
    build(&project, "");
    let annotations: Vec<Value> =
        builds(&project).into_iter().map(|build| build["annotations"].clone()).collect();
    let (name, digest) =
        ("org.opencontainers.image.base.name", "org.opencontainers.image.base.digest");
    assert_eq!(annotations[0][name], "mirror.example/debian:12");
    assert_eq!(annotations[0].get(digest), None);
    assert_eq!(annotations[1][name], format!("docker.io/library/debian:12@{pin}"));
    assert_eq!(annotations[1][digest], pin);
}

#[test]
fn engines_without_manifests_silently_get_no_annotations() {
    let project = project(CLASSIC);
    assert_eq!(build(&project, ""), "3 built of 3 images");
    for build in builds(&project) {
        assert_eq!((&build["annotations"], &build["attestations"]), (&json!({}), &json!({})));
    }
}

#[test]
fn attestation_settings_affect_freshness() {
    let project = project(KEEPS);
    build(&project, "");
    let attested = |project: &Project| -> Vec<Value> {
        builds(project).into_iter().map(|build| build["attestations"].clone()).collect()
    };
    assert_eq!(attested(&project), vec![json!({}); 3]);
    assert_eq!(reason(&project, "--sbom"), "build --sbom is true, was not set");
    assert_eq!(build(&project, "--sbom --provenance=mode=max"), "3 built of 3 images");
    assert_eq!(attested(&project), vec![json!({"sbom": "", "provenance": "mode=max"}); 3]);
    let all = "--sbom=true --provenance=mode=max";
    assert_eq!(build(&project, all), "0 built, 3 fresh of 3 images");
    assert_eq!(reason(&project, all), "fresh");
    // An image with attestations is stale if they are not requested.
    assert_eq!(reason(&project, "--sbom"), "build --provenance is not set, was mode=max");
    let inputs = project.run("why tool --engine fake --inputs --sbom=generator=x/y").code(0).out();
    let inputs: Value = serde_json::from_str(&inputs).unwrap();
    assert_eq!(inputs["settings"], json!({"attest:sbom": "generator=x/y"}));
    // `false` disables what layers.toml enables.
    let configured = project.file("layers.toml", "sbom = true\nprovenance = \"mode=min\"\n");
    assert_eq!(reason(&configured, "--provenance=mode=max"), "fresh");
    build(&configured, "--sbom=false");
    assert_eq!(attested(&configured), vec![json!({"provenance": "mode=min"}); 3]);
}

#[test]
fn unsupported_attestations_are_reported_before_the_build() {
    let project = project(CLASSIC);
    let expected = |kinds: &str, off: &str| {
        format!(
            "error: fake {} does not support {kinds}: its image store keeps no attestations\n\
             hint: with Docker 24 or newer, set `\"features\": {{\"containerd-snapshotter\": true}}` \
             in `daemon.json`, or pass {off}\n",
            env!("CARGO_PKG_VERSION")
        )
    };
    let printed = project.run("build --all --engine fake --sbom").code(4).err();
    assert_eq!(printed, expected("`--sbom`", "`--sbom=false`"));
    let project = project.file("layers.toml", "provenance = true\nsbom = \"generator=x\"\n");
    let printed = project.run("build --all --engine fake").code(4).err();
    assert_eq!(
        printed,
        expected("`--sbom` and `--provenance`", "`--sbom=false` and `--provenance=false`")
    );
    assert!(builds(&project).is_empty());
    project.run("build --all --engine fake --sbom=false --provenance=false").code(0);
}

#[test]
fn invalid_attestation_settings_are_reported_with_their_location() {
    let project = project(KEEPS);
    let printed = project.run("build --all --engine fake --provenance=mode=much").code(2).err();
    assert!(printed.contains("unknown mode `much`: expected `min` or `max`"), "{printed}");
    let printed = project.run("build --all --engine fake --sbom=syft").code(2).err();
    assert!(
        printed.contains("expected `true`, `false`, or parameters such as `generator="),
        "{printed}"
    );
    let project = project.file("layers.toml", "app = \"shop\"\nsbom = 3\n");
    let printed = project.run("build --all --engine fake").code(3).err();
    assert!(
        printed.starts_with("error[config]: `sbom` is not valid: expected `true`, `false`"),
        "{printed}"
    );
    assert!(printed.contains("layers.toml:2:8"), "{printed}");
}

#[test]
fn bake_and_compose_files_contain_attestation_settings() {
    let project = Project::new()
        .dockerfile("app", "FROM debian:12\n")
        .file("layers.toml", "sbom = true\nprovenance = \"mode=max,version=v1\"\n");
    let bake = project.run("graph --bake").code(0).out();
    let attest =
        "  attest = [\n    \"type=sbom\",\n    \"type=provenance,mode=max,version=v1\",\n  ]\n";
    assert!(bake.contains(attest), "{bake}");
    let compose = project.run("graph --compose").code(0).out();
    let attest = "      sbom: true\n      provenance: \"mode=max,version=v1\"\n";
    assert!(compose.contains(attest), "{compose}");
    let bake = project.run("graph --bake --sbom=generator=a/b --provenance=false").code(0).out();
    assert!(bake.contains("  attest = [\"type=sbom,generator=a/b\"]\n"), "{bake}");
    assert!(!project.run("graph --json").code(0).out().contains("sbom"));
}

#[test]
fn source_date_epoch_is_read_from_the_environment() {
    let project = project(CLASSIC).var("SOURCE_DATE_EPOCH", "1700000000");
    build(&project, "");
    let given = |project: &Project| -> Vec<Value> {
        builds(project).into_iter().map(|build| build["build_args"].clone()).collect()
    };
    assert_eq!(given(&project), vec![json!({"SOURCE_DATE_EPOCH": "1700000000"}); 3]);
    assert_eq!(reason(&project, ""), "fresh");
    let printed = reason(&project, "--build-arg SOURCE_DATE_EPOCH=5");
    assert_eq!(printed, "build ARG SOURCE_DATE_EPOCH is 5, was 1700000000");
    build(&project, "--build-arg SOURCE_DATE_EPOCH=5");
    assert_eq!(given(&project), vec![json!({"SOURCE_DATE_EPOCH": "5"}); 3]);
    // The environment takes precedence over the file, as for all settings.
    let project = project
        .file("layers.toml", "[args]\nSOURCE_DATE_EPOCH = 7\n")
        .var("SOURCE_DATE_EPOCH", "9");
    assert_eq!(reason(&project, ""), "build ARG SOURCE_DATE_EPOCH is 9, was 5");
    // An empty variable counts as unset.
    let project = project.var("SOURCE_DATE_EPOCH", "");
    assert_eq!(reason(&project, ""), "build ARG SOURCE_DATE_EPOCH is 7, was 5");
}

#[test]
fn committed_graphs_do_not_depend_on_source_date_epoch() {
    let project = project(CLASSIC);
    let drawn = |project: &Project| project.run("graph --bake").code(0).out();
    let before = drawn(&project);
    let project = project.var("SOURCE_DATE_EPOCH", "1700000000");
    assert_eq!(drawn(&project), before);
    // A value in the repository appears in its drawings.
    let project = project.file("layers.toml", "[args]\nSOURCE_DATE_EPOCH = 7\n");
    let drawn = drawn(&project);
    assert!(drawn.contains(r#""SOURCE_DATE_EPOCH" = "7""#), "{drawn}");
    // A verdict includes the settings of the build.
    let project = project.file("layers.toml", "");
    build(&project, "");
    let marked = |words: &str| {
        project.run(&format!("graph --color-by verdict --engine fake {words}")).code(0).out()
    };
    assert!(
        !marked("").contains("build")
            && marked("--build-arg SOURCE_DATE_EPOCH=1").contains("build")
    );
}
