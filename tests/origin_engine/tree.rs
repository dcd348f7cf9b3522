//! A repository in a temporary directory, the program run in it, and images built without the program.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use layers::engine::{Builder, ImageStore, StoredImage};
use layers::engine::{Frontend, docker::Docker};
use serde_json::Value;

use crate::common::program::{self, output_of};
use crate::common::{self, Files, Name, TEST_LABEL, engine_or_skip, request};

/// A program that maps the given file and writes to it what it reads, three bytes at a time. The first write
/// creates its own page. On a file system in memory, later writes are not detected.
const MAPPER: &str = r#"
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
int main(int n, char **v) {
    char word[3];
    int f = open(v[1], O_RDWR);
    volatile char *m = mmap(0, 3, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
    if (m == MAP_FAILED) return 1;
    m[0] = m[0];
    write(1, "k", 1);
    while (read(0, word, 3) == 3) {
        memcpy((char *)m, word, 3);
        write(1, "k", 1);
    }
    return 0;
}
"#;

/// A file that a process has mapped.
pub struct MappedFile {
    child: Child,
    path: PathBuf,
}

impl MappedFile {
    fn wait(&mut self) {
        self.child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    }

    /// Overwrites the first three bytes without changing the file's times.
    pub fn change(&mut self, content: &str) {
        let times = |path: &Path| {
            let metadata = fs::metadata(path).unwrap();
            (metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec())
        };
        let before = times(&self.path);
        self.child.stdin.as_mut().unwrap().write_all(content.as_bytes()).unwrap();
        self.wait();
        assert_eq!(fs::read_to_string(&self.path).unwrap(), content);
        assert_eq!(times(&self.path), before, "the test needs a change that no time tells");
    }
}

impl Drop for MappedFile {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

/// A repository whose images are named `NAME/x-DIRECTORY`.
pub struct Tree {
    pub name: Name,
    pub docker: Docker,
    root: PathBuf,
    host: Option<String>,
    _directory: tempfile::TempDir,
}

impl Tree {
    /// Creates an empty repository. Returns `None` without an engine.
    pub fn new_or_skip() -> Option<Tree> {
        let docker = engine_or_skip()?;
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let host = std::env::var("DOCKER_HOST").ok();
        let tree = Tree { name: Name::new(), docker, root, host, _directory: directory };
        tree.configure("");
        Some(tree)
    }

    /// Uses another address of the engine.
    pub fn through(mut self, socket: &Path) -> Tree {
        self.host = Some(format!("unix://{}", socket.display()));
        self
    }

    /// Returns the name of an image of the repository or of the test.
    pub fn reference(&self, image: &str) -> String {
        self.name.reference(&format!("/x-{image}:latest"))
    }

    /// Writes `layers.toml`.
    pub fn configure(&self, more: &str) {
        let namespace = self.name.reference("");
        let text = format!("namespace = \"{namespace}\"\napp = \"x\"\n{more}");
        fs::write(self.root.join("layers.toml"), text).unwrap();
    }

    /// Writes a file.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Writes an image's Dockerfile, in which `NS` stands for the namespace. All images of the test have its
    /// label, so that they are removed.
    pub fn dockerfile(&self, image: &str, text: &str) {
        let label = format!("LABEL {TEST_LABEL}={}\n", self.name.label());
        let text = text.replace("NS", &self.name.reference(""));
        // After the last FROM because some tests are about the last instruction.
        let last = text.rfind("FROM ").unwrap();
        let end = last + text[last..].find('\n').unwrap() + 1;
        let text = format!("{}{label}{}", &text[..end], &text[end..]);
        self.write(&format!("docker/{image}/Dockerfile"), text);
    }

    /// Deletes what the program has stored.
    pub fn forget(&self) {
        fs::remove_dir_all(self.root.join(".layers")).unwrap();
    }

    /// Moves the repository, which is still empty, to a file system in memory.
    pub fn moved_to_tmpfs(mut self) -> Tree {
        self._directory = tempfile::tempdir_in("/dev/shm").unwrap();
        self.root = self._directory.path().canonicalize().unwrap();
        self.configure("");
        self
    }

    /// Maps a file into the memory of a process, which can then change it.
    pub fn map(&self, path: &str) -> MappedFile {
        let path = self.root.join(path);
        let program = self._directory.path().join("change");
        let source = program.with_extension("c");
        fs::write(&source, MAPPER).unwrap();
        let output = Command::new("cc").arg("-o").arg(&program).arg(&source).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut command = Command::new(&program);
        command.arg(&path).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut mapped = MappedFile { child: command.spawn().unwrap(), path };
        mapped.wait();
        mapped
    }

    /// Runs the program. Returns the exit code, and prints the output.
    pub fn run_any(&self, words: &[&str]) -> i32 {
        let output = self.command(words).output().unwrap();
        println!("{}", String::from_utf8_lossy(&output.stderr));
        output.status.code().unwrap()
    }

    /// Runs the program. Returns both streams.
    pub fn run(&self, words: &[&str], code: i32) -> (String, String) {
        let Output { status, stdout, stderr } = self.command(words).output().unwrap();
        let [out, err] = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(status.code(), Some(code), "{words:?}:\n{out}\n{err}");
        (out, err)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = program::layers_without_settings();
        command.args(words).current_dir(&self.root);
        if let Some(host) = &self.host {
            command.env("DOCKER_HOST", host);
        }
        command
    }

    /// Builds all images. Returns the output.
    pub fn build(&self) -> String {
        self.run(&["build", "--all", "--progress", "plain"], 0).1
    }

    /// Returns an image's verdict in a plan.
    pub fn verdict(&self, image: &str) -> String {
        let (out, _) = self.run(&["plan", "--json"], 0);
        let plan: Value = serde_json::from_str(&out).unwrap();
        let images = plan.as_array().unwrap();
        let found = images.iter().find(|it| it["image"] == image).unwrap();
        found["verdict"].as_str().unwrap().to_owned()
    }

    /// Returns an image of the repository from the engine.
    pub fn inspect(&self, image: &str) -> StoredImage {
        self.docker.inspect(&self.reference(image)).unwrap().unwrap()
    }

    /// Builds an image without the program, with additional labels.
    pub fn by_hand(&self, text: &str, reference: &str, labels: &[(&str, &str)], files: Files) {
        let text = text.replace("NS", &self.name.reference(""));
        let mut request = request(&self.name, &text, files);
        request.references = vec![reference.to_owned()];
        request.no_cache = false;
        // The label of the test is inherited or set by the Dockerfile. Setting it again would be a change.
        request.labels.clear();
        request.labels.extend(labels.iter().map(|(name, value)| ((*name).into(), (*value).into())));
        println!("by hand: {text:?}");
        let (outcome, _) = common::build(&self.docker, &request);
        assert!(matches!(outcome, layers::engine::BuildOutcome::Built { .. }), "{outcome:?}");
    }

    /// Loads an image from the files of an archive in the format of `docker save`.
    pub fn load(&self, archive: &[u8]) {
        let mut command = Command::new("docker");
        let mut child =
            command.arg("load").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(archive).unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// Runs the docker command.
    pub fn docker(&self, words: &[&str]) {
        output_of(&mut program::docker(words));
    }

    /// Whether the engine's own frontend corresponds to this version of `docker/dockerfile` or a newer one.
    pub fn has_frontend(&self, version: Frontend) -> bool {
        self.docker.info().unwrap().frontend.is_none_or(|own| own >= version)
    }
}
