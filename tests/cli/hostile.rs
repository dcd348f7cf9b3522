//! Repositories, engines, and registries with hostile text: no printed text has an effect on a terminal, and
//! GitHub Actions interprets no line as a command.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Output;

use crate::git::git_in;
use crate::harness::Project;

/// A text that contains everything that must not be printed unchanged on a screen or in the log of a job. It
/// is a valid file name.
const EVIL: &str = "a\n::evil::x\n  ::stop-commands::x\r\u{1b}[31m\u{1b}]0;t\u{7}\u{9b}1m\u{202e}\u{2066}\u{61c}\
                    \u{2028}\u{2029}\u{85}\u{200b}\u{200d}\u{feff}\u{2060}\u{7f}##[evil]b";

/// Returns the text as a JSON or TOML string.
fn quoted() -> String {
    let escape = |c: char| match c {
        '\n' => "\\n".to_owned(),
        c if c.is_ascii() && !c.is_control() => c.to_string(),
        c => format!("\\u{:04x}", u32::from(c)),
    };
    format!("\"{}\"", EVIL.chars().map(escape).collect::<String>())
}

/// Whether a character is invisible or reorders others.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{61c}' | '\u{feff}')
}

/// Removes the colors that the program itself prints.
fn without_colors(text: &str) -> String {
    regex::Regex::new("\x1b\\[[0-9;]*m").unwrap().replace_all(text, "").into_owned()
}

#[track_caller]
fn check(output: &Output, what: &str, colors: bool, in_actions: bool) {
    for (stream, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        let text = String::from_utf8(bytes.clone()).unwrap_or_else(|_| panic!("{what}: not UTF-8"));
        let text = if colors { without_colors(&text) } else { text };
        let bad = text.chars().find(|c| *c != '\n' && is_unseen(*c));
        assert!(bad.is_none(), "{what}: {bad:?} in {stream}: {text:?}");
        for line in text.lines().filter(|_| in_actions) {
            let start = line.trim_start();
            let is_command = start.starts_with("::evil") || start.starts_with("::stop-commands");
            assert!(!is_command && !line.contains("##["), "{what}: {stream}: {line:?}");
        }
    }
}

/// Runs a command with each output style, and returns the output of the last one.
#[track_caller]
fn run(project: &Project, words: &str, code: i32) -> String {
    let mut printed = String::new();
    for (variables, colors) in [
        (&[][..], false),
        (&[("CLICOLOR_FORCE", "1")][..], true),
        (&[("GITHUB_ACTIONS", "true"), ("CLICOLOR_FORCE", "1")][..], true),
        (&[("GITHUB_ACTIONS", "true")][..], false),
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        let output = project.command(&words).envs(variables.iter().copied()).output().unwrap();
        let what = format!("{words:?} {variables:?}");
        check(&output, &what, colors, what.contains("GITHUB_ACTIONS"));
        printed = String::from_utf8_lossy(&output.stdout).into_owned();
        printed += &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{what}: {printed}");
    }
    printed
}

fn commit(project: &Project) {
    std::fs::remove_dir_all(project.root().join(".git")).unwrap_or_default();
    git_in(project.root(), &["init", "-q"]);
    crate::git::commit(project);
}

/// Images that can be built, with the hostile text wherever possible.
fn buildable() -> Project {
    let evil = quoted();
    let dockerfile = format!(
        "FROM debian:12 AS base\nARG A\nLABEL x=\"{}\"\n# {}\nCOPY . /x\nRUN echo {} \\\n  done\n",
        EVIL.replace('\n', " "),
        EVIL.replace(['\n', '\r'], " "),
        EVIL.replace(['\n', '\r'], " "),
    );
    let script = format!(
        r#"{{"name": "docker", "registry": {{"debian:12": "x"}}, "store": "store.json", "images": [
            {{"reference": "shop-app", "warnings": [{evil}],
              "steps": [{{"text": {evil}, "stage": {evil}, "output": [{evil}, "\n", "::evil::1\n", {evil}]}}]}},
            {{"reference": "shop-fails", "warnings": [{evil}],
              "steps": [{{"text": "RUN x", "output": [{evil}, "\n::evil::last\n"]}}],
              "fail": {{"step": 1, "message": {evil}}}}},
            {{"reference": "shop-broken", "error": {evil}}}]}}"#
    );
    let settings = format!("[args]\nA = {evil}\n");
    Project::new()
        .dockerfile("app", &dockerfile)
        .dockerfile(
            "fails",
            &format!("FROM scratch\nCOPY . /\nRUN x {}\n", EVIL.replace(['\n', '\r'], " ")),
        )
        .dockerfile("broken", "FROM scratch\nRUN x\n")
        .file(&format!("images/{EVIL}/Dockerfile"), "FROM scratch\nCOPY . /\n")
        .file(&format!("docker/app/{EVIL}"), "one")
        .file(&format!("docker/app/{EVIL}2/{EVIL}"), "one")
        .file(
            "layers.toml",
            format!("{settings}[image.safe]\ndockerfile = {evil_path}\n", evil_path = path()),
        )
        .script(&script)
}

