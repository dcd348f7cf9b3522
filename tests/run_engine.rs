//! Runs on a real engine that breaks: it restarts, its connections are cut, its disk is full, or an image is
//! removed between plan and build. In each case, the affected images fail with a clear message and the right
//! exit code, nothing hangs, and the next run continues from there.
//!
//! The engines that restart or are full belong to the tests, which requires root, `dockerd`, and `ip`. Set
//! `LAYERS_TEST_NO_ENGINE=1` if there is no engine at all.

#![expect(clippy::disallowed_methods, reason = "tests drive programs")]
#![expect(clippy::unwrap_used, reason = "a test that can't go on says where it stopped")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

mod common;

use common::between::Between;
use common::daemon::Daemon;
use common::registry::Registry;
use common::{Files, Name, TEST_LABEL, program};
use layers::engine::ImageStore;

/// The maximum time for an engine to free the space of a failed step.
const FREED_WITHIN: Duration = Duration::from_secs(60);

/// A repository of a base and images on it.
struct Tree {
    name: Name,
    root: PathBuf,
    host: Option<String>,
    _directory: tempfile::TempDir,
}

impl Tree {
    /// Creates a repository with only `base`, for an engine at an address or for the default one.
    fn new(host: Option<String>) -> Tree {
        let (name, directory) = (Name::new(), tempfile::tempdir().unwrap());
        let root = directory.path().canonicalize().unwrap();
        let config = format!("namespace = \"{}\"\napp = \"x\"\n", name.label());
        fs::write(root.join("layers.toml"), config).unwrap();
        let tree = Tree { name, root, host, _directory: directory };
        let label = tree.name.label().to_owned();
        tree.image("base", &format!("FROM scratch\nLABEL {TEST_LABEL}={label}\nCOPY bin /bin\n"));
        Files::with_busybox().write_below(&tree.root.join("docker/base"));
        tree
    }

    fn image(&self, image: &str, dockerfile: &str) {
        let directory = self.root.join("docker").join(image);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("Dockerfile"), dockerfile).unwrap();
    }

    /// Adds an image on base that prints `up` and then runs a command.
    fn on_base(&self, image: &str, command: &str) {
        let label = self.name.label();
        let text = format!("FROM {label}/x-base\nRUN true {label} {image}; echo up; {command}\n");
        self.image(image, &text);
    }

    fn layers(&self, words: &str) -> Command {
        let mut command = program::layers();
        command.args(words.split(' ')).arg("-C").arg(&self.root);
        if let Some(host) = &self.host {
            command.env("DOCKER_HOST", host);
        }
        command
    }

    /// Returns the exit code and the output of a whole run.
    fn run(&self, words: &str) -> (Option<i32>, String) {
        let output = self.layers(words).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    fn begin(&self, words: &str) -> Running {
        let mut child = self.layers(words).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Running { child, stderr, printed: String::new() }
    }
}

/// A run in progress.
struct Running {
    child: Child,
    stderr: BufReader<ChildStderr>,
    printed: String,
}

impl Running {
    /// Waits until its output contains a text.
    fn until(&mut self, words: &str) {
        while !self.printed.contains(words) {
            assert!(self.stderr.read_line(&mut self.printed).unwrap() > 0, "{}", self.printed);
        }
    }

    fn interrupt(&self) {
        let kill = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(kill.unwrap().success());
    }

    fn end(mut self) -> (Option<i32>, String) {
        self.stderr.read_to_string(&mut self.printed).unwrap();
        (self.child.wait().unwrap().code(), self.printed)
    }
}

