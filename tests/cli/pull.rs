//! `--pull` on the scripted engine, and from a real registry that requires credentials.
//!
//! Needs an engine and Debian's docker-registry. Set `LAYERS_TEST_NO_ENGINE=1` if there is none.

#![expect(clippy::disallowed_methods, reason = "tests drive programs")]

use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

use crate::harness::Project;

const SCRIPT: &str = r#"{"store": "store.json", "record": "calls.jsonl",
    "registry": {"debian:bookworm-slim": "one"}}"#;

#[test]
fn externals_are_pulled_before_planning() {
    let project = Project::shop().script(SCRIPT);
    let registry = |content: &str| {
        let script = SCRIPT.replace("one", content);
        std::fs::write(project.root().join(".layers/fake.json"), script).unwrap();
    };
    let build = |words: &str, code: i32| {
        let words = format!("build --all --engine fake -j1 --progress plain {words}");
        project.run(&words).code(code).err()
    };
    let printed = build("", 0);
    assert!(printed.starts_with("pulling debian:bookworm-slim\n"), "{printed}");
    assert!(printed.ends_with("5 built of 5 images in 0.0s\n"), "{printed}");
    registry("another");
    assert!(build("", 0).ends_with("0 built, 5 fresh of 5 images in 0.0s\n"));
    let printed = build("--pull", 0);
    assert!(printed.starts_with("debian:bookworm-slim: pulled\n"), "{printed}");
    assert!(printed.contains("base: external debian:bookworm-slim moved"), "{printed}");
    let printed = build("--pull", 0);
    assert!(printed.starts_with("debian:bookworm-slim: up to date\n"), "{printed}");
    assert!(printed.ends_with("0 built, 5 fresh of 5 images in 0.0s\n"), "{printed}");
    // Only the externals of the selected images are pulled, and no image of the repository.
    let pulls: Vec<String> =
        project.read(".layers/calls.jsonl").lines().map(str::to_owned).collect();
    let pulls: Vec<&String> = pulls.iter().filter(|line| line.contains(r#""pull""#)).collect();
    assert_eq!(pulls.len(), 3);
    assert!(pulls.iter().all(|line| line.contains("debian:bookworm-slim")));
    let project = Project::shop().script(r#"{"registry": {}}"#);
    let printed = project.run("build --all --pull --engine fake").code(4).err();
    assert!(printed.contains("error: can't pull `debian:bookworm-slim`"), "{printed}");
    // Without `--pull`, the engine pulls what it needs.
    let printed = project.run("build --all --engine fake").code(0).err();
    assert!(printed.ends_with("5 built of 5 images in 0.0s\n"), "{printed}");
    project.run("build --all --pull --dry-run --engine fake").code(2);
}

/// A registry on a port of this machine that accepts the user `me` with the password `open sesame`.
struct Registry {
    directory: TempDir,
    server: Child,
    host: String,
}

impl Registry {
    fn start() -> Registry {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = free.local_addr().unwrap().to_string();
        drop(free);
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let root = directory.path().display();
        let config = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {root}/store}}}}\n\
             http: {{addr: '{host}', secret: x}}\n\
             auth: {{htpasswd: {{realm: test, path: {root}/users}}}}\n"
        );
        std::fs::write(path("config.yml"), config).unwrap();
        std::fs::write(path("users"), format!("me:{HASH}\n")).unwrap();
        let auth = r#"{"auth": "bWU6b3BlbiBzZXNhbWU="}"#;
        std::fs::write(path("config.json"), format!(r#"{{"auths": {{"{host}": {auth}}}}}"#))
            .unwrap();
        let mut server = Command::new("docker-registry")
            .arg("serve")
            .arg(path("config.yml"))
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("docker-registry is installed (Debian package docker-registry)");
        let mut log = BufReader::new(server.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("listening on") {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "the registry ended");
        }
        // A process that writes to a pipe without a reader would eventually block.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Registry { directory, server, host }
    }

    fn docker(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("docker");
        command.arg("--config").arg(self.directory.path()).args(arguments).stdin(Stdio::null());
        let output = command.output().expect("docker can be run");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// Pushes an image with one file. Returns its ID.
    fn publish(&self, reference: &str, content: &str) -> String {
        let tar = self.directory.path().join("image.tar");
        let mut builder = tar::Builder::new(std::fs::File::create(&tar).unwrap());
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, Path::new("f"), content.as_bytes()).unwrap();
        builder.finish().unwrap();
        let output = self.docker(&["import", tar.to_str().unwrap(), reference]);
        self.docker(&["push", reference]);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

/// The bcrypt hash of `open sesame`.
const HASH: &str = "$2b$05$7h97/egww1fuSeSBu3DUeeDiibeSDN/K7X1/0GKjlb1vnIrevm/J6";

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

/// Removes images when the test ends, even if it fails, and all images with a label: a rebuilt image has lost
/// its name.
struct Images<'a>(&'a Registry, Vec<String>, String);

impl Drop for Images<'_> {
    fn drop(&mut self) {
        let filter = format!("label={}", self.2);
        let listed = self.0.docker(&["image", "ls", "--all", "--quiet", "--filter", &filter]);
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        for image in listed.split_whitespace().chain(self.1.iter().map(String::as_str)) {
            let mut command = Command::new("docker");
            drop(command.args(["image", "rm", "--force", image]).output());
        }
    }
}

