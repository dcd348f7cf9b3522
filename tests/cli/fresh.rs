//! Fresh and stale images, on the scripted engine with a persistent store.

use std::fs;

use crate::harness::{Project, assert_same};

const STORE: &str = r#"{"store": "store.json", "record": "calls.jsonl"}"#;

/// Like `Project::shop`, but without externals, with a file that is read and one that is not.
fn shop(script: &str) -> Project {
    Project::new()
        .dockerfile("base", "FROM scratch\nCOPY requirements.txt /\nRUN true\n")
        .file("docker/base/requirements.txt", "six\n")
        .file("docker/base/README.md", "read me\n")
        .dockerfile("builder", "FROM acme/shop-base\nARG PY=3.11\nRUN make wheels\n")
        .dockerfile("dev", "FROM acme/shop-builder:latest\nRUN make test\n")
        .dockerfile(
            "release",
            "FROM acme/shop-base:latest\nCOPY --from=acme/shop-builder:latest /wheels /wheels\n",
        )
        .dockerfile("agent", "FROM scratch\nCOPY . /agent\n")
        .script(script)
}

/// Builds everything. Returns the counts.
fn build(project: &Project, words: &str) -> String {
    let printed = project.run(&format!("build {words} --engine fake -j2 --progress quiet")).code(0);
    printed.err().lines().last().unwrap().replace(" in 0.0s", "")
}

fn plan(project: &Project, words: &str) -> String {
    project.run(&format!("plan {words} --engine fake")).code(0).out()
}

/// Returns the line of an image in a plan of all images.
fn verdict(project: &Project, image: &str) -> String {
    let all = plan(project, "");
    let line = all.lines().find(|line| line.split_whitespace().next() == Some(image)).unwrap();
    line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
}

fn built() -> Project {
    let project = shop(STORE);
    assert_eq!(build(&project, "--all"), "5 built of 5 images");
    project
}

#[test]
fn all_images_are_stale_before_a_build_and_fresh_after_it() {
    let project = shop(STORE);
    assert_same(
        &plan(&project, "--all"),
        "\
agent    build  no image in the engine
base     build  no image in the engine
builder  build  no image in the engine
dev      build  no image in the engine
release  build  no image in the engine
5 to build, 0 waiting, 0 fresh of 5 images
",
    );
    project.run("plan --check --engine fake").code(1);
    assert_eq!(build(&project, "--all"), "5 built of 5 images");
    assert_eq!(build(&project, "--all"), "0 built, 5 fresh of 5 images");
    project.run("plan --check --engine fake").code(0);
    let calls = || project.read(".layers/calls.jsonl").lines().count();
    let before = calls();
    project.run("plan --engine fake").code(0);
    // One request for the engine's version and one for the images with a key. Identities are stored by ID.
    assert_eq!(calls() - before, 2);
}

/// Returns the engine's calls in a run of `layers build --all` with nothing to do.
fn calls_of_a_build(project: &Project) -> Vec<String> {
    fs::remove_file(project.root().join(".layers/calls.jsonl")).unwrap();
    assert!(build(project, "--all").starts_with("0 built, "));
    let calls = project.read(".layers/calls.jsonl");
    let call = |line: &str| {
        let call: serde_json::Value = serde_json::from_str(line).unwrap();
        call["call"].as_str().unwrap().to_owned()
    };
    calls.lines().map(call).collect()
}

#[test]
fn images_without_dependents_need_no_engine_requests() {
    let check = |leaves: usize| {
        let mut project = Project::new()
            .dockerfile("base", "FROM scratch\nCOPY . /\n")
            .dockerfile("builder", "FROM acme/shop-base\nRUN make\n");
        for leaf in 0..leaves {
            let text = "FROM acme/shop-base\nCOPY --from=acme/shop-builder /wheels /wheels\n";
            project = project.dockerfile(&format!("leaf{leaf}"), text);
        }
        let project = project.script(STORE);
        build(&project, "--all");
        // The identities of the two parents are requested once and stored.
        let calls = calls_of_a_build(&project);
        assert_eq!(calls, ["describe", "list", "inspect", "inspect"], "{leaves} leaves");
        assert_eq!(calls_of_a_build(&project), ["describe", "list"], "{leaves} leaves");
    };
    check(5);
    check(50);
}

