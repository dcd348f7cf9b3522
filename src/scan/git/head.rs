//! What HEAD is, for tags that are named after it: its commit, its branch, its tag.
//!
//! Owns three questions to git. Each is asked when its answer is wanted, and once. What a pipeline
//! knows beside git is not its affair.

use std::path::Path;
use std::sync::OnceLock;

use super::Caller;

/// What git says; nothing where there is none of the kind, and its words where it refuses.
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
    /// That of the work tree that holds `root`. Nothing is asked yet.
    pub fn of(root: &Path) -> Head {
        let caller = Caller::at(root);
        Head { caller, commit: OnceLock::new(), branch: OnceLock::new(), tag: OnceLock::new() }
    }

    /// The name of its commit in full; nothing before the first one.
    ///
    /// # Errors
    /// What git says where it refuses, or why it can't be asked.
    pub fn commit(&self) -> &Answer {
        let ask = || self.ask(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], "");
        self.commit.get_or_init(ask)
    }

    /// The branch that is checked out; nothing where HEAD is detached.
    ///
    /// # Errors
    /// As [`Head::commit`].
    pub fn branch(&self) -> &Answer {
        let ask = || self.ask(&["symbolic-ref", "--quiet", "HEAD"], "refs/heads/");
        self.branch.get_or_init(ask)
    }

    /// The tag of its commit; of several the newest, and the highest version of those.
    ///
    /// # Errors
    /// As [`Head::commit`].
    pub fn tag(&self) -> &Answer {
        self.tag.get_or_init(|| {
            let Some(commit) = self.commit().clone()? else { return Ok(None) };
            let at = format!("--points-at={commit}");
            // The last of the keys is the first by which refs are sorted (git-for-each-ref(1)).
            let sort = ["--sort=-version:refname", "--sort=-creatordate", "--count=1"];
            let [by_version, by_date, one] = sort;
            let format = "--format=%(refname)";
            let words = ["for-each-ref", &at, by_version, by_date, one, format, "refs/tags"];
            self.ask(&words, "refs/tags/")
        })
    }

    /// The first line of an answer, without what all such lines begin with.
    fn ask(&self, arguments: &[&str], prefix: &str) -> Answer {
        let first = |text: &str| text.lines().next().unwrap_or_default().trim().to_owned();
        let finished =
            self.caller.run(arguments, None).map_err(|error| first(&error.to_string()))?;
        let refused = first(&String::from_utf8_lossy(&finished.stderr));
        if !finished.status.success() && !refused.is_empty() {
            return Err(refused.strip_prefix("fatal: ").unwrap_or(&refused).to_owned());
        }
        // Quiet questions say no by their status alone.
        let line = first(&String::from_utf8_lossy(&finished.stdout));
        let name = line.strip_prefix(prefix).unwrap_or(&line);
        Ok((finished.status.success() && !name.is_empty()).then(|| name.to_owned()))
    }
}
