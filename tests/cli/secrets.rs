//! Secrets and SSH agents on the scripted engine: their sources, the errors if they are missing, and that no
//! value is ever printed.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;

use crate::harness::{Project, Ran, assert_same};

/// A value that occurs nowhere else.
const VALUE: &str = "hunter2-of-the-test";

const MOUNTS: &str = "FROM scratch\nRUN --mount=type=secret,id=npm npm ci\n";

/// One image that prints the secret `npm` in two parts.
fn printing() -> Project {
    let script = r#"{"record": "calls.jsonl", "store": "store.json", "images": [{"steps":
        [{"text": "RUN npm ci", "output": ["token: "], "secret": "npm"}]}]}"#;
    Project::new().dockerfile("app", MOUNTS).script(script)
}

fn build(project: &Project, words: &str) -> Ran {
    project.run(&format!("build --all --engine fake --progress plain {words}"))
}

/// Returns the IDs of secrets and of agents in the requests to the engine.
fn requested(project: &Project) -> String {
    let calls = project.read(".layers/calls.jsonl");
    let calls = calls.lines().map(|line| serde_json::from_str(line).unwrap());
    let builds = calls.filter(|call: &serde_json::Value| call["call"] == "build");
    let requested = builds.map(|call| format!("{} {}", call["secrets"], call["ssh"]));
    requested.collect::<Vec<_>>().join("; ")
}

