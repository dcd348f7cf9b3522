//! `--since` and `layers affected` in real git repositories, and their agreement with a plan after the same
//! edit.

#![expect(clippy::disallowed_methods, reason = "tests drive programs")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::git::{commit, git_in};
use crate::harness::{Project, assert_same};

/// base ← builder ← dev, release copying from builder, and an agent that reads everything except its logs;
/// committed and built on the scripted engine.
fn shop() -> Project {
    let project = Project::new()
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
        .file("docker/agent/.dockerignore", "*.log\nsecret\n")
        .file("docker/agent/run.sh", "true\n")
        .file("docker/agent/secret", "no\n")
        .file("docker/agent/deep/er/file", "x\n")
        .file(".gitignore", "*.tmp\n")
        .script(r#"{"store": "store.json"}"#);
    symlink("run.sh", project.root().join("docker/agent/link")).unwrap();
    git_in(project.root(), &["init", "--quiet", "--initial-branch=main"]);
    commit(&project);
    project.run("build --all --engine fake --progress quiet").code(0);
    project
}

/// Returns the names in a list, one per line, without the last line.
fn names(text: &str) -> Vec<String> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.pop();
    let mut names: Vec<String> =
        lines.iter().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    names.sort();
    names
}

/// Makes an edit. Checks the first line about it, the affected images, and that only these are stale in a
/// plan.
#[track_caller]
fn check(edit: &dyn Fn(&Path), first: &str, expected: &[&str]) {
    let project = shop();
    edit(project.root());
    let found = project.run("affected --since HEAD").code(0).out();
    let line = found.lines().next().unwrap();
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_same(&line, first);
    assert_eq!(names(&found), expected, "{found}");
    let plan = project.run("plan --engine fake").code(0).out();
    let stale: Vec<&str> = plan.lines().filter(|line| !line.contains("  fresh")).collect();
    assert_eq!(names(&stale.join("\n")), expected, "{plan}");
}

const ALL_BUT_AGENT: [&str; 4] = ["base", "builder", "dev", "release"];
const NONE: &str = "0 of 5 images affected";

#[test]
fn files_that_an_image_reads_affect_it_and_its_dependents() {
    let write = |path: &'static str, text: &'static str| {
        move |root: &Path| fs::write(root.join(path), text).unwrap()
    };
    check(
        &write("docker/base/requirements.txt", "seven\n"),
        "base docker/base/requirements.txt changed",
        &ALL_BUT_AGENT,
    );
    check(&write("docker/agent/new", ""), "agent docker/agent/new is new", &["agent"]);
    check(
        &|root| fs::remove_file(root.join("docker/agent/deep/er/file")).unwrap(),
        "agent docker/agent/deep/er/file was removed",
        &["agent"],
    );
    check(
        &|root| {
            let at = |name: &str| root.join("docker/agent").join(name);
            fs::rename(at("run.sh"), at("walk.sh")).unwrap();
        },
        "agent docker/agent/walk.sh is new, and 1 more change",
        &["agent"],
    );
    check(
        &|root| {
            let mode = fs::Permissions::from_mode(0o755);
            fs::set_permissions(root.join("docker/agent/run.sh"), mode).unwrap();
        },
        "agent mode of docker/agent/run.sh is 0755, was 0644",
        &["agent"],
    );
    check(
        &|root| {
            fs::remove_file(root.join("docker/agent/link")).unwrap();
            symlink("deep", root.join("docker/agent/link")).unwrap();
        },
        "agent docker/agent/link changed",
        &["agent"],
    );
}

#[test]
fn files_that_no_image_reads_affect_nothing() {
    let write = |path: &'static str, text: &'static str| {
        move |root: &Path| fs::write(root.join(path), text).unwrap()
    };
    check(&|_| (), NONE, &[]);
    check(&write("docker/base/README.md", "another\n"), NONE, &[]);
    check(&write("docker/base/untracked", "x\n"), NONE, &[]);
    check(&write("docker/agent/noise.log", "x\n"), NONE, &[]);
    check(&write("docker/agent/secret", "yes\n"), NONE, &[]);
    check(&write("README.md", "x\n"), NONE, &[]);
    check(
        &|root| {
            // The same content with another time.
            let path = root.join("docker/agent/run.sh");
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
        },
        NONE,
        &[],
    );
}

