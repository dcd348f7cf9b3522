//! `layers diff` in real git repositories: the reported changes, which are the same whether or not they are
//! committed.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::git::{commit, git_in};
use crate::harness::{Project, assert_same};

/// base ← builder ← dev, release copying from builder, and a standalone agent; committed on `main`.
pub fn shop() -> Project {
    let project = Project::new()
        .dockerfile("base", "FROM debian:12\nCOPY requirements.txt /\nRUN true\n")
        .file("docker/base/requirements.txt", "six\n")
        .dockerfile("builder", "FROM acme/shop-base\nRUN make wheels\nRUN true\n")
        .dockerfile("dev", "FROM acme/shop-builder:latest\nRUN make test\n")
        .dockerfile(
            "release",
            "FROM acme/shop-base:latest\nCOPY --from=acme/shop-builder:latest /wheels /wheels\n",
        )
        .dockerfile("agent", "FROM debian:12\nCOPY . /agent\n")
        .file(".gitignore", ".layers/\n");
    git_in(project.root(), &["init", "--quiet", "--initial-branch=main"]);
    commit(&project);
    project
}

/// Returns the report as JSON.
pub fn json(project: &Project, words: &str) -> Value {
    let text = project.run(&format!("diff {words} --json -j 2")).code(0).out();
    serde_json::from_str(&text).unwrap()
}

/// Returns a change as JSON and as Markdown: in the work tree, and again after it is committed.
#[track_caller]
pub fn diff(project: &Project) -> (Value, String) {
    let beside = json(project, "HEAD");
    let markdown = project.run("diff HEAD").code(0).out();
    commit(project);
    let mut between = json(project, "HEAD~1..HEAD");
    assert_eq!((&between["base"], &between["head"]), (&"HEAD~1".into(), &"HEAD".into()));
    assert_eq!(beside["head"], Value::Null);
    for end in ["base", "head"] {
        between[end] = beside[end].clone();
    }
    assert_eq!(between, beside);
    let again = project.run("diff HEAD~1..HEAD").code(0).out().replace("HEAD~1..HEAD", "HEAD");
    assert_same(markdown.split_once('\n').unwrap().1, again.split_once('\n').unwrap().1);
    (beside, markdown)
}

/// Returns facts of a list, one line per entry.
pub fn lines(list: &Value, names: &[&str]) -> Vec<String> {
    let rows = list.as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    rows.map(|row| names.iter().map(|name| text(&row[name])).collect::<Vec<_>>().join(" "))
        .collect()
}

#[test]
fn a_base_change_is_reported_with_all_affected_images() {
    let project = shop();
    // The durations of past builds. That of `release` is unknown.
    let times = r#"{"images":{"base":[60000],"builder":[120000],"dev":[30000],"agent":[1]}}"#;
    project.write(".layers/durations.json", times);
    project.write("docker/base/requirements.txt", "seven\n");
    commit(&project);
    project.run("diff HEAD~1..HEAD -j 2").code(0).stderr("").stdout_file("base-changed.md");
    let found = json(&project, "HEAD~1..HEAD");
    assert_eq!(
        found["estimate"],
        serde_json::json!({"jobs": 2, "time_ms": 210_000, "work_ms": 210_500})
    );
    assert_eq!(found["affected"][3]["expected_ms"], 500);
    assert_eq!(found["affected"][3]["guessed"], true);
    assert_eq!(found["affected"][0]["changes"][0]["path"], "docker/base/requirements.txt");
    assert_eq!(
        lines(&found["affected"], &["image", "because"])[0..2],
        ["base changed", "builder parent"]
    );
}

#[test]
fn unknown_durations_are_reported() {
    let project = shop();
    project.write("docker/agent/new", "x\n");
    let (found, markdown) = diff(&project);
    assert_eq!(found["estimate"], Value::Null);
    let printed = "**1 of 5 images will be rebuilt**: it changed. The duration is unknown: no past \
                builds were found.\n\n| image | reason |\n|---|---|\n| `agent` | \
                `docker/agent/new` is new |\n";
    assert!(markdown.contains(printed), "{markdown}");
}

