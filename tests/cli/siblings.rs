//! Misspelled names of siblings, build arguments that nothing declares, and identical problems.

use crate::harness::Project;

fn misspelled() -> Project {
    Project::new()
        .dockerfile("base", "FROM debian:12\n")
        .dockerfile("dev", "FROM acme/shop-base\n")
        .dockerfile("app", "FROM acme/shop-bsae\n")
        .dockerfile("top", "FROM acme/shop-app\n")
}

const PROBLEM: &str = "\
error[unknown-sibling]: `acme/shop-bsae` is not an image of this repository
 --> docker/app/Dockerfile:1:6
  |
1 | FROM acme/shop-bsae
  |      ^^^^^^^^^^^^^^
  |
  = note: if it is an external image, add `externals = [\"acme/shop-bsae\"]` to `layers.toml`
  = hint: did you mean `acme/shop-base` (image `base`)?

1 error
";

#[test]
fn a_misspelled_sibling_stops_its_image_and_the_dependents() {
    misspelled().run("check").code(3).stderr(PROBLEM);
    misspelled().run("graph").code(0).stderr(PROBLEM);
    misspelled().run("build top --engine fake").code(3).stderr(PROBLEM);
    misspelled().run("build dev --engine fake").code(0);
    let all = misspelled().run("build --all --engine fake --progress plain").code(3).err();
    assert!(all.contains("2 built") && all.contains("`top` (depends on `app`)"), "{all}");
}

#[test]
fn an_intended_name_is_external() {
    for settings in [
        "externals = ['acme/shop-bsae']",
        "externals = ['acme/*']",
        "[check]\nskip = ['unknown-sibling']",
    ] {
        misspelled().file("layers.toml", settings).run("graph").code(0).stderr("");
    }
    let directive = "# check=skip=unknown-sibling\nFROM acme/shop-bsae\n";
    misspelled().dockerfile("app", directive).run("graph").code(0).stderr("");
    let project = misspelled().file("layers.toml", "externals = ['acme/other']\n");
    project.run("graph").code(0).stderr(PROBLEM);
    let broken = misspelled().file("layers.toml", "externals = ['acme/{']\n").run("graph").code(3);
    assert!(broken.err().contains("`acme/{` is not a valid glob"), "{}", broken.err());
}

/// Checks the first line of what the settings cause.
#[track_caller]
fn check_argument(settings: &str, expected: Option<(&str, &str)>) {
    let project = Project::new()
        .dockerfile("app", "ARG PYTHON=3\nFROM python:$PYTHON\n")
        .dockerfile("tools", "FROM debian:12\nARG DEBUG\n")
        .file("layers.toml", settings);
    let printed = project.run("list").code(0).err();
    let lines = |start: &str| printed.lines().find_map(|line| line.strip_prefix(start));
    let found = lines("warning[unused-argument]: ").zip(lines("  = hint: "));
    assert_eq!(found, expected, "{settings}\n{printed}");
}

#[test]
fn arguments_of_settings_must_be_declared() {
    check_argument("[args]\nPYTHON = '3'\nDEBUG = '1'\nHTTP_PROXY = 'x'\n", None);
    check_argument(
        "[args]\nPYTHN = '3'\n",
        Some(("no Dockerfile declares the build argument `PYTHN`", "did you mean `PYTHON`?")),
    );
    check_argument("[image.app]\nargs.PYTHON = '3'\n", None);
    check_argument(
        "[image.app]\nargs.DEBUG = '3'\n",
        Some((
            "the Dockerfile of `app` does not declare the build argument `DEBUG`",
            "remove it, or declare it: `ARG DEBUG`",
        )),
    );
    let group = "[[group]]\ndockerfiles = ['docker/tools/*', 'docker/app/*']\n";
    check_argument(&format!("{group}args.PYTHON = '3'\n"), None);
    check_argument(
        &format!("{group}args.PYTHN = '3'\n"),
        Some((
            "no Dockerfile of this group declares the build argument `PYTHN`",
            "did you mean `PYTHON`?",
        )),
    );
}

#[test]
fn identical_problems_are_shown_once_and_are_separate_as_data() {
    let mut project = Project::new();
    for name in ["a", "b", "c", "d"] {
        project = project.dockerfile(name, "FROM debian:12\nCOPY x /\n");
    }
    project.run("check").code(0).stderr(
        "\
warning[missing-file]: `x` not found in the context `docker/a`
 --> docker/a/Dockerfile:2:6
  |
2 | COPY x /
  |      ^
  |
  = note: also at docker/b/Dockerfile:2:6, docker/c/Dockerfile:2:6 and 1 more

4 warnings
",
    );
    let json = project.run("check --format json").out();
    assert_eq!(json.matches("\"code\"").count(), 4);
}
