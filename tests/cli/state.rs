//! A state directory that is part of a repository: no link out of it is followed, and nothing blocks.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use crate::harness::Project;

const SCRIPT: &str = r#"{"store": "store.json", "images": [{"steps":
    [{"text": "RUN true", "output": ["a line of the build\n"]}]}]}"#;

/// One image, and a script of the engine that is not in the state directory.
fn project() -> Project {
    let project = Project::new().dockerfile("app", "FROM scratch\nRUN true\n");
    let script = project.root().parent().unwrap().join("script.json");
    fs::write(&script, SCRIPT).unwrap();
    project.var("LAYERS_FAKE_SCRIPT", script.to_string_lossy())
}

/// A directory outside that looks like a state directory with a run and contains other files.
fn outside(project: &Project) -> std::path::PathBuf {
    let outside = project.root().parent().unwrap().join("outside");
    for (file, text) in [
        ("precious", "precious"),
        ("files", "precious"),
        ("identities.json", "precious"),
        ("events.jsonl", "precious\n"),
        ("old.json.999999-1.tmp", "precious"),
        (
            "runs/20200101-000000-1/events.jsonl",
            "{\"version\":1,\"began\":\"2020-01-01T00:00:00Z\"}\n",
        ),
        ("runs/20200101-000000-1/app.log", "private line\n"),
        ("claims/app.0", ""),
        ("keys/app/00.json", "{}"),
        ("releases/1.json", "{}"),
    ] {
        let path = outside.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    outside
}

/// Returns all files below a directory with their contents, directories, and modes.
fn contents(directory: &Path) -> BTreeMap<String, (u32, Option<Vec<u8>>)> {
    use std::os::unix::fs::PermissionsExt;
    let mut found = BTreeMap::new();
    let mut stack = vec![directory.to_owned()];
    while let Some(path) = stack.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let mode = metadata.permissions().mode();
        if metadata.is_dir() {
            stack.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let content = metadata.is_file().then(|| fs::read(&path).unwrap());
        found.insert(path.display().to_string(), (mode, content));
    }
    found
}

/// Runs commands that use the state directory. Nothing outside changes, and images are built.
#[track_caller]
fn go_on(project: &Project, outside: &Path, warns: bool) {
    let before = contents(outside);
    for words in [
        "plan app --engine fake",
        "build app --engine fake --progress plain",
        "why app --engine fake",
    ] {
        let ran = project.run(words).code(0);
        let warnings = ran.err().matches("so it is not used; `rm .layers` removes it\n").count();
        assert_eq!(warnings, usize::from(warns), "{words}: {}", ran.err());
    }
    for words in [
        "build app --engine fake --force --progress plain",
        "build app --engine fake --force --timings --trace t.json",
    ] {
        project.run(words).code(0);
    }
    for words in ["log", "log app", "runs", "report"] {
        let ran = project.run(words);
        let printed = ran.out() + &ran.err();
        assert!(
            !printed.contains("private line") && !printed.contains("precious"),
            "{words}: {printed}"
        );
        assert!(!printed.contains("20200101"), "{words}: {printed}");
    }
    assert_eq!(contents(outside), before);
}

#[test]
fn a_linked_state_directory_is_not_used() {
    let project = project();
    let outside = outside(&project);
    symlink(&outside, project.root().join(".layers")).unwrap();
    go_on(&project, &outside, true);
    for words in ["log", "log app", "runs", "report"] {
        let expected =
            "error: `.layers` is a symbolic link, so it is not used; `rm .layers` removes it\n";
        project.run(words).code(4).stdout("").stderr(expected);
    }
    assert!(fs::symlink_metadata(project.root().join(".layers")).unwrap().is_symlink());
}

#[test]
fn links_and_pipes_in_the_state_directory_are_not_followed() {
    for name in [
        "runs",
        "claims",
        "keys",
        "releases",
        "files",
        "identities.json",
        "built",
        "durations.json",
    ] {
        for kind in ["link", "dangling", "socket", "pipe", "hard", "other"] {
            let project = project();
            let outside = outside(&project);
            fs::create_dir(project.root().join(".layers")).unwrap();
            let path = project.root().join(".layers").join(name);
            let is_directory = outside.join(name).is_dir();
            match kind {
                "link" => symlink(outside.join(name), &path).unwrap(),
                "dangling" => symlink(outside.join("new"), &path).unwrap(),
                "socket" => drop(UnixListener::bind(&path).unwrap()),
                "pipe" => make_pipe(&path),
                "hard" => fs::hard_link(outside.join("precious"), &path).unwrap(),
                _ if is_directory => fs::write(&path, "").unwrap(),
                _ => continue,
            }
            // A file is replaced; a directory is not.
            go_on_once(&project, &outside, &format!("{name} {kind}"));
        }
    }
}

#[track_caller]
fn go_on_once(project: &Project, outside: &Path, what: &str) {
    let before = contents(outside);
    let ran = project.run("build app --engine fake --progress plain").code(0);
    let warnings = ran.err().matches("so it is not used; `rm .layers/").count();
    // The program's own file replaces what was there, so that there is nothing to warn about.
    let is_directory = outside.join(what.split(' ').next().unwrap()).is_dir();
    assert!(warnings == 1 || warnings == 0 && !is_directory, "{what}: {}", ran.err());
    let ran = project.run("log app");
    let printed = ran.out() + &ran.err();
    assert!(!printed.contains("private") && !printed.contains("precious"), "{what}: {printed}");
    assert_eq!(contents(outside), before, "{what}");
}

/// A named pipe blocks every process that opens it.
#[expect(clippy::disallowed_methods, reason = "tests drive programs")]
fn make_pipe(path: &Path) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn links_and_pipes_deeper_in_the_state_directory_are_not_followed() {
    let project = project();
    let outside = outside(&project);
    project.run("build app --engine fake --progress plain").code(0);
    let state = project.root().join(".layers");
    let run = fs::read_dir(state.join("runs")).unwrap().next().unwrap().unwrap().path();
    // Runs that are links or contain links.
    symlink(outside.join("runs/20200101-000000-1"), state.join("runs/20200101-000000-1")).unwrap();
    let other = state.join("runs/20210101-000000-1");
    fs::create_dir(&other).unwrap();
    symlink(outside.join("runs/20200101-000000-1/events.jsonl"), other.join("events.jsonl"))
        .unwrap();
    symlink(outside.join("runs/20200101-000000-1/app.log"), other.join("app.log")).unwrap();
    let piped = state.join("runs/20220101-000000-1");
    fs::create_dir(&piped).unwrap();
    make_pipe(&piped.join("events.jsonl"));
    make_pipe(&piped.join("app.log"));
    // Keys and claims.
    for key in fs::read_dir(state.join("keys/app")).unwrap() {
        let key = key.unwrap().path();
        fs::remove_file(&key).unwrap();
        make_pipe(&key);
    }
    symlink(outside.join("precious"), state.join("claims/app.0123456789abcdef")).unwrap();
    make_pipe(&state.join("claims/other.0123456789abcdef"));
    // More runs than are kept, so that old ones are removed.
    for number in 0..12 {
        fs::create_dir(state.join(format!("runs/20190101-0000{number:02}-1"))).unwrap();
    }
    let before = contents(&outside);
    project.run("build app --engine fake --force --progress plain").code(0);
    for words in ["log", "runs", "report", "why app --engine fake"] {
        project.run(words).code(0);
    }
    for words in [
        "log app --run 20200101-000000-1",
        "log app --run 20210101-000000-1",
        "log app --run 20220101-000000-1",
    ] {
        let ran = project.run(words);
        assert!(!(ran.out() + &ran.err()).contains("private"), "{words}");
    }
    assert_eq!(contents(&outside), before);
    assert!(run.join("events.jsonl").exists());
}

#[test]
fn a_report_replaces_a_link_instead_of_following_it() {
    let project = project();
    let outside = outside(&project);
    project.run("build app --engine fake --progress plain").code(0);
    let runs = project.root().join(".layers/runs");
    let run = fs::read_dir(runs).unwrap().next().unwrap().unwrap().path();
    symlink(outside.join("precious"), run.join("report.html")).unwrap();
    project.run("report").code(0);
    assert_eq!(fs::read(outside.join("precious")).unwrap(), b"precious");
    assert!(fs::symlink_metadata(run.join("report.html")).unwrap().is_file());
}