#[test]
fn only_effective_changes_to_dockerfiles_and_settings_affect_images() {
    let write = |path: &'static str, text: &'static str| {
        move |root: &Path| fs::write(root.join(path), text).unwrap()
    };
    let comment = "# why\nFROM acme/shop-base AS b\nARG PY=3.11\nRUN make wheels\n";
    check(&write("docker/builder/Dockerfile", comment), NONE, &[]);
    check(
        &write("docker/builder/Dockerfile", "FROM acme/shop-base\nARG PY=3.12\nRUN make wheels\n"),
        "builder ARG PY is 3.12, was 3.11",
        &["builder", "dev", "release"],
    );
    check(
        &write("docker/builder/Dockerfile", "FROM acme/shop-base\nARG PY=3.11\nRUN make all\n"),
        "builder docker/builder/Dockerfile:3:1 changed",
        &["builder", "dev", "release"],
    );
    let agent = "docker/agent/.dockerignore";
    check(&write("docker/base/.dockerignore", "README.md\n"), NONE, &[]);
    check(
        &write(agent, "*.log\n"),
        "agent docker/agent/.dockerignore changed, and 1 more change",
        &["agent"],
    );
    check(
        &write("docker/agent/Dockerfile.dockerignore", "*.log\nsecret\nDockerfile*\n"),
        "agent docker/agent/Dockerfile was removed",
        &["agent"],
    );
    check(
        &write("layers.toml", "[image.builder.args]\nPY = '3.13'\n"),
        "builder ARG PY is 3.13, was 3.11",
        &["builder", "dev", "release"],
    );
}

#[test]
fn new_and_renamed_images_are_affected() {
    let project = shop().dockerfile("tool", "FROM acme/shop-agent\n");
    fs::remove_dir_all(project.root().join("docker/dev")).unwrap();
    let found = project.run("affected --since HEAD").code(0).out();
    assert_same(&found, "tool  is new\n1 of 5 images affected\n");
    let project = shop().file("layers.toml", "version = '1.2'\n");
    let found = project.run("affected --since HEAD").code(0).out();
    assert!(found.contains("agent    has different references\n"), "{found}");
    assert!(found.ends_with("5 of 5 images affected\n"), "{found}");
}

#[test]
fn staged_and_committed_changes_affect_images_like_unstaged_ones() {
    let project = shop();
    fs::write(project.root().join("docker/agent/run.sh"), "false\n").unwrap();
    git_in(project.root(), &["add", "--all"]);
    let since = |words: &str| project.run(&format!("affected --since {words}")).code(0).out();
    let expected = "agent  docker/agent/run.sh changed\n1 of 5 images affected\n";
    assert_same(&since("HEAD"), expected);
    commit(&project);
    assert_same(&since("HEAD"), "0 of 5 images affected\n");
    assert_same(&since("HEAD~1"), expected);
    // After both branches have diverged, `main...` compares with the merge base.
    git_in(project.root(), &["switch", "--quiet", "--create", "work", "HEAD~1"]);
    assert_same(&since("main"), expected);
    assert_same(&since("main..."), "0 of 5 images affected\n");
}

#[test]
fn a_submodule_affects_the_images_that_read_it() {
    let other = tempfile::tempdir().unwrap();
    git_in(other.path(), &["init", "--quiet", "--initial-branch=main"]);
    fs::write(other.path().join("code"), "1\n").unwrap();
    git_in(other.path(), &["add", "--all"]);
    git_in(other.path(), &["commit", "--quiet", "-m", "x"]);
    let project = shop();
    let path = "docker/agent/vendor/lib";
    let url = other.path().to_string_lossy().into_owned();
    git_in(project.root(), &["submodule", "--quiet", "add", &url, path]);
    commit(&project);
    let affected = || project.run("affected --since HEAD").code(0).out();
    assert_same(&affected(), "0 of 5 images affected\n");
    fs::write(project.root().join(path).join("code"), "2\n").unwrap();
    let expected = "agent  docker/agent/vendor/lib changed\n1 of 5 images affected\n";
    assert_same(&affected(), expected);
    git_in(&project.root().join(path), &["commit", "--quiet", "--all", "-m", "y"]);
    assert_same(&affected(), expected);
    // No image reads the file, including the agent.
    let project = project.file("docker/agent/.dockerignore", "*.log\nsecret\nvendor\n");
    git_in(project.root(), &["add", "docker/agent/.dockerignore"]);
    git_in(project.root(), &["commit", "--quiet", "-m", "z"]);
    assert_same(&project.run("affected --since HEAD").code(0).out(), "0 of 5 images affected\n");
}

