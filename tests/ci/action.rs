//! `action.yml` and the steps that it runs, with programs of the test.

#![expect(clippy::disallowed_methods, reason = "tests drive programs")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::graphs::{PLAIN, github, numbered};
use crate::schema::{self, fitting, read};

const ACTION: &str = include_str!("../../action.yml");

/// A GitHub runner, as far as the steps can see it.
struct Runner {
    directory: TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Runner {
    fn new() -> Runner {
        let runner = Runner { directory: tempfile::tempdir().unwrap(), variables: Vec::new() };
        for directory in ["temp", "work", "bin"] {
            fs::create_dir(runner.path(directory)).unwrap();
        }
        runner
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn var(mut self, name: &'static str, value: impl Into<String>) -> Runner {
        self.variables.push((name, value.into()));
        self
    }

    /// Adds a program that the steps find before all others.
    fn program(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{text}")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Creates a release archive whose program prints each of its arguments on a line.
    fn archive(&self) -> String {
        self.program("made/layers-1/layers", "printf '<%s>\\n' \"$@\"\n");
        pack(self.directory.path(), &["-czf", "release.tar.gz", "-C", "made", "layers-1"]);
        self.path("release.tar.gz").to_str().unwrap().to_owned()
    }

    /// Runs the command of the action's step with this name in the step's shell.
    fn step(&self, name: &str) -> Output {
        let action = read(ACTION);
        let steps = action["runs"]["steps"].as_array().unwrap().clone();
        let runs = steps.iter().filter_map(|step| step["run"].as_str());
        let run =
            runs.into_iter().find(|run| run.ends_with(&format!(" {name}"))).unwrap().to_owned();
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        Command::new("bash")
            .args(["--noprofile", "--norc", "-e", "-o", "pipefail", "-c", &run])
            .current_dir(self.path("work"))
            .env_clear()
            .env("PATH", path)
            .env("GITHUB_ACTION_PATH", env!("CARGO_MANIFEST_DIR"))
            .env("GITHUB_OUTPUT", self.path("output"))
            .env("GITHUB_PATH", self.path("path"))
            .env("RUNNER_TEMP", self.path("temp"))
            .env("RUNNER_OS", "Linux")
            .env("RUNNER_ARCH", "X64")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }
}

fn pack(directory: &Path, arguments: &[&str]) {
    let status = Command::new("tar").args(arguments).current_dir(directory).status().unwrap();
    assert!(status.success());
}

#[track_caller]
fn good(output: &Output) -> String {
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn bad(output: &Output, expected: &str) {
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && printed.contains(expected), "{printed}");
}

#[test]
fn the_action_is_valid_and_accepts_the_inputs_of_workflows() {
    let action = fitting(schema::ACTION, ACTION);
    let inputs: BTreeSet<&String> = action["inputs"].as_object().unwrap().keys().collect();
    let workflow = read(&github(&numbered(vec![vec![]]), &PLAIN).unwrap());
    let steps = workflow["jobs"]["build-i0"]["steps"].as_array().unwrap();
    let step = steps.iter().find(|step| step["uses"] == "acme/layers@v1").unwrap();
    for input in step["with"].as_object().unwrap().keys() {
        assert!(inputs.contains(input), "{input}: {inputs:?}");
    }
    // Each input is used, and each referenced step exists.
    for input in inputs {
        assert!(ACTION.matches(&format!("inputs.{input}")).count() >= 1, "{input}");
    }
    let steps = action["runs"]["steps"].as_array().unwrap();
    let ids: BTreeSet<&str> = steps.iter().filter_map(|step| step["id"].as_str()).collect();
    let named = regex::Regex::new(r"steps\.([a-z-]+)\.outputs\.([a-z]+)").unwrap();
    let script = include_str!("../../scripts/action.sh");
    for found in named.captures_iter(ACTION) {
        assert!(
            ids.contains(&found[1]) && script.contains(&format!("'{}=", &found[2])),
            "{found:?}"
        );
    }
}

#[test]
fn a_release_is_installed_and_run() {
    let runner = Runner::new();
    let archive = runner.archive();
    let args = "plan 'a b' \"it's\" $(touch pwned) `touch pwned`;touch pwned * ${HOME}\n--all";
    let runner = runner.var("ARCHIVE", archive).var("ARGS", args);
    good(&runner.step("locate"));
    let directory = runner.path("temp/layers");
    assert_eq!(runner.read("output"), format!("directory={}\n", directory.display()));
    good(&runner.step("install"));
    assert_eq!(runner.read("path"), format!("{}\n", directory.join("bin").display()));
    assert!(runner.read("output").ends_with("version=<--version>\n"));
    assert_eq!(
        good(&runner.step("run")),
        "<plan>\n<a b>\n<it's>\n<$(touch>\n<pwned)>\n<`touch>\n<pwned`;touch>\n<pwned>\n<*>\n<${HOME}>\n<--all>\n"
    );
    assert_eq!(fs::read_dir(runner.path("work")).unwrap().count(), 0);
}

#[test]
fn the_step_exits_with_the_code_of_the_program() {
    let runner = Runner::new().var("ARGS", "build");
    runner.program("temp/layers/bin/layers", "exit 3\n");
    assert_eq!(runner.step("run").status.code(), Some(3));
    let runner = runner.var("ARGS", "build 'x");
    bad(&runner.step("run"), "`args` is not valid");
}

#[test]
fn only_an_archive_with_the_expected_checksum_is_installed() {
    let runner = Runner::new();
    let archive = runner.archive();
    let sum = Command::new("sha256sum").arg(&archive).output().unwrap().stdout;
    let sum = String::from_utf8(sum).unwrap()[..64].to_owned();
    let runner = runner.var("ARCHIVE", &archive).var("SHA256", sum);
    good(&runner.step("install"));
    fs::remove_dir_all(runner.path("temp/layers")).unwrap();
    let runner = runner.var("SHA256", "0".repeat(64));
    bad(&runner.step("install"), "the checksum of the archive does not match `sha256`");
    assert!(!runner.path("temp/layers/bin/layers").exists());

    let empty = Runner::new();
    pack(empty.directory.path(), &["-czf", "x.tar.gz", "work"]);
    let path = empty.path("x.tar.gz").to_str().unwrap().to_owned();
    bad(&empty.var("ARCHIVE", path).step("install"), "does not contain the program `layers`");
    let plain = Runner::new().var("ARCHIVE", "http://example.com/x.tar.gz");
    bad(&plain.step("install"), "hint: use https://");
}

#[test]
fn without_an_archive_the_sources_are_compiled_once() {
    let cargo = "printf '%s\\n' \"$@\" > called\nmkdir -p \"$6/bin\"\n\
                 printf '#!/bin/sh\\necho layers 1\\n' > \"$6/bin/layers\"\nchmod +x \"$6/bin/layers\"\n";
    let runner = Runner::new();
    runner.program("bin/cargo", cargo);
    good(&runner.step("locate"));
    let key = runner.read("output").lines().nth(1).unwrap().to_owned();
    let form = regex::Regex::new("^key=layers-Linux-X64-[0-9a-f]{64}$").unwrap();
    assert!(form.is_match(&key), "{key}");
    good(&runner.step("install"));
    let called = runner.read("work/called");
    let root = runner.path("temp/layers");
    let sources = env!("CARGO_MANIFEST_DIR");
    assert_eq!(
        called,
        format!("install\n--path\n{sources}\n--locked\n--root\n{}\n", root.display())
    );
    fs::remove_file(runner.path("work/called")).unwrap();
    good(&runner.step("install"));
    assert!(!runner.path("work/called").exists(), "what the cache brought is not compiled again");
}

#[test]
fn the_cache_key_depends_on_the_sources() {
    let key = |change: &str| {
        let runner = Runner::new();
        for (path, text) in [("Cargo.toml", "a"), ("Cargo.lock", "b"), ("src/main.rs", change)] {
            let path = runner.path("sources").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
        std::os::unix::fs::symlink(script, runner.path("sources/scripts")).unwrap();
        let sources = runner.path("sources").to_str().unwrap().to_owned();
        let runner = runner.var("GITHUB_ACTION_PATH", sources);
        good(&runner.step("locate"));
        let key = runner.read("output").lines().nth(1).unwrap().to_owned();
        fs::remove_file(runner.path("sources/Cargo.lock")).unwrap();
        bad(&runner.step("locate"), "hint: set `archive` to");
        key
    };
    assert_eq!(key("c"), key("c"));
    assert_ne!(key("c"), key("d"));
}
