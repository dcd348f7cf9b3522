//! The README is true: every command in it is run on the example, and where it shows an answer,
//! that is the answer.

#![expect(clippy::disallowed_methods, reason = "tests drive programs")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const README: &str = include_str!("../README.md");

/// What is in the README but not for this test: the two commands of a fresh machine (they run
/// this very test) and installation, which tests/example.rs and CI do.
const ELSEWHERE: [&str; 2] = ["make ", "PREFIX="];

/// A command of the README, and the lines below it up to the next one.
struct Shown {
    command: String,
    answer: String,
}

/// The commands of `console` blocks, after `$ ` and without the remark behind `#`.
fn consoles() -> Vec<Shown> {
    let mut shown: Vec<Shown> = Vec::new();
    for block in README.split("```console\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            match line.strip_prefix("$ ") {
                Some(command) => {
                    let command = command.split("  #").next().unwrap().trim().to_owned();
                    shown.push(Shown { command, answer: String::new() });
                }
                None => {
                    let last = shown.last_mut().expect("a block begins with a command");
                    last.answer.push_str(line);
                    last.answer.push('\n');
                }
            }
        }
    }
    shown
}

/// The commands in the running text: code that begins with `layers` and says more than that.
fn inline() -> Vec<String> {
    let prose: String =
        README.split("```").step_by(2).collect::<Vec<_>>().join("\n").replace('\n', " ");
    prose
        .split('`')
        .skip(1)
        .step_by(2)
        .map(|code| code.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|code| {
            code.starts_with("layers ") || ELSEWHERE.iter().any(|it| code.starts_with(it))
        })
        .collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn every_command_runs_and_says_what_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    copy(&root.join("docker"), &folder.path().join("docker"));
    // Commands that ask git compare with `main`.
    for arguments in ["init -q -b main", "add -A", "commit -q -m x"] {
        let git = Command::new("git")
            .args(["-c", "user.name=T", "-c", "user.email=t@example.com"])
            .args(arguments.split(' '))
            .current_dir(folder.path())
            .status();
        assert!(git.unwrap().success());
    }
    let binary = Path::new(env!("CARGO_BIN_EXE_layers")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let run = |command: &str| {
        let output = Command::new("sh")
            .args(["-ec", command])
            .current_dir(folder.path())
            .env("PATH", &path)
            .env("LAYERS_ENGINE", "fake")
            .env_remove("LAYERS_FAKE_SCRIPT")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "`{command}` failed:\n{said}");
        String::from_utf8(output.stdout).unwrap()
    };
    let consoles = consoles();
    let inline = inline();
    assert!(consoles.len() >= 4 && inline.len() >= 8, "the README has commands");
    for Shown { command, answer } in consoles {
        let said = run(&command);
        if !answer.is_empty() {
            assert_eq!(said, answer, "`{command}` answers otherwise");
        }
    }
    for command in inline {
        if !ELSEWHERE.iter().any(|start| command.starts_with(start)) {
            run(&command);
        }
    }
}

#[test]
fn every_make_target_of_the_readme_exists() {
    let makefile = include_str!("../Makefile");
    let mut seen = 0;
    for command in inline() {
        let words = command.split_whitespace().skip_while(|word| *word != "make").skip(1);
        for target in words.filter(|word| !word.contains('=')) {
            seen += 1;
            assert!(makefile.contains(&format!("\n{target}:")), "`make {target}` does not exist");
        }
    }
    assert!(seen >= 3);
}

#[test]
fn every_option_of_the_readme_exists() {
    let help_of = |command: &str| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_layers")).args([command, "--help"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let commands = ["build", "graph", "plan", "why", "check", "affected", "log", "runs"];
    let help: String = commands.map(help_of).concat();
    let mut seen = 0;
    let prose = README.split("```").step_by(2);
    let codes = prose.flat_map(|prose| prose.split('`').skip(1).step_by(2));
    for code in codes.filter(|code| code.starts_with("layers") || code.starts_with('-')) {
        for word in code.split_whitespace().filter(|word| word.starts_with("--")) {
            seen += 1;
            assert!(help.contains(word.trim_end_matches(',')), "`{word}` is in no help");
        }
    }
    assert!(seen >= 8);
}
