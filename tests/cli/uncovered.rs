//! Dockerfiles that no setting covers are counted.

use crate::harness::Project;

/// Checks the first lines of what a check of these files reports.
#[track_caller]
fn check(files: &[(&str, &str)], expected: &str) {
    let mut project = Project::shop();
    for (path, text) in files {
        project = project.file(path, text);
    }
    let printed = project.run("check").code(0).err();
    let lines = printed.lines().filter(|line| {
        line.starts_with("warning[uncovered-dockerfile]: ") || line.starts_with(" = hint: ")
    });
    let lines: Vec<&str> =
        lines.map(|line| line.trim_start_matches("warning[uncovered-dockerfile]: ")).collect();
    assert_eq!(lines.join("\n"), expected, "{printed}");
}

const FROM: &str = "FROM debian:12\n";

#[test]
fn uncovered_dockerfiles_are_counted_once() {
    check(&[], "");
    check(
        &[("tools/Dockerfile", FROM)],
        "1 Dockerfile is not covered: `tools/Dockerfile`\n = hint: run `layers init` to find all images",
    );
    check(
        &[
            ("Dockerfile", FROM),
            ("a/Containerfile", FROM),
            ("a/Dockerfile.dev", FROM),
            ("b/x.Dockerfile", FROM),
            ("b/Dockerfile-x", FROM),
        ],
        "5 Dockerfiles are not covered: `Dockerfile`, `a/Containerfile`, `a/Dockerfile.dev` and 2 more\n \
         = hint: run `layers init` to find all images",
    );
}

#[test]
fn files_that_are_not_built_do_not_count() {
    check(
        &[
            ("a/Dockerfile.j2", FROM),
            ("a/Dockerfile.tpl", FROM),
            ("a/Dockerfile.md", "FROM\n"),
            ("a/Dockerfile", "no stage\n"),
            ("vendor/a/Dockerfile", FROM),
            ("a/node_modules/b/Dockerfile", FROM),
            ("a/testdata/Dockerfile", FROM),
            (".hidden/Dockerfile", FROM),
            ("out/Dockerfile", FROM),
            (".gitignore", "out/\n"),
        ],
        "",
    );
}

#[test]
fn settings_cover_or_exclude_dockerfiles() {
    let globs = "dockerfiles = ['docker/*/Dockerfile'";
    let tools = ("tools/Dockerfile", FROM);
    check(&[tools, ("layers.toml", &format!("{globs}, 'tools/*']\n"))], "");
    check(&[tools, ("layers.toml", &format!("{globs}]\nexclude = ['tools/**']\n"))], "");
    let image = format!("{globs}]\n[image.tools]\ndockerfile = 'tools/Dockerfile'\n");
    check(&[tools, ("layers.toml", &image)], "");
    let skip = format!("{globs}]\n[check]\nskip = ['uncovered-dockerfile']\n");
    check(&[tools, ("layers.toml", &skip)], "");
    check(
        &[tools, ("layers.toml", &format!("{globs}]\n"))],
        "1 Dockerfile is not covered: `tools/Dockerfile`\n = hint: add each to `dockerfiles` or to `exclude` in `layers.toml`",
    );
}

#[test]
fn other_commands_count_them_too() {
    let project = Project::shop().file("tools/Dockerfile", FROM);
    for command in ["graph", "list", "plan --engine fake", "build dev --engine fake"] {
        let printed = project.run(command).code(0).err();
        assert!(printed.contains("1 Dockerfile is not covered"), "{command}: {printed}");
    }
}
