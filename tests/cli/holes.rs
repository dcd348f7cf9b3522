//! Former causes of a wrong `fresh`. Each test has a small tree, an edit that changes an image, and the
//! verdict that must detect it.

use crate::harness::Project;

const STORE: &str = r#"{"store": "store.json", "record": "calls.jsonl"}"#;

fn build(project: &Project, words: &str) -> String {
    let printed = project.run(&format!("build {words} --engine fake -j2 --progress quiet")).code(0);
    printed.err().lines().last().unwrap().replace(" in 0.0s", "")
}

/// Returns the verdict of an image in a plan.
fn verdict(project: &Project, image: &str, words: &str) -> String {
    let all = project.run(&format!("plan {words} --engine fake")).code(0).out();
    let line = all.lines().find(|line| line.split_whitespace().next() == Some(image)).unwrap();
    line.split_whitespace().nth(1).unwrap().to_owned()
}

/// Returns the files that were sent to the last build of an image.
fn sent(project: &Project, image: &str) -> String {
    let calls = project.read(".layers/calls.jsonl");
    let calls = calls.lines().map(|line| serde_json::from_str(line).unwrap());
    let builds: Vec<serde_json::Value> = calls
        .filter(|call: &serde_json::Value| {
            let reference = call["references"][0].as_str();
            call["call"] == "build" && reference.is_some_and(|it| it.contains(image))
        })
        .collect();
    builds.last().unwrap()["context"].to_string()
}

fn contexts(values: &str) -> String {
    format!("namespace = 'acme'\n[image.user.contexts]\n{values}")
}

/// Two images, and one that reads them through named contexts.
fn with_contexts(values: &str) -> Project {
    Project::new()
        .dockerfile("one", "FROM scratch\nCOPY f /\n")
        .file("docker/one/f", "1")
        .dockerfile("two", "FROM scratch\nCOPY f /\n")
        .file("docker/two/f", "2")
        .dockerfile("user", "FROM scratch\nCOPY --from=first /f /a\nCOPY --from=second /f /b\n")
        .file("layers.toml", contexts(values))
        .script(STORE)
}

#[test]
fn values_of_used_named_contexts_affect_the_key() {
    let check = |before: &str, after: &str, expected: &str| {
        let project = with_contexts(before);
        build(&project, "--all");
        assert_eq!(verdict(&project, "user", ""), "fresh");
        project.write("layers.toml", &contexts(after));
        assert_eq!(verdict(&project, "user", ""), expected, "{before} -> {after}");
    };
    check("first = 'one'\nsecond = 'two'\n", "first = 'two'\nsecond = 'one'\n", "build");
    let to =
        |address: &str| format!("first = 'one'\nsecond = 'https://example.com/{address}.git'\n");
    check(&to("a"), &to("b"), "build");
    // A context that is not used does not count.
    let both = "first = 'one'\nsecond = 'two'\n";
    check(both, &format!("{both}third = 'two'\n"), "fresh");
}

#[test]
fn onbuild_triggers_run_for_a_parent_given_as_a_named_context() {
    let project = Project::new()
        .dockerfile("base", "FROM scratch\nONBUILD COPY f /\n")
        .dockerfile("user", "FROM parent\n")
        .file("docker/user/f", "1")
        .file("layers.toml", contexts("parent = 'base'\n"))
        .script(STORE);
    build(&project, "--all");
    assert_eq!(sent(&project, "user"), r#"["f"]"#);
    project.write("docker/user/f", "2");
    assert_eq!(verdict(&project, "user", ""), "build");
}

#[test]
fn onbuild_triggers_of_an_excluded_parent_come_from_its_stored_image() {
    let project = Project::new()
        .dockerfile("base", "FROM scratch\nONBUILD COPY a /\n")
        .dockerfile("user", "FROM acme/shop-base\n")
        .file("docker/user/a", "1")
        .file("docker/user/b", "1")
        .script(STORE);
    build(&project, "--all");
    // The image in the engine still reads `a`.
    project.write("docker/base/Dockerfile", "FROM scratch\nONBUILD COPY b /\n");
    build(&project, "user --exclude base");
    assert!(sent(&project, "user").contains("\"a\""), "{}", sent(&project, "user"));
    assert_eq!(verdict(&project, "user", "user --exclude base"), "fresh");
    project.write("docker/user/a", "2");
    assert_eq!(verdict(&project, "user", "user --exclude base"), "build");
}

#[test]
fn a_copy_pattern_with_a_redeclared_argument_matches_all_values() {
    let project = Project::new()
        .dockerfile("user", "FROM scratch\nENV D=a\nARG D\nCOPY x$D* /\n")
        .file("docker/user/xa", "1")
        .file("docker/user/xb", "1")
        .script(STORE);
    build(&project, "--all");
    project.write("docker/user/xb", "2");
    assert_eq!(verdict(&project, "user", ""), "build");
}

#[test]
fn a_changed_external_for_another_platform_makes_the_image_stale() {
    let store = |layer: &str| {
        format!(
            r#"{{"debian:12": {{"id": "sha256:{layer}", "platform": "linux/arm64", "diff_ids": ["{layer}"]}}}}"#
        )
    };
    let project = Project::new()
        .dockerfile("user", "FROM --platform=linux/arm64 debian:12\nRUN true\n")
        .script(STORE)
        .file(".layers/store.json", store("a"));
    build(&project, "--all");
    assert_eq!(verdict(&project, "user", ""), "fresh");
    let held = project.read(".layers/store.json");
    project.write(
        ".layers/store.json",
        &held.replace("\"a\"", "\"b\"").replace("sha256:a\"", "sha256:b\""),
    );
    assert_eq!(verdict(&project, "user", ""), "build");
}

#[test]
fn an_image_committed_on_top_of_ours_is_not_ours() {
    let project = Project::new()
        .dockerfile("user", "FROM scratch\nCOPY f /\n")
        .file("docker/user/f", "1")
        .script(STORE);
    build(&project, "--all");
    let path = ".layers/store.json";
    let mut store: serde_json::Value = serde_json::from_str(&project.read(path)).unwrap();
    let images = store.as_object_mut().unwrap();
    let (name, ours) = images.iter().next().map(|(a, b)| (a.clone(), b.clone())).unwrap();
    // A committed container: it keeps the labels, gets an additional layer, and has the name.
    let mut theirs = ours.clone();
    theirs["id"] = "sha256:theirs".into();
    theirs["diff_ids"].as_array_mut().unwrap().push("sha256:patch".into());
    images.insert(ours["id"].as_str().unwrap().to_owned(), ours.clone());
    images.insert(name.clone(), theirs.clone());
    project.write(path, &store.to_string());
    let printed = project.run("plan --engine fake").code(0).out();
    assert!(printed.starts_with(&format!("user  fresh  restores `{name}`\n")), "{printed}");
    assert_eq!(build(&project, "--all"), "0 built, 1 fresh of 1 image");
    let store: serde_json::Value = serde_json::from_str(&project.read(path)).unwrap();
    assert_eq!(store[&name]["id"], ours["id"]);
    // Its presence under another name does not matter.
    let mut store: serde_json::Value = serde_json::from_str(&project.read(path)).unwrap();
    store.as_object_mut().unwrap().insert("patched:1".to_owned(), theirs);
    project.write(path, &store.to_string());
    assert_eq!(verdict(&project, "user", ""), "fresh");
}