#[test]
fn an_engine_restart_fails_only_the_images_being_built() {
    let Some(mut daemon) = Daemon::start_or_skip(None) else { return };
    let tree = Tree::new(Some(daemon.address()));
    tree.on_base("slow", "sleep 600");
    tree.on_base("other", "true");
    let mut running = tree.begin("build --all -j1 --keep-going --progress plain");
    running.until("slow: | up");
    daemon.stop();
    let (code, printed) = running.end();
    assert_eq!(code, Some(4), "{printed}");
    assert!(printed.contains("lost the connection to the engine at `unix://"), "{printed}");
    assert!(printed.contains("1 failed") && !printed.contains("source:"), "{printed}");
    daemon.start();
    tree.on_base("slow", "true");
    let (code, printed) = tree.run("build --all -j1 --progress plain");
    assert_eq!(code, Some(0), "{printed}");
    assert!(!printed.contains("base: built"), "what was finished counts: {printed}");
    assert_eq!(tree.run("plan --check").0, Some(0));
}

#[test]
fn a_run_with_retries_survives_an_engine_restart() {
    let Some(mut daemon) = Daemon::start_or_skip(None) else { return };
    let tree = Tree::new(Some(daemon.address()));
    // As long as the restart takes, and not longer.
    tree.on_base("slow", "sleep 3");
    let mut running = tree.begin("build --all --retries 6 --progress plain");
    running.until("slow: | up");
    daemon.stop();
    daemon.start();
    let (code, printed) = running.end();
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("lost the connection to the engine at `unix://"), "{printed}");
    assert!(printed.contains("2 built of 2 images"), "{printed}");
}

#[test]
fn a_connection_lost_during_a_build_is_restored_with_retries() {
    let Some(engine) = common::engine_or_skip() else { return };
    let between = Between::new(&engine);
    let tree = Tree::new(Some(format!("unix://{}", between.socket().display())));
    tree.on_base("slow", "sleep 2");
    let (mut without, words) = (
        tree.begin("build --all --progress plain"),
        "lost the connection to the engine at `unix://",
    );
    without.until("slow: | up");
    between.cut();
    let (code, printed) = without.end();
    assert_eq!(code, Some(4), "{printed}");
    assert!(
        printed.contains(words) && printed.contains("1 built, 1 failed of 2 images"),
        "{printed}"
    );
    // A different step: the engine could have completed the other one.
    tree.on_base("slow", "sleep 2; true");
    let mut with = tree.begin("build --all --retries 1 --progress plain");
    with.until("slow: | up");
    between.cut();
    let (code, printed) = with.end();
    assert_eq!(code, Some(0), "{printed}");
    assert!(
        printed.contains(words) && printed.contains("1 built, 1 fresh of 2 images"),
        "{printed}"
    );
}

#[test]
fn failures_of_the_engine_network_are_distinguished_from_those_of_an_image() {
    if common::engine_or_skip().is_none() {
        return;
    }
    let tree = Tree::new(None);
    let check = |dockerfile: &str, expected: i32, attempts: usize| {
        tree.image("x", dockerfile);
        let (code, printed) = tree.run("build x --retries 1 --progress plain");
        assert_eq!(code, Some(expected), "{dockerfile}{printed}");
        assert_eq!(printed.matches("x: attempt ").count() + 1, attempts, "{dockerfile}{printed}");
        assert!(printed.contains("error: x failed"), "{printed}");
    };
    check("FROM 127.0.0.1:1/none\n", 4, 2);
    check("FROM host.invalid/none\n", 4, 2);
    check("# syntax=127.0.0.1:1/none\nFROM scratch\n", 4, 2);
    check("FROM scratch\nADD http://127.0.0.1:1/none /\n", 4, 2);
    let base = tree.name.reference("/x-base");
    check(&format!("FROM {base}\nRUN echo {base}: connection refused; exit 3\n"), 1, 1);
    check(&format!("FROM {base}\nRUN {base} no such host\n"), 1, 1);
    check(&format!("FROM {base}\nUSER none\nRUN true {base}\n"), 1, 1);
}

