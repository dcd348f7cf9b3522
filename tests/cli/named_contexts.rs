//! Named contexts that are directories: their files are inputs, and `--build-context` names more of them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use serde_json::{Value, json};

use crate::git::{commit, git_in};
use crate::harness::{Project, assert_same};

/// An image that reads from two directories, in three ways.
fn project() -> Project {
    Project::new()
        .dockerfile(
            "web",
            "FROM scratch\nCOPY --from=assets css/*.css /a/\n\
             RUN --mount=from=tools,source=bin true\nCOPY own /\n",
        )
        .file("docker/web/own", "own")
        .file("assets/.dockerignore", "css/draft.css\n")
        .file("assets/css/main.css", "a")
        .file("assets/css/draft.css", "a")
        .file("assets/unread", "a")
        .file("shared/tools/bin/run", "a")
        .file("shared/tools/unread", "a")
        .file("layers.toml", CONTEXTS)
        .script(STORE)
}

const STORE: &str = r#"{"store": "store.json", "record": "calls.jsonl"}"#;

const CONTEXTS: &str = "contexts = { assets = 'assets', tools = './shared/tools/' }\n";

fn build(project: &Project, words: &str) {
    project.run(&format!("build {words} --engine fake -j1 --progress quiet")).code(0);
}

/// Returns the verdict and the reason of an image.
#[track_caller]
fn verdict(project: &Project, image: &str, words: &str) -> String {
    let all = project.run(&format!("plan {words} --engine fake")).code(0).out();
    let line = all.lines().find(|line| line.split_whitespace().next() == Some(image)).unwrap();
    line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
}

/// Returns the last build request.
fn request(project: &Project) -> Value {
    let calls = project.read(".layers/calls.jsonl");
    let mut calls = calls.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    calls.rfind(|call| call["call"] == "build").unwrap()
}

/// Builds everything, makes an edit, and checks the verdict.
#[track_caller]
fn check(project: &Project, image: &str, edit: impl FnOnce(&Path), expected: &str) {
    build(project, "--all");
    assert_eq!(verdict(project, image, ""), "fresh");
    edit(project.root());
    assert_eq!(verdict(project, image, ""), expected);
}

fn write(path: &'static str, text: &'static str) -> impl FnOnce(&Path) {
    move |root| fs::write(root.join(path), text).unwrap()
}

