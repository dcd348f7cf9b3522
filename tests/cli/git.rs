//! A real git for projects: one call, and a commit of everything.

#![expect(clippy::disallowed_methods, reason = "tests drive programs")]

use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::Project;

/// What git answers in a folder.
#[track_caller]
pub fn git_in(folder: &Path, arguments: &[&str]) -> String {
    git_at(folder, arguments, None)
}

/// The same at a date, for what git writes down.
#[track_caller]
pub fn git_at(folder: &Path, arguments: &[&str], date: Option<&str>) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["-c", "user.name=T", "-c", "user.email=t@example.com"])
        .args(["-c", "protocol.file.allow=always"])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .envs(date.map(|date| ("GIT_COMMITTER_DATE", date)))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Commits all that lies in a project.
#[track_caller]
pub fn commit(project: &Project) {
    git_in(project.root(), &["add", "--all"]);
    git_in(project.root(), &["commit", "--quiet", "--allow-empty", "-m", "x"]);
}
