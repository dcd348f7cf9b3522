//! `affected`, `list --since`, and `diff` in random repositories, compared with plans.
//!
//! A revision is cloned, checked out, and built on the scripted engine. The images that a plan of another
//! state then finds stale are the expected result: for the current work tree, and for a later revision in a
//! new clone. Repositories have links, submodules, conversions, modes, ignore files, and flags of the index.
//! `LAYERS_CASES` sets the number of repositories, `LAYERS_SEED` the first one.

#![expect(clippy::unwrap_used, reason = "a test that can't go on says where it stopped")]
#![expect(clippy::disallowed_methods, reason = "tests drive programs")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

#[path = "common/dice.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod dice;
#[path = "common/program.rs"]
mod program;

use dice::Dice;
use program::git;

const IMAGES: [&str; 4] = ["a", "b", "c", "z"];
const FILES: [&str; 8] =
    ["f", "g.txt", "h.up", "i.id", "d/f", "d/e/g.txt", "x.log", "d/odd \u{fc}\n\"name"];

/// The possible locations of images and files.
const PLACES: [&str; 7] =
    ["docker/a", "docker/b", "docker/c", "images/z", "shared/v1", "shared/v2/sub", "lib"];

/// A repository and its submodule, in a temporary directory.
struct World {
    dice: Dice,
    directory: tempfile::TempDir,
    number: u64,
    log: Vec<String>,
}

/// Configures a clone with settings that a user has for all repositories.
fn configure(at: &Path) {
    for (name, value) in [("smudge", "sed s/low/HIGH/"), ("clean", "sed s/HIGH/low/")] {
        git(at, &["config", &format!("filter.up.{name}"), value]);
    }
}

impl World {
    fn new(seed: u64) -> World {
        let directory = tempfile::tempdir().unwrap();
        let mut world = World { dice: Dice::new(seed), directory, number: 0, log: Vec::new() };
        for path in [world.library(), world.root()] {
            fs::create_dir_all(&path).unwrap();
            git(&path, &["init", "--quiet", "--initial-branch=main"]);
            configure(&path);
        }
        world.script("store");
        world.lay_out();
        world
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("work/shop")
    }

    fn library(&self) -> PathBuf {
        self.directory.path().join("library")
    }

