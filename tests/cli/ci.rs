//! `layers ci`: its options, its files, and its exit codes.

use crate::harness::Project;

const GITHUB: &str = ".github/workflows/images.yml";

/// Returns the commands of a workflow, in order.
fn commands(workflow: &str) -> Vec<String> {
    let lines = workflow.lines().filter_map(|line| line.trim_start().strip_prefix("- run: \""));
    lines.map(|line| line.trim_end_matches('"').replace("\\\"", "\"")).collect()
}

#[test]
fn output_files_are_written_with_their_directories_and_checked() {
    let project = Project::shop().file("layers.toml", "registry = 'ghcr.io/acme'\n");
    project
        .run("ci github --check")
        .code(1)
        .stdout("")
        .stderr(&format!("`{GITHUB}` not found\nhint: layers ci github --output {GITHUB}\n"));
    project.run(&format!("ci github --output {GITHUB}")).code(0).stdout("").stderr("");
    assert_eq!(project.read(GITHUB), project.run("ci github").code(0).stderr("").out());
    assert_eq!(project.read(GITHUB), project.run("ci github -o -").code(0).out());
    project.run("ci github --check").code(0).stdout("").stderr("");
    let project = project.dockerfile("dev", "FROM acme/shop-base\n");
    let printed = project.run("ci github --check").code(1);
    assert_eq!(
        printed.err(),
        format!("`{GITHUB}` is out of date\nhint: layers ci github --output {GITHUB}\n")
    );
    let changed: Vec<String> = printed
        .out()
        .lines()
        .filter(|line| line.starts_with(['+', '-']))
        .map(str::to_owned)
        .collect();
    assert_eq!(
        changed,
        [
            format!("--- {GITHUB} (committed)"),
            format!("+++ {GITHUB} (from the Dockerfiles)"),
            "-      - build-builder".to_owned(),
            "+      - build-base".to_owned(),
        ]
    );
    project.run("ci gitlab --check").code(1).stderr(
        "`.gitlab/images.yml` not found\nhint: layers ci gitlab --output .gitlab/images.yml\n",
    );
    project.run("ci gitlab --output made/x.yml").code(0);
    project.run("ci gitlab --check --output made/x.yml").code(0).stdout("").stderr("");
    project.run("-C docker ci gitlab --output ../made/y.yml").code(0);
    assert_eq!(project.read("made/x.yml"), project.read("made/y.yml"));
}

#[test]
fn the_header_contains_the_command_that_generates_the_file() {
    let project = Project::shop();
    for line in [
        "github --packed --uses acme/layers@v9 --runs-on big --branch main --branch next \
         --build-arg A=b --platform linux/arm64 --registry ghcr.io/acme base+",
        "gitlab --image acme/ci:1 --namespace acme --tag 2 --registry localhost:5000 dev agent",
    ] {
        project.run(&format!("ci {line} --output x.yml")).code(0).stderr("");
        let text = project.read("x.yml");
        let command = text.lines().nth(1).unwrap().split('`').nth(1).unwrap();
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        let words = |text: &str| {
            let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            words.sort_unstable();
            words
        };
        let (made, file) = command.split_once(" --check --output ").unwrap();
        assert_eq!(words(made), words(&format!("layers ci {line}")));
        assert!([GITHUB, ".gitlab/images.yml"].contains(&file), "{file}");
        let made = made.strip_prefix("layers ").unwrap();
        project.run(&format!("{made} --check --output x.yml")).code(0).stdout("").stderr("");
    }
}

#[test]
fn job_commands_include_the_common_options() {
    let project = Project::shop();
    let mut command = project.command(&[
        "ci",
        "github",
        "agent",
        "--build-arg",
        "A=say \"hi\"\n$x",
        "--tag",
        "2",
    ]);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let options = "--build-arg 'A=say \"hi\"\\n$x' --tag 2";
    assert_eq!(
        commands(&text),
        [
            format!("layers build agent --push=keys {options}"),
            format!("layers build agent --push {options}")
        ]
    );
    let header: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).collect();
    assert!(header.len() == 2 && header.iter().all(|line| line.starts_with("# ")), "{header:?}");
}

