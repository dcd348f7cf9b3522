//! Completion scripts in their shells: the words that a user sees.
//!
//! Shells that are not installed are skipped with a note.

#![expect(clippy::disallowed_methods, reason = "tests drive programs")]
#![expect(clippy::print_stderr, reason = "a test that is left out says so")]

use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::{Project, assert_same};

fn is_there(shell: &str) -> bool {
    let found = Command::new(shell).args(["-c", "exit 0"]).stdin(Stdio::null()).output();
    let is_there = found.is_ok_and(|output| output.status.success());
    if !is_there {
        eprintln!("skipped: {shell} is not installed");
    }
    is_there
}

/// Returns the output of a script in a shell, with the program in the path.
fn shell(project: &Project, shell: &str, arguments: &[&str]) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_layers")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    // A shell that blocks must not keep the tests from ending.
    let output = Command::new("timeout")
        .args(["60", shell])
        .args(arguments)
        .current_dir(project.root())
        .env_clear()
        .env("PATH", path)
        .env("HOME", project.root().parent().unwrap())
        .env("TERM", "dumb")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && printed.is_empty(), "{shell}: {}\n{printed}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Returns bash's completions of the last word of a line, from the function that the script registers for the
/// program.
fn bash(project: &Project, line: &str) -> Vec<String> {
    let drive = r#"
        source <(layers completions bash)
        shopt -s extglob
        set -f; COMP_WORDS=($1); [[ $1 == *' ' ]] && COMP_WORDS+=(''); set +f
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_TYPE=9
        bound=$(complete -p layers); bound=${bound##*-F }
        ${bound%% *} layers "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    words(&shell(project, "bash", &["--norc", "-c", drive, "bash", line]))
}

fn fish(project: &Project, line: &str) -> Vec<String> {
    let drive = r#"layers completions fish | source; complete --do-complete "$argv[1]""#;
    let text = shell(project, "fish", &["--no-config", "-c", drive, line]);
    // The description of a word follows a tab.
    words(&text).iter().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

fn words(text: &str) -> Vec<String> {
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Checks the words that every shell must complete. `ask` returns the completions in a shell.
fn check_words(ask: impl Fn(&Project, &str) -> Vec<String>) {
    let project = Project::shop();
    project.run("build base --engine fake").code(0);
    let all = ["agent", "base", "builder", "dev", "release"];
    assert_eq!(ask(&project, "layers build "), all);
    assert_eq!(ask(&project, "layers build b"), ["base", "builder"]);
    assert_eq!(ask(&project, "layers build agent b"), ["base", "builder"]);
    assert_eq!(ask(&project, "layers build --all --exclude d"), ["dev"]);
    assert_eq!(ask(&project, "layers build +d"), ["+dev"]);
    assert_eq!(ask(&project, "layers build docker/b"), ["docker/base/", "docker/builder/"]);
    assert_eq!(ask(&project, "layers plan r"), ["release"]);
    assert_eq!(ask(&project, "layers why r"), ["release"]);
    assert_eq!(ask(&project, "layers log r"), ["release"]);
    assert_eq!(ask(&project, "layers ci gith"), ["github"]);
    assert_eq!(ask(&project, "layers ci github b"), ["base", "builder"]);
    assert_eq!(ask(&project, "layers ci gitlab d"), ["dev"]);
    assert_eq!(ask(&project, "layers log --run ").len(), 1, "one run has built something");
    assert_eq!(ask(&project, "layers build --progress p"), ["plain"]);
    assert_eq!(ask(&project, "layers build --si"), ["--since"]);
    assert_eq!(ask(&project, "layers pl"), ["plan"]);
    assert_eq!(ask(&project, "layers ci github --pla"), ["--platform"]);
    assert_eq!(ask(&project, "layers build --build-context x=dock"), ["x=docker/"]);
    for refused in ["layers runs --plat", "layers check --verb", "layers why --qui", "layers __"] {
        assert!(ask(&project, refused).is_empty(), "{refused}");
    }
    assert!(ask(&project, "layers update d").is_empty(), "no graph.json knows an external");
    project.run("graph --output graph.json").code(0);
    assert_eq!(ask(&project, "layers update d"), ["debian:bookworm-slim"]);

    let elsewhere = Project::new().file("sub/docker/other/Dockerfile", "FROM scratch\n");
    assert_eq!(ask(&elsewhere, "layers -C sub build "), ["other"]);
    assert_eq!(ask(&elsewhere, "layers -Csub why "), ["other"]);
    assert_eq!(ask(&elsewhere, "layers -C=sub why "), ["other"]);
    let files = Project::new()
        .dockerfile("base", "FROM scratch\n")
        .file("ci.toml", "name = 'ci-{dir}'\n")
        .file("layers.toml", "");
    assert_eq!(ask(&files, "layers build "), ["base"]);
    for option in ["-f ci.toml", "-fci.toml", "--file ci.toml", "--file=ci.toml"] {
        assert_eq!(ask(&files, &format!("layers {option} build ")), ["ci-base"], "{option}");
    }
    assert_eq!(ask(&elsewhere, "layers -C s"), ["sub/"]);
}

/// Unknown values produce no completions and no messages ([`shell`] fails if there is a message).
fn check_silence(ask: impl Fn(&Project, &str) -> Vec<String>) {
    let broken = Project::shop().file("docker/base/Dockerfile", "FORM debian\n");
    assert_eq!(ask(&broken, "layers build ba"), ["base"]);
    let unreadable = Project::shop().file("layers.toml", "name = \n");
    assert!(ask(&unreadable, "layers build x").is_empty());
    let empty = Project::new();
    assert!(ask(&empty, "layers build b").is_empty());
    assert!(ask(&empty, "layers -C nowhere why b").is_empty());
    assert!(ask(&empty, "layers log --run 2").is_empty());
}

#[test]
fn bash_completes_images_and_runs() {
    if is_there("bash") {
        check_words(bash);
        check_silence(bash);
    }
}

#[test]
fn fish_completes_images_and_runs() {
    if is_there("fish") {
        check_words(fish);
        check_silence(fish);
    }
}

/// A zsh on a terminal that receives keys. `^X` shows the current line.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty inner zsh -f -i
ask() {
    local text
    zpty -w inner $1
    zpty -r inner text "*$2*" || exit 1
}
ask 'PS1= PS2= RPS1=; unsetopt zle_bracketed_paste beep; fpath=($PWD/functions $fpath); echo "on"e' one
ask 'autoload -Uz compinit && compinit -u -D; echo "tw"o' two
ask "$LOAD" three
ask 'show() { zle -I; print -r -- "<$BUFFER>"; BUFFER=; }; zle -N show; bindkey "^X" show; echo "fou"r' four
for line in "$@"; do
    zpty -n -w inner "$line"$'\t\C-x'
    zpty -r inner text '*<*>*' || exit 1
    print -r -- "${${text##*<}%%>*}"
done
zpty -d inner
"#;

fn zsh(project: &Project, load: &str, lines: &[&str]) -> String {
    let drive = format!("LOAD={load:?}\n{ZSH}");
    let arguments: Vec<&str> = ["-f", "-c", &drive, "zsh"].iter().chain(lines).copied().collect();
    shell(project, "zsh", &arguments)
}

#[test]
fn zsh_completes_images_and_runs() {
    if !is_there("zsh") {
        return;
    }
    let project = Project::shop().dockerfile("builder-slim", "FROM scratch\n");
    let lines = [
        "layers build bu",
        "layers build agent d",
        "layers build --all --exclude re",
        "layers build +re",
        "layers build docker/ba",
        "layers why re",
        "layers build --progress pl",
        "layers pl",
    ];
    let expected = "layers build builder\n\
                    layers build agent dev \n\
                    layers build --all --exclude release \n\
                    layers build +release \n\
                    layers build docker/base/\n\
                    layers why release \n\
                    layers build --progress plain \n\
                    layers plan \n";
    let source = "source <(layers completions zsh); echo \"thre\"e";
    assert_same(&zsh(&project, source, &lines), expected);
}

#[test]
fn zsh_completes_on_first_use_with_an_autoloaded_script() {
    if !is_there("zsh") {
        return;
    }
    let project = Project::shop();
    let script = project.run("completions zsh").code(0).out();
    let project = project.file("functions/_layers", script);
    let found = zsh(&project, "echo \"thre\"e", &["layers build bu", "layers why a"]);
    assert_same(&found, "layers build builder \nlayers why agent \n");
}

#[test]
fn scripts_for_each_shell_call_the_program_in_the_path() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = Project::new().run(&format!("completions {shell}")).code(0).stderr("").out();
        assert!(script.contains("LAYERS_COMPLETE"), "{shell}: {script}");
        assert!(
            !script.contains("/debug/"),
            "{shell}: it names a directory of the build: {script}"
        );
    }
    Project::new().run("completions tcsh").code(2);
}

#[test]
fn a_stray_completion_variable_has_no_effect() {
    let project = Project::shop().var("LAYERS_COMPLETE", "bash");
    let listed = project.run("list").code(0).out();
    assert!(listed.starts_with("IMAGE "), "{listed}");
}
