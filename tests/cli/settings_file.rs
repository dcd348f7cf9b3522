//! `--file`: another settings file than `layers.toml`, whose directory is the root.

use crate::git::{commit, git_in};
use crate::harness::Project;

fn named(project: &Project, words: &str) -> Vec<String> {
    project.run(&format!("{words} list --quiet")).code(0).out().lines().map(str::to_owned).collect()
}

fn two_files() -> Project {
    Project::new()
        .dockerfile("base", "FROM scratch\n")
        .file("layers.toml", "name = 'usual-{dir}'\n")
        .file("ci.toml", "name = 'ci-{dir}'\n")
        .file("other/layers.toml", "dockerfiles = ['*/Dockerfile']\n")
        .file("other/tool/Dockerfile", "FROM scratch\n")
}

#[test]
fn an_explicit_settings_file_sets_the_workspace_root() {
    let project = two_files();
    assert_eq!(named(&project, ""), ["usual-base"]);
    for words in
        ["-f ci.toml", "--file=ci.toml", "--file other/../ci.toml", "-C other -f ../ci.toml"]
    {
        assert_eq!(named(&project, words), ["ci-base"], "{words}");
    }
    assert_eq!(named(&project, "-f other/layers.toml"), ["tool"]);
}

#[test]
fn the_state_directory_is_next_to_the_settings_file() {
    let project = two_files().script("{}");
    project
        .run("-f other/layers.toml build --all --engine fake --quiet")
        .code(0)
        .stdout("")
        .stderr("");
    assert!(project.root().join("other/.layers").is_dir());
    assert!(!project.root().join(".layers/runs").exists());
    let ids = project.run("-f other/layers.toml runs --quiet").code(0).out();
    assert_eq!(ids.lines().count(), 1, "{ids}");
    assert!(project.run("-f other/layers.toml log").code(0).out().contains("1 built of 1 image"));
    project.run("runs --quiet").code(0).stdout("").stderr("");
}

#[test]
fn errors_are_shown_in_the_explicit_settings_file() {
    let project = two_files().file("ci.toml", "nmae = 'x'\n");
    let printed = project.run("-f ci.toml list").code(3).err();
    assert!(printed.contains(" --> ci.toml:1:1"), "{printed}");
    project.write("ci.toml", "name = 3\n");
    let printed = project.run("-f ci.toml list").code(3).err();
    assert!(printed.contains("`ci.toml`: invalid type"), "{printed}");
}

#[test]
fn files_of_other_tools_are_rejected_as_settings() {
    let project = two_files().file("docker-bake.hcl", "").file("compose.yaml", "");
    let check = |file: &str, message: &str, hint: &str| {
        let printed = project.run(&format!("list -f {file}")).code(2).err();
        assert_eq!(printed, format!("error: {message}\nhint: {hint}\n"));
    };
    check(
        "docker/base/Dockerfile",
        "`docker/base/Dockerfile` is a Dockerfile, but -f expects a settings file such as layers.toml",
        "to build its image: layers build docker/base",
    );
    let printed = project.run("build -f docker/base/Dockerfile").code(2).err();
    assert!(printed.contains("`docker/base/Dockerfile` is a Dockerfile"), "{printed}");
    for file in ["docker-bake.hcl", "compose.yaml"] {
        check(
            file,
            &format!(
                "`{file}` is a bake or Compose file, but -f expects a settings file such as layers.toml"
            ),
            "Dockerfiles are found without it: layers build --all",
        );
    }
    check(
        "other",
        "`other` is a directory, but -f expects a settings file",
        "to run in it: layers -C other",
    );
    check(
        "none.toml",
        "`none.toml`: No such file or directory (os error 2)",
        "`layers init` writes a file that fits the Dockerfiles",
    );
    let printed = project.run("list -f none/x.toml").code(2).err();
    assert!(printed.contains("`none/x.toml`: No such file"), "{printed}");
    project.run("man -f ci.toml x").code(2);
}

#[test]
fn the_explicit_settings_file_is_read_in_each_revision() {
    let project = two_files();
    git_in(project.root(), &["init", "--quiet", "--initial-branch=main"]);
    commit(&project);
    project.run("-f ci.toml affected --since HEAD").code(0).stdout("0 of 1 image affected\n");
    project.write("ci.toml", "name = 'ci-{dir}'\n[args]\nA = '1'\n");
    project.write("docker/base/Dockerfile", "FROM scratch\nARG A\nENV A=$A\n");
    let printed = project.run("-f ci.toml affected --since HEAD").code(0).out();
    assert!(printed.contains("ci-base") && printed.contains("1 of 1 image affected"), "{printed}");
}

#[test]
fn generated_commands_include_the_settings_file() {
    let project = two_files();
    let printed = project.run("-f ci.toml graph --check --dot").code(1).err();
    assert!(
        printed.contains("hint: layers graph --dot --file ci.toml --output graph.dot"),
        "{printed}"
    );
    let pipeline = project.run("-f ci.toml ci gitlab").code(0).out();
    assert!(pipeline.contains("layers build ci-base --push=keys --file ci.toml"), "{pipeline}");
}

#[test]
fn init_writes_the_explicit_settings_file() {
    let project = Project::new().dockerfile("base", "FROM scratch\n");
    project.run("init -f ci.toml").code(0).stderr("wrote `ci.toml`: 1 image\n");
    assert!(project.root().join("ci.toml").is_file());
    assert!(!project.root().join("layers.toml").exists());
    let printed = project.run("init -f ci.toml").code(2).err();
    assert!(printed.starts_with("error: `ci.toml` already exists\n"), "{printed}");
}
