//! `layers ci` writes the consent that its jobs need: a job has no terminal for questions.

#![expect(clippy::disallowed_methods, reason = "tests drive programs")]

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;

use crate::harness::Project;

/// base mounts a file of the home directory, dev is based on it, clone uses two agents, plain uses nothing.
fn project() -> Project {
    let mounts = |ids: &[&str]| -> String {
        let mounts = ids.iter().map(|id| format!("--mount=type=secret,id={id} "));
        format!("RUN {}true\n", mounts.collect::<String>())
    };
    Project::new()
        .dockerfile("base", &format!("FROM scratch\n{}", mounts(&["home", "in", "npm"])))
        .dockerfile("dev", &format!("FROM shop-base\n{}", mounts(&["up", "odd"])))
        .dockerfile("linked", &format!("FROM scratch\n{}", mounts(&["linked"])))
        .dockerfile("clone", "FROM scratch\nRUN --mount=type=ssh --mount=type=ssh,id=work true\n")
        .dockerfile("plain", "FROM scratch\nRUN true\n")
        .file(
            "layers.toml",
            "ssh = ['default', 'work=~/.ssh/work', 'unused=/x']\n[secrets]\nhome = { src = '~/.npmrc' }\nin = { src = 'inside' }\nup = { src = '../up' }\n\
             npm = { env = 'NPM' }\nunused = { src = '/etc/passwd' }\nodd = { src = '../a b' }\n\
             linked = { src = 'link' }\n",
        )
        .file("inside", "x")
        .file("../up", "x")
        .file("../a b", "x")
        .file("../.npmrc", "x")
        .file("../.ssh/work", "PRIVATE KEY")
        .var("NPM", "a token")
}

const BASE: &str = "layers build base --push=keys --allow 'fs.read=~/.npmrc'";
const CLONE: &str = "layers build clone --push=keys --allow 'fs.read=~/.ssh/work' --allow ssh";
const DEV: &str = "layers build dev --push=keys --allow 'fs.read=../a b' \
                   --allow 'fs.read=~/.npmrc' --allow fs.read=../up";
const LINKED: &str = "layers build linked --push=keys --allow fs.read=link";
const PLAIN: &str = "layers build plain --push=keys";
const CHAIN: &str = "layers build base dev --push=keys --allow 'fs.read=../a b' \
                     --allow 'fs.read=~/.npmrc' --allow fs.read=../up";
const ALL: &str = "layers build --all --push --allow 'fs.read=../a b' \
                   --allow 'fs.read=~/.npmrc' --allow 'fs.read=~/.ssh/work' \
                   --allow fs.read=../up --allow fs.read=link --allow ssh";

#[test]
fn job_commands_include_the_allow_options_they_need() {
    let project = project();
    symlink("../up", project.root().join("link")).unwrap();
    let commands = |words: &str| -> Vec<String> {
        let printed = project.run(words).code(0).out();
        let lines = printed.lines().filter_map(|line| line.split_once("\"layers build "));
        let ends = lines.map(|(_, rest)| rest.rsplit_once('"').unwrap().0.to_owned());
        ends.map(|rest| format!("layers build {rest}")).collect()
    };
    for words in ["ci github", "ci gitlab"] {
        assert_eq!(commands(words), [BASE, CLONE, DEV, LINKED, PLAIN, ALL], "{words}");
    }
    assert_eq!(commands("ci github --packed"), [CHAIN, CLONE, LINKED, PLAIN, ALL]);
    let [base, all] = ["ci github base", "ci github base"].map(commands).map(|it| it.join("\n"));
    assert_eq!(base, format!("{BASE}\n{}", BASE.replace("--push=keys", "--push")));
    assert_eq!(base, all);
}

#[test]
fn job_commands_run_without_a_terminal() {
    let project = project();
    symlink("../up", project.root().join("link")).unwrap();
    let home = project.root().parent().unwrap().to_owned();
    let socket = home.join("agent");
    let _agent = UnixListener::bind(&socket).unwrap();
    let run = |command: &str| {
        let command = command.replace(" --push=keys", "").replace(" --push", "");
        // The file is not a real key, so that no agent has to be started for it.
        let command = format!("{command} --ssh work={}", socket.display());
        let program = command.replacen("layers", env!("CARGO_BIN_EXE_layers"), 1);
        let mut shell = Command::new("sh");
        shell.args(["-c", &program]).current_dir(project.root()).env("HOME", &home);
        shell.env("LAYERS_ENGINE", "fake").env("SSH_AUTH_SOCK", &socket).env("NPM", "a token");
        let output = shell.env_remove("LAYERS_FAKE_SCRIPT").output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for command in [BASE, CLONE, DEV, LINKED, PLAIN, CHAIN, ALL] {
        let (code, printed) = run(command);
        assert_eq!(code, Some(0), "{command}: {printed}");
        let Some((bare, _)) = command.split_once(" --allow") else { continue };
        let (code, printed) = run(bare);
        assert_eq!(code, Some(2), "{bare}: {printed}");
    }
}

#[test]
fn the_pipeline_does_not_depend_on_the_machine() {
    let project = project();
    project.run("ci github --output x.yml").code(0);
    // Another home directory, without the files.
    let output = project
        .command(&["ci", "github", "--check", "--output", "x.yml"])
        .env("HOME", project.root().join("docker"))
        .env_remove("NPM")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}
