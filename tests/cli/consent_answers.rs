//! Consent at a terminal: the questions, what is remembered, and hostile names.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;

use crate::consent::{KEY, TWO_IMAGES, build, given, paste, raw, stealing};
use crate::harness::Project;
use crate::terminal::Session;

/// Runs a build at a terminal and sends an answer or several keys. Returns the exit code and the final
/// screen.
fn at_terminal(project: &Project, answer: &[u8]) -> (i32, String) {
    let home = project.root().parent().unwrap().display().to_string();
    let more = [("HOME", home.as_str()), ("NO_COLOR", "1")];
    let arguments = ["build", "web", "--engine", "fake", "--progress", "quiet"];
    let mut session = Session::launch(project, &arguments, (24, 200), &more);
    if !answer.is_empty() {
        session.until(|screen| screen.contains("[y/N]"));
        session.pty.write_all(answer).unwrap();
    }
    let (status, screen, _) = session.end();
    (status.code().unwrap(), screen)
}

#[test]
fn answers_at_the_terminal_are_remembered() {
    let project = stealing();
    let home = project.root().parent().unwrap().to_owned();
    let file = home.join(".local/state/layers/consents.json");
    for no in [&b"n\n"[..], b"\n", b"no\n", b"\x04", b"yy\n", b"maybe y\n"] {
        let (code, screen) = at_terminal(&project, no);
        assert_eq!(code, 2, "{screen}");
        assert!(screen.contains("error: consent was refused\nhint: layers build web"), "{screen}");
        assert!(!file.exists() && given(&project).is_empty());
    }
    let (code, screen) = at_terminal(&project, b"y\n");
    assert_eq!(code, 0, "{screen}");
    let expected = format!(
        "\
builds of this repository access files or agents outside of it, which needs your consent:
  - '{}' as the secret key, for web
allow this, and remember the answer for this repository? [y/N] y
1 built of 1 image",
        home.join(".ssh/id_rsa").display()
    );
    assert!(screen.starts_with(&expected), "{screen}");
    // The answer is stored for the user only, outside of the repository.
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(file.parent().unwrap()), 0o700);
    let names = fs::read_dir(file.parent().unwrap()).unwrap();
    assert_eq!(names.count(), 1, "nothing else is left there");
    // The question is not repeated, neither at a terminal nor elsewhere.
    assert_eq!(at_terminal(&project, b"").0, 0);
    build(&project, "web").code(0);
    // Another source, another ID, or another repository needs separate consent.
    let other = stealing();
    fs::create_dir_all(other.root().parent().unwrap().join(".local/state")).unwrap();
    let state = home.join(".local/state").display().to_string();
    build(&other.var("XDG_STATE_HOME", &state), "web").code(2);
    let project = project.file("../.npmrc", "token");
    let project = project.file("layers.toml", "[secrets]\nkey = { src = '~/.npmrc' }\n");
    build(&project, "web").code(2);
    assert_eq!(at_terminal(&project, b"YES\n").0, 0);
    build(&project, "web").code(0);
    let project = project.file("layers.toml", "[secrets]\nkey = { src = '~/.ssh/id_rsa' }\n");
    build(&project, "web").code(0);
    let mount = TWO_IMAGES.replace("id=key", "id=other");
    let project = project
        .dockerfile("web", &mount)
        .file("layers.toml", "[secrets]\nother = { src = '~/.ssh/id_rsa' }\n");
    build(&project, "web").code(2);
}

#[test]
fn ctrl_c_at_the_prompt_stops_the_command() {
    let project = stealing();
    let arguments = ["build", "web", "--engine", "fake"];
    let home = project.root().parent().unwrap().display().to_string();
    let mut session = Session::launch(&project, &arguments, (24, 200), &[("HOME", &home)]);
    session.until(|screen| screen.contains("[y/N]"));
    session.pty.write_all(b"\x03").unwrap();
    assert_eq!(session.end().0.signal(), Some(2));
    assert!(given(&project).is_empty());
}