#[test]
fn changes_without_effect_on_the_image_keep_it_fresh() {
    let check = |path: &str, text: &str| {
        let project = built();
        project.write(path, text);
        assert_eq!(build(&project, "--all"), "0 built, 5 fresh of 5 images", "{path}: {text}");
    };
    check("docker/base/README.md", "another\n");
    check("docker/base/new", "this is never read\n");
    let text = "# a comment\nfrom scratch\n\ncopy   requirements.txt \\\n   /\nRun true\n";
    check("docker/base/Dockerfile", text);
    check("docker/builder/Dockerfile", "FROM acme/shop-base AS b\nARG PY=3.11\nRUN make wheels\n");
    check(
        "docker/dev/Dockerfile",
        "FROM scratch AS x\nRUN y\nFROM acme/shop-builder\nRUN make test\n",
    );
}

#[test]
fn the_plan_names_each_change() {
    let check = |edit: &dyn Fn(&Project), image: &str, expected: &str| {
        let project = built();
        edit(&project);
        assert_eq!(verdict(&project, image), expected);
    };
    let requirements = "docker/base/requirements.txt";
    check(
        &|it| it.write(requirements, "seven\n"),
        "base",
        "build docker/base/requirements.txt changed",
    );
    check(&|it| it.write("docker/agent/new", ""), "agent", "build docker/agent/new is new");
    check(
        &|it| {
            it.write(
                "docker/builder/Dockerfile",
                "FROM acme/shop-base\nARG PY=3.12\nRUN make wheels\n",
            );
        },
        "builder",
        "build ARG PY is 3.12, was 3.11",
    );
    check(
        &|it| it.write("docker/dev/Dockerfile", "FROM acme/shop-builder\nRUN make  test\n"),
        "dev",
        "build docker/dev/Dockerfile:2:1 changed",
    );
    let keys = ".layers/keys";
    check(
        &|it| {
            it.write(requirements, "seven\n");
            fs::remove_dir_all(it.root().join(keys)).unwrap();
        },
        "base",
        "build built from different inputs",
    );
    check(&|it| it.write(requirements, "seven\n"), "dev", "waits for builder");
    check(&|it| it.write(requirements, "seven\n"), "agent", "fresh");
}

#[test]
fn a_changed_parent_rebuilds_its_dependents_and_is_named() {
    let project = built();
    project.write("docker/base/requirements.txt", "seven\n");
    let printed = project.run("build --all --engine fake -j1 --progress plain").code(0).err();
    assert!(printed.contains("base: docker/base/requirements.txt changed"), "{printed}");
    assert!(printed.contains("builder: base was rebuilt and differs"), "{printed}");
    assert!(printed.contains("agent: fresh"), "{printed}");
    assert!(printed.ends_with("4 built, 1 fresh of 5 images in 0.0s\n"), "{printed}");
    assert_eq!(build(&project, "--all"), "0 built, 5 fresh of 5 images");
}

#[test]
fn an_unchanged_parent_result_skips_the_builds_of_its_dependents() {
    let script = r#"{"store": "store.json",
        "images": [{"reference": "shop-base", "content": "always the same"}]}"#;
    let project = shop(script);
    assert_eq!(build(&project, "--all"), "5 built of 5 images");
    project.write("docker/base/requirements.txt", "seven\n");
    assert_eq!(verdict(&project, "builder"), "waits for base");
    assert_eq!(build(&project, "--all"), "1 built, 4 fresh of 5 images");
    assert_eq!(build(&project, "--all"), "0 built, 5 fresh of 5 images");
}

