//! The warnings of `layers check`: which commands report them, in which format, and how to silence them.

use serde_json::{Value, json};

use crate::harness::Project;

/// Checks the codes that a check reports, with their positions.
#[track_caller]
fn check(project: &Project, expected: &[&str]) {
    assert_eq!(findings(project, "check --format json"), expected);
}

fn findings(project: &Project, arguments: &str) -> Vec<String> {
    let findings: Vec<Value> = serde_json::from_str(&project.run(arguments).out()).unwrap();
    let findings = findings.iter().map(|it| {
        let text = |key: &str| it[key].as_str().unwrap_or("-").to_owned();
        format!(
            "{} {} {}:{}:{}",
            text("level"),
            text("code"),
            text("file"),
            it["line"],
            it["column"]
        )
    });
    findings.collect()
}

/// Whether another command reports a code.
fn reports(project: &Project, verb: &str, code: &str) -> bool {
    project.run(verb).err().contains(&format!("[{code}]"))
}

/// One example of each kind: a doubt about the graph, and two recommendations.
fn doubtful() -> Project {
    Project::new()
        .dockerfile("base", "FROM debian\nCOPY motd /etc/\n")
        .dockerfile("dev", "FROM acme/shop-base\n")
        .dockerfile("app", "FROM acme/shop-dve\n")
}

#[test]
fn warnings_are_reported_by_all_commands_and_advice_only_by_check() {
    let project = doubtful();
    check(
        &project,
        &[
            "warning unknown-sibling docker/app/Dockerfile:1:6",
            "warning untagged-external docker/base/Dockerfile:1:6",
            "warning missing-file docker/base/Dockerfile:2:6",
        ],
    );
    for verb in ["graph", "list", "build --all --engine fake"] {
        assert!(reports(&project, verb, "unknown-sibling"), "{verb}");
        assert!(!reports(&project, verb, "untagged-external"), "{verb}");
        assert!(!reports(&project, verb, "missing-file"), "{verb}");
    }
    project.run("check").code(0).stdout("").stderr(
        "\
warning[unknown-sibling]: `acme/shop-dve` is not an image of this repository
 --> docker/app/Dockerfile:1:6
  |
1 | FROM acme/shop-dve
  |      ^^^^^^^^^^^^^ treated as an external image
  |
  = hint: did you mean `acme/shop-dev` (image `dev`)?

warning[untagged-external]: `debian` has no tag
 --> docker/base/Dockerfile:1:6
  |
1 | FROM debian
  |      ^^^^^^ defaults to `latest`, which can change
  |
  = hint: specify a version: `debian:…`

warning[missing-file]: `motd` not found in the context `docker/base`
 --> docker/base/Dockerfile:2:6
  |
2 | COPY motd /etc/
  |      ^^^^

3 warnings
",
    );
}

#[test]
fn denied_warnings_fail_the_check() {
    doubtful().run("check").code(0);
    doubtful().run("check --deny warnings").code(3);
    doubtful().run("check --deny nothing").code(2);
    Project::shop().run("check --deny warnings").code(0).stderr("5 images, no problems found\n");
    Project::new().dockerfile("a", "FORM x\n").run("check --format json").code(3).stderr("");
}

#[test]
fn problems_are_printed_as_json() {
    let project = Project::new()
        .dockerfile("base", "FROM debian:12\n")
        .dockerfile("dev", "FROM acme/shop-base\nRUN é\nCOPY --from=acme/shop-base:1 / /\n");
    let out = project.run("check --format json").code(0).stderr("").out();
    let findings: Value = serde_json::from_str(&out).unwrap();
    let place = json!({
        "file": "docker/dev/Dockerfile", "line": 3, "column": 13, "end_line": 3, "end_column": 29,
    });
    let mut label = place.clone();
    label["text"] = json!("treated as an external image");
    let mut expected = place;
    expected["code"] = json!("sibling-tag");
    expected["level"] = json!("warning");
    expected["message"] = json!(
        "`acme/shop-base:1` names an image of this repository, but with a tag that is not built here"
    );
    expected["labels"] = json!([label]);
    expected["notes"] = json!(["the image is tagged `latest`"]);
    expected["hint"] = json!("use the tag `latest` to depend on the image of this repository");
    assert_eq!(findings, json!([expected]));
    Project::shop().run("check --format json").code(0).stdout("[]\n").stderr("");
}

#[test]
fn github_annotations_are_printed_in_addition_to_text() {
    let annotation = "::warning file=docker/a/Dockerfile,line=1,col=6,endColumn=12,\
                      title=untagged-external::`debian` has no tag%0Ahint: specify a \
                      version: `debian:…`\n";
    let project = || Project::new().dockerfile("a", "FROM debian\n");
    let text = project().run("check").code(0).stdout("").err();
    project().run("check --format github").code(0).stdout(annotation).stderr(&text);
    let in_actions = project().var("GITHUB_ACTIONS", "true");
    in_actions.run("check").code(0).stdout(annotation).stderr(&text);
    in_actions.run("check --format text").code(0).stdout("").stderr(&text);
    // The repository of images can be a directory of the one that is checked out.
    let above = project();
    let workspace = above.root().parent().unwrap().to_str().unwrap().to_owned();
    above
        .var("GITHUB_WORKSPACE", workspace)
        .run("check --format github")
        .stdout(&annotation.replace("docker/a", "shop/docker/a"));
}

