//! `graph.json` and its digests: written, used by `--locked`, and rejected if the file is broken or out of
//! date.

use std::fs;

use serde_json::Value;

use crate::harness::{Project, Ran};

const SCRIPT: &str = r#"{"store": "store.json", "record": "calls.jsonl", "name": "NAME", "registry": {
    "debian:bookworm-slim": "moved", "debian@DIGEST": "pinned", "debian:12": "other"}}"#;

fn digest() -> String {
    format!("sha256:{}", "1a".repeat(32))
}

/// The shop with an engine of this name.
fn shop(name: &str) -> Project {
    Project::shop().script(&SCRIPT.replace("NAME", name).replace("DIGEST", &digest()))
}

/// Writes graph.json with all externals pinned.
fn pin(project: &Project) {
    project.run("graph --output graph.json").code(0);
    let text = project.read("graph.json");
    let pinned = text.replace("\"digest\": null", &format!("\"digest\": \"{}\"", digest()));
    assert_ne!(text, pinned);
    fs::write(project.root().join("graph.json"), pinned).unwrap();
}

fn build(project: &Project, words: &str) -> Ran {
    project.run(&format!("build --all --engine fake -j1 --progress plain {words}"))
}

/// Returns the build requests to the engine, the newest first.
fn requests(project: &Project) -> Vec<Value> {
    let calls = project.read(".layers/calls.jsonl");
    let calls = calls.lines().rev().map(|line| serde_json::from_str(line).unwrap());
    calls.filter(|call: &Value| call["call"] == "build").collect()
}

#[test]
fn pins_are_kept_as_long_as_their_externals_are_used() {
    let project = shop("fake");
    pin(&project);
    let pinned = project.read("graph.json");
    project.run("graph --check").code(0);
    project.run("graph --json").code(0).stdout(&pinned);
    project.run("graph --output graph.json").code(0);
    assert_eq!(project.read("graph.json"), pinned);
    // Another use of the same external has its pin immediately. Another external has none.
    let project = project.dockerfile("extra", "FROM debian:bookworm-slim\n");
    let printed = project.run("graph --check").code(1).out();
    assert!(printed.contains(&format!("+          \"digest\": \"{}\"", digest())), "{printed}");
    let project = project
        .dockerfile("extra", "FROM debian:12\n")
        .dockerfile("base", "FROM debian:12\n")
        .dockerfile("agent", &format!("FROM debian@{}\n", digest()));
    project.run("graph --output graph.json").code(0);
    let text = project.read("graph.json");
    assert_eq!(text.matches("\"digest\": null").count(), 2, "{text}");
    // An external that no Dockerfile uses is removed.
    let project = project.dockerfile("base", "FROM debian:bookworm-slim\n");
    let printed = project.run("graph --json").code(0).out();
    assert_eq!(printed.matches("\"digest\": null").count(), 2, "{printed}");
}

#[test]
fn a_broken_lock_is_an_error_with_its_location() {
    let project = shop("fake");
    pin(&project);
    let broken = project.read("graph.json").replacen("\"images\"", "<<<<<<< HEAD\n\"images\"", 1);
    project.write("graph.json", &broken);
    let expected = "\
error[broken-lock]: `graph.json`: key must be a string
 --> graph.json:3:3
  |
3 |   <<<<<<< HEAD
  |   ^
  |
  = hint: revert manual edits and merges, or delete the file and pin again with `layers update`
";
    let verbs = ["graph --json", "graph --check", "outdated", "update", "plan --locked", "check"];
    for verb in verbs.iter().chain(&["build --all --locked", "graph --output graph.json"]) {
        let printed = project.run(verb).code(3).err();
        assert!(printed.starts_with(expected), "{verb}: {printed}");
    }
    assert_eq!(project.read("graph.json"), broken, "nothing was written");
    project.run("graph").code(0);
    build(&project, "").code(0);
    // A file of another program with this name is ignored until a command needs it.
    project.write("graph.json", "{\"nodes\": []}\n");
    project.run("check").code(0);
    assert!(project.run("graph --json").code(0).out().contains("\"digest\": null"));
    let printed = project.run("plan --locked").code(3).err();
    assert!(printed.contains("`graph.json`: missing field `version`"), "{printed}");
}

