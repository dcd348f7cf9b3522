//! The commit, branch, and tag of HEAD, for templates of tags, and its relation to other commits.
//!
//! Owns the queries to git. Those about HEAD alone are run at most once, on first use. Variables of
//! CI systems are read elsewhere.

use std::path::Path;
use std::sync::OnceLock;

use super::Caller;

/// The answer of git: `None` if there is nothing of the kind, or git's error message.
pub type Answer = Result<Option<String>, String>;

/// The relation of a commit to HEAD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lineage {
    /// The commit is HEAD.
    Same,
    /// HEAD contains the commit.
    Ancestor,
    /// The commit contains HEAD.
    Descendant,
    /// Neither contains the other, or this clone does not have the commit or the history between
    /// them.
    Unknown,
}

/// The HEAD of a work tree.
#[derive(Debug)]
pub struct Head {
    caller: Caller,
    commit: OnceLock<Answer>,
    branch: OnceLock<Answer>,
    tag: OnceLock<Answer>,
}

impl Head {
    /// Returns the HEAD of the work tree that contains `root`, without running git.
    pub fn of(root: &Path) -> Head {
        let caller = Caller::at(root);
        Head { caller, commit: OnceLock::new(), branch: OnceLock::new(), tag: OnceLock::new() }
    }

    /// Returns the full id of its commit, or `None` before the first commit.
    ///
    /// # Errors
    /// Returns git's message if it fails, or the reason why it cannot be run.
    pub fn commit(&self) -> &Answer {
        let query = || self.query(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], "");
        self.commit.get_or_init(query)
    }

    /// Returns the branch that is checked out, or `None` if HEAD is detached.
    ///
    /// # Errors
    /// Returns the same errors as [`Head::commit`].
    pub fn branch(&self) -> &Answer {
        let query = || self.query(&["symbolic-ref", "--quiet", "HEAD"], "refs/heads/");
        self.branch.get_or_init(query)
    }

    /// Returns the tag of its commit. Of several, returns the newest one, and of those the highest
    /// version.
    ///
    /// # Errors
    /// Returns the same errors as [`Head::commit`].
    pub fn tag(&self) -> &Answer {
        self.tag.get_or_init(|| {
            let Some(commit) = self.commit().clone()? else { return Ok(None) };
            let at = format!("--points-at={commit}");
            // The last key is the primary one (git-for-each-ref(1)).
            let sort = ["--sort=-version:refname", "--sort=-creatordate", "--count=1"];
            let [by_version, by_date, one] = sort;
            let format = "--format=%(refname)";
            let words = ["for-each-ref", &at, by_version, by_date, one, format, "refs/tags"];
            self.query(&words, "refs/tags/")
        })
    }

    /// Returns the relation of a commit, given by its full ID, to HEAD. Without a HEAD or without
    /// git, it is unknown.
    pub fn lineage(&self, commit: &str) -> Lineage {
        let Ok(Some(own)) = self.commit() else { return Lineage::Unknown };
        // The ID may come from a registry.
        let is_id =
            matches!(commit.len(), 40 | 64) && commit.bytes().all(|it| it.is_ascii_hexdigit());
        if !is_id {
            return Lineage::Unknown;
        }
        // The history of a shallow clone is cut off, so only positive answers are certain.
        let contains = |one: &str, other: &str| {
            let answer = self.caller.run(&["merge-base", "--is-ancestor", one, other], None);
            answer.is_ok_and(|it| it.status.success())
        };
        match () {
            () if own == commit => Lineage::Same,
            () if contains(commit, own) => Lineage::Ancestor,
            () if contains(own, commit) => Lineage::Descendant,
            () => Lineage::Unknown,
        }
    }

    /// Returns the first line of git's output without the prefix that all such lines have.
    fn query(&self, arguments: &[&str], prefix: &str) -> Answer {
        let first = |text: &str| text.lines().next().unwrap_or_default().trim().to_owned();
        let finished =
            self.caller.run(arguments, None).map_err(|error| first(&error.to_string()))?;
        let refused = first(&String::from_utf8_lossy(&finished.stderr));
        if !finished.status.success() && !refused.is_empty() {
            return Err(refused.strip_prefix("fatal: ").unwrap_or(&refused).to_owned());
        }
        // Quiet commands report a negative answer only by their exit status.
        let line = first(&String::from_utf8_lossy(&finished.stdout));
        let name = line.strip_prefix(prefix).unwrap_or(&line);
        Ok((finished.status.success() && !name.is_empty()).then(|| name.to_owned()))
    }
}
