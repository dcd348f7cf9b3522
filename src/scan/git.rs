//! The git repository: revisions, the work tree, and submodules.
//!
//! Owns how git is run and how its output is parsed. Nothing here uses the network or takes locks.
//! Paths are relative to the top of git's work tree, which can be above the root of the workspace.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::context;
use crate::base::error::permanent;
use crate::base::screen::visible_path;
use crate::process::{self, ProgramCommand, ProgramOutput};

mod attributes;
mod contents;
mod head;
mod history;
mod local;
mod module;
mod remote;
mod revision;
mod scratch;
mod snapshot;
mod work_tree;

pub use contents::{ComparedPaths, Contents, names_of_contents};
pub use head::{Head, Lineage};
pub use history::is_null;
pub use local::Local;
pub use remote::remote_name;
pub use snapshot::{File, FileKind, ResolvedPath, Snapshot};

use module::Module;

/// The size limit of git's output: about ten million paths.
const LONGEST_ANSWER: usize = 2 << 30;

const UNREADABLE: &str = "can't parse git's output";

/// A work tree managed by git.
#[derive(Debug)]
pub struct Git {
    caller: Caller,
    main: Module,
    /// The root of the workspace relative to the top of the work tree; empty if they are the same.
    root: OsString,
}

impl Git {
    /// Opens the work tree that contains `root`.
    ///
    /// # Errors
    /// Returns an error if git is not installed or if `root` is not in a work tree.
    pub fn open(root: &Path) -> anyhow::Result<Git> {
        let caller = Caller::at(root);
        let inside = caller.run(&["rev-parse", "--is-inside-work-tree"], None)?;
        if !inside.status.success() || inside.stdout.trim_ascii() != b"true" {
            let message = String::from_utf8_lossy(&inside.stderr);
            let why = match message.trim() {
                "" => String::new(),
                message => format!(": {message}"),
            };
            bail!(
                permanent(format!("`{}` is not in a git work tree{why}", visible_path(root)))
                    .hint("run the command in a git repository: revisions are read from git")
            );
        }
        let dir = PathBuf::from(caller.rev_parse(&["--absolute-git-dir"])?);
        let prefix = PathBuf::from(caller.rev_parse(&["--show-prefix"])?);
        let depth = prefix.components().count();
        let top = root.ancestors().nth(depth).context(UNREADABLE)?;
        let root = prefix.components().as_path().as_os_str().to_owned();
        Ok(Git { caller, main: Module::main(top, dir)?, root })
    }

    /// Returns what lists the whole work tree or only the part below the root of the workspace, and
    /// the prefix of the listed paths.
    fn lister(&self, is_whole: bool) -> (&Caller, &OsStr) {
        if is_whole { (&self.main.caller, OsStr::new("")) } else { (&self.caller, &self.root) }
    }
}

/// The directory, options, and variables with which git is run.
#[derive(Debug, Clone)]
struct Caller {
    at: PathBuf,
    options: Vec<OsString>,
    variables: Vec<(&'static str, OsString)>,
}

impl Caller {
    /// Runs git in a directory as a user would.
    fn at(directory: &Path) -> Caller {
        Caller { at: directory.to_owned(), options: Vec::new(), variables: Vec::new() }
    }

    /// Runs git and returns its output, or an error if git fails.
    fn query(
        &self,
        arguments: &[impl AsRef<OsStr>],
        stdin: Option<&[u8]>,
    ) -> anyhow::Result<Vec<u8>> {
        let finished = self.run(arguments, stdin)?;
        if !finished.status.success() {
            let message = String::from_utf8_lossy(&finished.stderr);
            let words = arguments.iter().map(|word| word.as_ref().to_string_lossy());
            bail!("`git {}` failed: {}", words.collect::<Vec<_>>().join(" "), message.trim());
        }
        Ok(finished.stdout)
    }

    /// Runs `git rev-parse` and returns its output without the trailing newline.
    fn rev_parse(&self, words: &[&str]) -> anyhow::Result<OsString> {
        let mut answer = self.query(&[&["rev-parse"][..], words].concat(), None)?;
        answer.pop_if(|byte| *byte == b'\n');
        Ok(OsString::from_vec(answer))
    }

    fn run(
        &self,
        arguments: &[impl AsRef<OsStr>],
        stdin: Option<&[u8]>,
    ) -> anyhow::Result<ProgramOutput> {
        // Take no locks, so that a concurrent commit does not fail.
        let always = ["--no-optional-locks", "-C"];
        let mut all: Vec<&OsStr> = always.map(OsStr::new).to_vec();
        all.push(self.at.as_os_str());
        all.extend(self.options.iter().map(OsString::as_os_str));
        all.extend(arguments.iter().map(AsRef::as_ref));
        let variables: Vec<(&str, &OsStr)> =
            self.variables.iter().map(|(name, value)| (*name, value.as_os_str())).collect();
        process::run(ProgramCommand {
            program: "git",
            arguments: &all,
            variables: &variables,
            stdin,
            most: LONGEST_ANSWER,
            get: "install git",
            limit: None,
        })
    }

    /// Returns the contents of blobs in the order of their ids.
    fn contents(&self, ids: &[&str]) -> anyhow::Result<Vec<Vec<u8>>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let input = ids.join("\n") + "\n";
        let answer = self.query(&["cat-file", "--batch"], Some(input.as_bytes()))?;
        let mut rest = answer.as_slice();
        let mut contents = Vec::with_capacity(ids.len());
        for id in ids {
            // `0123… blob 5\n`, the content, `\n`
            let (head, after) = split_once(rest, b'\n').context(UNREADABLE)?;
            let head = std::str::from_utf8(head).context(UNREADABLE)?;
            let size = head.rsplit(' ').next().and_then(|size| size.parse::<usize>().ok());
            let content = size.and_then(|size| after.get(..size));
            let content = content.ok_or_else(|| {
                permanent(format!("git object `{id}` not found"))
                    .hint("fetch it with `git fetch --refetch`")
            })?;
            contents.push(content.to_vec());
            rest = after.get(content.len() + 1..).context(UNREADABLE)?;
        }
        Ok(contents)
    }
}

/// Splits output whose parts end in NUL.
fn split(answer: &[u8]) -> impl Iterator<Item = &[u8]> {
    answer.split(|byte| *byte == 0).filter(|part| !part.is_empty())
}

fn split_once(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == at)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// Joins two parts of a path with `/`. Either can be empty.
fn join(directory: &OsStr, below: &OsStr) -> OsString {
    if below.is_empty() { directory.to_owned() } else { context::join(directory, below) }
}

/// Returns an option with a path as its value.
fn option(name: &str, value: &Path) -> OsString {
    let mut option = OsString::from(name);
    option.push(value);
    option
}

/// Returns a list of paths in the format that git reads.
fn list_of<'a>(paths: impl IntoIterator<Item = &'a OsStr>) -> Vec<u8> {
    let mut list = Vec::new();
    for path in paths {
        list.extend_from_slice(path.as_bytes());
        list.push(0);
    }
    list
}
