//! Resolution of revisions to trees, and merge bases.
//!
//! Owns the errors of revisions, especially in shallow clones: missing commits, and merge bases
//! that may be wrong because the history is cut off before the right one.

use std::borrow::Cow;
use std::collections::HashSet;

use anyhow::Context;

use super::{Git, UNREADABLE};
use crate::base::error::permanent;

impl Git {
    /// Returns the id of the tree of a revision. `REV...` is the merge base of `REV` and `HEAD`.
    /// The null commit is the empty tree.
    ///
    /// # Errors
    /// Returns an error if the revision does not exist. In a shallow clone, the hint says how to
    /// fetch it.
    pub fn resolve(&self, revision: &str) -> anyhow::Result<String> {
        if is_null(revision.strip_suffix("...").unwrap_or(revision)) {
            let empty = self.caller.query(&["hash-object", "-t", "tree", "--stdin"], Some(b""))?;
            return Ok(String::from_utf8_lossy(&empty).trim().to_owned());
        }
        let base = match revision.strip_suffix("...").filter(|other| !other.is_empty()) {
            Some(other) => Some(self.merge_base(other, "HEAD")?),
            None => None,
        };
        let revision = base.as_deref().unwrap_or(revision);
        self.find(revision, "tree")?.ok_or_else(|| {
            self.describe_unknown(&format!("unknown revision `{revision}`"), revision)
        })
    }

    /// Returns the id of a revision's object of this type.
    fn find(&self, revision: &str, kind: &str) -> anyhow::Result<Option<String>> {
        let object_name = format!("{revision}^{{{kind}}}");
        let arguments =
            ["rev-parse", "--verify", "--quiet", "--end-of-options", object_name.as_str()];
        let found = self.caller.run(&arguments, None)?;
        // Some versions of git print `--end-of-options` back.
        let text = String::from_utf8_lossy(&found.stdout);
        let id = text.lines().find(|line| !line.starts_with('-'));
        Ok(id.filter(|_| found.status.success()).map(|id| id.trim().to_owned()))
    }

    /// Returns the merge base of two revisions, or the null commit if one of them is the null
    /// commit.
    ///
    /// # Errors
    /// Returns the same errors as [`Git::resolve`]. Also returns an error if the revisions have no
    /// common commit, or if the history of a shallow clone ends before the merge base is certain.
    pub fn merge_base(&self, one: &str, other: &str) -> anyhow::Result<String> {
        if let Some(null) = [one, other].into_iter().find(|revision| is_null(revision)) {
            return Ok(null.to_owned());
        }
        self.resolve(one)?;
        self.resolve(other)?;
        let base =
            self.caller.run(&["merge-base", "--all", "--end-of-options", one, other], None)?;
        let text = String::from_utf8_lossy(&base.stdout);
        let bases: Vec<&str> = text.lines().filter(|line| !line.starts_with('-')).collect();
        let name = |revision: &str| match revision {
            "HEAD" => "HEAD".into(),
            _ => Cow::from(format!("`{revision}`")),
        };
        let (Some(first), true) = (bases.first(), base.status.success()) else {
            let what = format!("{} and {} have no common ancestor", name(one), name(other));
            return Err(self.describe_unknown(&what, one));
        };
        if self.is_cut_off(&bases, one, other)? {
            let (one, other) = (name(one), name(other));
            let message = format!(
                "can't determine the merge base of {one} and {other}: the history of this \
                 shallow clone is incomplete"
            );
            anyhow::bail!(permanent(message).hint(
                "fetch the full history with `git fetch --unshallow`; in GitHub Actions, set \
                 `fetch-depth: 0`"
            ));
        }
        Ok((*first).to_owned())
    }

    /// Returns whether a commit whose parents are missing in this clone comes after the merge
    /// bases. A later common commit may be among those parents.
    fn is_cut_off(&self, bases: &[&str], one: &str, other: &str) -> anyhow::Result<bool> {
        let shallow = self.shallow_commits()?;
        if shallow.is_empty() {
            return Ok(false);
        }
        let commit = |revision| self.find(revision, "commit").and_then(|it| it.context(UNREADABLE));
        let ends = [commit(one)?, commit(other)?];
        if ends.iter().any(|end| bases.contains(&end.as_str())) {
            // All commits that the other one can share with it are its ancestors.
            return Ok(false);
        }
        let excluded: Vec<String> = bases.iter().map(|base| format!("^{base}")).collect();
        let mut words = vec!["rev-list"];
        words.extend(ends.iter().chain(&excluded).map(String::as_str));
        let after = self.caller.query(&words, None)?;
        Ok(String::from_utf8_lossy(&after).lines().any(|commit| shallow.contains(commit)))
    }

    /// Returns the commits at which the history of a shallow clone ends.
    fn shallow_commits(&self) -> anyhow::Result<HashSet<String>> {
        let path = self.caller.rev_parse(&["--git-path", "shallow"])?;
        // A complete clone does not have this file.
        let text = std::fs::read_to_string(self.caller.at.join(path)).unwrap_or_default();
        Ok(text.lines().map(str::to_owned).collect())
    }

    fn describe_unknown(&self, what: &str, revision: &str) -> anyhow::Error {
        let shallow = self.caller.run(&["rev-parse", "--is-shallow-repository"], None);
        let is_shallow =
            shallow.is_ok_and(|answer| answer.stdout.trim_ascii() == b"true".as_slice());
        let hint = match (is_shallow, revision.strip_prefix("origin/")) {
            (true, _) if revision.contains(['~', '^']) || what.contains("common") => {
                "fetch the full history of this shallow clone with `git fetch --unshallow`; in GitHub \
                 Actions, set `fetch-depth: 0`"
                    .to_owned()
            }
            (true, branch) => {
                let refspec = branch.map(|branch| format!("{branch}:refs/remotes/origin/{branch}"));
                format!(
                    "fetch it into this shallow clone with `git fetch --depth=1 origin {}`; in \
                     GitHub Actions, set `fetch-depth: 0`",
                    refspec.as_deref().unwrap_or(revision)
                )
            }
            (false, Some(branch)) => format!("fetch it with `git fetch origin {branch}`"),
            (false, None) => "list commits with `git log --oneline`, and branches with `git branch --all`".into(),
        };
        permanent(what).hint(hint).into()
    }
}

/// Returns whether a revision is the null commit, written in full. Servers send it for new or
/// deleted branches (`before` and `after` of GitHub's `push` event).
pub fn is_null(revision: &str) -> bool {
    matches!(revision.len(), 40 | 64) && revision.bytes().all(|byte| byte == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_full_null_id_is_the_null_commit() {
        for (revision, expected) in [
            (&"0".repeat(40) as &str, true),
            (&"0".repeat(64), true),
            ("0000000", false),
            (&"0".repeat(41), false),
            (&("0".repeat(39) + "1"), false),
            ("", false),
        ] {
            assert_eq!(is_null(revision), expected, "{revision}");
        }
    }
}