#[test]
fn external_changes_to_the_store_are_detected() {
    let edit_store =
        |project: &Project, edit: &dyn Fn(&mut serde_json::Map<String, serde_json::Value>)| {
            let mut store = serde_json::from_str(&project.read(".layers/store.json")).unwrap();
            edit(&mut store);
            project.write(".layers/store.json", &serde_json::to_string(&store).unwrap());
        };
    let dev = "acme/shop-dev:latest";
    let project = built();
    edit_store(&project, &|store| drop(store.remove(dev)));
    assert_eq!(verdict(&project, "dev"), "build no image in the engine");
    assert_eq!(build(&project, "--all"), "1 built, 4 fresh of 5 images");
    // The tag points to another image of ours.
    edit_store(&project, &|store| {
        let agent = store["acme/shop-agent:latest"].clone();
        store.insert(dev.to_owned(), agent);
    });
    assert_eq!(verdict(&project, "dev"), "build built from different inputs");
    // The tag points to an image without a key.
    edit_store(&project, &|store| {
        store[dev]["labels"] = serde_json::json!({});
        store[dev]["id"] = serde_json::json!("sha256:somebody's");
    });
    assert_eq!(
        verdict(&project, "dev"),
        "build `acme/shop-dev:latest` points to a different image"
    );
    // Children of a replaced parent wait.
    let project = built();
    edit_store(&project, &|store| {
        let agent = store["acme/shop-agent:latest"].clone();
        store.insert("acme/shop-builder:latest".to_owned(), agent);
    });
    assert_eq!(verdict(&project, "dev"), "waits for builder");
}

#[test]
fn restored_inputs_restore_references_without_a_build() {
    let project = built();
    let before = project.read(".layers/store.json");
    project.write("docker/base/requirements.txt", "seven\n");
    assert_eq!(build(&project, "--all"), "4 built, 1 fresh of 5 images");
    project.write("docker/base/requirements.txt", "six\n");
    assert_eq!(verdict(&project, "base"), "fresh restores `acme/shop-base:latest`");
    project.run("plan --check --engine fake").code(1);
    let printed = project.run("build --all --engine fake -j1 --progress plain").code(0).err();
    assert!(printed.contains("dev: fresh, restored `acme/shop-dev:latest`"), "{printed}");
    assert!(printed.ends_with("0 built, 5 fresh of 5 images in 0.0s\n"), "{printed}");
    project.run("plan --check --engine fake").code(0);
    let ids = |store: &str| {
        let store: serde_json::Value = serde_json::from_str(store).unwrap();
        ["base", "builder", "dev", "release", "agent"]
            .map(|name| store[format!("acme/shop-{name}:latest")]["id"].clone())
    };
    assert_eq!(ids(&before), ids(&project.read(".layers/store.json")));
}

#[test]
fn a_version_adds_a_tag_without_a_build() {
    let project = built().var("VERSION", "1.2");
    assert_eq!(verdict(&project, "dev"), "fresh restores `acme/shop-dev:1.2`");
    assert_eq!(build(&project, "--all"), "0 built, 5 fresh of 5 images");
    let store = project.read(".layers/store.json");
    let store: serde_json::Value = serde_json::from_str(&store).unwrap();
    assert_eq!(store["acme/shop-dev:1.2"]["id"], store["acme/shop-dev:latest"]["id"]);
}