#[test]
fn added_and_removed_edges_are_reported() {
    let project = shop();
    project
        .write("docker/dev/Dockerfile", "FROM acme/shop-base\nCOPY --from=acme/shop-agent /a /\n");
    let (found, markdown) = diff(&project);
    let edges = |list: &str| lines(&found[list], &["image", "needs", "kind", "at"]);
    assert_eq!(
        edges("new_edges"),
        ["dev agent copy docker/dev/Dockerfile:2:13", "dev base from docker/dev/Dockerfile:1:6"]
    );
    assert_eq!(edges("lost_edges"), ["dev builder from docker/dev/Dockerfile:1:6"]);
    assert!(
        markdown.ends_with(
            "\n### Dependencies\n\n\
         - added: `dev` depends on `agent` (copy, `docker/dev/Dockerfile:2:13`)\n\
         - added: `dev` depends on `base` (from, `docker/dev/Dockerfile:1:6`)\n\
         - removed: `dev` depends on `builder` (from, `docker/dev/Dockerfile:1:6`)\n"
        ),
        "{markdown}"
    );
    assert_eq!(lines(&found["affected"], &["image", "because"]), ["dev changed"]);
}

#[test]
fn added_removed_and_renamed_images_are_reported() {
    let project = shop();
    let root = project.root();
    fs::rename(root.join("docker/base"), root.join("docker/ground")).unwrap();
    for (image, text) in [
        ("builder", "FROM acme/shop-ground\nRUN make wheels\nRUN true\n"),
        (
            "release",
            "FROM acme/shop-ground\nCOPY --from=acme/shop-builder:latest /wheels /wheels\n",
        ),
        ("tool", "FROM acme/shop-ground\nRUN tool\n"),
    ] {
        project.write(&format!("docker/{image}/Dockerfile"), text);
    }
    fs::remove_dir_all(root.join("docker/agent")).unwrap();
    project.write(".layers/durations.json", r#"{"images":{"base":[7000]}}"#);
    let (found, markdown) = diff(&project);
    assert_eq!(lines(&found["renamed"], &["was", "image"]), ["base ground"]);
    assert_eq!(lines(&found["new"], &["image", "dockerfile"]), ["tool docker/tool/Dockerfile"]);
    assert_eq!(lines(&found["lost"], &["image"]), ["agent"]);
    // Edges of a renamed image still exist.
    assert_eq!(lines(&found["new_edges"], &["image", "needs"]), ["tool ground"]);
    assert_eq!(found["lost_edges"], serde_json::json!([]));
    assert_eq!(found["externals"], serde_json::json!([]));
    // The build time of a renamed image is still known.
    assert_eq!(
        (&found["affected"][0]["image"], &found["affected"][0]["expected_ms"]),
        (&"ground".into(), &7000.into())
    );
    assert!(markdown.contains("| `ground` | renamed from `base` | 7s |\n"), "{markdown}");
    assert!(markdown.contains("i2[\"ground<br/>renamed\"]:::careful"), "{markdown}");
    assert!(
        markdown.contains(
            "\n### Added, removed, and renamed images\n\n\
         - added: `tool` (`docker/tool/Dockerfile`)\n\
         - removed: `agent` (`docker/agent/Dockerfile`)\n\
         - renamed: `base` → `ground`\n"
        ),
        "{markdown}"
    );
}

#[test]
fn ambiguous_renames_are_not_reported_as_renames() {
    let project = shop();
    let text = fs::read_to_string(project.root().join("docker/agent/Dockerfile")).unwrap();
    fs::remove_dir_all(project.root().join("docker/agent")).unwrap();
    project.write("docker/one/Dockerfile", &text);
    project.write("docker/two/Dockerfile", &text);
    let (found, _) = diff(&project);
    assert_eq!(found["renamed"], serde_json::json!([]));
    assert_eq!(lines(&found["new"], &["image"]), ["one", "two"]);
    assert_eq!(lines(&found["lost"], &["image"]), ["agent"]);
}

fn digest(digit: char) -> String {
    format!("sha256:{}", digit.to_string().repeat(64))
}

#[test]
fn changed_externals_are_reported_with_their_images() {
    let project = shop();
    let agent = |text: &str| project.write("docker/agent/Dockerfile", text);
    let moved = |found: &Value| lines(&found["externals"], &["from", "to", "images"]);
    agent("FROM debian:13\nCOPY . /agent\n");
    project.write("docker/base/Dockerfile", "FROM debian:13\nCOPY requirements.txt /\nRUN true\n");
    let (found, markdown) = diff(&project);
    assert_eq!(moved(&found), [r#"debian:12 debian:13 ["agent","base"]"#]);
    let row = "\n### Externals\n\n| external | images |\n|---|---|\n| `debian:12` → `debian:13` | `agent` and `base` |\n";
    assert!(markdown.ends_with(row), "{markdown}");
    // The repository shows which external replaced which, and then the kind of dependency.
    agent("FROM debian:13\nCOPY --from=redis:7 /a /\nCOPY --from=node:22 /b /\n");
    commit(&project);
    agent(&format!(
        "FROM alpine:3\nCOPY --from=node:22@{} /b /\nCOPY --from=redis:8 /a /\nCOPY --from=caddy /c /\n",
        digest('a')
    ));
    let (found, markdown) = diff(&project);
    assert_eq!(
        moved(&found),
        [
            r#"null caddy:latest ["agent"]"#.to_owned(),
            r#"debian:13 alpine:3 ["agent"]"#.to_owned(),
            format!(r#"node:22 node:22@{} ["agent"]"#, digest('a')),
            r#"redis:7 redis:8 ["agent"]"#.to_owned(),
        ]
    );
    assert!(markdown.contains("| `caddy:latest` is new | `agent` |\n"), "{markdown}");
    assert!(
        markdown.contains("| `node:22` → `node:22@sha256:aaaaaaaaaaaa…` | `agent` |\n"),
        "{markdown}"
    );
    agent("FROM scratch\nCOPY . /\n");
    let (found, markdown) = diff(&project);
    assert_eq!(moved(&found).len(), 4);
    assert!(markdown.contains("| `redis:8` is no longer used | `agent` |\n"), "{markdown}");
}

/// Writes a graph.json that pins `debian:12`.
fn pin(project: &Project, digest: &str) {
    let mut graph: Value =
        serde_json::from_str(&project.run("graph --json").code(0).out()).unwrap();
    for image in graph["images"].as_array_mut().unwrap() {
        for external in image["externals"].as_array_mut().unwrap() {
            external["digest"] = digest.into();
        }
    }
    project.write("graph.json", &graph.to_string());
}

#[test]
fn a_changed_pin_in_the_committed_graph_changes_an_external() {
    let project = shop();
    pin(&project, &digest('a'));
    let (found, markdown) = diff(&project);
    // The first pin does not change images.
    assert_eq!(found["affected"], serde_json::json!([]));
    let row = "| `debian:12` → `debian:12@sha256:aaaaaaaaaaaa…`, pinned in `graph.json` | `agent` \
               and `base` |\n";
    assert!(
        markdown.contains("**None of 5 images will be rebuilt**.") && markdown.contains(row),
        "{markdown}"
    );
    pin(&project, &digest('b'));
    let (found, markdown) = diff(&project);
    let affected = lines(&found["affected"], &["image", "because"]);
    assert_eq!(affected[..2], ["agent changed", "base changed"]);
    assert!(affected[2..].iter().all(|it| it.ends_with(" parent")), "{affected:?}");
    assert_eq!(found["externals"][0]["by_pin"], true);
    assert!(markdown.contains("| `agent` | external `debian:12` moved |\n"), "{markdown}");
    // Invalid files do not stop the command.
    for text in ["", "{\"images\": 7}", "[[[", "\u{0}"] {
        project.write("graph.json", text);
        let (found, _) = diff(&project);
        assert_eq!(found["affected"], serde_json::json!([]), "{text}");
    }
}

#[test]
fn an_empty_diff_is_reported_as_empty() {
    let project = shop();
    let nothing = "**None of 5 images will be rebuilt**: their inputs are the same.\n";
    project
        .run("diff HEAD")
        .code(0)
        .stdout(&format!("## Images: `HEAD` and the work tree\n\n{nothing}"));
    project.write("README.md", "x\n");
    project.write("docker/dev/Dockerfile", "# why\nFROM acme/shop-builder:latest\nRUN make test\n");
    let (found, markdown) = diff(&project);
    assert!(markdown.ends_with(nothing), "{markdown}");
    for list in ["affected", "new", "lost", "renamed", "new_edges", "lost_edges", "externals"] {
        assert_eq!(found[list], serde_json::json!([]), "{list}");
    }
    // A removed image is reported although nothing is rebuilt.
    fs::remove_dir_all(project.root().join("docker/dev")).unwrap();
    let (_, markdown) = diff(&project);
    assert!(markdown.contains("**None of 4 images will be rebuilt**.\n"), "{markdown}");
    assert!(markdown.contains("- removed: `dev` (`docker/dev/Dockerfile`)\n"), "{markdown}");
}

#[test]
fn three_dots_compare_with_the_merge_base() {
    let project = shop();
    let root = project.root();
    git_in(root, &["switch", "--quiet", "--create", "work"]);
    project.write("docker/agent/new", "x\n");
    commit(&project);
    git_in(root, &["switch", "--quiet", "main"]);
    project.write("docker/base/requirements.txt", "seven\n");
    commit(&project);
    let images = |words: &str| lines(&json(&project, words)["affected"], &["image"]).join(" ");
    assert_eq!(images("main...work"), "agent");
    assert_eq!(images("main..work"), "agent base builder dev release");
    assert_eq!(images("work...main"), "base builder dev release");
    assert_eq!(images("work..."), "base builder dev release");
    assert_eq!(images("..work"), "agent base builder dev release");
    let found = json(&project, "main...work");
    assert_eq!(found["from_merge_base"], true);
    // The work tree counts only if no end is specified.
    project.write("docker/dev/Dockerfile", "FROM nothing:at-all AND MORE\n");
    assert_eq!(images("main...work"), "agent");
    project.run("diff main").code(3);
}

#[test]
fn mode_symlink_and_submodule_changes_are_detected() {
    let project = shop();
    let other = tempfile::tempdir().unwrap();
    git_in(other.path(), &["init", "--quiet", "--initial-branch=main"]);
    fs::write(other.path().join("code"), "1\n").unwrap();
    git_in(other.path(), &["add", "--all"]);
    git_in(other.path(), &["commit", "--quiet", "-m", "x"]);
    let url = other.path().to_string_lossy().into_owned();
    git_in(project.root(), &["submodule", "--quiet", "add", &url, "docker/agent/lib"]);
    git_in(project.root(), &["submodule", "--quiet", "add", &url, "sub"]);
    project.write("layers.toml", "[image.inside]\ndockerfile = 'in.Dockerfile'\ncontext = 'sub'\n");
    project.write("in.Dockerfile", "FROM scratch\nCOPY code /\n");
    commit(&project);
    let images = |words: &str| lines(&json(&project, words)["affected"], &["image"]).join(" ");
    let change = |edit: &dyn Fn(&Path)| {
        edit(project.root());
        commit(&project);
        images("HEAD~1..HEAD")
    };
    let advance = |at: &'static str| {
        move |root: &Path| {
            fs::write(root.join(at).join("code"), "2\n").unwrap();
            git_in(&root.join(at), &["commit", "--quiet", "--all", "-m", "y"]);
        }
    };
    let touch = |root: &Path| {
        git_in(&root.join("sub"), &["commit", "--quiet", "--allow-empty", "-m", "z"]);
    };
    assert_eq!(change(&advance("docker/agent/lib")), "agent");
    assert_eq!(change(&advance("sub")), "inside");
    // Another commit with the same files does not change images.
    assert_eq!(change(&touch), "");
    assert_eq!(
        change(&|root| std::os::unix::fs::symlink("x", root.join("docker/agent/l")).unwrap()),
        "agent"
    );
    assert_eq!(change(&|root| fs::write(root.join("docker/base/unread"), "x").unwrap()), "");
}

#[test]
fn unknown_revisions_are_errors_with_a_hint() {
    let project = shop();
    let err = |words: &str| project.run(&format!("diff {words}")).code(2).err();
    let hint =
        "hint: list commits with `git log --oneline`, and branches with `git branch --all`\n";
    for range in ["nowhere", "nowhere..HEAD", "HEAD..nowhere", "nowhere...HEAD", "HEAD...nowhere"] {
        assert_same(&err(range), &format!("error: unknown revision `nowhere`\n{hint}"));
    }
    git_in(project.root(), &["checkout", "--quiet", "--orphan", "other"]);
    // Otherwise, it could be the same commit.
    project.write("other", "x\n");
    commit(&project);
    assert_same(
        &err("main...other"),
        &format!("error: `main` and `other` have no common ancestor\n{hint}"),
    );
    assert!(err("").contains("BASE[..HEAD]"));
    let printed = Project::shop().run("diff a..b").code(2).err();
    assert!(printed.contains("is not in a git work tree"), "{printed}");
}

#[test]
fn errors_in_the_head_are_fatal_and_errors_in_the_base_are_noted() {
    let project = shop();
    project.write("docker/dev/Dockerfile", "FROM acme/shop-builder:latest\nRNU make test\n");
    project.run("diff HEAD").code(3);
    commit(&project);
    let printed = project.run("diff HEAD~1..HEAD").code(3).stdout("").err();
    assert!(printed.contains("docker/dev/Dockerfile:2:1"), "{printed}");
    assert!(printed.ends_with("the errors are in the files of `HEAD`\n"), "{printed}");
    project.write("docker/dev/Dockerfile", "FROM acme/shop-builder:latest\nRUN make test\n");
    commit(&project);
    let markdown = project.run("diff HEAD~1..HEAD").code(0).out();
    let note = "\n\nThe files of `HEAD~1` have 1 error. The parts with errors are not compared.\n";
    assert!(markdown.contains(note), "{markdown}");
}

#[test]
fn the_first_images_of_a_repository_are_reported_as_new() {
    let project = Project::new().file("README.md", "x\n");
    git_in(project.root(), &["init", "--quiet", "--initial-branch=main"]);
    commit(&project);
    commit(&project);
    let printed = project.run("diff HEAD~1..HEAD").code(2).err();
    assert!(printed.contains("no Dockerfile found on either side of `HEAD~1..HEAD`"), "{printed}");
    let project = project.dockerfile("base", "FROM debian:12\n");
    let (found, _) = diff(&project);
    assert_eq!(lines(&found["new"], &["image"]), ["base"]);
    fs::remove_dir_all(project.root().join("docker")).unwrap();
    commit(&project);
    assert_eq!(lines(&json(&project, "HEAD~1..HEAD")["lost"], &["image"]), ["base"]);
}

#[test]
fn the_diff_can_be_written_to_a_file() {
    let project = shop();
    project.run("-C docker diff HEAD --output told.md").code(0).stdout("");
    assert!(project.read("docker/told.md").starts_with("## Images: `HEAD` and the work tree\n"));
    project.run("diff HEAD --json --output told.json").code(0).stdout("");
    assert_eq!(serde_json::from_str::<Value>(&project.read("told.json")).unwrap()["images"], 5);
    assert!(project.run("diff HEAD --output -").code(0).out().starts_with("## Images"));
    project.run("diff HEAD --output nowhere/told.md").code(4);
}