/// Returns the path of the Dockerfile in the hostile directory, as a TOML string.
fn path() -> String {
    let quoted = quoted();
    format!("\"images/{}/Dockerfile\"", &quoted[1..quoted.len() - 1])
}

#[test]
fn buildable_images_inject_nothing_into_the_output() {
    let project = buildable();
    commit(&project);
    for words in [
        "list",
        "list --json",
        "graph",
        "graph --json",
        "graph --dot",
        "graph --mermaid",
        "graph --svg",
        "graph --html",
        "graph --bake",
        "graph --compose",
        "check",
        "check --format json",
        "check --format github",
        "ci github",
        "ci gitlab",
        "graph --check",
        "ci github --check",
    ] {
        let code = i32::from(words.ends_with("--check"));
        run(&project, words, code);
    }
    for words in [
        "plan --engine fake",
        "plan --engine fake --json",
        "plan --engine fake --estimate",
        "why app --engine fake",
        "why app --engine fake --inputs",
        "build app --engine fake --dry-run",
        "outdated --engine fake",
        "outdated --engine fake --json",
    ] {
        run(&project, words, 0);
    }
}

#[test]
fn runs_inject_nothing_into_the_output() {
    let project = buildable();
    // The live view moves the cursor, so it is not in this list.
    for progress in ["plain", "json", "quiet"] {
        run(&project, &format!("build app --engine fake --force --progress {progress}"), 0);
        run(&project, &format!("build fails --engine fake --progress {progress}"), 1);
        run(&project, &format!("build broken --engine fake --progress {progress}"), 4);
    }
    let printed =
        run(&project, "build app fails --engine fake --force --keep-going --progress plain", 1);
    assert!(printed.contains("| ") && printed.contains("evil"), "{printed}");
    for words in
        ["log", "log app", "log fails", "runs", "runs --json", "report", "report --output -"]
    {
        run(&project, words, 0);
    }
    // In the log of an image, lines start with the output of steps.
    assert!(run(&project, "log app", 0).contains("\\::evil::1"));
}

#[test]
fn changed_files_inject_nothing_into_the_output() {
    let project = buildable();
    commit(&project);
    run(&project, "build app safe --engine fake --progress plain", 0);
    let file = format!("docker/app/{EVIL}");
    let project = project.file(&file, "two").file(&format!("images/{EVIL}/{EVIL}"), "new");
    for words in [
        "affected --since HEAD",
        "affected --since HEAD --format json",
        "affected --since HEAD --format github",
        "diff HEAD",
        "diff HEAD --json",
        "list --since HEAD",
        "plan --engine fake",
        "why app --engine fake",
        "why safe --engine fake",
    ] {
        run(&project, words, 0);
    }
    let lines = run(&project, "affected --since HEAD", 0);
    assert!(lines.lines().count() <= 4 && lines.contains("\\u{202e}"), "{lines}");
}

