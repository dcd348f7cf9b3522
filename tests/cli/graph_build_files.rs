//! `layers graph --bake` and `--compose`: files with which other programs build the same graph.

use crate::harness::Project;

/// A repository with everything that such files must contain.
fn odd() -> Project {
    Project::new()
        .file(
            "layers.toml",
            "namespace = 'acme'\napp = 'shop'\nplatform = 'linux/arm64'\nssh = ['default', 'deploy=keys/deploy']\n\
             [secrets]\nnpm = { env = 'NPM_TOKEN' }\npip = { src = 'pip.conf' }\n\
             [image.'py.3']\ntarget = 'slim'\ncontext = '.'\n\
             args = { GREETING = 'say \"hi\" \\ ${{x}}' }\n\
             [image.default]\ncontexts = { tools = 'py.3', extra = 'extra', up = 'docker-image://debian:12' }\n",
        )
        .file("extra/file", "x")
        .dockerfile("base", "FROM scratch\n")
        .dockerfile("py.3", "ARG GREETING\nFROM docker.io/acme/shop-base:latest AS slim\n")
        .dockerfile("py-3", "FROM index.docker.io/acme/shop-base\n")
        .dockerfile(
            "default",
            "FROM acme/shop-base\nCOPY --from=tools /a /a\nCOPY --from=extra file /\nCOPY --from=up /b /b\n\
             RUN --mount=from=acme/shop-py-3:latest,target=/x true\n\
             RUN --mount=type=secret,id=npm --mount=type=ssh true\n",
        )
}

#[test]
fn a_bake_file_carries_everything_over() {
    odd().run("graph --bake").code(0).stderr("").stdout_file("odd-bake.hcl");
}

#[test]
fn a_compose_file_carries_everything_over() {
    odd().run("graph --compose").code(0).stderr("").stdout_file("odd-compose.yaml");
}

#[test]
fn an_ending_names_them_and_a_check_compares_them() {
    let project = Project::shop();
    project.run("graph --output docker-bake.hcl").code(0).stdout("").stderr("");
    let bake = project.run("graph --bake").code(0).out();
    assert_eq!(project.read("docker-bake.hcl"), bake);
    project.run("graph --bake --check --output docker-bake.hcl").code(0).stdout("").stderr("");
    project.run("graph --bake --check").code(0).stdout("").stderr("");
    project
        .run("graph --svg --check")
        .code(1)
        .stderr("there is no `graph.svg`\nhint: layers graph --svg --output graph.svg\n");
    for file in ["compose.yaml", "compose.yml"] {
        project.run(&format!("graph --output {file}")).code(0);
        assert_eq!(project.read(file), project.run("graph --compose").out());
    }
    let project = project.dockerfile("dev", "FROM acme/shop-base\n");
    let said = project.run("graph --bake --check --output docker-bake.hcl").code(1);
    assert_eq!(
        said.err(),
        "`docker-bake.hcl` is out of date\nhint: layers graph --bake --output docker-bake.hcl\n"
    );
    assert!(said.out().contains("-    \"acme/shop-builder\" = \"target:builder\"\n"));
    assert!(said.out().contains("+    \"acme/shop-base\" = \"target:base\"\n"));
}

#[test]
fn a_focus_brings_along_all_that_a_build_needs() {
    let project = Project::shop()
        .dockerfile("tools", "FROM scratch\n")
        .dockerfile("dev", "FROM acme/shop-base\nCOPY --from=acme/shop-tools /a /a\n");
    let bake = project.run("graph --bake --focus base+").code(0).out();
    assert!(bake.starts_with("# Made by `layers graph --bake --focus base+`: "), "{bake}");
    assert!(bake.contains("target \"tools\" {"), "dev needs it, though base does not: {bake}");
    assert!(!bake.contains("agent"), "{bake}");
}

#[test]
fn further_references_are_tags_too() {
    let project = Project::new().dockerfile("base", "FROM scratch\n").var("VERSION", "1.2");
    let bake = project.run("graph --bake").code(0).out();
    let tags = "  tags = [\n    \"shop-base:latest\",\n    \"shop-base:1.2\",\n  ]\n";
    assert!(bake.contains(tags), "{bake}");
    let compose = project.run("graph --compose").code(0).out();
    assert!(compose.contains("    image: \"shop-base:latest\"\n"), "{compose}");
    assert!(compose.contains("      tags:\n        - \"shop-base:1.2\"\n"), "{compose}");
}

#[test]
fn the_header_says_all_that_the_file_is_made_of() {
    let project = Project::shop();
    let options = "--platform linux/arm64 --build-arg A=b --tag 2";
    project.run(&format!("graph {options} -o docker-bake.hcl")).code(0);
    let bake = project.read("docker-bake.hcl");
    let command = bake.lines().nth(1).unwrap().split('`').nth(1).unwrap();
    assert_eq!(
        command,
        "layers graph --bake --build-arg A=b --platform linux/arm64 --tag 2 --check --output docker-bake.hcl"
    );
    project.run(command.strip_prefix("layers ").unwrap()).code(0).stdout("").stderr("");
}