#[test]
fn selected_images_include_their_dependencies() {
    let project = Project::shop();
    let workflow = project.run("ci github dev").code(0).out();
    assert_eq!(
        commands(&workflow),
        [
            "layers build base --push=keys",
            "layers build builder --push=keys",
            "layers build dev --push=keys",
            "layers build base builder dev --push",
        ]
    );
    let packed = project.run("ci github dev --packed").code(0).out();
    assert!(packed.contains("            run: \"layers build base builder dev --push=keys\"\n"));
    assert!(packed.contains("          - name: \"base to dev\"\n"), "{packed}");
    let gitlab = project.run("ci gitlab agent").code(0).out();
    assert!(gitlab.contains("    - \"layers build agent --push\"\n"), "{gitlab}");
    project.run("ci gitlab nobody").code(2).stdout("");
}

#[test]
fn jobs_run_from_the_root_of_the_git_repository() {
    let project = Project::new()
        .file("sub/my images/docker/base/Dockerfile", "FROM scratch\n")
        .file("sub/my images/layers.toml", "app = 'shop'\n");
    let line = ["-C", "sub/my images", "ci", "github"];
    let output = project.command(&line).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        commands(&text),
        [
            "layers build base --push=keys -C 'sub/my images'",
            "layers build --all --push -C 'sub/my images'"
        ]
    );
    // GitHub looks for workflows only at the root of the repository.
    let project = project.file(GITHUB, &text);
    let output = project.command(&[line.as_slice(), &["--check"]].concat()).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0));
}

#[test]
fn secrets_from_variables_are_passed_to_the_jobs_that_mount_them() {
    let project = Project::shop()
        .file(
            "layers.toml",
            "[secrets]\nnpm = { env = 'NPM_TOKEN' }\nodd = { env = 'NOT-A NAME' }\n\
             pip = { src = 'pip.conf' }\nother = { env = 'OTHER' }\n",
        )
        .dockerfile(
            "dev",
            "FROM acme/shop-builder\nRUN --mount=type=secret,id=npm --mount=type=secret,id=odd \
             --mount=type=secret,id=pip true\n",
        );
    let env = "        env:\n          NPM_TOKEN: ${{ secrets.NPM_TOKEN }}\n";
    let workflow = project.run("ci github").code(0).out();
    for line in ["layers build dev --push=keys", "layers build --all --push"] {
        assert!(workflow.contains(&format!("- run: \"{line}\"\n{env}")), "{workflow}");
    }
    assert_eq!(workflow.matches("secrets.").count(), 2, "{workflow}");
    let packed = project.run("ci github --packed").code(0).out();
    assert_eq!(packed.matches(env).count(), 2, "{packed}");
}

#[test]
fn invalid_ci_commands_are_rejected() {
    let project = Project::shop();
    project.run("ci").code(2);
    project.run("ci jenkins").code(2);
    project.run("ci gitlab --packed").code(2);
    project
        .run("ci github --check --output -")
        .code(2)
        .stdout("")
        .stderr("error: `--check` compares with a file, but `-` is stdout\n");
    assert_eq!(
        project.command(&["ci", "github", "--uses", ""]).output().unwrap().status.code(),
        Some(2)
    );
    project.file("made", "").run("ci github --output made/x.yml").code(4).stdout("");
    let broken = Project::shop().dockerfile("dev", "FORM debian\n");
    broken.run("ci github").code(3).stdout("");
}

#[test]
fn workflows_that_are_too_large_are_not_written() {
    let mut project = Project::new();
    for number in 0..2000 {
        project = project.dockerfile(&format!("i{number}"), "FROM scratch\n");
    }
    let printed = project.run("ci github --output x.yml").code(2).stdout("").err();
    assert!(printed.ends_with("\nhint: pass --packed for fewer jobs, or select fewer images\n"));
    assert!(!project.root().join("x.yml").exists());
    project.run("ci github --packed --output x.yml").code(0);
}

#[test]
fn a_missing_registry_is_a_warning() {
    let project = Project::shop();
    project.run("ci github").code(0).stderr(
        "warning: no registry is set: jobs push to docker.io, but never reuse images from there\n\
         hint: set registry = \"ghcr.io/acme\" in layers.toml, or pass --registry docker.io\n",
    );
    let commands = |printed: String| -> Vec<String> {
        let lines = printed.lines().filter_map(|line| line.split_once("layers build "));
        lines.map(|(_, rest)| rest.to_owned()).collect()
    };
    let printed = project.run("ci github --registry ghcr.io/acme").code(0).stderr("").out();
    assert!(commands(printed).iter().all(|it| it.contains(" --registry ghcr.io/acme")));
    let project = project.file("layers.toml", "registry = 'ghcr.io/acme'\n");
    let printed = project.run("ci github").code(0).stderr("").out();
    assert!(commands(printed).iter().all(|it| !it.contains("--registry")));
}