#[test]
fn invalid_files_inject_nothing_into_the_output() {
    let evil = quoted();
    let inline = EVIL.replace(['\n', '\r'], " ");
    let wrong: Vec<(&str, Project)> = vec![
        ("a directory", Project::new().dockerfile(EVIL, "FROM scratch\n")),
        ("a context", Project::new().dockerfile(EVIL, "FROM scratch\nCOPY --from=nope / /\nFROM a AS \u{202e}\n")),
        ("a Dockerfile", Project::new().dockerfile("a", &format!("FROM {inline}\n{inline}\nRUN --mount={inline} x\nCOPY --from={inline} / /\n"))),
        ("ends of lines", Project::new().dockerfile("a", "FROM x\r\nRUN a\rb\u{2028}c\x0bd\nNOPE\u{85} \x1b[31m\n")),
        ("invalid UTF-8", Project::new().dockerfile("b", "FROM x\n").file("docker/a/Dockerfile", b"FROM \xff\x9b31m\n")),
        ("an argument", Project::new().dockerfile("a", "ARG A\nFROM $A\nCOPY --from=$A / /\n").file("layers.toml", format!("[args]\nA = {evil}\n"))),
        ("settings", Project::new().dockerfile("a", "FROM x\n").file("layers.toml", format!("{evil} = 1\n[image.{evil}]\nreference = {evil}\n"))),
        ("names", Project::new().dockerfile("a", "FROM x\n").file("layers.toml", format!("namespace = {evil}\n[image.a]\nreference = {evil}\ntarget = {evil}\ncontext = {evil}\n"))),
        ("an image's name", Project::new().dockerfile("a", "FROM x\n").file("layers.toml", format!("[image.{evil}]\ndockerfile = 'docker/a/Dockerfile'\nreference = 'acme/x'\n"))),
        ("broken TOML", Project::new().dockerfile("a", "FROM x\n").file("layers.toml", format!("a = '{inline}\n"))),
        ("ignored files", Project::new().dockerfile("a", "FROM x\nCOPY . /\n").file("docker/a/.dockerignore", format!("[{inline}\n"))),
        ("a lock", Project::new().dockerfile("a", "FROM x\n").file("graph.json", format!("{{{evil}: 1}}"))),
    ];
    for (what, project) in wrong {
        commit(&project);
        for words in [
            "list",
            "list --json",
            "plan --engine fake",
            "why a --engine fake",
            "graph",
            "graph --json",
            "graph --check",
            "check",
            "check --format json",
            "check --format github",
            "affected --since HEAD",
            "diff HEAD",
            "diff HEAD..HEAD",
            "build --all --engine fake --progress plain",
            "outdated --engine fake",
            "update",
            "ci github",
            "init --print",
            "log",
            "runs",
            "report",
            "graph --html",
        ] {
            let words: Vec<&str> = words.split(' ').collect();
            for (in_actions, colors) in [(false, false), (true, false), (true, true)] {
                let mut command = project.command(&words);
                if in_actions {
                    command.env("GITHUB_ACTIONS", "true");
                }
                if colors {
                    command.env("CLICOLOR_FORCE", "1");
                }
                let what = format!("{what}: {words:?} {in_actions}");
                check(&command.output().unwrap(), &what, colors, in_actions);
            }
        }
    }
}

#[test]
fn command_line_arguments_inject_nothing_into_the_output() {
    let project = Project::shop();
    for words in [["why", EVIL], ["log", EVIL], ["build", EVIL], ["graph", EVIL], ["diff", EVIL]] {
        for actions in ["false", "true"] {
            let mut command = project.command(&words);
            let output = command.env("GITHUB_ACTIONS", actions).output().unwrap();
            check(&output, &format!("{words:?}"), false, actions == "true");
        }
    }
}

#[test]
fn a_foreign_log_injects_nothing_into_the_output() {
    let evil = quoted();
    let run_directory = ".layers/runs/20200101-000000-1";
    let events = format!(
        "{{\"version\":1,\"began\":\"2020-01-01T00:00:00Z\"}}\n\
         {{\"at_ms\":1.0,\"event\":\"run-started\",\"engine\":{evil},\"jobs\":1,\"images\":[{evil}],\"edges\":[],\"expected\":{{}}}}\n\
         {{\"at_ms\":1.0,\"event\":\"image-started\",\"image\":{evil}}}\n\
         {{\"at_ms\":1.0,\"event\":\"image-started\",\"image\":\"base\"}}\n\
         {{\"at_ms\":1.0,\"event\":\"output\",\"image\":\"base\",\"step\":{{\"number\":1,\"total\":1,\"text\":{evil}}},\"line\":{evil}}}\n\
         {{\"at_ms\":1.0,\"event\":\"output\",\"image\":\"base\",\"step\":1,\"line\":\"::stop-commands::x\"}}\n\
         {{\"at_ms\":1.0,\"event\":\"output\",\"image\":\"base\",\"step\":1,\"line\":\" \\t::evil::\"}}\n\
         {{\"at_ms\":2.0,\"event\":\"warning\",\"image\":{evil},\"message\":{evil}}}\n\
         {{\"at_ms\":2.0,\"event\":\"push-failed\",\"image\":{evil},\"message\":{evil}}}\n\
         {{\"at_ms\":3.0,\"event\":\"image-failed\",\"image\":{evil},\"took_ms\":1.0,\"failure\":{{\"kind\":\"build\",\
         \"message\":{evil},\"excerpt\":{{\"place\":\"x:1:1\",\"text\":{evil}}},\"log_tail\":[{evil}]}}}}\n\
         {{\"at_ms\":4.0,\"event\":\"run-finished\"}}\n"
    );
    let project = Project::shop().file(&format!("{run_directory}/events.jsonl"), events);
    for words in ["log", "log base", "runs", "runs --json", "report --output -"] {
        run(&project, words, 0);
    }
    let printed = run(&project, "log", 0);
    assert!(printed.contains("failed"), "the events are read: {printed}");
}