#[test]
fn files_of_a_named_directory_are_inputs_if_an_instruction_reads_them() {
    let project = project();
    build(&project, "--all");
    let request = request(&project);
    assert_eq!(request["context"], json!(["own"]));
    let sent = json!({"assets": ["css/", "css/main.css"], "tools": ["bin/", "bin/run"]});
    assert_eq!(request["directories"], sent);
    assert_eq!(request["contexts"], json!({"assets": "assets", "tools": "shared/tools"}));
    let fresh = project.run("why web --engine fake").code(0).out();
    assert!(fresh.contains("1 path in the context, 3 paths in named contexts"), "{fresh}");
    check(&project, "web", write("assets/css/main.css", "b"), "build assets/css/main.css changed");
    check(&project, "web", write("assets/css/new.css", "b"), "build assets/css/new.css is new");
    let added = write("shared/tools/bin/more", "b");
    check(&project, "web", added, "build shared/tools/bin/more is new");
    let mode = |root: &Path| {
        let path = root.join("shared/tools/bin/run");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    let expected = "build mode of shared/tools/bin/run is 0755, was 0644";
    check(&project, "web", mode, expected);
    check(&project, "web", write("assets/css/draft.css", "b"), "fresh");
    check(&project, "web", write("assets/unread", "b"), "fresh");
    check(&project, "web", write("shared/tools/unread", "b"), "fresh");
    check(&project, "web", write("assets/.dockerignore", ""), "build assets/css/draft.css is new");
    // Where a directory is does not count.
    let moved = |root: &Path| {
        fs::rename(root.join("shared/tools"), root.join("tools")).unwrap();
        let contexts = "contexts = { assets = 'assets', tools = 'tools' }\n";
        fs::write(root.join("layers.toml"), contexts).unwrap();
    };
    check(&project, "web", moved, "fresh");
}

#[test]
fn equal_paths_of_different_directories_are_different_inputs() {
    let swap = |root: &Path| {
        fs::write(root.join("a/f"), "2").unwrap();
        fs::write(root.join("b/f"), "1").unwrap();
    };
    let project = Project::new()
        .dockerfile("app", "FROM scratch\nCOPY --from=a f /a\nCOPY --from=b f /b\nCOPY f /\n")
        .file("docker/app/f", "1")
        .file("a/f", "1")
        .file("b/f", "2")
        .file("layers.toml", "contexts = { a = 'a', b = 'b' }\n")
        .script(STORE);
    check(&project, "app", swap, "build a/f changed, and 1 more change");
    let exchange = |root: &Path| {
        fs::write(root.join("layers.toml"), "contexts = { a = 'b', b = 'a' }\n").unwrap();
    };
    project.write("a/f", "3");
    check(&project, "app", exchange, "build b/f changed, and 1 more change");
    // One directory with two names is sent under both.
    project.write("layers.toml", "contexts = { a = 'a', b = './a' }\n");
    build(&project, "--all");
    assert_eq!(request(&project)["directories"], json!({"a": ["f"], "b": ["f"]}));
}

#[test]
fn everything_in_a_directory_that_a_stage_starts_from_counts() {
    let check = |dockerfile: &str, file: &str, expected: &str| {
        let project = Project::new()
            .dockerfile("app", dockerfile)
            .file("rootfs/etc/motd", "a")
            .file("rootfs/etc/other", "a")
            .file("rootfs/skip", "a")
            .file("rootfs/.dockerignore", "skip\n")
            .file("layers.toml", "contexts = { rootfs = 'rootfs' }\n")
            .script(STORE);
        build(&project, "--all");
        assert_eq!(verdict(&project, "app", ""), "fresh", "{dockerfile}");
        project.write(file, "b");
        assert_eq!(verdict(&project, "app", ""), expected, "{dockerfile} {file}");
    };
    let changed = "build rootfs/etc/other changed";
    check("FROM rootfs\n", "rootfs/etc/other", changed);
    check("FROM rootfs\n", "rootfs/skip", "fresh");
    check(
        "FROM rootfs AS a\nFROM scratch\nCOPY --from=a etc/motd /\n",
        "rootfs/etc/other",
        changed,
    );
    check("FROM scratch AS unused\nFROM rootfs\n", "rootfs/etc/other", changed);
    // A stage that the directory replaces.
    let replaced = "FROM debian AS rootfs\nRUN make\n";
    check(replaced, "rootfs/etc/other", changed);
    check(&format!("{replaced}FROM rootfs AS x\nRUN true\n"), "rootfs/etc/other", changed);
    let copied = format!("{replaced}FROM scratch\nCOPY --from=rootfs etc/motd /\n");
    check(&copied, "rootfs/etc/other", "fresh");
    check(&copied, "rootfs/etc/motd", "build rootfs/etc/motd changed");
    let by_index = format!("{replaced}FROM scratch\nCOPY --from=0 etc/motd /\n");
    check(&by_index, "rootfs/etc/motd", "build rootfs/etc/motd changed");
    check("FROM scratch\nCOPY --from=rootfs . /\n", "rootfs/etc/other", changed);
    check("FROM scratch\nCOPY --from=rootfs --exclude=other etc /\n", "rootfs/etc/other", "fresh");
    let cache = "FROM scratch\nRUN --mount=type=cache,from=rootfs,source=etc,target=/c true\n";
    check(cache, "rootfs/etc/other", changed);
    check("FROM rootfs AS unused\nFROM scratch\nRUN true\n", "rootfs/etc/other", "fresh");
}

#[test]
fn directories_can_replace_images_of_the_repository() {
    let project = Project::new()
        .dockerfile("base", "FROM scratch\nRUN true\n")
        .dockerfile("app", "FROM acme/shop-base\nCOPY --from=tools f /\n")
        .dockerfile("tools", "FROM scratch\nRUN true\n")
        .file("prebuilt/f", "a")
        .file("tools/f", "a")
        .file(
            "layers.toml",
            "[image.app]\ncontexts = { 'acme/shop-base' = 'prebuilt', tools = 'tools' }\n",
        )
        .script(STORE);
    // A name of an image means that image, unless it is written as a path.
    let plan = project.run("graph --dot").code(0).out();
    assert!(plan.contains("\"tools\" -> \"app\"") && !plan.contains("\"base\" ->"), "{plan}");
    let contexts = "[image.app]\ncontexts = { 'acme/shop-base' = 'prebuilt', tools = './tools' }\n";
    project.write("layers.toml", contexts);
    let plan = project.run("graph --dot").code(0).out();
    assert!(!plan.contains("->"), "{plan}");
    check(&project, "app", write("prebuilt/f", "b"), "build prebuilt/f changed");
    check(&project, "app", write("tools/f", "b"), "build tools/f changed");
    check(&project, "app", write("docker/base/Dockerfile", "FROM scratch\n"), "fresh");
}

#[test]
fn options_name_directories_relative_to_the_current_one() {
    let project = project().file("other/css/x.css", "a").file("docker/web/tools/bin/y", "a");
    let words = "--build-context assets=../../other -C docker/web --build-context tools=tools";
    build(&project, &format!("web {words}"));
    let sent = request(&project);
    assert_eq!(sent["contexts"], json!({"assets": "other", "tools": "docker/web/tools"}));
    assert_eq!(sent["directories"]["assets"], json!(["css/", "css/x.css"]));
    assert_eq!(verdict(&project, "web", &format!("web {words}")), "fresh");
    project.write("other/css/x.css", "b");
    let printed = project.run(&format!("why web --engine fake {words}")).code(0).out();
    assert!(printed.contains("other/css/x.css changed"), "{printed}");
    // Without the options, those of layers.toml count.
    assert_ne!(verdict(&project, "web", ""), "fresh");
    // An image, by which an edge results.
    let project = project.dockerfile("base", "FROM scratch\n");
    let graph = project.run("graph --dot --build-context assets=docker-image://shop-base");
    assert!(graph.code(0).out().contains("\"base\" -> \"web\""));
    let check = |words: &str, expected: &str| {
        let printed = project.run(&format!("plan --engine fake {words}")).code(2).err();
        assert!(printed.contains(expected), "{printed}");
    };
    check("--build-context assets", "the value is missing");
    check("--build-context =x", "the name is missing");
    check("--build-context A_=assets", "`A_` is not a valid context name");
    check(
        "--build-context assets=none",
        "error: `--build-context assets=./none`: directory not found\nhint: write NAME=DIR",
    );
    check("--build-context assets=layers.toml", "not a directory");
}

#[test]
fn generated_files_have_the_directories() {
    let project = project();
    let bake = project.run("graph --bake").code(0).out();
    assert!(
        bake.contains("\"assets\" = \"./assets\"") && bake.contains("\"./shared/tools\""),
        "{bake}"
    );
    let words = "--build-context tools=web/../../shared -C docker";
    let compose = project.run(&format!("graph --compose {words}")).code(0).out();
    assert!(compose.contains("tools: \"./shared\""), "{compose}");
    assert!(compose.contains("--build-context tools=./shared"), "{compose}");
}

#[test]
fn missing_directories_and_files_are_reported_where_they_are_named() {
    let project = Project::new()
        .dockerfile("app", "FROM scratch\nCOPY --from=assets main.cs drafts/x /\n")
        .file("assets/main.css", "a")
        .file("assets/drafts/x", "a")
        .file("assets/.dockerignore", "drafts\n")
        .file("layers.toml", "contexts = { assets = 'assets' }\n")
        .script(STORE);
    assert_same(
        &project.run("check").code(0).err(),
        "\
warning[missing-file]: `main.cs` not found in the named context `assets`
 --> docker/app/Dockerfile:2:20
  |
2 | COPY --from=assets main.cs drafts/x /
  |                    ^^^^^^^
  |
  = hint: did you mean `main.css`?

warning[ignored-file]: `drafts/x` is excluded by the ignore file
 --> docker/app/Dockerfile:2:28
  |
2 | COPY --from=assets main.cs drafts/x /
  |                            ^^^^^^^^
  |
 ::: assets/.dockerignore:1:1
  |
1 | drafts
  | ------ excludes `drafts/x`
  |
  = hint: add the line `!drafts/x` below, or remove this one

2 warnings
",
    );
    let printed = project.run("build app --engine fake --progress quiet").code(1).err();
    assert!(printed.contains("`main.cs` not found in the named context `assets`"), "{printed}");
    project.write("assets/.dockerignore", "[\n");
    let printed = project.run("check").code(3).err();
    assert!(printed.contains(" --> assets/.dockerignore:1:1"), "{printed}");
    let check = |value: &str| {
        project.write("layers.toml", &format!("contexts = {{ assets = '{value}' }}\n"));
        let printed = project.run("plan --engine fake").code(3).err();
        let expected =
            format!("error[config]: directory `{value}` not found\n --> layers.toml:1:23\n");
        assert!(printed.contains(&expected), "{printed}");
        assert!(printed.contains("hint: paths are relative to"), "{printed}");
    };
    check("./none");
    check("../none");
    check("/none");
}

#[test]
fn directories_outside_the_repository_need_consent_unless_an_option_names_them() {
    let project = Project::new()
        .dockerfile("app", "FROM scratch\nCOPY --from=keys id /\n")
        .dockerfile("other", "FROM scratch\nRUN true\n")
        .file("../elsewhere/id", "key")
        .file("layers.toml", "contexts = { keys = '../elsewhere' }\n")
        .script(STORE);
    symlink("../elsewhere", project.root().join("link")).unwrap();
    project.run("plan --engine fake").code(0);
    let refused = |project: &Project, words: &str| {
        let printed =
            project.run(&format!("build {words} --engine fake --progress quiet")).code(2).err();
        let line = "/elsewhere' as the named context keys, for app\n";
        assert!(printed.contains(line), "{printed}");
        assert!(!project.root().join(".layers/store.json").exists());
    };
    refused(&project, "--all");
    project.write("layers.toml", "contexts = { keys = 'link' }\n");
    refused(&project, "--all");
    let ci = project.run("ci gitlab --registry registry.example/acme --all").out();
    assert!(!ci.contains("error"), "{ci}");
    // An image that does not read it needs no consent.
    build(&project, "other");
    build(&project, "app --allow fs.read=../elsewhere");
    assert_eq!(verdict(&project, "app", "app"), "fresh");
    project.write("../elsewhere/id", "new");
    assert_eq!(verdict(&project, "app", "app"), "build link/id changed");
    let words = "app --build-context keys=../elsewhere";
    assert_eq!(verdict(&project, "app", words), "build keys:id changed");
    build(&project, words);
    assert_eq!(verdict(&project, "app", words), "fresh");
}

#[test]
fn changes_since_a_revision_include_named_directories() {
    let project = project().dockerfile("other", "FROM scratch\n");
    git_in(project.root(), &["init", "--quiet", "--initial-branch=main"]);
    commit(&project);
    build(&project, "--all");
    let affected = |expected: &str| {
        let found = project.run("affected --since HEAD").code(0).out();
        let first = found.lines().next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(first.starts_with(expected), "{found}");
        let is_affected = first.starts_with("web");
        assert_eq!(verdict(&project, "web", "") != "fresh", is_affected, "{found}");
    };
    project.write("assets/unread", "b");
    project.write("assets/css/draft.css", "b");
    affected("0 ");
    project.write("assets/css/main.css", "b");
    affected("web assets/css/main.css changed");
    let diff = project.run("diff HEAD").code(0).out();
    assert!(diff.contains("assets/css/main.css"), "{diff}");
    let words = "affected --since HEAD --build-context assets=shared";
    let found = project.run(words).code(0).out();
    assert!(found.starts_with("0 "), "{found}");
    commit(&project);
    build(&project, "--all");
    affected("0 ");
    project.write("assets/.dockerignore", "");
    affected("web assets/css/draft.css is new");
    let range = project.run("diff HEAD~1..HEAD").code(0).out();
    assert!(range.contains("assets/css/main.css"), "{range}");
    fs::remove_dir_all(project.root().join("shared")).unwrap();
    let found = project.run("affected --since HEAD").code(3).err();
    assert!(found.contains("directory `./shared/tools/` not found"), "{found}");
}

#[test]
fn every_file_of_every_named_directory_counts_for_an_unknown_frontend() {
    let project = Project::new()
        .dockerfile("app", "# syntax=example.com/frontend\nFROM scratch\n")
        .file("a/f", "1")
        .file("a/skip", "1")
        .file("a/.dockerignore", "skip\n")
        .file("layers.toml", "contexts = { a = 'a' }\n")
        .script(STORE);
    check(&project, "app", write("a/f", "2"), "build a/f changed");
    check(&project, "app", write("a/skip", "2"), "fresh");
    // A variable of an image can be part of the path.
    let project = project.dockerfile("app", "FROM debian\nCOPY --from=a $X /\n").file("a/g", "1");
    let script =
        r#"{"store": "store.json", "record": "calls.jsonl", "registry": {"debian:latest": ""}}"#;
    let project = project.script(script);
    project.run("build --all --pull --engine fake --progress quiet").code(0);
    assert_eq!(request(&project)["directories"], json!({"a": [".dockerignore", "f", "g"]}));
    // Version 1 of Docker's frontend gets all contexts, but nothing of those that it does not use.
    let dockerfile = "# syntax=docker/dockerfile:1\nFROM scratch\n";
    let project = project.dockerfile("app", dockerfile);
    build(&project, "--all");
    assert_eq!(request(&project)["directories"], json!({"a": []}));
    check(&project, "app", write("a/f", "3"), "fresh");
}

#[test]
fn triggers_read_named_directories() {
    let project = Project::new()
        .dockerfile("base", "FROM scratch\nONBUILD COPY --from=a f /\n")
        .dockerfile("app", "FROM acme/shop-base\n")
        .file("a/f", "1")
        .file("a/g", "1")
        .file("layers.toml", "[image.app]\ncontexts = { a = 'a' }\n")
        .script(STORE);
    check(&project, "app", write("a/f", "2"), "build a/f changed");
    build(&project, "--all");
    assert_eq!(request(&project)["directories"], json!({"a": ["f"]}));
    check(&project, "app", write("a/g", "2"), "fresh");
}
