//! Readers that close the pipe, and full disks: output can be lost, but the exit code is right.

use std::fs::File;
use std::io;
use std::process::{Command, Stdio};

use crate::harness::Project;

/// Runs a command with one stream connected to a pipe without a reader.
#[track_caller]
fn check(project: &Project, arguments: &str, close: fn(&mut Command, Stdio), expected: i32) {
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let mut command = project.command(&arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    close(&mut command, writer.into());
    assert_eq!(command.status().unwrap().code(), Some(expected), "{arguments:?}");
}

fn stdout(command: &mut Command, pipe: Stdio) {
    command.stdout(pipe);
}

fn stderr(command: &mut Command, pipe: Stdio) {
    command.stderr(pipe);
}

#[test]
fn a_closed_pipe_does_not_change_the_exit_code() {
    let shop = Project::shop().file("graph.json", "{}");
    check(&shop, "graph", stdout, 0);
    check(&shop, "graph --check", stdout, 1);
    check(&shop, "graph --check", stderr, 1);
    check(&shop, "list", stdout, 0);
    check(&shop, "build nothing", stderr, 2);
    let broken = Project::new().dockerfile("a", "FROM\n");
    check(&broken, "check", stderr, 3);
    check(&broken, "graph", stderr, 3);
    let failing = Project::shop().script(
        r#"{"images": [{"reference": "shop-base", "fail": {"step": 1, "message": "no"}}]}"#,
    );
    check(&failing, "build --all --engine fake", stderr, 1);
    check(&Project::shop().script("{}"), "build --all --engine fake", stderr, 0);
}

#[test]
fn a_full_disk_is_reported() {
    let project = Project::shop();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = project.command(&["graph"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    let printed = String::from_utf8(output.stderr).unwrap();
    assert!(printed.starts_with("error: can't write to stdout: No space left"), "{printed}");
}