#[test]
fn layers_toml_silences_warnings() {
    let project =
        |skip: &str| doubtful().file("layers.toml", format!("[check]\nskip = [{skip}]\n"));
    let rest = ["warning missing-file docker/base/Dockerfile:2:6"];
    check(&project("'unknown-sibling', 'untagged-external'"), &rest);
    assert!(!reports(&project("'unknown-sibling'"), "graph", "unknown-sibling"));
    project("'missing-fil', 'cycle'")
        .run("list")
        .code(3)
        .stdout("")
        .stderr_file("unknown-rule.txt");
}

#[test]
fn a_dockerfile_silences_its_own_warnings() {
    let with = |directive: &str| {
        doubtful()
            .dockerfile("base", &format!("# check={directive}\nFROM debian\nCOPY motd /etc/\n"))
            .file("docker/base/motd", "hi")
            .file("docker/base/.dockerignore", "m*\n")
    };
    let sibling = "unknown-sibling docker/app/Dockerfile:1:6";
    let (untagged, ignored) =
        ("untagged-external docker/base/Dockerfile:2:6", "ignored-file docker/base/Dockerfile:3:6");
    let check = |directive: &str, expected: &[(&str, &str)]| {
        let expected: Vec<String> =
            expected.iter().map(|(level, rest)| format!("{level} {rest}")).collect();
        assert_eq!(findings(&with(directive), "check --format json"), expected, "{directive}");
    };
    let (warning, error) = ("warning", "error");
    check("skip=all", &[(warning, sibling)]);
    check("skip=CopyIgnoredFile", &[(warning, sibling), (warning, untagged)]);
    check("skip=untagged-external", &[(warning, sibling), (warning, ignored)]);
    check("error=true", &[(error, untagged), (error, ignored), (warning, sibling)]);
    check("skip=ignored-file;error=true", &[(error, untagged), (warning, sibling)]);
    with("error=true").run("check").code(3);
    with("error=true").run("graph").code(0);
}

#[test]
fn misspelled_stages_are_reported() {
    let check = |dockerfile: &str, expected: &[&str]| {
        check(&Project::new().dockerfile("app", dockerfile), expected);
    };
    let builder = "FROM debian:12 AS builder\n";
    check(
        &format!("{builder}FROM bulider\nRUN --mount=from=buildre,target=/x true\n"),
        &[
            "warning unknown-stage docker/app/Dockerfile:2:6",
            "warning unknown-stage docker/app/Dockerfile:3:18",
        ],
    );
    check(
        &format!("FROM builder AS app\n{builder}FROM app\nCOPY --from=builder / /\n"),
        &["warning unknown-stage docker/app/Dockerfile:1:6"],
    );
    // Names of images: with a tag, with a path, unlike any stage, or well-known.
    check(&format!("{builder}FROM builder\nCOPY --from=bulider:1 / /\n"), &[]);
    check(&format!("{builder}FROM builder\nCOPY --from=x/bulider:1 / /\n"), &[]);
    check("FROM debian:12 AS nod\nFROM nod\nCOPY --from=node:1 / /\n", &[]);
    check(
        "FROM debian:12 AS nod\nFROM nod\nCOPY --from=node / /\n",
        &["warning untagged-external docker/app/Dockerfile:3:13"],
    );
    check(
        &format!("{builder}FROM builder\nCOPY --from=tools / /\n"),
        &["warning untagged-external docker/app/Dockerfile:3:13"],
    );
}

#[test]
fn misspelled_siblings_are_reported() {
    let check = |base: &str, expected: &[&str]| {
        let project = Project::new()
            .dockerfile("fooo", "FROM scratch\n")
            .dockerfile("app", &format!("FROM {base}\n"));
        check(&project, expected);
    };
    let found = ["warning unknown-sibling docker/app/Dockerfile:1:6"];
    check("x-foo", &found);
    check("x-foo:1", &found);
    check("acme/shop-foo", &found);
    check("shop-foo:latest", &found);
    check("acme/shop-bar:1", &[]);
    check("debian:12-foo", &[]);
    check(&format!("x-foo@sha256:{}", "a".repeat(64)), &[]);
    check("acme/fooo2:1", &[]);
    // If other references show the names of images, an unrelated name is not a mistake.
    let named = Project::new()
        .dockerfile("fooo", "FROM scratch\n")
        .dockerfile("dev", "FROM acme/shop-fooo\n")
        .dockerfile("app", "FROM other/thing-foo:1\n");
    self::check(&named, &[]);
}