/// Starts a registry that rejects every request with these headers and this body until the test ends.
fn refusing_registry(headers: String, body: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("localhost:{}", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut line = String::new();
            // Anything that is not HTTP is an attempt at TLS, which this server does not support.
            while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
                line.clear();
            }
            let (length, close) = (body.len(), "Connection: close\r\n");
            let answer = format!("HTTP/1.1 {headers}{close}Content-Length: {length}\r\n\r\n{body}");
            // The client can have closed the connection.
            drop(stream.get_mut().write_all(answer.as_bytes()));
        }
    });
    address
}

#[test]
fn registry_responses_inject_nothing_into_the_output() {
    let evil = quoted();
    let body = format!(r#"{{"errors":[{{"code":{evil},"message":{evil},"detail":{evil}}}]}}"#);
    let header = EVIL.replace(['\n', '\r'], " ");
    for headers in [
        "403 Forbidden\r\n".to_owned(),
        "400 Bad\r\n".to_owned(),
        format!("404 {header}\r\nContent-Type: {header}\r\n"),
        "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\n".to_owned(),
        format!("401 Unauthorized\r\nWWW-Authenticate: {header}\r\n"),
        format!(
            "200 OK\r\nContent-Type: application/vnd.oci.image.manifest.v1+json\r\nDocker-Content-Digest: {header}\r\n"
        ),
    ] {
        let address = refusing_registry(headers.clone(), body.clone());
        let project = Project::new()
            .dockerfile("app", &format!("FROM {address}/x/y:1\nRUN x\n"))
            .file("layers.toml", format!("registry = \"{address}\"\n"))
            .script(r#"{"name": "docker"}"#);
        for words in [
            "outdated --engine fake",
            "update",
            "plan --engine none",
            "build --all --engine fake --push",
        ] {
            for in_actions in [false, true] {
                let words: Vec<&str> = words.split(' ').collect();
                let mut command = project.command(&words);
                if in_actions {
                    command.env("GITHUB_ACTIONS", "true");
                }
                check(
                    &command.output().unwrap(),
                    &format!("{headers:?}: {words:?}"),
                    false,
                    in_actions,
                );
            }
        }
    }
}

#[test]
fn a_credential_helper_with_a_path_is_rejected() {
    let address = refusing_registry(
        "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\n".to_owned(),
        String::new(),
    );
    let evil = quoted();
    for helper in ["\"../../evil\"", "\"/evil\"", "\"a\\\\b\"", "\"a b\"", evil.as_str()] {
        let config = format!(r#"{{"credHelpers": {{"{address}": {helper}}}}}"#);
        let project = Project::new()
            .dockerfile("app", &format!("FROM {address}/x/y:1\nRUN x\n"))
            .file("docker-credential-../../evil", "#!/bin/sh\ntouch ran\n")
            .file("../config/config.json", config);
        let directory = project.root().parent().unwrap().join("config");
        let project = project.var("DOCKER_CONFIG", directory.to_string_lossy());
        let output = project.command(&["update"]).env("GITHUB_ACTIONS", "true").output().unwrap();
        check(&output, helper, false, true);
        let printed = String::from_utf8(output.stderr).unwrap();
        assert!(
            printed.contains("is not a valid name for the credential helper of `"),
            "{helper}: {printed}"
        );
    }
}