#[test]
fn named_contexts_need_the_engine_or_the_frontend_that_the_build_uses() {
    let Some(engine) = common::engine_or_skip() else { return };
    let has_contexts = common::takes_named_contexts(&engine);
    let tree = Tree::new(None);
    let config = fs::read_to_string(tree.root.join("layers.toml")).unwrap();
    let contexts = config + "[image.x.contexts]\ntools = \"base\"\n";
    fs::write(tree.root.join("layers.toml"), contexts).unwrap();
    tree.image("x", "FROM scratch\nCOPY --from=tools /bin /bin\n");
    let (code, printed) = tree.run("build base --progress plain");
    assert_eq!(code, Some(0), "{printed}");
    let check = |first: &str, options: &str, words: Option<&str>| {
        tree.image("x", &format!("{first}FROM scratch\nCOPY --from=tools /bin /bin\n"));
        let (code, printed) = tree.run(format!("build x --progress plain {options}").trim());
        match words {
            None => assert_eq!(code, Some(0), "{first}{printed}"),
            Some(words) => {
                assert_ne!(code, Some(0), "{first}{printed}");
                assert!(printed.contains(words), "{first}{printed}");
            }
        }
        assert!(!printed.contains("library/tools"), "{first}{printed}");
    };
    let too_old = Some("too old for named contexts").filter(|_| !has_contexts);
    check("", "", too_old);
    let used = Some("resolve image config for");
    check("# syntax=127.0.0.1:1/none\n", "", used);
    let argument = "--build-arg BUILDKIT_SYNTAX=127.0.0.1:1/none";
    check("", &format!("--exclude base {argument}"), used);
    check("# syntax=acme/other\n", &format!("--exclude base {argument}"), used);
    // The line is a comment, and the frontend is the engine's.
    check("# a comment\n# syntax=127.0.0.1:1/none\n", "", too_old);
    let old = "does not support named contexts";
    check("# syntax=docker/dockerfile:1.3\n", "", Some(old));
    check("", "--exclude base --build-arg BUILDKIT_SYNTAX=docker/dockerfile:1.3", Some(old));
    if !has_contexts {
        check("#!/usr/bin/env x\n# syntax=127.0.0.1:1/none\n", "", too_old);
    }
}