/// Returns the files below a directory that contain a text.
fn files_with(directory: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut stack = vec![directory.to_owned()];
    while let Some(path) = stack.pop() {
        if path.is_dir() {
            stack.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if fs::read(&path).is_ok_and(|it| String::from_utf8_lossy(&it).contains(text)) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn a_secret_is_passed_to_the_build_and_masked_everywhere() {
    let project = printing().var("NPM_TOKEN", VALUE);
    let built = build(&project, "--secret id=npm,env=NPM_TOKEN").code(0);
    assert!(built.err().contains("token: ***\n"), "{}", built.err());
    assert_eq!(requested(&project), r#"["npm"] []"#);
    let mut printed = built.out() + &built.err();
    // The run's log was masked before it was written.
    for words in ["log", "log app"] {
        let result = project.run(words).code(0).out();
        assert!(result.contains("token: ***\n"), "{result}");
        printed += &result;
    }
    let words = ["plan --json", "why app", "why app --inputs", "list --json", "graph --json"];
    for words in words.into_iter().chain(["runs --json"]) {
        let engine = if words.starts_with(['p', 'w']) { " --engine fake" } else { "" };
        let ran = project.run(&format!("{words}{engine}")).code(0);
        printed += &(ran.out() + &ran.err());
    }
    assert!(!printed.contains(VALUE), "{printed}");
    assert_eq!(files_with(project.root(), VALUE), Vec::<String>::new());
    // The search finds what exists, also in the log of the run.
    let hidden = files_with(&project.root().join(".layers/runs"), "token: ***");
    assert_eq!(hidden.len(), 1, "a line is in the log once: {hidden:?}");
}

#[test]
fn a_changed_secret_value_keeps_the_image_fresh() {
    let project = printing();
    let build = |value: &str| {
        let words = ["build", "--all", "--engine=fake", "--progress=quiet", "--secret=id=npm"];
        let output = project.command(&words).env("npm", value).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(build(VALUE).starts_with("1 built of 1 image"));
    assert!(build("another").starts_with("0 built, 1 fresh of 1 image"));
}

#[test]
fn secrets_are_masked_in_the_command_line_of_a_run() {
    let project = printing().var("NPM_TOKEN", VALUE);
    let secret = format!("--secret id=npm,env=NPM_TOKEN --build-arg A={VALUE}");
    let words = format!("build --all --engine fake --progress json {secret}");
    // In the second run, everything is fresh, so no build requests the secret.
    for fresh in [false, true] {
        let printed = project.run(&words).code(0).out();
        assert!(printed.contains("--build-arg 'A=***'") && !printed.contains(VALUE), "{printed}");
        assert_eq!(printed.contains("image-fresh"), fresh, "{printed}");
    }
}

#[test]
fn secrets_are_masked_in_failures() {
    let script = format!(
        r#"{{"images": [{{
            "steps": [{{"text": "RUN curl -u {VALUE}"}},
                      {{"text": "RUN npm ci", "output": ["tried {VALUE}\n"]}}],
            "warnings": ["beware of {VALUE}"],
            "fail": {{"step": 2, "message": "can't log in as {VALUE}"}}}}]}}"#
    );
    let project = printing().script(&script).var("npm", VALUE);
    let failed = build(&project, "--secret id=npm").code(1).err();
    assert!(!failed.contains(VALUE), "{failed}");
    for hidden in ["beware of ***", "tried ***", "can't log in as ***", "RUN curl -u ***"] {
        assert!(failed.contains(hidden), "{failed}");
    }
    let kept = |project: &Project| files_with(&project.root().join(".layers/runs"), VALUE);
    assert_eq!(kept(&project), Vec::<String>::new());
    let script = format!(r#"{{"images": [{{"error": "no answer to {VALUE}"}}]}}"#);
    let project = project.script(&script);
    let failed = build(&project, "--secret id=npm").code(4).err();
    assert!(failed.contains("no answer to ***") && !failed.contains(VALUE), "{failed}");
    assert_eq!(kept(&project), Vec::<String>::new());
}

#[test]
fn secret_paths_are_relative_to_where_they_are_specified() {
    let project = printing()
        .dockerfile("app", &format!("{MOUNTS}RUN --mount=type=secret,id=pip pip install\n"))
        .file("layers.toml", "[secrets]\nnpm = { src = 'tokens/npm' }\npip = { src = '~/pip' }\n")
        .file("tokens/npm", "of the root")
        .file("docker/app/token", "of the folder")
        .file("../pip", "of the home");
    build(&project, "--allow fs.read=~/pip").code(0);
    assert_eq!(requested(&project), r#"["npm","pip"] []"#);
    let directory = project.root().join("docker/app");
    let words = ["build", "app", "--force", "--engine=fake", "--progress=quiet"];
    let words = [&words[..], &["--allow=fs.read=../../../pip"]].concat();
    assert!(project.command(&words).current_dir(directory).status().unwrap().success());
    assert_eq!(requested(&project), r#"["npm","pip"] []; ["npm","pip"] []"#);
    let printed = build(&project, "-C docker/app --secret id=npm,src=token --force --allow fs=/")
        .code(0)
        .err();
    assert!(printed.contains("token: ***"), "{printed}");
    let printed = build(&project, "--secret id=npm,src=token --force").code(2).err();
    assert_same(
        &printed,
        "\
error: the secret `npm` can't be read: `token`: No such file or directory (os error 2)
hint: paths are relative to `[root]`
",
    );
}

#[test]
fn invalid_secret_options_are_reported_before_the_build_starts() {
    let project = printing()
        .script(r#"{"describe_error": "no request is expected"}"#)
        .file("large", vec![b'x'; 500 * 1024 + 1])
        .file("id_rsa.pub", "ssh-rsa AAAA")
        .var("SSH_AUTH_SOCK", "/nobody/listens");
    let check = |words: &str, expected: &str| {
        let ran = build(&project, words).code(2);
        assert_eq!(ran.err().lines().next().unwrap(), format!("error: {expected}"), "{words}");
        assert!(ran.err().contains("\nhint: "), "{words}");
    };
    check("--secret npm", "`--secret npm`: `npm` has no value");
    check(
        "--secret id=npm,env=NPM_TOKEN",
        "the secret `npm` can't be read: the variable `NPM_TOKEN` is not set",
    );
    check(
        "--secret id=npm",
        "the secret `npm` can't be read: no environment variable or file `npm` found",
    );
    check(
        "--secret id=npm,src=docker",
        "the secret `npm` can't be read: `docker`: Is a directory (os error 21)",
    );
    check("--secret id=npm,src=large", "the secret `npm` can't be read: it is larger than 500 KiB");
    let twice = "--secret id=npm,src=id_rsa.pub --secret id=npm,env=HOME";
    check(twice, "the secret `npm` is specified twice");
    check(
        "--ssh default",
        "the ssh agent `default` can't be read: can't connect to an agent at `/nobody/listens`: No such \
         file or directory (os error 2)",
    );
    check(
        "--ssh a=id_rsa.pub",
        "the ssh agent `a` can't be read: `id_rsa.pub` is neither a socket nor a private key",
    );
}

#[test]
fn a_missing_required_secret_is_reported_with_its_location() {
    let project = Project::new()
        .dockerfile(
            "app",
            "FROM scratch AS docs\n\
             RUN --mount=type=secret,id=docs,required make docs\n\
             FROM scratch AS deps\n\
             ARG TOKEN=npm\n\
             RUN --mount=type=secret,id=$TOKEN,required=true --mount=type=secret,id=pip make\n\
             FROM deps\n\
             RUN --mount=type=ssh,required git clone\n",
        )
        .script(r#"{"record": "calls.jsonl", "store": "store.json"}"#);
    build(&project, "").code(2).stdout("").stderr(
        "\
error[missing-secret]: the secret `npm` is required, but was not provided
 --> docker/app/Dockerfile:5:13
  |
5 | RUN --mount=type=secret,id=$TOKEN,required=true --mount=type=secret,id=pip make
  |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = hint: pass it with `--secret id=npm,src=FILE` or `--secret id=npm,env=NAME`

error[missing-secret]: the ssh agent `default` is required, but was not provided
 --> docker/app/Dockerfile:7:13
  |
7 | RUN --mount=type=ssh,required git clone
  |             ^^^^^^^^^^^^^^^^^
  |
  = hint: pass it with `--ssh default`

2 errors
",
    );
    assert_eq!(requested(&project), "");
    // Commands that do not build do not need it.
    build(&project, "--dry-run").code(0);
    project.run("check").code(0);
    let socket = project.root().parent().unwrap().join("agent");
    let _agent = UnixListener::bind(&socket).unwrap();
    let ssh = format!("--ssh default={}", socket.display());
    build(&project, &format!("--secret id=npm,env=HOME {ssh}")).code(0);
    assert_eq!(requested(&project), r#"["npm"] ["default"]"#);
    build(&project, "").code(0);
}

#[test]
fn a_misspelled_secret_is_warned_about() {
    let project = printing();
    let printed = build(&project, "--secret id=nmp,env=HOME").code(0).err();
    let warning = "\
warning[misspelt-secret]: no image mounts the secret `nmp`
 |
 = hint: did you mean `npm`?

1 warning
";
    assert!(printed.starts_with(warning), "{printed}");
    let both = "--secret id=npm,env=HOME --secret id=nmp,env=HOME";
    for given in ["--secret id=npm,env=HOME", "--secret id=other,env=HOME", both, ""] {
        let printed = build(&project, &format!("--force {given}")).code(0).err();
        assert!(!printed.contains("warning"), "{printed}");
    }
}

#[test]
fn unreadable_secrets_in_settings_are_errors_only_if_mounted() {
    let project = Project::new()
        .dockerfile("app", MOUNTS)
        .dockerfile("plain", "FROM scratch\nRUN true\n")
        .file("layers.toml", "ssh = ['work']\n[secrets]\nnpm = { env = 'NPM_TOKEN' }\n")
        .script(r#"{"record": "calls.jsonl", "store": "store.json"}"#);
    project.run("build plain --engine fake").code(0);
    build(&project, "").code(2).stdout("").stderr(
        "\
error[missing-secret]: the secret `npm` can't be read: the variable `NPM_TOKEN` is not set
 --> docker/app/Dockerfile:2:13
  |
2 | RUN --mount=type=secret,id=npm npm ci
  |             ^^^^^^^^^^^^^^^^^^ mounted here
  |
 ::: layers.toml:3:7
  |
3 | npm = { env = 'NPM_TOKEN' }
  |       --------------------- set here
  |
  = hint: set it with `export NPM_TOKEN=…`, or use a file with `src=`

1 error
",
    );
    assert_eq!(requested(&project), "[] []");
    // The command line takes precedence.
    build(&project, "--secret id=npm,src=/dev/null").code(0);
    assert_eq!(requested(&project), r#"[] []; ["npm"] []"#);
    let project = project.var("NPM_TOKEN", VALUE);
    build(&project, "--force").code(0);
    // Fresh images do not need it either.
    let project = project
        .dockerfile("plain", "FROM scratch\nRUN another\n")
        .file("layers.toml", "ssh = ['work']\n[secrets]\nnpm = { env = 'UNSET' }\n");
    let printed = build(&project, "").code(0).err();
    assert!(printed.ends_with("1 built, 1 fresh of 2 images in 0.0s\n"), "{printed}");
    // The same for an agent. Its path is relative to the root.
    let text = "FROM scratch\nRUN --mount=type=ssh,id=work git clone\n";
    let project = project.dockerfile("app", text);
    let printed = build(&project, "").code(2).err();
    let why = "the ssh agent `work` can't be read: SSH_AUTH_SOCK is not set\n";
    assert!(printed.contains(why) && printed.contains("layers.toml:1:8"), "{printed}");
    let _agent = UnixListener::bind(project.root().join("agent")).unwrap();
    let project = project.file("layers.toml", "ssh = ['work=agent']\n");
    project.run("-C docker/app build app --engine fake").code(0);
    assert!(requested(&project).ends_with(r#"; [] ["work"]"#), "{}", requested(&project));
}

/// Output of a step that displays `hunter2-of-the-test` to a reader.
const DISGUISES: [&[&str]; 16] = [
    &["hunter\u{1b}[31m2-of-\u{1b}[0mthe-test\n"],
    &["hunt", "er2-of", "-the-test\n"],
    &["hun\u{1b}[", "31mter2-of-the-test\n"],
    &["hunter2-of\r-the-test\n"],
    &["XXXXXXXXXX-the-test\rhunter2-of\n"],
    &["hunterX\u{8}2-of-the-test\n"],
    &["h\u{8}hu\u{8}un\u{8}nt\u{8}te\u{8}er\u{8}r2\u{8}2-of-the-test\n"],
    &["hunter2-of\n-the-test\n"],
    &["hu\nnt\ner\n2-\nof\n-t\nhe\n-t\nes\nt\n"],
    &["hunter2-of", "\n", "  -the-test", "\n"],
    &["hunter2\u{9b}1m-of-the-test\n"],
    &["hunter2\u{1b}]0;title\u{7}-of-the-test\n"],
    &["hunter2\u{1b}]8;;http://x\u{1b}\\-of-the-test\u{1b}]8;;\u{1b}\\\n"],
    &["hunter2\u{200b}-of\u{2060}-the\u{feff}-test\n"],
    &["hunter2\t-of-the-test\n"],
    &["hunter2-of-the-te", "st"],
];

#[test]
fn a_disguised_secret_cannot_be_reconstructed_from_the_output() {
    for disguise in DISGUISES {
        let output = serde_json::to_string(disguise).unwrap();
        let message = serde_json::to_string(&disguise.concat()).unwrap();
        let script = format!(
            r#"{{"images": [{{"steps": [{{"text": "RUN npm ci", "output": {output}}}],
                "warnings": [{message}], "fail": {{"step": 1, "message": {message}}}}}]}}"#
        );
        let project = printing().script(&script).var("npm", VALUE);
        let mut printed = build(&project, "--secret id=npm").code(1).err();
        for words in ["log", "log app", "report --output -", "report --trace t.json"] {
            let ran = project.run(words).code(0);
            printed += &(ran.out() + &ran.err());
        }
        printed += &project.read("t.json");
        let run = fs::read_dir(project.root().join(".layers/runs")).unwrap().next().unwrap();
        printed += &fs::read_to_string(run.unwrap().path().join("events.jsonl")).unwrap();
        // No two adjacent parts of it remain, whatever was between them.
        for piece in ["hunt", "er2-", "2-of", "of-th", "he-te", "unte"] {
            assert!(!printed.contains(piece), "{disguise:?}: {piece}: {printed}");
        }
        assert!(printed.contains("***"), "{disguise:?}: {printed}");
    }
}
