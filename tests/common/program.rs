//! The programs that tests run: layers, docker, and git.
#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that can't go on says where it stopped")]
#![allow(clippy::disallowed_methods, reason = "tests drive programs")]

use std::path::Path;
use std::process::{Command, Stdio};

/// The variables that change image names.
pub const NAMING: [&str; 5] = ["REPO_NS", "IMAGE_NAME", "APP_NAME", "VERSION", "REPO_VERSION"];

/// Returns the directory of this repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns a command for layers, without the variables that change image names.
pub fn layers() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_layers"));
    command.stdin(Stdio::null());
    for name in NAMING {
        command.env_remove(name);
    }
    command
}

/// Returns a command for layers with an environment that contains only the user's path and engine.
pub fn layers_without_settings() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_layers"));
    command.stdin(Stdio::null()).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", "/nonexistent");
    command.envs(std::env::var_os("DOCKER_HOST").map(|host| ("DOCKER_HOST", host)));
    command
}

/// Returns a docker command for the engine of the environment.
pub fn docker(arguments: &[&str]) -> Command {
    let mut command = Command::new("docker");
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs a command that must succeed. Returns its stdout.
#[track_caller]
pub fn output_of(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}{err}", output.status);
    out
}

/// Runs git in a directory, with an identity and without the user's settings. Returns its output without the
/// last line break.
#[track_caller]
pub fn git(at: &Path, arguments: &[&str]) -> String {
    git_on(at, arguments, None)
}

/// Runs git with a given date.
#[track_caller]
pub fn git_on(at: &Path, arguments: &[&str], date: Option<&str>) -> String {
    let mut git = Command::new("git");
    git.arg("-C").arg(at).args(["-c", "user.name=T", "-c", "user.email=t@example.com"]);
    git.args(["-c", "protocol.file.allow=always", "-c", "commit.gpgSign=false"]).args(arguments);
    git.env("GIT_CONFIG_GLOBAL", "/dev/null").stdin(Stdio::null());
    git.envs(date.map(|date| ("GIT_COMMITTER_DATE", date)));
    output_of(&mut git).trim().to_owned()
}
