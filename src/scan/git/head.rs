//! The commit, branch, and tag of HEAD, for templates of tags.
//!
//! Owns three queries to git. Each is run at most once, on first use. Variables of CI systems are
//! read elsewhere.

use std::path::Path;
use std::sync::OnceLock;

use super::Caller;

/// The answer of git: `None` if there is nothing of the kind, or git's error message.
pub type Answer = Result<Option<String>, String>;

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