#[test]
fn a_newer_external_is_pulled_from_its_registry() {
    if std::env::var_os("LAYERS_TEST_NO_ENGINE").is_some_and(|value| value == "1") {
        println!("skipped: LAYERS_TEST_NO_ENGINE=1 says that there is no engine");
        return;
    }
    let registry = Registry::start();
    let random = format!("layerstest{:016x}", RandomState::new().hash_one(std::process::id()));
    let external = format!("{}/{random}:1", registry.host);
    let built = format!("{random}/shop-base:latest");
    let label = format!("test={random}");
    let mut images = Images(&registry, vec![external.clone(), built], label);
    let old = registry.publish(&external, "old");
    images.1.push(old.clone());
    let project = Project::new()
        .dockerfile("base", &format!("FROM {external}\nLABEL test={random}\n"))
        .var("REPO_NS", random.as_str())
        .var("DOCKER_CONFIG", registry.directory.path().to_string_lossy());
    let project = match std::env::var("DOCKER_HOST") {
        Ok(host) => project.var("DOCKER_HOST", host),
        Err(_) => project,
    };
    let build =
        |words: &str| project.run(&format!("build --all --progress plain {words}")).code(0).err();
    assert!(build("").ends_with("1 built of 1 image in 0.0s\n"));
    let new = registry.publish(&external, "new");
    images.1.push(new.clone());
    assert_ne!(old, new);
    // The registry has the new image, the engine the old one.
    registry.docker(&["tag", &old, &external]);
    assert!(build("").ends_with("0 built, 1 fresh of 1 image in 0.0s\n"));
    let printed = build("--pull");
    assert!(printed.starts_with(&format!("{external}: pulled\n")), "{printed}");
    assert!(printed.contains(&format!("base: external {external} moved")), "{printed}");
    let printed = build("--pull");
    assert!(printed.starts_with(&format!("{external}: up to date\n")), "{printed}");
    assert!(printed.ends_with("0 built, 1 fresh of 1 image in 0.0s\n"), "{printed}");
    // An image that was removed from the engine is pulled again and is the same.
    registry.docker(&["image", "rm", "--force", &external]);
    let plan = project.run("plan").code(0).out();
    assert!(plan.contains(&format!("external {external} is no longer in the engine")), "{plan}");
    let printed = build("");
    assert!(printed.starts_with(&format!("pulling {external}\n")), "{printed}");
    assert!(printed.ends_with("0 built, 1 fresh of 1 image in 0.0s\n"), "{printed}");
    // Without credentials, the pull fails, and no plan is made with only some of the images.
    let stranger = project.var("DOCKER_CONFIG", "/nonexistent");
    let printed = stranger.run("build --all --pull").code(4).err();
    assert!(printed.starts_with(&format!("error: can't pull `{external}`: ")), "{printed}");
    assert!(printed.contains("\nhint: "), "{printed}");
}
