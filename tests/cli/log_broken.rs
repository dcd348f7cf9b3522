//! Logs of runs that died or are in progress, logs that cannot be written, and hostile logs.

#![expect(clippy::disallowed_methods, reason = "tests drive programs")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::harness::{Project, assert_same};
use crate::log::{HEADING, newest, runs, table};

/// Returns the directory of the newest run.
fn directory(project: &Project) -> PathBuf {
    project.root().join(".layers/runs").join(newest(project))
}

/// A build of base that continues until the file `.layers/go` exists or it is killed.
struct Waiting(Child);

impl Waiting {
    fn start(project: &Project) -> Waiting {
        let mut child = project
            .command(&["build", "--all", "--engine=fake", "-j1", "--progress=plain"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().ends_with("base: | half")));
        // The pipe stays open until the child ends.
        std::thread::spawn(move || lines.for_each(drop));
        Waiting(child)
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // If a test has failed, the process is still running; otherwise, it has ended.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn gated() -> Project {
    Project::shop().script(
        r#"{"images": [{"reference": "shop-base", "steps": [
            {"text": "RUN one", "output": ["half\n"]}, {"text": "RUN two", "gate": "file:go"}]}]}"#,
    )
}

#[test]
fn running_and_killed_runs_are_distinguished() {
    let project = gated();
    let waiting = Waiting::start(&project);
    let expected = |state: &str| {
        format!(
            "RUN  STARTED  DURATION  IMAGES\n[run]  [moment]  0.0s  {state}: 0 built of 5 images\n"
        )
    };
    assert_same(&table(&project), &expected("running"));
    let result = project.run("log").code(0).out();
    let end = "base: | half\n[0.0s] base: [1/2] RUN one (0.0s)\n\
               0 built of 5 images in 0.0s\nthe run is still running\n";
    assert!(result.ends_with(end), "{result}");
    waiting.kill();
    assert_same(&table(&project), &expected("died"));
    assert_eq!(runs(&project)[0]["state"], "died");
    let result = project.run("log").code(0).out();
    let end = "0 built of 5 images in 0.0s\n\
               the log is incomplete: the run died, or could not write it\n";
    assert!(result.ends_with(end), "{result}");
    // The current step is the last line in the image's log.
    let log = project.run("log base").code(0).out();
    assert!(log.ends_with("half\n==> [1/2] done in 0.0s\n==> [2/2] RUN two\n"), "{log}");
    // It does not block the next run.
    project.run("build agent --engine fake").code(0);
    assert_eq!(runs(&project).len(), 2);
}

#[test]
fn a_running_run_is_not_removed() {
    let project = gated();
    let mut waiting = Waiting::start(&project);
    let id = newest(&project);
    for _ in 0..12 {
        project.run("build agent --engine fake").code(0);
    }
    let listed = runs(&project);
    assert_eq!((listed.len(), listed[10]["id"].as_str()), (11, Some(id.as_str())));
    assert_eq!(listed[10]["state"], "running");
    fs::write(project.root().join(".layers/go"), "").unwrap();
    assert!(waiting.0.wait().unwrap().success());
    assert_eq!(runs(&project)[10]["state"], "finished");
    project.run("build agent --engine fake").code(0);
    assert_eq!(runs(&project).len(), 10);
}

#[test]
fn signals_are_reported() {
    let project = gated();
    let mut waiting = Waiting::start(&project);
    let pid = waiting.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    waiting.0.wait().unwrap();
    let expected = "RUN  STARTED  DURATION  IMAGES\n\
        [run]  [moment]  0.0s  stopped by SIGTERM: 0 built, 1 canceled, 4 skipped of 5 images\n";
    assert_same(&table(&project), expected);
    assert_eq!(runs(&project)[0]["signal"], 15);
}