#[test]
fn a_missing_state_directory_does_not_cause_builds() {
    let project = built();
    for path in [".layers/keys", ".layers/files", ".layers/identities.json"] {
        let path = project.root().join(path);
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap_or(());
    }
    assert_eq!(build(&project, "--all"), "0 built, 5 fresh of 5 images");
    // A second checkout with the same engine.
    let store = project.root().join(".layers/store.json").to_string_lossy().into_owned();
    let second = shop(&format!(r#"{{"store": "{store}"}}"#));
    assert_eq!(build(&second, "--all"), "0 built, 5 fresh of 5 images");
}

#[test]
fn identities_in_another_format_are_discarded() {
    let project = built();
    plan(&project, "");
    let path = ".layers/identities.json";
    let mut kept: serde_json::Value = serde_json::from_str(&project.read(path)).unwrap();
    let format = kept["format"].as_u64().unwrap();
    kept["format"] = (format + 1).into();
    for identity in kept["identities"].as_object_mut().unwrap().values_mut() {
        identity["layers"] = "found otherwise".into();
    }
    project.write(path, &kept.to_string());
    assert_eq!(build(&project, "--all"), "0 built, 5 fresh of 5 images");
    // A list without a format version, as the first version of the program stored it.
    project.write(path, &kept["identities"].to_string());
    assert_eq!(build(&project, "--all"), "0 built, 5 fresh of 5 images");
}

#[test]
fn only_files_that_the_build_reads_are_sent() {
    let project = built();
    let calls = project.read(".layers/calls.jsonl");
    let calls: Vec<serde_json::Value> =
        calls.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let sent = |image: &str| {
        let is_it = |call: &&serde_json::Value| {
            call["call"] == "build"
                && call["references"][0].as_str().is_some_and(|it| it.contains(image))
        };
        let call = calls.iter().find(is_it).unwrap();
        assert_eq!(call["labels"]["dev.layers.key"].as_str().unwrap().len(), 64);
        call["context"].to_string()
    };
    assert_eq!(sent("base"), r#"["requirements.txt"]"#);
    assert_eq!(sent("builder"), "[]");
    assert_eq!(sent("agent"), r#"["Dockerfile"]"#);
}

#[test]
fn the_state_directory_is_not_an_input() {
    let project = Project::new()
        .file("docker/all/Dockerfile", "FROM scratch\nCOPY . /\n")
        .file("layers.toml", "[image.all]\ncontext = '.'\n")
        .script(STORE);
    assert_eq!(build(&project, "--all"), "1 built of 1 image");
    assert_eq!(build(&project, "--all"), "0 built, 1 fresh of 1 image");
}

#[test]
fn builds_can_be_forced_and_dry_run() {
    let project = built();
    assert_eq!(build(&project, "dev --force"), "1 built, 2 fresh of 3 images");
    assert_eq!(build(&project, "dev --no-cache"), "1 built, 2 fresh of 3 images");
    project.write("docker/base/requirements.txt", "seven\n");
    let dry = project.run("build dev --dry-run --engine fake").code(0).out();
    assert_same(
        &dry,
        "\
base     build  docker/base/requirements.txt changed
builder  waits  for base
dev      waits  for builder
1 to build, 2 waiting, 0 fresh of 3 images
",
    );
    assert_eq!(build(&project, "base+ --exclude release"), "3 built of 3 images");
    assert_eq!(build(&project, "--all"), "1 built, 4 fresh of 5 images");
}

#[test]
fn an_excluded_parent_is_used_as_is() {
    let project = built();
    project.write("docker/base/requirements.txt", "seven\n");
    assert_eq!(build(&project, "builder --exclude base"), "0 built, 1 fresh of 1 image");
}

#[test]
fn selectors_accept_plus_signs_globs_and_regular_expressions() {
    let project = built();
    let selected = |words: &str| -> String {
        let all = plan(&project, words);
        let names = all.lines().filter_map(|line| line.split_once(' ')).map(|(name, _)| name);
        let names = names.filter(|name| name.chars().all(char::is_alphabetic));
        names.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(selected("builder+"), "base builder dev release");
    assert_eq!(selected("+dev"), "base builder dev");
    assert_eq!(selected("+builder+"), "base builder dev release");
    assert_eq!(selected("/^b/"), "base builder");
    assert_eq!(selected("--exclude b* --exclude dev"), "agent release");
    project.run("plan /(/ --engine fake").code(2);
    project.run("plan nobody+ --engine fake").code(2);
}

#[test]
fn why_shows_the_path_from_the_cause_to_the_image() {
    let project = built();
    let fresh = project.run("why dev --engine fake").code(0).out();
    assert!(fresh.starts_with("dev is up to date: sha256:"), "{fresh}");
    assert!(fresh.contains("\nfrom builder: layers and configuration\n"), "{fresh}");
    let inputs = project.run("why base --inputs --engine fake").code(0).out();
    let inputs: serde_json::Value = serde_json::from_str(&inputs).unwrap();
    assert_eq!(inputs["files"][0]["path"], "requirements.txt");
    project.write("docker/base/requirements.txt", "seven\n");
    assert_same(
        &project.run("why dev --engine fake").code(0).out(),
        "\
docker/base/requirements.txt changed
→ base  will be built
→ builder  from, docker/builder/Dockerfile:1:6
→ dev  from, docker/dev/Dockerfile:1:6
dev stays up to date if base comes out the same
",
    );
}

#[test]
fn a_plan_is_printed_as_json() {
    let project = built();
    project.write("docker/base/requirements.txt", "seven\n");
    let rows = plan(&project, "builder --json");
    let rows: serde_json::Value = serde_json::from_str(&rows).unwrap();
    let expected = serde_json::json!([
        {"image": "base", "verdict": "build", "reason": {"reason": "changed", "changes": [
            {"change": "file-changed", "path": "docker/base/requirements.txt"}]}},
        {"image": "builder", "verdict": "waits", "on": ["base"]},
    ]);
    assert_eq!(rows, expected);
}

#[test]
fn a_file_that_changes_after_it_was_hashed_fails_the_image() {
    // Too large to be kept in memory until it is sent.
    let (_, code, printed) = changed_meanwhile(&"one\n".repeat(100_000), &"two\n".repeat(100_000));
    assert_eq!(code, Some(4), "{printed}");
    assert!(printed.contains("`f` changed after it was first read"), "{printed}");
    assert!(printed.contains("2 built, 1 failed of 3 images"), "{printed}");
}

#[test]
fn a_small_file_that_changes_after_hashing_is_sent_as_hashed() {
    let (project, code, printed) = changed_meanwhile("one\n", "two\n");
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("3 built of 3 images"), "{printed}");
    let plan = project.run("plan dev --engine fake").code(0).out();
    assert!(plan.contains("docker/dev/f changed"), "the key is that of what was sent: {plan}");
}

/// Changes dev's file while base is being built: base waits for a file that this function writes after the
/// change.
fn changed_meanwhile(before: &str, after: &str) -> (Project, Option<i32>, String) {
    let script = r#"{"store": "store.json",
        "images": [{"reference": "shop-base", "gate": "file:go"}]}"#;
    let project = shop(script)
        .dockerfile("dev", "FROM acme/shop-builder\nCOPY f /f\n")
        .file("docker/dev/f", before);
    let root = project.root().to_owned();
    let mut child = project
        .command(&["build", "dev", "--engine", "fake", "-j1", "--progress", "plain"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut printed = String::new();
    while !printed.contains("base: no image") {
        assert!(std::io::BufRead::read_line(&mut stderr, &mut printed).unwrap() > 0, "{printed}");
    }
    fs::write(root.join("docker/dev/f"), after).unwrap();
    fs::write(root.join(".layers/go"), "").unwrap();
    std::io::Read::read_to_string(&mut stderr, &mut printed).unwrap();
    let code = child.wait().unwrap().code();
    (project, code, printed)
}

#[test]
fn a_plan_counts_images_that_lack_tags() {
    let project = Project::shop().script(r#"{"store": "store.json"}"#);
    project.run("build --all --engine fake --progress quiet").code(0);
    let check = |project: &Project, code: i32, counts: &str| {
        let printed = project.run("plan --check --engine fake").code(code).out();
        assert!(
            printed.ends_with(&format!("\n0 to build, 0 waiting, {counts} of 5 images\n")),
            "{printed}"
        );
    };
    check(&project, 0, "5 fresh");
    let project = project.var("VERSION", "1.2");
    check(&project, 1, "5 fresh (5 lacking tags)");
    project.run("build base --engine fake").code(0);
    check(&project, 1, "5 fresh (4 lacking tags)");
    project.run("build --all --engine fake").code(0);
    check(&project, 0, "5 fresh");
}

#[test]
fn a_frontend_without_a_tag_is_the_latest() {
    let inputs = |syntax: &str, arguments: &str| -> serde_json::Value {
        let text = format!("# syntax={syntax}\nFROM scratch\nCOPY a /\n");
        let project = Project::new().dockerfile("x", &text).file("docker/x/a", "");
        let command = format!("why x --inputs --engine fake {arguments}");
        serde_json::from_str(&project.run(&command).code(0).out()).unwrap()
    };
    let whole = |syntax: &str, arguments: &str| inputs(syntax, arguments)["whole_context"].clone();
    // The latest may be a later major version, which may read more.
    for latest in ["docker/dockerfile", "docker/dockerfile:latest", "docker.io/docker/dockerfile"] {
        assert_eq!(whole(latest, ""), true, "{latest}");
        assert_eq!(whole("acme/other", &format!("--build-arg BUILDKIT_SYNTAX={latest}")), true);
    }
    assert_eq!(whole("docker/dockerfile:1", ""), false);
    assert_eq!(whole("acme/other", ""), true);
    assert_eq!(whole("acme/other", "--build-arg BUILDKIT_SYNTAX=docker/dockerfile:1"), false);
    let built_in = inputs("acme/other", "--build-arg BUILDKIT_SYNTAX=dockerfile.v0");
    assert_eq!(
        (&built_in["whole_context"], &built_in["syntax"]),
        (&false.into(), &serde_json::Value::Null)
    );
}
