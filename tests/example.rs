//! The example in `docker/`, built by the program on a real engine and then used.
//!
//! Owns a copy of the example in a separate namespace, so that the user's images and those of other runs are
//! not changed. Removes everything that it created, even if it fails.

#![expect(clippy::disallowed_methods, reason = "tests drive programs")]
#![expect(clippy::unwrap_used, reason = "a panic shows what failed")]
#![expect(clippy::print_stderr, reason = "a test that is left out says so")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

#[path = "common/expect.rs"]
mod expect;
#[path = "common/program.rs"]
mod program;

use program::{docker, output_of, root};

const IMAGES: [&str; 5] = ["agent", "base", "builder", "dev", "release"];

#[test]
fn the_example_is_built_and_works() {
    if !engine_or_skip() {
        return;
    }
    run(Command::new(root().join("scripts/external-images.sh")));
    let example = Example::copied();
    run(layers(example.directory.path(), &["build", "--all"]));

    release_answers(&example);
    agent_sees_the_release(&example);
    let tests =
        run(docker(&["run", "--rm", "--name", &example.container("dev"), &example.image("dev")]));
    assert!(tests.contains(" passed"), "{tests}");

    let before = example.image_ids();
    run(layers(example.directory.path(), &["build", "--all"]));
    assert_eq!(before, example.image_ids(), "nothing changed, so nothing is built again");
}

#[test]
fn the_committed_graph_is_up_to_date() {
    expect::expect_file("graph.json", &run(layers(root(), &["graph", "--json"])));
    run(layers(root(), &["graph", "--check"]));
}

/// Starts the release, waits until it reports that it is open, and requests its page.
fn release_answers(example: &Example) {
    let name = example.container("release");
    run(docker(&[
        "run",
        "-d",
        "--name",
        &name,
        "-p",
        "127.0.0.1::8000",
        &example.image("release"),
    ]));

    let mut log = docker(&["logs", "--follow", &name]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(log.stdout.take().unwrap()).lines();
    let open = lines.any(|line| line.unwrap() == "the shop is open on port 8000");
    log.kill().unwrap();
    log.wait().unwrap();
    assert!(open, "the release ended before it was open");

    let address = run(docker(&["port", &name, "8000/tcp"]));
    let page = ask(address.lines().next().unwrap(), "/");
    assert!(page.starts_with("HTTP/1.0 200 OK\r\n"), "{page}");
    assert!(page.contains("<li>Rocket skates: 129.50</li>"), "{page}");
}

/// Runs the agent in the release's network, where it reports that the shop is healthy.
fn agent_sees_the_release(example: &Example) {
    let seen = run(docker(&[
        "run",
        "--rm",
        "--name",
        &example.container("agent"),
        "--network",
        &format!("container:{}", example.container("release")),
        "--env",
        "SHOP_URL=http://127.0.0.1:8000",
        &example.image("agent"),
        "once",
    ]));
    assert!(seen.contains("\"well\":true"), "{seen}");
    assert!(seen.contains("\"connect_ms\":") && !seen.contains("null"), "{seen}");
}

/// Returns a complete HTTP response, head and body.
fn ask(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A copy of the example whose images are in a separate namespace.
struct Example {
    directory: tempfile::TempDir,
    namespace: String,
}

impl Example {
    fn copied() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
        let namespace = format!("layerstest{}x{now}", std::process::id());
        let directory = tempfile::tempdir().unwrap();
        copy(&root().join("docker"), &directory.path().join("docker"), &|text| {
            text.replace("acme/", &format!("{namespace}/"))
        });
        Self { directory, namespace }
    }

    fn image(&self, name: &str) -> String {
        format!("{}/shop-{name}:latest", self.namespace)
    }

    fn container(&self, name: &str) -> String {
        format!("{}-{name}", self.namespace)
    }

    fn image_ids(&self) -> Vec<String> {
        let id = |name| run(docker(&["image", "inspect", "-f", "{{.Id}}", &self.image(name)]));
        IMAGES.into_iter().map(id).collect()
    }
}

impl Drop for Example {
    /// Removes containers before images. This must not panic because it can run during a panic.
    fn drop(&mut self) {
        for name in IMAGES {
            quietly(docker(&["rm", "--force", "--volumes", &self.container(name)]));
        }
        let pattern = format!("reference={}/*", self.namespace);
        let mut list = docker(&["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]);
        let Ok(found) = list.args(["--filter", &pattern]).output() else { return };
        for reference in String::from_utf8_lossy(&found.stdout).lines() {
            quietly(docker(&["image", "rm", "--force", reference]));
        }
    }
}

/// Copies a directory with its permissions. `edit` changes the Dockerfiles.
fn copy(from: &Path, to: &Path, edit: &dyn Fn(&str) -> String) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name), edit);
        } else if name == "Dockerfile" {
            fs::write(to.join(name), edit(&fs::read_to_string(&path).unwrap())).unwrap();
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// Whether there is an engine. Without one, this fails, unless the user said that there is none: a test that
/// did not run must not look like one that passed.
fn engine_or_skip() -> bool {
    if std::env::var_os("LAYERS_TEST_NO_ENGINE").is_some_and(|value| !value.is_empty()) {
        eprintln!("skipped: LAYERS_TEST_NO_ENGINE is set");
        return false;
    }
    run(docker(&["version", "--format", "{{.Server.Version}}"]));
    true
}

/// Returns a command for the program in a directory, without the user's variables for names.
fn layers(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = program::layers();
    command.args(arguments).arg("-C").arg(directory);
    command
}

/// Runs a command that must succeed. Returns its stdout.
#[track_caller]
fn run(mut command: Command) -> String {
    output_of(command.stdin(Stdio::null()))
}

/// Runs a command whose result does not matter.
fn quietly(mut command: Command) {
    drop(command.stdin(Stdio::null()).output());
}