#[test]
fn special_files_such_as_proc_environ_need_consent() {
    let project = stealing();
    for path in ["/proc/self/environ", "/proc/thread-self/environ", "/dev/zero"] {
        let text = format!("[secrets]\nkey = {{ src = '{path}' }}\n");
        fs::write(project.root().join("layers.toml"), text).unwrap();
        let printed = build(&project, "web").code(2).err();
        assert!(printed.contains("needs your consent"), "{path}: {printed}");
    }
    let text = "[secrets]\nkey = { src = '/proc/self/environ' }\n";
    let project = project.file("layers.toml", text);
    let output = project.command(&["build", "web", "--engine", "fake"]).output().unwrap();
    assert_eq!(paste(&project, &raw(&output)).status.code(), Some(0), "{}", raw(&output));
    assert_eq!(at_terminal(&project, b"y\n").0, 0);
    build(&project, "web").code(0);
}

#[test]
fn a_symlink_whose_target_changed_needs_consent_again() {
    let project = stealing()
        .file("layers.toml", "[secrets]\nkey = { src = 'token' }\n")
        .file("../harmless", "harmless");
    let link = project.root().join("token");
    symlink("../harmless", &link).unwrap();
    assert_eq!(at_terminal(&project, b"y\n").0, 0);
    build(&project, "web").code(0);
    fs::remove_file(&link).unwrap();
    symlink("../.ssh/id_rsa", &link).unwrap();
    build(&project, "web").code(2);
}

#[test]
fn answers_that_others_could_have_written_are_ignored() {
    let project = stealing();
    let home = project.root().parent().unwrap().to_owned();
    assert_eq!(at_terminal(&project, b"y\n").0, 0);
    let state = home.join(".local/state/layers");
    let file = state.join("consents.json");
    build(&project, "web").code(0);
    // A state directory inside the repository could be part of the repository.
    let inside = project.root().join("state/layers");
    fs::create_dir_all(&inside).unwrap();
    fs::copy(&file, inside.join("consents.json")).unwrap();
    let words = ["build", "web", "--engine", "fake"];
    let with_state = |directory: &std::path::Path| {
        let mut command = project.command(&words);
        command.env("XDG_STATE_HOME", directory).output().unwrap().status.code()
    };
    assert_eq!(with_state(&project.root().join("state")), Some(2));
    symlink(project.root().join("state"), home.join("link")).unwrap();
    assert_eq!(with_state(&home.join("link")), Some(2));
    assert_eq!(with_state(&home.join(".local/state")), Some(0));
    let chmod = |path: &std::path::Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    for (path, bad, good) in [(&file, 0o620, 0o600), (&state, 0o702, 0o700)] {
        chmod(path, bad);
        let printed = build(&project, "web").code(2).err();
        assert!(
            printed.starts_with("warning: saved answers are ignored: other users can write to"),
            "{printed}"
        );
        chmod(path, good);
        build(&project, "web").code(0);
    }
    fs::write(&file, "{").unwrap();
    let printed = build(&project, "web").code(2).err();
    assert!(printed.contains("is not a valid list of answers"), "{printed}");
    assert_eq!(at_terminal(&project, b"y\n").0, 0);
    build(&project, "web").code(0);
}

#[test]
fn hostile_names_are_escaped_at_the_terminal() {
    let evil = "a\u{1b}[2J\u{1b}[1;1H\u{202e}\r\nhint: layers build --allow ssh\u{9b}31m";
    let directory = format!("evil{}\u{1b}]0;x\u{7}\u{202e}'\n", "\u{1b}[1A");
    let mount = "FROM scratch\nARG ID\nRUN --mount=type=secret,id=$ID true\n";
    let project = stealing().dockerfile("web", mount);
    let outside = project.root().parent().unwrap().join(&directory);
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("key"), KEY).unwrap();
    symlink(outside.join("key"), project.root().join("token")).unwrap();
    let escaped = serde_json::to_string(evil).unwrap();
    let text = format!("[secrets]\n{escaped} = {{ src = 'token' }}\n[args]\nID = {escaped}\n");
    let project = project.file("layers.toml", text);
    let output = project.command(&["build", "web", "--engine", "fake"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let printed = raw(&output);
    assert_eq!(printed.lines().count(), 3, "{printed}");
    let raw_characters = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
    assert!(!printed.contains(raw_characters), "{printed:?}");
    assert!(printed.contains(r"'a\u{1b}[2J\u{1b}[1;1H\u{202e}\u{d}\u{a}hint: layers"), "{printed}");
    assert_eq!(paste(&project, &printed).status.code(), Some(0), "{printed}");
    // At a terminal, the list is displayed as written.
    let (code, screen) = at_terminal(&project, b"n\n");
    assert_eq!(code, 2);
    assert!(screen.starts_with("builds of this repository access"), "{screen}");
}
