//! Whether a tag is moved, although other runs move it, too.
//!
//! Owns the rules. A tag moves where it still points to what it pointed to when the run began. Otherwise git decides: a
//! release of an ancestor is replaced, one of a descendant stays, and one that git cannot relate to this commit is
//! not replaced without being asked to. The commit counts even where the image is the same: after a revert, the older
//! pipeline must not restore what was reverted.

use crate::base::error::{InfrastructureError, permanent};
use crate::registry::Remote;
use crate::registry::release_record::TagState;
use crate::scan::git::Lineage;

/// The number of characters of a commit ID in messages.
const SHA_LENGTH: usize = 12;

/// What to do with a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagDecision {
    /// Move it, and record the commit.
    Move,
    /// It points to the image already. Record the commit.
    Record,
    /// It points to the image already, and its record is that of this commit or a newer one.
    Keep,
}

/// Decides about a tag that is to point to the image with the digest `to`. `before` is its state when the run began, if
/// it could be queried, and `now` its state at the end. `lineage` returns the relation of a commit to the one of the run.
///
/// # Errors
/// Returns an error if another run has moved the tag and is not known to be older.
pub fn decide(
    tag: &Remote,
    to: &str,
    before: Option<&TagState>,
    now: &TagState,
    lineage: &dyn Fn(&str) -> Lineage,
) -> Result<TagDecision, InfrastructureError> {
    let relation = now.commit.as_deref().map(lineage);
    let is_unchanged = before == Some(now);
    if now.digest.as_deref() == Some(to) {
        let is_newer = relation == Some(Lineage::Descendant) && !is_unchanged;
        let is_known = matches!(relation, Some(Lineage::Same)) || is_newer;
        return Ok(if is_known { TagDecision::Keep } else { TagDecision::Record });
    }
    if is_unchanged || now.digest.is_none() {
        return Ok(TagDecision::Move);
    }
    let by_commit = |commit: &str| commit.chars().take(SHA_LENGTH).collect::<String>();
    let commit = now.commit.as_deref().map(by_commit).unwrap_or_default();
    let (what, hint) = match relation {
        Some(Lineage::Same | Lineage::Ancestor) => return Ok(TagDecision::Move),
        Some(Lineage::Descendant) => (
            format!("was moved by the newer commit {commit} during this run"),
            "build the newest commit, or pass --force-tags to move the tags to this one",
        ),
        Some(Lineage::Unknown) => (
            format!("was moved during this run by commit {commit}, which is not known to be older"),
            "fetch the full history (`git fetch --unshallow`; in GitHub Actions, `fetch-depth: 0`), or \
             pass --force-tags to move the tags anyway",
        ),
        None => (
            "was moved during this run, and its commit is unknown".to_owned(),
            "run the command again, or pass --force-tags to move the tags anyway",
        ),
    };
    Err(permanent(format!("`{tag}` {what}")).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A state in short: the digest, and the commit after `@`.
    fn state(text: &str) -> TagState {
        let (digest, commit) = text.split_once('@').unwrap_or((text, ""));
        let part = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        TagState { digest: part(digest), commit: part(commit) }
    }

    #[track_caller]
    fn check(before: &str, now: &str, expected: Result<TagDecision, &str>) {
        let tag = Remote { registry: "r".into(), repository: "a".into(), version: "latest".into() };
        let lineage = |commit: &str| match commit {
            "own" => Lineage::Same,
            "old" => Lineage::Ancestor,
            "new" => Lineage::Descendant,
            _ => Lineage::Unknown,
        };
        let before = (before != "?").then(|| state(before));
        let decision = decide(&tag, "ours", before.as_ref(), &state(now), &lineage);
        let text = decision.map_err(|error| error.to_string());
        let expected = expected.map_err(|end| format!("`r/a:latest` was moved {end}"));
        assert_eq!(text, expected, "{before:?} {now}");
    }

    #[test]
    fn tags_that_no_other_run_moved_are_moved() {
        for state in ["", "a", "a@old", "a@new", "a@other"] {
            check(state, state, Ok(TagDecision::Move));
        }
        check("a", "", Ok(TagDecision::Move));
        check("", "ours", Ok(TagDecision::Record));
    }

    #[test]
    fn git_decides_about_tags_that_another_run_moved() {
        for before in ["?", "", "a@old", "b@old"] {
            check(before, "b@own", Ok(TagDecision::Move));
            check(before, "c@old", Ok(TagDecision::Move));
            let newer = "by the newer commit new during this run";
            check(before, "b@new", Err(newer));
            let unknown = "during this run by commit other, which is not known to be older";
            check(before, "b@other", Err(unknown));
            check(before, "b", Err("during this run, and its commit is unknown"));
        }
        // The same image, released again by a newer commit, which may have reverted what this run builds.
        check("a@old", "a@new", Err("by the newer commit new during this run"));
    }

    #[test]
    fn records_are_never_replaced_by_those_of_older_commits() {
        check("ours", "ours", Ok(TagDecision::Record));
        check("ours@old", "ours@old", Ok(TagDecision::Record));
        check("a", "ours@old", Ok(TagDecision::Record));
        check("ours@own", "ours@own", Ok(TagDecision::Keep));
        check("ours@old", "ours@new", Ok(TagDecision::Keep));
        // A deliberate release of an older commit.
        check("ours@new", "ours@new", Ok(TagDecision::Record));
    }
}
