//! Additional tags: several tags, tags in templates of references, and tags that contain git information.

use crate::git::{commit, git_at, git_in};
use crate::harness::{Project, assert_same};

fn pair() -> Project {
    Project::new().dockerfile("base", "FROM debian:12\n").dockerfile("dev", "FROM acme/shop-base\n")
}

/// The same in a git repository, on `main`, with one commit.
fn committed() -> Project {
    let project = pair();
    git_in(project.root(), &["init", "--quiet", "--initial-branch=main"]);
    commit(&project);
    project
}

/// Returns the references of the first image on one line.
#[track_caller]
fn references(project: &Project, arguments: &[&str]) -> String {
    let mut words = vec!["list", "--json"];
    words.extend(arguments);
    let output = project.command(&words).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{printed}");
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let references = rows[0]["references"].as_array().unwrap().iter();
    references.map(|it| it.as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

/// Returns the message if a tag is not possible, and checks the exit code.
#[track_caller]
fn refused(project: &Project, arguments: &[&str], code: i32) -> String {
    let mut words = vec!["list"];
    words.extend(arguments);
    let output = project.command(&words).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{printed}");
    printed
}

#[test]
fn every_tag_is_added_to_every_image() {
    let project = pair().var("VERSION", "9").file("layers.toml", "version = ['1', '1.2']\n");
    let of = |arguments: &[&str]| references(&project, arguments);
    assert_eq!(
        of(&["--tag", "a", "--tag", "b"]),
        "acme/shop-base:latest acme/shop-base:a acme/shop-base:b"
    );
    assert_eq!(
        of(&["--tag", "a", "--tag", "latest", "--tag=a"]),
        "acme/shop-base:latest acme/shop-base:a"
    );
    // Only one source counts: the command line, then the environment, then the file.
    assert_eq!(of(&[]), "acme/shop-base:latest acme/shop-base:9");
    let project = project.var("VERSION", "");
    assert_eq!(
        references(&project, &[]),
        "acme/shop-base:latest acme/shop-base:1 acme/shop-base:1.2"
    );
    let project = project.file("layers.toml", "version = '3'\n");
    assert_eq!(references(&project, &[]), "acme/shop-base:latest acme/shop-base:3");
    let printed = refused(&pair().file("layers.toml", "version = []\n"), &[], 3);
    assert!(printed.contains("the list must not be empty"), "{printed}");
}

#[test]
fn a_version_template_creates_one_reference_per_version() {
    let settings = |reference: &str| {
        format!("reference = {reference}\nversion = ['1', '1.2']\nargs.V = '{{version}}'\n")
    };
    let of = |reference: &str| {
        let dev = "ARG V\nFROM x/base:$V\n";
        let project = pair().dockerfile("dev", dev).file("layers.toml", settings(reference));
        let graph = project.run("graph --json").code(0).out();
        assert!(graph.contains("\"image\": \"base\""), "{graph}");
        references(&project, &[])
    };
    assert_eq!(of("'x/{name}:{version}'"), "x/base:1 x/base:1.2");
    assert_eq!(
        of("['x/{name}:{version}', 'y/{name}']"),
        "x/base:1 x/base:1.2 y/base:latest y/base:1 y/base:1.2"
    );
    // The first version is used for everything that can have only one value.
    let project = Project::new().dockerfile("base", "ARG V\nFROM debian:$V\n");
    let project = project.file("layers.toml", settings("'x/{name}'"));
    let graph = project.run("graph --json").code(0).out();
    assert!(graph.contains("library/debian:1\""), "{graph}");
}

#[test]
fn the_version_is_appended_to_the_tag_in_a_shared_repository() {
    let project = pair().file("layers.toml", "reference = 'x/all:{name}'\nversion = ['1', '2']\n");
    assert_eq!(references(&project, &[]), "x/all:base x/all:base-1 x/all:base-2");
}

#[test]
fn git_placeholders_expand_to_commit_branch_and_tag() {
    let project = committed();
    let root = project.root();
    let commit_name = git_in(root, &["rev-parse", "HEAD"]);
    let sha = &commit_name[..12];
    let tag = |template: &str| {
        let all = references(&project, &["--tag", template]);
        all.strip_prefix("acme/shop-base:latest acme/shop-base:").unwrap().to_owned()
    };
    assert_eq!(tag("{git.sha}"), sha);
    assert_eq!(tag("v-{git.branch}.{git.sha}"), format!("v-main.{sha}"));
    git_in(root, &["switch", "--quiet", "--create", "feature/Ünï#1"]);
    assert_eq!(tag("{git.branch}"), "feature--n--1");
    assert_eq!(tag("{git.branch:lower}"), "feature--n--1");
    git_in(root, &["tag", "1.9"]);
    git_in(root, &["tag", "1.10"]);
    assert_eq!(tag("{git.tag}"), "1.10");
    let later = Some("2090-01-01T00:00:00Z");
    git_at(root, &["tag", "-a", "-m", "x", "0.1/rc"], later);
    assert_eq!(tag("{git.tag}"), "0.1-rc");
    // The tag must point to HEAD.
    commit(&project);
    let printed = refused(&project, &["--tag", "{git.tag}"], 2);
    assert_same(
        &printed,
        "error: `--tag` is `{git.tag}`: HEAD has no tag\n\
         hint: `git tag 1.2` creates one; `git fetch --tags` fetches those that a clone lacks\n",
    );
}

#[test]
fn settings_and_variables_can_contain_placeholders() {
    let project = committed().file("layers.toml", "version = ['{git.branch}', 'v{git.branch}']\n");
    let references_of = |project: &Project| references(project, &[]);
    assert_eq!(
        references_of(&project),
        "acme/shop-base:latest acme/shop-base:main acme/shop-base:vmain"
    );
    let project = project.var("VERSION", "{git.branch}-1");
    assert_eq!(references_of(&project), "acme/shop-base:latest acme/shop-base:main-1");
}

#[test]
fn ci_variables_provide_the_branch_of_a_detached_head() {
    let branch = |variables: &[(&str, &str)]| {
        let project = committed();
        git_in(project.root(), &["switch", "--quiet", "--detach"]);
        let set = |project: Project, (name, value): &(&str, &str)| project.var(name, *value);
        let project = variables.iter().fold(project, set);
        references(&project, &["--tag", "{git.branch}"])
            .replace("acme/shop-base:latest acme/shop-base:", "")
    };
    let pushed =
        [("GITHUB_REF_TYPE", "branch"), ("GITHUB_REF_NAME", "a/b"), ("GITHUB_HEAD_REF", "")];
    assert_eq!(branch(&pushed), "a-b");
    let requested = [
        ("GITHUB_HEAD_REF", "topic"),
        ("GITHUB_REF_TYPE", "branch"),
        ("GITHUB_REF_NAME", "7/merge"),
    ];
    assert_eq!(branch(&requested), "topic");
    let tagged =
        [("GITHUB_REF_TYPE", "tag"), ("GITHUB_REF_NAME", "v1"), ("CI_COMMIT_BRANCH", "lab")];
    assert_eq!(branch(&tagged), "lab");
    assert_eq!(branch(&[("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "request")]), "request");
    // The checked-out branch takes precedence over a variable.
    let project = committed().var("CI_COMMIT_BRANCH", "lab");
    assert!(references(&project, &["--tag", "{git.branch}"]).ends_with(":main"));
}

#[test]
fn placeholders_without_a_value_are_reported_with_their_location() {
    let project = committed();
    git_in(project.root(), &["switch", "--quiet", "--detach"]);
    assert_same(
        &refused(&project, &["--tag", "x-{git.branch}"], 2),
        "error: `--tag` is `x-{git.branch}`: HEAD is detached\n\
         hint: run `git switch BRANCH`, or set CI_COMMIT_BRANCH\n",
    );
    let project = project.var("VERSION", "{git.brnch}");
    assert_same(
        &refused(&project, &[], 2),
        "error: VERSION is `{git.brnch}`: unknown placeholder `git.brnch`\n\
         hint: did you mean `git.branch`?\n",
    );
    let project =
        project.var("VERSION", "").file("layers.toml", "\nversion = ['1', 'x-{git.branch}']\n");
    assert_same(
        &refused(&project, &[], 3),
        "\
error[config]: HEAD is detached
 --> layers.toml:2:20
  |
2 | version = ['1', 'x-{git.branch}']
  |                    ^^^^^^^^^^^^
  |
  = hint: run `git switch BRANCH`, or set CI_COMMIT_BRANCH

1 error
",
    );
    let without = pair();
    let printed = refused(&without, &["--tag", "{git.sha}"], 2);
    assert!(
        printed.starts_with("error: `--tag` is `{git.sha}`: git failed: not a git repository"),
        "{printed}"
    );
    git_in(without.root(), &["init", "--quiet"]);
    let printed = refused(&without, &["--tag", "{git.sha}"], 2);
    assert!(
        printed.contains("there are no commits yet\nhint: `git commit` creates one\n"),
        "{printed}"
    );
    let printed =
        refused(&pair().file("layers.toml", "reference = 'x/{name}:{git.sha}'\n"), &[], 3);
    assert!(printed.contains("`{git.sha}` is only supported in tags"), "{printed}");
}

#[test]
fn git_runs_only_if_a_template_needs_it() {
    // Without git in the path.
    let project =
        committed().var("PATH", "/nowhere").file("layers.toml", "version = '{git.sha}'\n");
    assert!(references(&project, &["--tag", "1"]).ends_with(":1"));
    let printed = refused(&project, &[], 3);
    assert!(printed.contains("git failed: program `git` not found"), "{printed}");
}

#[test]
fn a_committed_graph_does_not_contain_its_commit() {
    let project = committed().file("layers.toml", "version = ['{git.sha}', '1']\n");
    project.run("graph --output graph.json").code(0);
    let graph = project.read("graph.json");
    assert!(graph.contains("acme/shop-base:1") && !graph.contains("git"), "{graph}");
    commit(&project);
    project.run("graph --check").code(0);
    // A typo is reported anyway.
    let project = project.file("layers.toml", "version = '{git.sah}'\n");
    let printed = project.run("graph").code(3).err();
    assert!(printed.contains("did you mean `git.sha`?"), "{printed}");
}

#[test]
fn a_new_commit_alone_does_not_affect_images() {
    let project = committed().file("layers.toml", "version = '{git.sha}'\n");
    commit(&project);
    commit(&project);
    let printed = project.run("affected --since HEAD~1").code(0).out();
    assert_same(&printed, "0 of 2 images affected\n");
}