#[test]
fn a_truncated_last_line_is_ignored() {
    let project = Project::shop().script("{}");
    project.run("build agent --engine fake").code(0);
    let path = directory(&project).join("events.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    let result = project.run("log").code(0).out();
    let built = whole.rfind("{\"at_ms\"").and_then(|end| whole[..end - 1].rfind("{\"at_ms\""));
    fs::write(&path, &whole[..built.unwrap() + 30]).unwrap();
    let (before, _) = result.split_once("[0.0s] agent: built").unwrap();
    let end = "0 built of 1 image in 0.0s\n\
               the log is incomplete: the run died, or could not write it\n";
    project.run("log").code(0).stderr(HEADING).stdout(&format!("{before}{end}"));
    fs::write(&path, "").unwrap();
    project.run("log").code(0).stderr(HEADING);
    assert_eq!(runs(&project).len(), 1);
    fs::remove_file(&path).unwrap();
    project.run("log").code(4).stdout("");
    let printed = table(&project);
    assert!(printed.ends_with("  unreadable log\n"), "{printed}");
}

#[test]
fn an_unwritable_log_does_not_fail_the_build() {
    let build = |project: &Project| {
        project.run("build agent --engine fake --progress quiet").code(0).stdout("").err()
    };
    let check = |project: &Project| {
        let printed = build(project);
        let mut lines = printed.lines();
        let warning = lines.next().unwrap_or_default();
        assert!(warning.starts_with("warning: can't write the log of this run: "), "{printed}");
        assert_eq!(lines.collect::<Vec<_>>(), ["1 built of 1 image in 0.0s"], "{printed}");
    };
    // Not even root can write to these: a path that is not a directory, and a directory of the kernel.
    check(&Project::shop().file(".layers", ""));
    let project = Project::shop();
    symlink("/proc/self/fdinfo", project.root().join(".layers")).unwrap();
    check(&project);
    check(&Project::shop().file(".layers/runs", ""));
}

#[test]
fn a_report_without_a_directory_is_explained() {
    let project = Project::shop().file(".layers/runs", "");
    let printed = project.run("build agent --engine fake --progress quiet --timings").code(0).err();
    let expected = "\
1 built of 1 image in 0.0s
warning: no report: the run has no directory, because its log can't be written
hint: to write it elsewhere, pass --timings=FILE
";
    assert!(printed.ends_with(expected), "{printed}");
    project.run("build agent --engine fake --timings=page.html").code(0);
    assert!(project.read("page.html").contains("agent"));
    // The log is written, and then the directory is gone.
    let project = Project::shop().script(
        r#"{"images": [{"reference": "shop-agent", "steps": [
            {"text": "RUN one", "output": ["half\n"]}, {"text": "RUN two", "gate": "file:go"}]}]}"#,
    );
    let mut command =
        project.command(&["build", "agent", "--engine=fake", "--progress=plain", "--timings"]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("agent: | half")));
    fs::remove_dir_all(directory(&project)).unwrap();
    project.write(".layers/go", "");
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{rest:?}");
    let why = "warning: no report: can't write `";
    assert!(rest.iter().any(|line| line.starts_with(why)), "{rest:?}");
}

#[test]
fn a_full_disk_does_not_fail_the_build() {
    let line = "x".repeat(4000);
    let project = Project::shop().script(&format!(
        r#"{{"images": [{{"reference": "shop-agent", "steps": [
            {{"text": "RUN make", "output": ["{line}\n", "{line}\n", "end\n"]}}],
            "fail": {{"step": 1, "message": "no"}}}}]}}"#
    ));
    // Files cannot grow beyond a few KiB.
    let script = "trap '' XFSZ; ulimit -f 8; exec \"$0\" build agent --engine fake";
    let command = project.command(&[]);
    let mut limited = Command::new("sh");
    let variables = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    limited.env_clear().envs(variables).args(["-c", script]).arg(command.get_program());
    limited.current_dir(project.root());
    let output = limited.output().unwrap();
    let printed = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert_eq!(printed.matches("warning: ").count(), 1, "{printed}");
    assert!(
        printed.contains("agent: | end\n") && printed.contains("1 failed of 1 image"),
        "{printed}"
    );
    assert!(!printed.contains("whole log"), "it is not whole: {printed}");
    assert!(
        printed.contains("warning: can't write the log of this run: File too large"),
        "{printed}"
    );
    let result = project.run("log").code(0).out();
    let end = "\nthe log is incomplete: the run died, or could not write it\n";
    assert!(result.contains(": started") && result.ends_with(end), "{result}");
}

/// Checks that a text does not move the cursor, ring the bell, or reorder text.
#[track_caller]
fn assert_harmless(text: &str) {
    let is_harmful =
        |c: char| c.is_control() && c != '\n' || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!text.contains(is_harmful), "{text:?}");
}