#[test]
fn the_workspace_root_can_be_below_the_git_root() {
    let outer = tempfile::tempdir().unwrap();
    let root = outer.path().join("apps/shop");
    for (path, text) in [
        ("docker/base/Dockerfile", "FROM scratch\nCOPY f /\n"),
        ("docker/base/f", "1\n"),
        ("layers.toml", "app = 'shop'\n"),
    ] {
        fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        fs::write(root.join(path), text).unwrap();
    }
    fs::write(outer.path().join("outside"), "1\n").unwrap();
    git_in(outer.path(), &["init", "--quiet"]);
    git_in(outer.path(), &["add", "--all"]);
    git_in(outer.path(), &["commit", "--quiet", "-m", "x"]);
    let affected = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_layers"));
        let output = command.arg("-C").arg(&root).args(["affected", "--since", "HEAD"]).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    fs::write(outer.path().join("outside"), "2\n").unwrap();
    assert_same(&affected(), "0 of 1 image affected\n");
    fs::write(root.join("docker/base/f"), "2\n").unwrap();
    assert_same(&affected(), "base  docker/base/f changed\n1 of 1 image affected\n");
}

#[test]
fn affected_prints_a_job_matrix() {
    let project = shop();
    let github =
        |project: &Project| project.run("affected --since HEAD --format github").code(0).out();
    assert_same(&github(&project), "matrix={\"include\":[]}\n");
    fs::write(project.root().join("docker/base/requirements.txt"), "x\n").unwrap();
    let job = |image: &str, layer: u32| {
        format!(r#"{{"image":"{image}","layer":{layer},"dockerfile":"docker/{image}/Dockerfile"}}"#)
    };
    let jobs = [job("base", 0), job("builder", 1), job("dev", 2), job("release", 2)].join(",");
    assert_same(&github(&project), &format!("matrix={{\"include\":[{jobs}]}}\n"));
    let json = project.run("affected --since HEAD --format json").code(0).out();
    let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(rows[0]["changes"][0]["path"], "docker/base/requirements.txt");
    assert_eq!(rows[3]["needs"], serde_json::json!(["base", "builder"]));
    assert_eq!(rows[3]["cause"], serde_json::Value::Null);
}

#[test]
fn build_plan_and_list_accept_since() {
    let project = shop();
    let printed = project.run("build --since HEAD --engine fake").code(0).err();
    assert_same(&printed, "no images changed since `HEAD`\n");
    fs::write(
        project.root().join("docker/builder/Dockerfile"),
        "FROM acme/shop-base\nARG PY=3.11\nRUN make all\n",
    )
    .unwrap();
    let listed = project.run("list --since HEAD").code(0).out();
    let listed: Vec<&str> =
        listed.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(listed, ["builder", "dev", "release"]);
    let plan = project.run("plan --since HEAD dev release --engine fake").code(0).out();
    assert_eq!(names(&plan), ["base", "builder", "dev", "release"]);
    let quiet = "build --since HEAD --exclude dev --engine fake --progress quiet";
    let printed = project.run(quiet).code(0).err();
    assert_same(&printed, "2 built, 1 fresh of 3 images in 0.0s\n");
}

#[test]
fn revisions_that_git_cannot_resolve_are_errors_with_a_hint() {
    let project = shop();
    let err = |words: &str| project.run(&format!("affected --since {words}")).code(2).err();
    assert_same(
        &err("nowhere"),
        "error: unknown revision `nowhere`\n\
         hint: list commits with `git log --oneline`, and branches with `git branch --all`\n",
    );
    assert_same(
        &err("origin/main"),
        "error: unknown revision `origin/main`\nhint: fetch it with `git fetch origin main`\n",
    );
    assert!(err("--since=--all").starts_with("error: "));
    let printed = Project::shop().run("affected --since HEAD").code(2).err();
    assert!(printed.contains("is not in a git work tree"), "{printed}");
    // A clone without history.
    commit(&project);
    let clone = tempfile::tempdir().unwrap();
    let url = format!("file://{}", project.root().display());
    git_in(clone.path(), &["clone", "--quiet", "--depth=1", &url, "shop"]);
    let shallow = |revision: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_layers"));
        command.current_dir(clone.path().join("shop")).args(["affected", "--since", revision]);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let printed = shallow("HEAD~1");
    assert!(
        printed.contains(
            "hint: fetch the full history of this shallow clone with `git fetch --unshallow`"
        ),
        "{printed}"
    );
    let printed = shallow("origin/dev");
    let fetch = "hint: fetch it into this shallow clone with \
                 `git fetch --depth=1 origin dev:refs/remotes/origin/dev`;";
    assert!(printed.contains(fetch), "{printed}");
}

#[test]
fn affected_without_options_names_all_that_it_needs() {
    let printed = Project::shop().run("affected").code(2).stdout("").err();
    let expected = "not provided:\n  <--since <REV>|--missing|--moved>\n";
    assert!(printed.contains(expected), "{printed}");
}
