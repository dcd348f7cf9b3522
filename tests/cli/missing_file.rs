//! Images whose sources are missing in their contexts: their builds fail before anything is started.

use serde_json::json;

use crate::harness::{Project, assert_same};

/// An image with a missing source, one on it, and one without.
fn project() -> Project {
    Project::new()
        .dockerfile("base", "FROM scratch\nCOPY f /\n")
        .file("docker/base/f", "f")
        .dockerfile("app", "FROM acme/shop-base\nRUN make\nCOPY requirments.txt /srv/\n")
        .file("docker/app/requirements.txt", "flask\n")
        .dockerfile("dev", "FROM acme/shop-app\nRUN make\n")
        .dockerfile("tool", "FROM acme/shop-base\nCOPY *.none run.sh /\n")
        .file("docker/tool/run.sh", "true\n")
        .script(r#"{"record": "calls.jsonl"}"#)
}

#[test]
fn a_missing_source_fails_the_image_before_it_is_built() {
    let project = project();
    project.run("build --all --engine fake --progress quiet -j1").code(1).stderr(
        "
error: app failed at docker/app/Dockerfile:3
 --> docker/app/Dockerfile:3:1
  |
3 | COPY requirments.txt /srv/
  | ^^^^^^^^^^^^^^^^^^^^^^^^^^ `requirments.txt` not found in the context `docker/app`
  hint: did you mean `requirements.txt`?
  skipped dependents: dev

not started: base, tool
0 built, 1 failed, 3 skipped of 4 images in 0.0s
try again: layers build --all --engine fake --progress quiet -j1
",
    );
    let calls = project.read(".layers/calls.jsonl");
    assert!(!calls.contains(r#""call":"build""#), "{calls}");
    // Two of them are reported at once.
    let other = project.dockerfile("other", "FROM scratch\nCOPY none /\n");
    let printed = other.run("build --all --engine fake --progress quiet").code(1).err();
    assert!(printed.contains("0 built, 2 failed, 3 skipped of 5 images"), "{printed}");
    let project = other.dockerfile("other", "FROM scratch\n");
    let printed =
        project.run("build --all --engine fake --progress quiet --keep-going").code(1).err();
    assert!(printed.contains("3 built, 1 failed, 1 skipped of 5 images"), "{printed}");
    project.write("docker/app/requirments.txt", "flask\n");
    project.run("build --all --engine fake --progress quiet").code(0);
}

#[test]
fn plans_show_missing_sources() {
    let project = project();
    assert_same(
        &project.run("plan --all --engine fake").code(0).out(),
        "\
base  build  no image in the engine
app   build  docker/app/Dockerfile:3:6: `requirments.txt` not found in the context `docker/app`
dev   build  no image in the engine
tool  build  no image in the engine
4 to build, 0 waiting, 0 fresh of 4 images
",
    );
    let plan = project.run("plan app --engine fake --json").code(0).out();
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    let expected = json!({
        "reason": "missing-file",
        "at": "docker/app/Dockerfile:3:6",
        "message": "`requirments.txt` not found in the context `docker/app`",
        "hint": "did you mean `requirements.txt`?",
    });
    let app = plan.as_array().unwrap().iter().find(|row| row["image"] == "app").unwrap();
    assert_eq!(app["reason"], expected);
    let why = project.run("why app --engine fake").code(0).out();
    assert!(why.contains("\nhint: did you mean `requirements.txt`?\n"), "{why}");
}

#[test]
fn an_ignored_source_fails_the_image_as_well() {
    let project = project()
        .file("docker/app/requirments.txt", "flask\n")
        .file("docker/app/.dockerignore", "*.txt\n");
    let printed = project.run("build app --engine fake --progress quiet").code(1).err();
    assert!(printed.contains(" `requirments.txt` is excluded by the ignore file\n"), "{printed}");
    assert!(printed.contains("\n  hint: add the line `!requirments.txt` below"), "{printed}");
}

#[test]
fn a_silenced_missing_source_is_left_to_the_engine() {
    let text = "# check=skip=missing-file\nFROM scratch\nCOPY requirments.txt /srv/\n";
    let project = project().dockerfile("app", text);
    project.run("build app --engine fake --progress quiet").code(0);
    let text = "# syntax=acme/frontend\nFROM scratch\nCOPY requirments.txt /srv/\n";
    let project = project.dockerfile("app", text);
    project.run("build app --engine fake --progress quiet").code(0);
}
