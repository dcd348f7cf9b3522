//! The files that Docker's own walker sent, for each case.

#![expect(clippy::unwrap_used, reason = "a test that can't go on should stop")]

use std::fs;
use std::path::Path;

use layers::base::{RelPath, Source};
use layers::scan::context::{Context, EntryKind};
use layers::scan::ignore_file::{IgnoreFile, find_ignore_file};

#[derive(serde::Deserialize)]
struct Case {
    id: String,
    rule: String,
    dockerignore: Option<String>,
    dockerfile_dockerignore: Option<String>,
    dockerfile_name: String,
    files: Vec<String>,
    expect: Expect,
}

#[derive(serde::Deserialize)]
struct Expect {
    sent: Option<Vec<String>>,
    sent_dirs: Option<Vec<String>>,
    ignored: Option<Vec<String>>,
    error: Option<String>,
}

fn cases() -> Vec<Case> {
    let text = fs::read_to_string("tests/cases/dockerignore.json").unwrap();
    serde_json::from_str(&text).unwrap()
}

fn lay_out(case: &Case, directory: &Path) {
    for file in &case.files {
        let place = directory.join(file);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, "x").unwrap();
    }
    let own = format!("{}.dockerignore", case.dockerfile_name);
    let texts =
        [(".dockerignore", &case.dockerignore), (own.as_str(), &case.dockerfile_dockerignore)];
    for (name, text) in texts {
        match text {
            Some(text) => fs::write(directory.join(name), text).unwrap(),
            None => drop(fs::remove_file(directory.join(name))),
        }
    }
}

fn check(case: &Case) {
    let name = format!("{}: {}", case.id, case.rule);
    let directory = tempfile::tempdir().unwrap();
    lay_out(case, directory.path());
    let found = find_ignore_file(&directory.path().join(&case.dockerfile_name), directory.path());
    let ignore = match found.unwrap() {
        None => IgnoreFile::default(),
        Some(file) => {
            let text = fs::read_to_string(file).unwrap();
            let source = Source::new(RelPath::new(".dockerignore").unwrap(), text);
            let (ignore, problems) = IgnoreFile::parse(&source);
            assert_eq!(problems.is_empty(), case.expect.error.is_none(), "{name}: {problems:?}");
            ignore
        }
    };
    if case.expect.error.is_some() {
        return;
    }
    let context = Context::walk(directory.path(), &ignore).unwrap();
    let mut files = Vec::new();
    let mut directories = Vec::new();
    for entry in &context.entries {
        let list = if entry.kind == EntryKind::Directory { &mut directories } else { &mut files };
        list.push(entry.path.to_str().unwrap().to_owned());
    }
    files.sort();
    directories.sort();
    let sorted = |list: &Option<Vec<String>>| {
        let mut list = list.clone().unwrap();
        list.sort();
        list
    };
    assert_eq!(files, sorted(&case.expect.sent), "{name}");
    assert_eq!(directories, sorted(&case.expect.sent_dirs), "{name}");
    let mut matcher = ignore.matcher();
    for (paths, expected) in [(&case.expect.sent, false), (&case.expect.ignored, true)] {
        for path in paths.iter().flatten() {
            assert_eq!(matcher.ignored(path), expected, "{name}: {path}");
        }
    }
}

#[test]
fn selected_files_match_those_that_docker_sends() {
    let cases = cases();
    assert!(cases.len() >= 30);
    for case in &cases {
        check(case);
    }
}