#[test]
fn a_full_engine_disk_fails_only_images_that_do_not_fit() {
    let Some(daemon) = Daemon::start_or_skip(Some(64)) else { return };
    let tree = Tree::new(Some(daemon.address()));
    tree.on_base("large", "dd if=/dev/urandom of=/large bs=1M count=100");
    tree.on_base("small", "true");
    let (code, printed) = tree.run("build --all -j1 --keep-going --progress plain");
    assert!(
        printed.contains("No space left on device") || printed.contains("no space left"),
        "{printed}"
    );
    assert!(printed.contains("large failed"), "{printed}");
    // A command that lacks space fails its image. If the engine itself lacks space, the engine failed.
    assert_eq!(code, Some(if printed.contains("small failed") { 4 } else { 1 }), "{printed}");
    // containerd frees the space of a failed step with a delay.
    assert!(daemon.has_containerd_store() || printed.contains("1 failed"), "{printed}");
    let since = Instant::now();
    loop {
        let (code, printed) = tree.run("build small --progress plain");
        if code == Some(0) {
            break;
        }
        assert!(since.elapsed() < FREED_WITHIN, "{printed}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_full_state_directory_disk_loses_only_the_log() {
    if common::engine_or_skip().is_none() {
        return;
    }
    let tree = Tree::new(None);
    let directory = tree.root.join(".layers");
    fs::create_dir(&directory).unwrap();
    let mount = ["-t", "tmpfs", "-o", "size=4k,nr_inodes=3", "layers-test"];
    let mounted = Command::new("mount").args(mount).arg(&directory).output().unwrap();
    if !mounted.status.success() {
        eprintln!("skipped: {}", String::from_utf8_lossy(&mounted.stderr));
        return;
    }
    tree.on_base("child", "true");
    let (code, printed) = tree.run("build --all --progress plain");
    let again = tree.run("build --all --progress quiet");
    assert!(Command::new("umount").arg(&directory).status().unwrap().success());
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("2 built of 2 images"), "{printed}");
    assert!(printed.contains("can't write the log of this run"), "{printed}");
    assert_eq!(again, (Some(0), "0 built, 2 fresh of 2 images in 0.0s\n".to_owned()));
}

#[test]
fn a_parent_removed_between_plan_and_build_is_detected() {
    let Some(engine) = common::engine_or_skip() else { return };
    let tree = Tree::new(None);
    let label = tree.name.label().to_owned();
    assert_eq!(tree.run("build base --progress quiet").0, Some(0));
    tree.on_base("slow", "sleep 2");
    let text = format!("FROM {label}/x-base\nCOPY --from={label}/x-slow /bin /other\n");
    tree.image("dev", &text);
    // The base of `dev` is fresh in the plan. It is removed before `dev` is built.
    let mut running = tree.begin("build dev --progress plain");
    running.until("slow: | up");
    ImageStore::remove(&engine, &tree.name.reference("/x-base")).unwrap();
    let (code, printed) = running.end();
    if common::takes_named_contexts(&engine) {
        // Parents have unique names while images are built on them.
        assert_eq!(code, Some(0), "{printed}");
        assert!(printed.contains("2 built, 1 fresh of 3 images"), "{printed}");
        assert_eq!(tree.run("build dev --progress plain").0, Some(0));
        return;
    }
    assert_eq!(code, Some(4), "{printed}");
    let removed = format!("`{label}/x-base:latest` was removed while `slow` was built on it");
    let by_name = printed.contains(&removed) && printed.contains("try again: layers build dev ");
    // Where parents have unique names during a build, the base is removed with the last of them.
    let by_id = printed.contains("hint: run the command again; another process removed the image");
    assert!(by_name || by_id, "{printed}");
    let (code, printed) = tree.run("build dev --progress plain");
    assert_eq!(code, Some(0), "{printed}");
}

const SILENT: &str = "waiting for the engine to respond";

#[test]
fn the_first_signal_ends_a_run_that_waits_for_a_silent_engine() {
    let Some(engine) = common::engine_or_skip() else { return };
    let between = Between::new(&engine);
    let tree = Tree::new(Some(format!("unix://{}", between.socket().display())));
    assert_eq!(tree.run("build base --progress quiet").0, Some(0));
    let store: &dyn ImageStore = &engine;
    let reference = tree.name.reference("/x-base");
    let image = store.inspect(&reference).unwrap().unwrap();
    store.tag(&image.id, &tree.name.reference("/other")).unwrap();
    store.remove(&reference).unwrap();
    // The run begins with the restoration of the reference.
    between.hang_before("/tag?repo=");
    let mut running = tree.begin("build base --progress plain");
    running.until(SILENT);
    running.interrupt();
    let (status, printed) = running.end();
    assert_eq!(status, None, "{printed}");
    assert!(printed.contains("interrupted") && printed.contains("base: canceled"), "{printed}");
}

#[test]
fn a_silent_engine_does_not_delay_the_end_of_a_run_for_long() {
    let Some(engine) = common::engine_or_skip() else { return };
    let between = Between::new(&engine);
    let tree = Tree::new(Some(format!("unix://{}", between.socket().display())));
    tree.on_base("dev", "true");
    // The names that a run uses for itself.
    between.hang_before("DELETE /");
    let (code, printed) = tree.run("build --all --progress plain");
    assert_eq!(code, Some(0), "{printed}");
    let (_, after) = printed.split_once("2 built of 2 images").expect(&printed);
    assert!(after.contains(SILENT), "{printed}");
}

#[test]
fn the_first_signal_ends_a_push_by_a_silent_engine() {
    let Some(engine) = common::engine_or_skip() else { return };
    let Some(registry) = Registry::start() else { return };
    let between = Between::new(&engine);
    let tree = Tree::new(Some(format!("unix://{}", between.socket().display())));
    let hanging = between.hang_before("/push?tag=");
    let address = registry.address();
    let running = tree.begin(&format!("build base --push --registry {address} --progress plain"));
    hanging.recv().unwrap();
    running.interrupt();
    let (status, printed) = running.end();
    assert_eq!(status, None, "{printed}");
    assert!(printed.contains("base: push canceled"), "{printed}");
    assert!(printed.contains("1 built of 1 image"), "{printed}");
}