#[test]
fn build_output_is_sanitized_before_it_is_printed() {
    let long = "y".repeat(1 << 20);
    let project = Project::shop().script(&format!(
        r#"{{"images": [{{"reference": "shop-agent", "warnings": ["\u001b]0;title\u0007odd"],
            "steps": [{{"text": "RUN \u001b[2Jmake", "stage": "\u001b[5mbuild", "output": [
                "\u001b[31mred\u001b[0m\n", "10%\r100%\n", "\u202eevil\b\n", "{long}\n", "end"]}}],
            "fail": {{"step": 1, "message": "\u001b[1mexit\ncode"}}}}]}}"#
    ));
    project.run("build agent --engine fake").code(1);
    let events = fs::read_to_string(directory(&project).join("events.jsonl")).unwrap();
    let values = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let log: Vec<String> =
        values.filter_map(|value| value["line"].as_str().map(str::to_owned)).collect();
    assert!(log.contains(&"\x1b[31mred\x1b[0m".to_owned()), "as it was: {log:?}");
    assert!(log.contains(&"10%\r100%".to_owned()), "as it was: {log:?}");
    assert_eq!(events.matches("evil").count(), 1, "a line is in the log once");
    for words in ["log", "log agent"] {
        let printed = project.run(words).code(0).stderr(HEADING).out();
        assert_harmless(&printed);
        assert!(
            printed.contains("red\n") && printed.contains(" odd\n") && printed.contains("evil\n")
        );
        assert!(printed.contains("100%\n") && !printed.contains("10%"));
        // The summary shows the beginnings of the last lines again.
        let most = if words == "log" { 1 << 21 } else { 1 << 20 };
        assert!((1 << 20..=most).contains(&printed.matches('y').count()), "all of it is there");
    }
}

#[test]
fn a_forged_log_is_sanitized_before_it_is_printed() {
    let project = Project::shop().script("{}");
    project.run("build agent --engine fake").code(0);
    let mut bytes = br#"{"at_ms":1,"event":"image-started","image":"agent"}"#.to_vec();
    let output = br#"{"at_ms":1,"event":"output","image":"agent","step":7,"line":""#;
    let long = vec![b'z'; 1 << 20];
    for line in [br"\u001b[31m\ufffd\ufffd one\r".as_slice(), b"\xff\xfe", b"\\u0000", &long] {
        bytes.extend([b"\n".as_slice(), output, line, b"\"}"].concat());
    }
    fs::write(directory(&project).join("events.jsonl"), &bytes).unwrap();
    let printed = project.run("log agent").code(0).stderr(HEADING).out();
    assert_harmless(&printed);
    assert_eq!(printed.split('\n').nth(2), Some("\u{fffd}\u{fffd} one"));
    let around = "==> started\n==> \n\u{fffd}\u{fffd} one\n\n\n";
    assert_eq!(printed.len(), around.len() + (1 << 20));
    let evil = r#""image":"\u001b[31mx\u202e\n""#;
    let step = r#""step":{"number":1,"total":4294967295,"text":"\u0007"}"#;
    let events = [
        r#"{"version":1,"began":"9999-12-31T23:59:59Z"}"#.to_owned(),
        r#"{"at_ms":1,"event":"run-started","engine":"\u001b[2J","jobs":1,"images":["\u001b[1m"]}"#
            .to_owned(),
        format!(r#"{{"at_ms":1e18,"event":"image-started",{evil}}}"#),
        format!(r#"{{"at_ms":-1,"event":"image-started",{evil}}}"#),
        format!(r#"{{"at_ms":1,"event":"output",{evil},{step},"line":"\u001b[31m\n\r"}}"#),
        format!(
            r#"{{"at_ms":1,"event":"image-built",{evil},"image_id":"","references":[],
               "steps":{{"ran":4294967295,"cached":4294967295}},"took_ms":1.8e22}}"#
        )
        .replace('\n', ""),
        format!(
            r#"{{"at_ms":1,"event":"image-failed",{evil},"took_ms":0,"failure":{{"kind":"build",
               "message":"\u001b[31m","step":null,"log_tail":["\u001b[31m"],
               "excerpt":{{"place":"docker/\u001b[1m/x:4294967295:1","text":" \n\u001b[31m "}}}}}}"#
        )
        .replace('\n', ""),
        format!(
            r#"{{"at_ms":1,"event":"image-failed",{evil},"took_ms":0,"failure":{{"kind":"build",
               "message":"","log_tail":[],"excerpt":{{"place":"x:1:1","text":"   "}}}}}}"#
        )
        .replace('\n', ""),
        r#"{"at_ms":1,"event":"interrupted","signal":-1}"#.to_owned(),
    ];
    fs::write(directory(&project).join("events.jsonl"), events.join("\n")).unwrap();
    for words in ["log", "runs", "runs --json", "log nothing"] {
        let ran = project.run(words);
        let (out, err) = (ran.out(), ran.err());
        assert_harmless(&out);
        assert_harmless(&err);
        assert!(!err.contains("panicked"), "{err}");
    }
    let result = project.run("log").code(0).out();
    assert!(result.contains("built in ") && result.contains("2 failed"), "{result}");
}
