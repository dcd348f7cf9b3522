//! The README is correct: all of its commands are run in the example, and their output is as shown.

#![expect(clippy::disallowed_methods, reason = "tests drive programs")]

use std::process::Command;

#[path = "common/program.rs"]
mod program;
#[path = "common/shown.rs"]
mod shown;

use shown::{DocumentedCommand, Shop};

const README: &str = include_str!("../README.md");

/// Commands in the README that this test does not run: the two for a new machine (they run this test) and the
/// installation, which tests/example.rs and CI cover.
const ELSEWHERE: [&str; 2] = ["make ", "PREFIX="];

/// Returns the commands in the text: inline code that starts with `layers` and has arguments.
fn inline() -> Vec<String> {
    let is_command = |code: &String| {
        code.starts_with("layers ") || ELSEWHERE.iter().any(|it| code.starts_with(it))
    };
    shown::code(README).into_iter().filter(is_command).collect()
}

#[test]
fn readme_commands_produce_the_shown_output() {
    let shop = Shop::with_store();
    let run = |command: &str| {
        let output = shop.run(command);
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "`{command}` failed:\n{printed}");
        String::from_utf8(output.stdout).unwrap()
    };
    let consoles = shown::consoles(README);
    let inline = inline();
    assert!(consoles.len() >= 4 && inline.len() >= 8, "the README has commands");
    for DocumentedCommand { command, answer, .. } in consoles {
        let printed = run(&command);
        if !answer.is_empty() {
            assert_eq!(printed, answer, "`{command}` answers otherwise");
        }
    }
    for command in inline {
        if !ELSEWHERE.iter().any(|start| command.starts_with(start)) {
            run(&command);
        }
    }
}

#[test]
fn every_make_target_in_the_readme_exists() {
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
fn every_option_in_the_readme_exists() {
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
