//! BuildKit's checks of Dockerfiles with `error=true`.

use crate::harness::Project;

fn project(options: &str) -> Project {
    let text = format!("# check={options}\nFROM scratch as base\nCOPY f /\n");
    Project::new()
        .dockerfile("app", &text)
        .file("docker/app/f", "f")
        .dockerfile("tool", "FROM scratch as base\nCOPY . /\n")
}

#[test]
fn a_failed_check_is_reported_before_anything_is_built() {
    let project = project("error=true");
    let expected = "\
error[failed-check]: BuildKit's check FromAsCasing fails: `as` does not match the casing of `FROM`
 --> docker/app/Dockerfile:2:1
  |
2 | FROM scratch as base
  | ^^^^^^^^^^^^^^^^^^^^
  |
  = note: with `error=true`, BuildKit does not build
  = hint: write `AS`, or add `skip=FromAsCasing` to the options of `check`

1 error
";
    project.run("check").code(3).stderr(expected);
    project.run("build --all --engine fake").code(3).stderr(expected);
    project.run("build tool --engine fake --progress quiet").code(0);
    // A frontend without checks builds the file.
    let project = project.file("layers.toml", "[check]\nfrontend = \"1.7\"\n");
    project.run("check").code(0);
}

#[test]
fn the_engine_decides_about_other_checks() {
    let note = "the engine decides about the other checks of `docker/app/Dockerfile`\n";
    let project = project("skip=FromAsCasing;error=true").script(r#"{"store": "store.json"}"#);
    let printed = project.run("build app --engine fake --progress quiet").code(0).err();
    assert!(printed.starts_with(note), "{printed}");
    let printed = project.run("build app --engine fake --progress quiet").code(0).err();
    assert!(!printed.contains(note), "{printed}");
    let printed = project.run("check").code(0).err();
    assert!(printed.starts_with(note), "{printed}");
}

#[test]
fn the_build_argument_replaces_the_options_of_the_dockerfile() {
    let argument = "--build-arg BUILDKIT_DOCKERFILE_CHECK";
    let quiet = "build app --engine fake --progress quiet";
    project("error=true").run(&format!("{quiet} {argument}=skip=all")).code(0);
    let printed = project("skip=all").run(&format!("{quiet} {argument}=error=true")).code(3).err();
    assert!(printed.contains("FromAsCasing"), "{printed}");
}

#[test]
fn a_warning_of_the_same_check_is_reported_once() {
    let text = "# check=error=true\nFROM scratch AS a\nFROM a AS a\nCOPY f /\n";
    let project = project("error=true").dockerfile("app", text);
    let printed = project.run("check").code(3).err();
    assert_eq!(printed.matches("error[").count(), 1, "{printed}");
    assert!(printed.contains("error[duplicate-stage]"), "{printed}");
    let printed = project.run("build app --engine fake --progress quiet").code(3).err();
    assert!(
        printed.contains("error[failed-check]: BuildKit's check DuplicateStageName fails"),
        "{printed}"
    );
}
