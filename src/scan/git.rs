//! What git knows of a repository: a revision's files, and what differs in the work tree.
//!
//! Owns the questions to git and the reading of its answers, all of them without a network. Paths
//! are relative to the repository's root as `layers` sees it, which may lie below git's own. What
//! git ignores, and folders without files, do not exist here.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::base::screen::visible_path;
use crate::process::{self, Finished, Run};

mod head;

pub use head::Head;

/// More than this git does not answer: some ten million paths.
const LONGEST_ANSWER: usize = 2 << 30;

/// A work tree that git looks after.
#[derive(Debug)]
pub struct Git {
    root: PathBuf,
}

/// A file of a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// What it is.
    pub kind: BlobKind,
    /// The name of its content.
    pub id: String,
}

/// What a file of a revision is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobKind {
    /// A file that is not to be run.
    Plain,
    /// A file that can be run.
    Executable,
    /// A symlink, whose content is its text.
    Symlink,
    /// A submodule, whose content is a commit.
    Submodule,
}

/// The work tree as git sees it beside a revision.
#[derive(Debug, Default)]
pub struct WorkTree {
    /// All that differs from the revision: changed, new, deleted, with other modes.
    pub changed: BTreeSet<OsString>,
    /// All that git looks after or would: tracked files, and others that it does not ignore.
    pub known: HashSet<OsString>,
    /// Folders that git looks into no further: submodules, and repositories within.
    pub nested: BTreeSet<OsString>,
}

impl Git {
    /// The work tree that holds `root`.
    ///
    /// # Errors
    /// Where git is missing or `root` lies in no work tree.
    pub fn open(root: &Path) -> anyhow::Result<Git> {
        let git = Git { root: root.to_owned() };
        let inside = git.run(&["rev-parse", "--is-inside-work-tree"], None)?;
        if !inside.status.success() || inside.stdout.trim_ascii() != b"true" {
            let said = String::from_utf8_lossy(&inside.stderr).trim().to_owned();
            let why = if said.is_empty() { String::new() } else { format!(": {said}") };
            bail!(
                "`{}` lies in no work tree of git{why}\n\
                 hint: what changed since a revision is known to git alone",
                visible_path(root)
            );
        }
        Ok(git)
    }

    /// The name of the tree that a revision means. `REV...` is where `REV` and `HEAD` parted.
    ///
    /// # Errors
    /// Where there is no such revision; the hint says how to fetch it where the clone is shallow.
    pub fn resolve(&self, revision: &str) -> anyhow::Result<String> {
        let base = match revision.strip_suffix("...").filter(|other| !other.is_empty()) {
            Some(other) => Some(self.merge_base(other, "HEAD")?),
            None => None,
        };
        let revision = base.as_deref().unwrap_or(revision);
        let wanted = format!("{revision}^{{tree}}");
        let arguments = ["rev-parse", "--verify", "--quiet", "--end-of-options", wanted.as_str()];
        let found = self.run(&arguments, None)?;
        // `--end-of-options` is printed back by some versions of git.
        let text = String::from_utf8_lossy(&found.stdout);
        match text.lines().find(|line| !line.starts_with('-')) {
            Some(tree) if found.status.success() => Ok(tree.trim().to_owned()),
            _ => {
                Err(self.describe_unknown(&format!("there is no revision `{revision}`"), revision))
            }
        }
    }

    /// The commit where two revisions parted.
    ///
    /// # Errors
    /// As [`Git::resolve`], and where they have nothing in common.
    pub fn merge_base(&self, one: &str, other: &str) -> anyhow::Result<String> {
        self.resolve(one)?;
        self.resolve(other)?;
        let base = self.run(&["merge-base", "--end-of-options", one, other], None)?;
        let text = String::from_utf8_lossy(&base.stdout).trim().to_owned();
        if !base.status.success() || text.is_empty() {
            let name = |revision: &str| match revision {
                "HEAD" => revision.to_owned(),
                _ => format!("`{revision}`"),
            };
            let what = format!("{} and {} have no common commit", name(one), name(other));
            return Err(self.describe_unknown(&what, one));
        }
        Ok(text)
    }

    fn describe_unknown(&self, what: &str, revision: &str) -> anyhow::Error {
        let shallow = self.run(&["rev-parse", "--is-shallow-repository"], None);
        let is_shallow =
            shallow.is_ok_and(|answer| answer.stdout.trim_ascii() == b"true".as_slice());
        let hint = match (is_shallow, revision.strip_prefix("origin/")) {
            (true, _) if revision.contains(['~', '^']) || what.contains("common") => {
                "`git fetch --unshallow` brings the history that this shallow clone lacks; in GitHub \
                 Actions set `fetch-depth: 0`"
                    .to_owned()
            }
            (true, branch) => format!(
                "this clone is shallow: `git fetch --depth=1 origin {}` brings it, or in GitHub \
                 Actions `fetch-depth: 0`",
                match branch {
                    Some(branch) => format!("{branch}:refs/remotes/origin/{branch}"),
                    None => revision.to_owned(),
                }
            ),
            (false, Some(branch)) => format!("`git fetch origin {branch}` brings it"),
            (false, None) => "`git log --oneline` and `git branch --all` show those there are".into(),
        };
        anyhow::anyhow!("{what}\nhint: {hint}")
    }