    fn script(&self, name: &str) -> PathBuf {
        let script = self.directory.path().join(format!("{name}.json"));
        fs::write(&script, format!(r#"{{"store": "{name}.images.json"}}"#)).unwrap();
        script
    }

    fn write(&mut self, path: &str, text: &str) {
        let at = self.root().join(path);
        // Remove links and files that are in the way.
        let mut above = self.root();
        for part in Path::new(path).parent().unwrap() {
            above.push(part);
            if above.symlink_metadata().is_ok_and(|found| !found.is_dir()) {
                fs::remove_file(&above).unwrap();
            }
        }
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        if at.symlink_metadata().is_ok_and(|found| found.is_symlink()) {
            fs::remove_file(&at).unwrap();
        }
        if at.is_dir() {
            return;
        }
        fs::write(at, text).unwrap();
        self.log.push(format!("write {path:?} {text:?}"));
    }

    fn link(&mut self, path: &str, text: &str) {
        let at = self.root().join(path);
        let is_reached = at.parent().unwrap().canonicalize().is_ok_and(|above| {
            above == self.root().canonicalize().unwrap().join(path).parent().unwrap()
        });
        if !is_reached || at.symlink_metadata().is_ok_and(|found| found.is_dir()) {
            return;
        }
        drop(fs::remove_file(&at));
        symlink(text, at).unwrap();
        self.log.push(format!("link {path:?} {text:?}"));
    }

    /// Returns a text that no file had before.
    fn text(&mut self) -> String {
        self.number += 1;
        let number = self.number;
        let words = ["one", "low", "$Id$", "one\r\ntwo\r\n", "", "caf\u{e9}"];
        format!("{number}\n{}\nlow {number}\n", self.dice.word(&words))
    }

    fn dockerfile(&mut self) -> String {
        let number = self.dice.below(3);
        let from = match self.dice.below(4) {
            0 => format!("acme/shop-{}", self.dice.word(&IMAGES[..2])),
            _ => "scratch".to_owned(),
        };
        let copy = self.dice.word(&[
            "COPY . /x",
            "COPY f /x",
            "COPY d /x",
            "COPY *.txt /x/",
            "COPY d/e/ h.up /x/",
            "COPY <<EOF /x\nlow\n$Id$\nEOF",
            "RUN echo '$Id$' low",
        ]);
        format!("FROM {from}\n{copy}\nENV N={number}\n")
    }

    fn lay_out(&mut self) {
        let library = self.library();
        for path in ["f", "g.txt", "d/f"] {
            fs::create_dir_all(library.join(path).parent().unwrap()).unwrap();
            fs::write(library.join(path), "low\n1\n").unwrap();
        }
        let text = "FROM scratch\nCOPY . /x\n";
        fs::write(library.join("Dockerfile"), text).unwrap();
        fs::write(library.join(".gitattributes"), "*.txt eol=crlf\n").unwrap();
        git(&library, &["add", "--all"]);
        git(&library, &["commit", "--quiet", "-m", "x"]);
        if self.dice.one_in(2) {
            let path = self.dice.word(&["lib", "docker/b/lib"]);
            let library = library.to_str().unwrap().to_owned();
            git(&self.root(), &["submodule", "--quiet", "add", &library, path]);
            configure(&self.root().join(path));
            self.log.push(format!("submodule {path}"));
        }
        // All images are based on an existing one, and none on itself.
        for place in ["docker/a", "docker/b"] {
            self.write(&format!("{place}/Dockerfile"), "FROM scratch\nCOPY . /x\n");
        }
        for place in ["docker/c", "images/z"] {
            let text = self.dockerfile();
            self.write(&format!("{place}/Dockerfile"), &text);
        }
        for place in PLACES.iter().filter(|place| **place != "lib") {
            for file in ["f", "g.txt", "d/f", "d/e/g.txt", "h.up"] {
                let text = self.text();
                self.write(&format!("{place}/{file}"), &text);
            }
        }
        self.link("docker/z", "../images/z");
        self.link("shared/current", "v1");
        self.edit_config();
        for _ in 0..self.dice.below(6) {
            self.edit();
        }
        self.commit();
    }

    fn edit_config(&mut self) {
        let context = |dice: &mut Dice| {
            dice.word(&["shared/current", "shared/current/d", "shared/v1", "docker/z", ".", "lib"])
        };
        let mut text = "namespace = 'acme'\napp = 'shop'\n".to_owned();
        for image in ["a", "c"] {
            if self.dice.one_in(2) {
                let context = context(&mut self.dice);
                text.push_str(&format!("[image.{image}]\ncontext = '{context}'\n"));
            }
        }
        if self.dice.one_in(3) {
            let file = self.dice.word(&["lib/Dockerfile", "docker/b/lib/Dockerfile"]);
            text.push_str(&format!("[image.sub]\ndockerfile = '{file}'\n"));
        }
        self.write("layers.toml", &text);
        let ignored = self.dice.word(&[".git\n.layers\n", ".git\n.layers\n*.log\n**/e\n"]);
        self.write(".dockerignore", ignored);
    }

    fn edit(&mut self) {
        let place = self.dice.word(&PLACES);
        let path = format!("{place}/{}", self.dice.word(&FILES));
        let at = self.root().join(&path);
        match self.dice.below(16) {
            0..4 => {
                let text = self.text();
                self.write(&path, &text);
            }
            4 => {
                self.log.push(format!("remove {path:?}"));
                drop(fs::remove_file(at));
            }
            5 => self.change_mode(&path),
            6 => {
                let place = self.dice.word(&["docker/c", "images/z"]);
                let text = self.dockerfile();
                self.write(&format!("{place}/Dockerfile"), &text);
            }
            7 => {
                let text = self.dice.word(&["v1", "v2", "../images/z", "v2/sub", "../lib", "none"]);
                self.link("shared/current", text);
            }
            8 => {
                let text =
                    self.dice.word(&["../images/z", "../shared/current", "a", "../images/./z"]);
                self.link("docker/z", text);
            }
            9 => {
                let text = self.dice.word(&["f", "d", "../../shared/current", "nowhere", "/etc"]);
                self.link(&format!("{place}/l"), text);
            }
            10 => {
                let name = self.dice.word(&[".dockerignore", "Dockerfile.dockerignore"]);
                let text = self.dice.word(&["*.log\n", "d\n!d/f\n", "", "**/*.txt\n", "*\n!f\n"]);
                // The context can be the root, and a plan reads `.git` like any other directory.
                self.write(&format!("{place}/{name}"), &format!(".git\n.layers\n{text}"));
            }
            11 => {
                let at = self.dice.word(&["", "docker/a/", "images/", "shared/v1/"]);
                let text = self.dice.word(&[
                    "*.txt eol=crlf\n",
                    "* text=auto eol=crlf\n",
                    "*.up filter=up\n",
                    "* ident\n",
                    "* filter=up ident\n",
                    "*.txt working-tree-encoding=UTF-16LE-BOM text\n# x\n",
                    "",
                ]);
                // An encoding fails if the text is not encoded in it.
                let text = if text.contains("encoding") { "*.txt -text\n" } else { text };
                self.write(&format!("{at}.gitattributes"), text);
            }
            12 => self.edit_config(),
            13 => self.edit_submodule(),
            14 => {
                let flag = self.dice.word(&["--assume-unchanged", "--skip-worktree"]);
                let tracked = git(&self.root(), &["ls-files", "--", &path]);
                if !tracked.is_empty() && !place.starts_with("lib") {
                    git(&self.root(), &["update-index", flag, "--", &path]);
                    self.log.push(format!("{flag} {path:?}"));
                    let text = self.text();
                    self.write(&path, &text);
                }
            }
            _ => {
                let to = format!("{}/moved", self.dice.word(&PLACES));
                if at.is_file() && self.root().join(&to).parent().unwrap().is_dir() {
                    self.log.push(format!("rename {path:?} {to:?}"));
                    drop(fs::rename(at, self.root().join(to)));
                }
            }
        }
    }

    fn change_mode(&mut self, path: &str) {
        let mode = if self.dice.one_in(2) { 0o755 } else { 0o644 };
        let at = self.root().join(path);
        if at.symlink_metadata().is_ok_and(|found| found.is_file()) {
            fs::set_permissions(at, fs::Permissions::from_mode(mode)).unwrap();
            self.log.push(format!("chmod {path:?} {mode:o}"));
        }
    }

    fn submodules(&self) -> Vec<PathBuf> {
        let paths = ["lib", "docker/b/lib"].map(|path| self.root().join(path));
        paths.into_iter().filter(|path| path.join(".git").exists()).collect()
    }

    fn edit_submodule(&mut self) {
        for at in self.submodules() {
            let file = self.dice.word(&["f", "g.txt", "d/new", "Dockerfile", ".gitattributes"]);
            let text = match file {
                "Dockerfile" => {
                    self.dice.word(&["FROM scratch\nCOPY d /\n", "FROM scratch\nCOPY f /\n"])
                }
                ".gitattributes" => self.dice.word(&["* -text\n", "* eol=crlf\n"]),
                _ => "",
            };
            let text = if text.is_empty() { self.text() } else { text.to_owned() };
            fs::create_dir_all(at.join(file).parent().unwrap()).unwrap();
            fs::write(at.join(file), &text).unwrap();
            self.log.push(format!("in submodule: write {file} {text:?}"));
            if self.dice.one_in(2) {
                commit_and_push(&at);
                self.log.push("in submodule: commit".to_owned());
            }
        }
    }

    /// Commits everything, and checks out all files again, so that the disk has what a clone would have.
    fn commit(&mut self) {
        for at in self.submodules() {
            commit_and_push(&at);
            write_anew(&at);
        }
        let root = self.root();
        let flagged = git(&root, &["ls-files", "-v"]);
        if flagged.lines().any(|line| !line.starts_with("H ")) {
            // Flags of the index would exclude edits from the commit.
            drop(fs::remove_file(root.join(".git/index")));
            git(&root, &["reset", "--quiet"]);
        }
        git(&root, &["add", "--all"]);
        git(&root, &["commit", "--quiet", "--allow-empty", "-m", "x"]);
        write_anew(&root);
        self.log.push("commit".to_owned());
    }

    /// Creates a new clone at a revision.
    fn clone_at(&self, revision: &str, name: &str) -> PathBuf {
        let parent = self.directory.path().join(name);
        fs::create_dir_all(&parent).unwrap();
        let from = self.root();
        git(&parent, &["clone", "--quiet", "--no-checkout", from.to_str().unwrap(), "shop"]);
        let at = parent.join("shop");
        configure(&at);
        git(&at, &["checkout", "--quiet", "--detach", revision]);
        git(&at, &["submodule", "--quiet", "update", "--init"]);
        at
    }
}

fn commit_and_push(at: &Path) {
    git(at, &["add", "--all"]);
    git(at, &["commit", "--quiet", "--allow-empty", "-m", "y"]);
    let commit = git(at, &["rev-parse", "HEAD"]);
    git(at, &["push", "--quiet", "origin", &format!("HEAD:refs/heads/{commit}")]);
}

fn write_anew(at: &Path) {
    let script = "git ls-files -z | xargs -0 rm -f 2>/dev/null; \
                  find . -depth -type d -empty -not -path '*/.git/*' -delete; true";
    let status = Command::new("sh").args(["-c", script]).current_dir(at).status().unwrap();
    assert!(status.success());
    git(at, &["checkout", "--quiet", "--", "."]);
}

fn layers(at: &Path, script: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_layers"));
    command.current_dir(at).args(words).env("LAYERS_FAKE_SCRIPT", script);
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").stdin(Stdio::null()).output().unwrap()
}

/// Returns the images that a plan finds stale, or `None` if there are errors in the files.
fn stale(at: &Path, script: &Path) -> Option<Vec<String>> {
    let output = layers(at, script, &["plan", "--engine", "fake"]);
    if output.status.code() == Some(3) {
        return None;
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    // An image that is now built like another one becomes that image, so it is not the same as before.
    let is_same = |line: &str| line.contains("  fresh") && !line.ends_with(" again");
    let rows = lines[..lines.len() - 1].iter().filter(|line| !is_same(line));
    let names = rows.filter_map(|line| line.split_whitespace().next());
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort();
    Some(names)
}

/// Returns the images that a command lists as JSON.
fn listed(at: &Path, script: &Path, words: &[&str]) -> Vec<String> {
    let output = layers(at, script, words);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {error}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = found.get("affected").unwrap_or(&found).as_array().unwrap();
    let mut names: Vec<String> =
        rows.iter().map(|row| row["image"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

fn check_case(seed: u64) -> Result<bool, String> {
    let mut world = World::new(seed);
    let base = git(&world.root(), &["rev-parse", "HEAD"]);
    for _ in 0..world.dice.below(3) {
        for _ in 0..1 + world.dice.below(2) {
            world.edit();
        }
        world.commit();
    }
    let root = world.root();
    let script = world.script("store");
    let then = world.clone_at(&base, "then");
    let build = ["build", "--all", "--engine", "fake", "--progress", "quiet"];
    let is_built = layers(&then, &script, &build).status.success();
    let same = |what: &str, found: &[String], truth: &[String], log: &[String]| {
        if found == truth {
            return Ok(());
        }
        let log = log.join("\n");
        Err(format!("seed {seed}: {what} lists {found:?}, a plan {truth:?}\n{log}"))
    };
    let diff_head = format!("{base}..HEAD");
    let diff_head = ["diff", diff_head.as_str(), "--json"];
    let clean = ["affected", "--since", "HEAD", "--format", "json"];
    let now = world.clone_at("HEAD", "now");
    let truth = stale(&now, &script);
    if truth.is_some() {
        same("a clean tree", &listed(&root, &script, &clean), &[], &world.log)?;
        same("a clone", &listed(&now, &script, &clean), &[], &world.log)?;
    }
    if let (true, Some(truth)) = (is_built, &truth) {
        same("diff between revisions", &listed(&root, &script, &diff_head), truth, &world.log)?;
        let found = listed(&now, &script, &["affected", "--since", &base, "--format", "json"]);
        same("affected in a clone", &found, truth, &world.log)?;
    }
    for _ in 0..world.dice.below(4) {
        world.edit();
    }
    let Some(truth) = stale(&root, &script).filter(|_| is_built) else { return Ok(false) };
    let found = listed(&root, &script, &["affected", "--since", &base, "--format", "json"]);
    same("affected", &found, &truth, &world.log)?;
    same("diff", &listed(&root, &script, &["diff", &base, "--json"]), &truth, &world.log)?;
    Ok(true)
}

fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}: `{text}` is not a number")))
}

#[test]
fn affected_images_match_those_that_a_plan_would_build() {
    let cases = number_from("LAYERS_CASES").unwrap_or(3);
    let first = number_from("LAYERS_SEED").unwrap_or_else(Dice::fresh_seed);
    println!("LAYERS_SEED={first} LAYERS_CASES={cases}");
    let mut whole = 0;
    let mut wrong = Vec::new();
    for seed in first..first + cases {
        match check_case(seed) {
            Ok(is_whole) => whole += u64::from(is_whole),
            Err(message) => wrong.push(message),
        }
    }
    println!("{whole} of {cases} repositories could be built at both ends");
    assert!(wrong.is_empty(), "{} of {cases} cases\n{}", wrong.len(), wrong.join("\n\n"));
}
