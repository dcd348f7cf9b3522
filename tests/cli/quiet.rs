//! `--quiet` and `--verbose`: how much a command prints.

use crate::harness::Project;

#[test]
fn a_quiet_build_prints_only_problems() {
    let project = Project::shop().script(r#"{"store": "store.json"}"#);
    project.run("build --all --engine fake -q").code(0).stdout("").stderr("");
    project.run("--quiet build --all --engine fake --progress plain").code(0).stdout("").stderr("");
    project.run("plan -q --engine fake").code(0).stdout("").stderr("");
    project.write("docker/base/Dockerfile", "FROM scratch\nENV A=2\n");
    project.run("plan -q --check --engine fake").code(1).stdout("").stderr("");
    let json = project.run("build --all --engine fake -q --progress json").code(0);
    assert!(json.out().contains("run-finished"), "{}", json.out());
    json.stderr("");
}

#[test]
fn a_quiet_build_reports_failures() {
    let project = Project::shop().script(
        r#"{"images": [{"reference": "shop-builder",
            "steps": [{"text": "RUN make", "output": ["no rule\n"]}],
            "fail": {"step": 1, "message": "exit code: 2"}}]}"#,
    );
    let printed = project.run("build --all --engine fake -q").code(1).err();
    assert!(printed.contains("builder failed") && printed.contains("no rule"), "{printed}");
    assert!(!printed.contains(": started"), "{printed}");
}

#[test]
fn quiet_lists_contain_only_names() {
    let project = Project::shop();
    let names = project.run("list -q").code(0).out();
    assert!(names.lines().any(|line| line == "base") && !names.contains(' '), "{names}");
    project.run("check -q").code(0).stdout("").stderr("");
    for words in ["graph -q", "why base -q", "check -v", "list -qv"] {
        project.run(words).code(2).stdout("");
    }
}

#[test]
fn a_verbose_plan_lists_all_changes() {
    let project = Project::shop().script(r#"{"store": "store.json"}"#);
    project.write("docker/base/Dockerfile", "FROM scratch\nCOPY a b /\n");
    project.write("docker/base/a", "1");
    project.write("docker/base/b", "1");
    project.run("build base --engine fake -q").code(0);
    project.write("docker/base/a", "2");
    project.write("docker/base/b", "2");
    let short = project.run("plan base --engine fake").code(0).out();
    assert!(short.contains("docker/base/a changed, and 1 more change\n"), "{short}");
    let long = "\
base  build  docker/base/a changed
             docker/base/b changed
1 to build, 0 waiting, 0 fresh of 1 image
";
    project.run("plan base --engine fake -v").code(0).stdout(long);
    project.run("build base --engine fake --dry-run --verbose").code(0).stdout(long);
}