#[test]
fn a_locked_build_requires_an_up_to_date_lock() {
    let project = shop("fake");
    let refused = |project: &Project, expected: &str| {
        for verb in ["build --all --locked --engine fake", "plan --locked --engine fake"] {
            let printed = project.run(verb).code(3).err();
            assert!(printed.starts_with(&format!("error: {expected}")), "{verb}: {printed}");
            assert!(printed.ends_with("\nhint: layers update\n"), "{verb}: {printed}");
        }
        assert!(!project.root().join(".layers/calls.jsonl").exists(), "no engine was queried");
    };
    refused(&project, "`graph.json` not found, which `--locked` requires");
    project.run("graph --output graph.json").code(0);
    refused(&project, "1 external image is not pinned in `graph.json`: `debian:bookworm-slim`\n");
    pin(&project);
    let project = project.dockerfile("base", "FROM debian:12\n");
    let printed = project.run("plan --locked --engine fake").code(3).out();
    assert!(
        printed.contains("-          \"reference\": \"docker.io/library/debian:bookworm-slim\",")
    );
    assert!(
        printed.contains("+          \"reference\": \"docker.io/library/debian:12\","),
        "{printed}"
    );
    refused(&project, "`graph.json` is out of date\n");
    let project = project.dockerfile("base", "FROM debian:bookworm-slim\nRUN true\n");
    project.run("plan --locked --engine fake").code(0);
    // A version adds a tag to each image and changes nothing that is locked.
    let project = project.var("VERSION", "1.2");
    project.run("graph --check").code(1);
    project.run("plan --locked --engine fake").code(0);
    project.run("build --all --locked --pull").code(2);
}

#[test]
fn builders_with_named_contexts_receive_the_pinned_digest() {
    let project = shop("docker");
    pin(&project);
    let pinned = format!("debian@{}", digest());
    let printed = build(&project, "--locked").code(0).err();
    assert!(printed.starts_with(&format!("pulling {pinned}\n")), "{printed}");
    for request in requests(&project) {
        let dockerfile = request["dockerfile"].as_str().unwrap();
        let expected = match dockerfile.contains("FROM debian") {
            true => serde_json::json!({"debian:bookworm-slim": format!("docker-image://{pinned}")}),
            // Parents have unique names.
            false => request["contexts"].clone(),
        };
        assert_eq!(request["contexts"], expected, "{dockerfile}");
        let contexts = request["contexts"].as_object().unwrap();
        let is_lent =
            |it: &Value| it.as_str().unwrap().starts_with("docker-image://layers.invalid/");
        let parents = contexts.iter().filter(|(name, _)| !name.starts_with("debian"));
        assert!(parents.clone().all(|(_, value)| is_lent(value)), "{contexts:?}");
        assert_eq!(parents.count(), dockerfile.matches("acme/shop-").count(), "{contexts:?}");
    }
    let pulled = project.read(".layers/calls.jsonl");
    assert!(!pulled.contains("\"pull\",\"reference\":\"debian:bookworm-slim\""), "{pulled}");
    let store = project.read(".layers/store.json");
    assert!(!store.contains("\"debian:bookworm-slim\""), "the tag is left alone");
    assert!(build(&project, "--locked").code(0).err().contains("0 built, 5 fresh of 5 images"));
    project.run("plan --locked --check --engine fake").code(0);
    // Without the lock, the tag counts, which points to another image.
    let printed = build(&project, "").code(0).err();
    assert!(printed.contains("base: external debian:bookworm-slim moved"), "{printed}");
    // Back on the pin, the image that was built on it still exists.
    assert!(build(&project, "--locked").code(0).err().contains("0 built, 5 fresh of 5 images"));
}

