//! Creates a small repository, runs the binary in it, and compares its complete output.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

pub use crate::expect::assert_same;
use crate::expect::expect_file;
use crate::program::layers_without_settings;

/// A repository in its own directory with the name `shop`.
pub struct Project {
    _directory: TempDir,
    root: PathBuf,
    variables: Vec<(String, String)>,
}

/// The result of a run of the binary.
pub struct Ran {
    output: Output,
    root: PathBuf,
}

impl Project {
    /// Creates an empty repository.
    pub fn new() -> Project {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("shop");
        fs::create_dir_all(root.join(".git")).unwrap();
        Project { _directory: directory, root: root.canonicalize().unwrap(), variables: Vec::new() }
    }

    /// Creates the tree of most tests: base ← builder ← dev, release copying from builder, agent alone.
    pub fn shop() -> Project {
        Project::new()
            .dockerfile("base", "FROM debian:bookworm-slim\nRUN true\n")
            .dockerfile("builder", "FROM acme/shop-base\nRUN make wheels\n")
            .dockerfile("dev", "FROM acme/shop-builder:latest\nRUN make test\n")
            .dockerfile(
                "release",
                "FROM acme/shop-base:latest\nCOPY --from=acme/shop-builder:latest /wheels /wheels\n",
            )
            .dockerfile("agent", "FROM debian:bookworm-slim\nRUN true\n")
    }

    /// Adds a file.
    pub fn file(self, path: &str, text: impl AsRef<[u8]>) -> Project {
        self.write(path, &text);
        self
    }

    /// Writes a file.
    pub fn write(&self, path: &str, text: &(impl AsRef<[u8]> + ?Sized)) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Adds a copy of an executable program.
    pub fn program(self, path: &str, from: &Path) -> Project {
        let to = self.root.join(path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, &to).unwrap();
        self
    }

    /// Adds `docker/NAME/Dockerfile`.
    pub fn dockerfile(self, name: &str, text: &str) -> Project {
        self.file(&format!("docker/{name}/Dockerfile"), text)
    }

    /// Sets an environment variable for the runs.
    pub fn var(mut self, name: &str, value: impl Into<String>) -> Project {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// Sets the script of the fake engine.
    pub fn script(self, json: &str) -> Project {
        let path = self.root.join(".layers/fake.json");
        let project = self.file(".layers/fake.json", json);
        project.var("LAYERS_FAKE_SCRIPT", path.to_string_lossy())
    }

    /// Returns the repository's directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the text of a file.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap()
    }

    /// Returns a command that runs the binary at the root, with a minimal environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = layers_without_settings();
        command.args(arguments).current_dir(&self.root).env_remove("DOCKER_HOST");
        command.env("HOME", self.root.parent().unwrap());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the binary with arguments separated by spaces.
    pub fn run(&self, arguments: &str) -> Ran {
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        let output = self.command(&arguments).output().unwrap();
        Ran { output, root: self.root.clone() }
    }
}

impl Ran {
    /// Checks the exit code. Shows the complete output if it is different.
    #[track_caller]
    pub fn code(self, expected: i32) -> Ran {
        assert_eq!(self.output.status.code(), Some(expected), "{}", self.everything());
        self
    }

    /// Compares the complete stdout.
    #[track_caller]
    pub fn stdout(self, expected: &str) -> Ran {
        assert_same(&self.text(&self.output.stdout), expected);
        self
    }

    /// Compares the complete stdout with a file in `tests/cli/expected`.
    #[track_caller]
    pub fn stdout_file(self, name: &str) -> Ran {
        expect_file(&format!("tests/cli/expected/{name}"), &self.out());
        self
    }

    /// Compares the complete stderr.
    #[track_caller]
    pub fn stderr(self, expected: &str) -> Ran {
        assert_same(&self.text(&self.output.stderr), expected);
        self
    }

    /// Compares the complete stderr with a file in `tests/cli/expected`.
    #[track_caller]
    pub fn stderr_file(self, name: &str) -> Ran {
        expect_file(&format!("tests/cli/expected/{name}"), &self.err());
        self
    }

    /// Returns stdout.
    pub fn out(&self) -> String {
        self.text(&self.output.stdout)
    }

    /// Returns stderr.
    pub fn err(&self) -> String {
        self.text(&self.output.stderr)
    }

    fn everything(&self) -> String {
        format!("stdout:\n{}\nstderr:\n{}", self.out(), self.err())
    }

    /// Returns output with the parts that vary between runs replaced: the root by `[root]`, times by `0.0s`,
    /// IDs of runs by `[run]`, and when they started by `[moment]`.
    fn text(&self, bytes: &[u8]) -> String {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let text = text.replace(self.root.to_str().unwrap(), "[root]");
        let times = regex::Regex::new(r"\b\d+\.\ds").unwrap();
        let runs = regex::Regex::new(r"\b\d{8}-\d{6}-\d+\b").unwrap();
        let text = runs.replace_all(&text, "[run]");
        let moments = regex::Regex::new(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC").unwrap();
        let text = moments.replace_all(&text, "[moment]");
        let stamps = regex::Regex::new(r"(?m)^\[ *\d+\.\ds\] ").unwrap();
        let text = stamps.replace_all(&text, "[0.0s] ");
        times.replace_all(&text, "0.0s").into_owned()
    }
}
