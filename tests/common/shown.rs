//! Examples on pages: the commands of `console` blocks, their expected output, and a copy of the example in
//! `docker/` to run them in, on the scripted engine.
#![allow(dead_code, reason = "each test program uses a part of it")]
#![expect(clippy::unwrap_used, reason = "a test that can't go on says where it stopped")]
#![allow(clippy::disallowed_methods, reason = "tests drive programs")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::program;

/// A command on a page, and the text below it up to the next command.
pub struct DocumentedCommand {
    /// The text after `$ `, without the comment after `#`.
    pub command: String,
    /// The expected output. Empty if none is shown.
    pub answer: String,
    /// The expected exit code: 0, unless the comment says `ends with N`.
    pub code: i32,
}

/// Returns the blocks of a page in a language.
pub fn blocks(page: &str, language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(opened) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        if opened == language {
            found.push(block.iter().map(|line| format!("{line}\n")).collect());
        }
    }
    found
}

/// Returns a page without its blocks.
pub fn prose(page: &str) -> String {
    let mut is_inside = false;
    let lines = page.lines().filter(|line| {
        let is_fence = line.starts_with("```");
        is_inside ^= is_fence;
        !is_inside && !is_fence
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns the inline code of a page.
pub fn code(page: &str) -> Vec<String> {
    let prose = prose(page).replace('\n', " ");
    let pieces = prose.split('`').skip(1).step_by(2);
    pieces.map(|code| code.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// Returns the commands of a page's `console` blocks, in order.
pub fn consoles(page: &str) -> Vec<DocumentedCommand> {
    let mut shown: Vec<DocumentedCommand> = Vec::new();
    for block in blocks(page, "console") {
        let before = shown.len();
        for line in block.lines() {
            if let Some(written) = line.strip_prefix("$ ") {
                let (command, remark) = written.split_once("  #").unwrap_or((written, ""));
                let code = remark.split_once("ends with ").map_or(0, |(_, code)| {
                    code.trim_end().parse().unwrap_or_else(|_| panic!("no exit code: {line}"))
                });
                let command = command.trim().to_owned();
                shown.push(DocumentedCommand { command, answer: String::new(), code });
            } else {
                assert!(shown.len() > before, "a block begins with a command:\n{block}");
                let last = shown.last_mut().unwrap();
                last.answer.push_str(line);
                last.answer.push('\n');
            }
        }
    }
    shown
}

/// A copy of the example as a git repository, with everything committed on `main`.
pub struct Shop {
    directory: TempDir,
    root: PathBuf,
    script: Option<PathBuf>,
}

impl Shop {
    /// Creates a copy whose engine has no persistent store.
    pub fn new() -> Shop {
        let directory = tempfile::tempdir().unwrap();
        // Programs print their location without symbolic links.
        let root = directory.path().canonicalize().unwrap().join("shop");
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        copy(&source.join("docker"), &root.join("docker"));
        let shop = Shop { directory, root, script: None };
        shop.commit();
        shop
    }

    /// Creates a copy whose engine has a store, and a registry with the externals of the example.
    pub fn with_store() -> Shop {
        let shop = Shop::new();
        let script = shop.directory.path().join("engine.json");
        let registry = r#"{"debian:bookworm-slim": "debian"}"#;
        let text = format!(r#"{{"store": "store.json", "registry": {registry}}}"#);
        fs::write(&script, text).unwrap();
        Shop { script: Some(script), ..shop }
    }

    /// Returns its directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Creates a git repository with the current files.
    fn commit(&self) {
        for arguments in ["init -q -b main", "add -A", "commit -q -m x"] {
            program::git(&self.root, &arguments.split(' ').collect::<Vec<_>>());
        }
    }

    /// Runs a command in a shell.
    pub fn run(&self, command: &str) -> Output {
        let binary = Path::new(env!("CARGO_BIN_EXE_layers")).parent().unwrap();
        let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        shell.args(["-ec", command]).current_dir(&self.root).stdin(Stdio::null());
        shell.env("PATH", path).env("LAYERS_ENGINE", "fake").env_remove("LAYERS_FAKE_SCRIPT");
        // These would change names and the output format.
        for name in program::NAMING.into_iter().chain(["GITHUB_ACTIONS", "CLICOLOR_FORCE"]) {
            shell.env_remove(name);
        }
        if command.contains("DOCKER_HOST=") {
            shell.env_remove("LAYERS_ENGINE");
        }
        shell.envs(self.script.iter().map(|script| ("LAYERS_FAKE_SCRIPT", script)));
        shell.output().unwrap()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