    /// All files of a tree below the root.
    ///
    /// # Errors
    /// Where git can't be asked.
    pub fn files(&self, tree: &str) -> anyhow::Result<BTreeMap<OsString, Blob>> {
        let listed = self.ask(&["ls-tree", "-r", "-z", tree], None)?;
        let mut files = BTreeMap::new();
        for line in split(&listed) {
            // `100644 blob 0123…\tpath`
            let (facts, path) = split_once(line, b'\t').context(UNREADABLE)?;
            let facts = std::str::from_utf8(facts).context(UNREADABLE)?;
            let mut facts = facts.split(' ');
            let (mode, id) = (facts.next(), facts.nth(1));
            let kind = match mode {
                Some("100755") => BlobKind::Executable,
                Some("120000") => BlobKind::Symlink,
                Some("160000") => BlobKind::Submodule,
                _ => BlobKind::Plain,
            };
            let id = id.context(UNREADABLE)?.to_owned();
            files.insert(OsString::from_vec(path.to_vec()), Blob { kind, id });
        }
        Ok(files)
    }

    /// The contents of blobs, in their order.
    ///
    /// # Errors
    /// Where git can't be asked, or lacks one (a partial clone).
    pub fn contents(&self, ids: &[&str]) -> anyhow::Result<Vec<Vec<u8>>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let asked = ids.join("\n") + "\n";
        let answer = self.ask(&["cat-file", "--batch"], Some(asked.as_bytes()))?;
        let mut rest = answer.as_slice();
        let mut contents = Vec::with_capacity(ids.len());
        for id in ids {
            // `0123… blob 5\n`, the content, `\n`
            let (head, after) = split_once(rest, b'\n').context(UNREADABLE)?;
            let head = std::str::from_utf8(head).context(UNREADABLE)?;
            let size = head.rsplit(' ').next().and_then(|size| size.parse::<usize>().ok());
            let content = size.and_then(|size| after.get(..size));
            let content = content.with_context(|| {
                format!(
                    "git does not have the content `{id}`\nhint: `git fetch --refetch` brings it"
                )
            })?;
            contents.push(content.to_vec());
            rest = after.get(content.len() + 1..).context(UNREADABLE)?;
        }
        Ok(contents)
    }

    /// The work tree beside a tree.
    ///
    /// # Errors
    /// Where git can't be asked.
    pub fn work_tree(&self, tree: &str) -> anyhow::Result<WorkTree> {
        let mut found = WorkTree::default();
        let raw = [
            "diff",
            "--raw",
            "-z",
            "--no-renames",
            "--no-ext-diff",
            "--relative",
            "--abbrev=4",
            "--ignore-submodules=none",
            tree,
            "--",
            ".",
        ];
        let raw = self.ask(&raw, None)?;
        let mut words = split(&raw);
        // `:100644 160000 0123 4567 M`, then the path
        while let (Some(facts), Some(path)) = (words.next(), words.next()) {
            let path = OsString::from_vec(path.to_vec());
            if facts.split(|byte| *byte == b' ').take(2).any(|mode| mode.ends_with(b"160000")) {
                found.nested.insert(path.clone());
            }
            found.changed.insert(path);
        }
        let tracked = self.ask(&["ls-files", "-z", "--stage", "--", "."], None)?;
        for line in split(&tracked) {
            // `100644 0123… 0\tpath`
            let (facts, path) = split_once(line, b'\t').context(UNREADABLE)?;
            let path = OsString::from_vec(path.to_vec());
            if facts.starts_with(b"160000 ") {
                found.nested.insert(path);
            } else {
                found.known.insert(path);
            }
        }
        let others = ["ls-files", "-z", "--others", "--exclude-standard", "--", "."];
        for path in split(&self.ask(&others, None)?) {
            // Of a repository within git says no more than its folder.
            let folder = path.strip_suffix(b"/");
            let path = OsString::from_vec(folder.unwrap_or(path).to_vec());
            found.changed.insert(path.clone());
            if folder.is_some() {
                found.nested.insert(path)
            } else {
                found.known.insert(path)
            };
        }
        Ok(found)
    }

    /// What git says; an error where it refuses.
    fn ask(&self, arguments: &[&str], stdin: Option<&[u8]>) -> anyhow::Result<Vec<u8>> {
        let finished = self.run(arguments, stdin)?;
        if !finished.status.success() {
            let said = String::from_utf8_lossy(&finished.stderr).trim().to_owned();
            bail!("`git {}` failed: {said}", arguments.join(" "));
        }
        Ok(finished.stdout)
    }

    fn run(&self, arguments: &[&str], stdin: Option<&[u8]>) -> anyhow::Result<Finished> {
        // No lock is taken: a commit beside it must not fail for our looking.
        let always = ["--no-optional-locks", "-C"];
        let mut all: Vec<&OsStr> = always.map(OsStr::new).to_vec();
        all.push(self.root.as_os_str());
        all.extend(arguments.iter().map(|argument| OsStr::new(*argument)));
        process::run(Run {
            program: "git",
            arguments: &all,
            variables: &[],
            stdin,
            most: LONGEST_ANSWER,
            get: "install git",
        })
    }
}

impl WorkTree {
    /// The nested folder that holds a path, where one does.
    pub fn nested_around(&self, path: &OsStr) -> Option<&OsString> {
        Path::new(path).ancestors().skip(1).find_map(|folder| self.nested.get(folder.as_os_str()))
    }
}

const UNREADABLE: &str = "can't read what git says";

/// The parts of an answer that end in NUL.
fn split(answer: &[u8]) -> impl Iterator<Item = &[u8]> {
    answer.split(|byte| *byte == 0).filter(|part| !part.is_empty())
}

fn split_once(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == at)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// Whether a path lies in a folder, or is it.
pub fn lies_in(path: &OsStr, folder: &OsStr) -> bool {
    let rest = path.as_bytes().strip_prefix(folder.as_bytes());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}