#[test]
fn references_to_an_unreadable_image_are_not_reported_as_unknown() {
    let project = Project::shop().file("docker/base/Dockerfile", b"FROM scratch\nRUN \xff\n");
    check(&project, &["error not-utf8 docker/base/Dockerfile:2:5"]);
}

#[test]
fn unset_variables_in_from_are_reported() {
    let check = |dockerfile: &str, expected: &[&str]| {
        check(&Project::new().dockerfile("app", dockerfile), expected);
    };
    check("FROM debian:12$SUFFIX\n", &["warning unset-variable docker/app/Dockerfile:1:15"]);
    check(
        "FROM --platform=$BUILDPLATFORM debian:12${SUFFIX}\n",
        &["warning unset-variable docker/app/Dockerfile:1:41"],
    );
    check("ARG SUFFIX\nFROM debian:12$SUFFIX\n", &[]);
    check("FROM debian:12${SUFFIX:-}\n", &[]);
    check("FROM debian:${TAG:-12}\n", &[]);
    // The error that results from it names the variable.
    check(
        "FROM --platform=$TARGETPLATFROM debian:12\n",
        &["error invalid-platform docker/app/Dockerfile:1:17"],
    );
    let late = "FROM debian:12\nARG SUFFIX=x\nFROM debian:12$SUFFIX\nCOPY --from=0 / /\n";
    let project = Project::new().dockerfile("app", late);
    project.run("graph").code(0).stderr(
        "\
warning[unset-variable]: `SUFFIX` is not set and expands to an empty string
 --> docker/app/Dockerfile:3:15
  |
2 | ARG SUFFIX=x
  | ------------ declared here, after the first FROM
3 | FROM debian:12$SUFFIX
  |               ^^^^^^^
  |
  = hint: declare `ARG SUFFIX` before the first FROM

1 warning
",
    );
}

#[test]
fn platform_mismatches_are_reported() {
    let pair =
        |base: &str, app: &str| Project::new().dockerfile("base", base).dockerfile("app", app);
    let arm = "FROM --platform=linux/arm64 debian:12\n";
    let project = pair(arm, "FROM --platform=linux/amd64 acme/shop-base\n");
    project.run("graph").code(0).stderr(
        "\
warning[platform-mismatch]: platform `linux/amd64` is requested of `base`, which is always built for `linux/arm64`
 --> docker/app/Dockerfile:1:17
  |
1 | FROM --platform=linux/amd64 acme/shop-base
  |                 ^^^^^^^^^^^ requests `linux/amd64`
  |
 ::: docker/base/Dockerfile:1:17
  |
1 | FROM --platform=linux/arm64 debian:12
  |                 ----------- `base` is always built for `linux/arm64`
  |
  = hint: remove `--platform` from one of them, or use `linux/arm64` here

1 warning
",
    );
    check(&pair(arm, "FROM --platform=linux/arm64/v8 acme/shop-base\n"), &[]);
    check(&pair("FROM debian:12\n", "FROM --platform=linux/arm64 acme/shop-base\n"), &[]);
    check(
        &pair("FROM --platform=linux/s390x debian:12 AS x\nFROM x\n", "FROM acme/shop-base\n"),
        &["warning platform-mismatch docker/app/Dockerfile:1:6"],
    );
}

#[test]
fn an_onbuild_trigger_reads_the_context_of_the_child() {
    let project = Project::new()
        .dockerfile("base", "FROM debian:12\nONBUILD COPY requirements.txt /\n")
        .dockerfile("app", "FROM acme/shop-base\n")
        .dockerfile("dev", "FROM acme/shop-base\n")
        .file("docker/dev/requirements.txt", "");
    project.run("check").code(0).stderr(
        "\
warning[missing-file]: `requirements.txt` not found in the context `docker/app`
 --> docker/app/Dockerfile:1:6
  |
1 | FROM acme/shop-base
  |      ^^^^^^^^^^^^^^ the trigger reads this image's context
  |
 ::: docker/base/Dockerfile:2:14
  |
2 | ONBUILD COPY requirements.txt /
  |              ---------------- in this trigger

1 warning
",
    );
}

#[test]
fn unused_stages_are_reported() {
    let file = "FROM debian:12 AS test\nFROM debian:12 AS slim\nFROM debian:12\n";
    let project = Project::new().dockerfile("app", file);
    check(
        &project,
        &[
            "warning unused-stage docker/app/Dockerfile:1:19",
            "warning unused-stage docker/app/Dockerfile:2:19",
        ],
    );
    let with_target = project.file("layers.toml", "[image.app]\ntarget = 'slim'\n");
    check(&with_target, &["warning unused-stage docker/app/Dockerfile:1:19"]);
    // The `--from` of a trigger names a stage of the child.
    let triggered = Project::new()
        .dockerfile("base", "FROM debian:12\nONBUILD COPY --from=wheels /w /w\n")
        .dockerfile("app", "FROM debian:12 AS wheels\nFROM acme/shop-base\n");
    check(&triggered, &[]);
}