#[test]
fn named_contexts_in_the_settings_are_pinned() {
    let config = "[image.base]\ncontexts = { os = \"docker-image://debian:bookworm-slim\" }\n";
    let project = shop("docker")
        .file("layers.toml", config)
        .dockerfile("base", "FROM os\nCOPY --from=debian:bookworm-slim /x /x\n");
    pin(&project);
    project.run("build base --locked --engine fake").code(0);
    let pinned = format!("docker-image://debian@{}", digest());
    let expected = serde_json::json!({"os": pinned, "debian:bookworm-slim": pinned});
    assert_eq!(requests(&project)[0]["contexts"], expected);
}

#[test]
fn named_contexts_are_sent_only_to_frontends_that_support_them() {
    let check = |engine: &str, syntax: &str, takes: bool| {
        let dockerfile = format!("# syntax={syntax}\nFROM debian:bookworm-slim\n");
        let project = shop(engine).dockerfile("base", &dockerfile);
        pin(&project);
        project.run("build base --locked --engine fake").code(0);
        let contexts = &requests(&project)[0]["contexts"];
        assert_eq!(contexts.get("debian:bookworm-slim").is_some(), takes, "{engine} {syntax}");
    };
    check("docker", "docker/dockerfile:1", true);
    check("docker", "docker/dockerfile:1.3", false);
    check("docker", "acme/frontend:1", false);
    check("fake", "docker/dockerfile:1", false);
}

#[test]
fn without_named_contexts_the_tag_must_point_to_the_pinned_image() {
    let project = shop("fake");
    pin(&project);
    let pinned = format!("debian@{}", digest());
    // The name is free, so the pinned image gets it.
    let printed = build(&project, "--locked").code(0).err();
    assert!(printed.starts_with(&format!("pulling {pinned}\n")), "{printed}");
    assert!(requests(&project).iter().all(|request| request["contexts"] == serde_json::json!({})));
    assert!(project.read(".layers/store.json").contains("\"debian:bookworm-slim\""));
    assert!(build(&project, "--locked --force").code(0).err().contains("5 built of 5 images"));
    // The name points to another image and is not moved.
    let printed = build(&project, "--pull").code(0).err();
    assert!(printed.contains("debian:bookworm-slim: pulled\n"), "{printed}");
    let printed = build(&project, "--locked --force").code(4).err();
    let expected = format!(
        "`debian:bookworm-slim` is pinned to `{pinned}`, but is a different image in the engine, and the "
    );
    assert!(printed.contains(&expected), "{printed}");
    let hint = format!("move the tag: docker tag {pinned} debian:bookworm-slim");
    assert!(printed.contains(&hint), "{printed}");
    // If nothing is built, the name is not looked up.
    assert!(build(&project, "--locked").code(0).err().contains("0 built, 5 fresh of 5 images"));
}

#[test]
fn a_pinned_image_that_cannot_be_pulled_is_an_error() {
    let project = shop("fake");
    pin(&project);
    let script = project.read(".layers/fake.json").replace(&digest(), "sha256:gone");
    project.write(".layers/fake.json", &script);
    let printed = build(&project, "--locked").code(4).err();
    assert!(printed.contains(&format!("can't pull `debian@{}`", digest())), "{printed}");
}

#[test]
fn update_selects_externals_by_their_names_in_dockerfiles() {
    let project = shop("fake");
    let printed = project.run("update debian:bookwrm-slim").code(2).err();
    assert!(
        printed.contains("no external image with a tag matches `debian:bookwrm-slim`"),
        "{printed}"
    );
    assert!(printed.ends_with("hint: did you mean `debian:bookworm-slim`?\n"), "{printed}");
    let printed = project.run("update zzz").code(2).err();
    assert!(printed.ends_with("hint: `layers graph` shows the external images\n"), "{printed}");
    // An image of the repository is not an external, and an external with a digest does not change.
    project.run("update acme/shop-base").code(2);
    let project = Project::new().dockerfile("base", &format!("FROM debian@{}\n", digest()));
    project.run(&format!("update debian@{}", digest())).code(2);
    let printed = project.run("update").code(0).stdout("").err();
    assert_eq!(printed, "no external images with a tag\n");
    project.run("outdated --check").code(0).stdout("");
}
