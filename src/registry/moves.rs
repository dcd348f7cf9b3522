//! Moves of several tags to new images, all or none.
//!
//! Owns the order of the steps. A registry moves one tag at a time and cannot compare before it does, so everything that
//! can fail happens before the first move: all manifests are fetched, both the new ones and those to restore, and all
//! tags are checked again. Then the release records are written and all tags are moved concurrently. If one cannot
//! be moved, those that are still ours are moved back, and those that are new are removed.

use serde::{Deserialize, Serialize};

use super::release_record::{record, record_of};
use super::{AT_ONCE, Manifest, Registries, Remote};
use crate::base::error::{self, ErrorKind, InfrastructureError, permanent};
use crate::base::parallel;

/// A move of a tag to an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// The tag.
    pub tag: Remote,
    /// The digest of the manifest in the same repository that the tag is to point to.
    pub to: String,
    /// The digest that the tag points to now; `None` if the tag does not exist. If it is `to`, only the release record
    /// is written.
    pub from: Option<String>,
}

impl Move {
    /// Returns whether the tag points to the image already.
    pub fn is_done(&self) -> bool {
        self.from.as_ref() == Some(&self.to)
    }
}

/// A move with the manifests that it needs.
struct PreparedMove<'a> {
    step: &'a Move,
    to: Manifest,
    from: Option<Manifest>,
}

/// Moves tags, and records the commit that they are moved by, if there is one.
///
/// # Errors
/// Returns an error if a registry refuses a move, or if a tag no longer points to `from`. Then no tags are moved, or the
/// error names those that are.
pub fn move_all(
    registries: &Registries,
    moves: &[Move],
    commit: Option<&str>,
) -> anyhow::Result<()> {
    let manifests = parallel::each(moves, AT_ONCE, |step| manifests(registries, step));
    let mut ready = Vec::with_capacity(moves.len());
    for (step, manifests) in moves.iter().zip(manifests) {
        let (to, from) = manifests?;
        ready.push(PreparedMove { step, to, from });
    }
    if let Some(commit) = commit {
        parallel::each(&ready, AT_ONCE, |it| {
            // Without its record, a tag that was moved is one whose commit is unknown. A registry with immutable tags
            // rejects a second record, but there the tag cannot move either.
            drop(registries.put(&record_of(&it.step.tag), &record(commit, &it.to)));
        });
    }
    ready.retain(|it| !it.step.is_done());
    let checks = parallel::each(&ready, AT_ONCE, |it| check_unmoved(registries, it.step));
    checks.into_iter().collect::<anyhow::Result<()>>()?;
    let moved = parallel::each(&ready, AT_ONCE, |it| registries.put(&it.step.tag, &it.to));
    let Some(error) = moved.iter().find_map(|it| it.as_ref().err()) else { return Ok(()) };
    // A refused move may have been carried out: the response can be lost.
    let back = parallel::each(&ready, AT_ONCE, |it| restore(registries, it));
    let is_stuck = |it: &(&PreparedMove<'_>, bool)| !it.1;
    let stuck: Vec<&PreparedMove<'_>> =
        ready.iter().zip(back).filter(is_stuck).map(|(it, _)| it).collect();
    Err(with_stuck(error, &stuck))
}

/// Checks that a tag still points to what it pointed to when the release was decided, or to its new image.
fn check_unmoved(registries: &Registries, step: &Move) -> anyhow::Result<()> {
    let now = registries.digest(&step.tag)?;
    if now == step.from || now.as_ref() == Some(&step.to) {
        return Ok(());
    }
    Err(permanent(format!("`{}` was moved by another process just now", step.tag))
        .hint("run the command again")
        .into())
}

/// Takes a move back. Returns false if the tag still points to the new image.
fn restore(registries: &Registries, it: &PreparedMove<'_>) -> bool {
    let is_ours = |digest: Option<String>| digest.as_ref() == Some(&it.step.to);
    let now = || registries.digest(&it.step.tag).map(is_ours);
    match (now(), &it.from) {
        // Another process has moved it meanwhile, or it was never moved.
        (Ok(false), _) => true,
        (Ok(true), Some(from)) => registries.put(&it.step.tag, from).is_ok(),
        (Ok(true), None) => {
            // Not all registries can remove a tag.
            drop(registries.remove_tag(&it.step.tag));
            matches!(now(), Ok(false))
        }
        (Err(_), _) => false,
    }
}

/// Returns the error of a release, with the tags that it could not take back.
fn with_stuck(error: &anyhow::Error, stuck: &[&PreparedMove<'_>]) -> anyhow::Error {
    if stuck.is_empty() {
        return InfrastructureError::restate(ErrorKind::Permanent, error).into();
    }
    let names = |is_new: bool| {
        let of_kind = stuck.iter().filter(|it| it.step.from.is_none() == is_new);
        of_kind.map(|it| format!("`{}`", it.step.tag)).collect::<Vec<_>>().join(", ")
    };
    let mut message = format!("{error:#}");
    let kinds = [
        (false, "these tags may point to images of this run, and could not be moved back"),
        (true, "these tags are new and could not be removed"),
    ];
    for (is_new, text) in kinds {
        let tags = names(is_new);
        if !tags.is_empty() {
            message += &format!("\n{text}: {tags}");
        }
    }
    match error::hint(error) {
        Some(hint) => permanent(message).hint(hint).into(),
        None => permanent(message).into(),
    }
}

/// Returns the manifests that a tag is to point to, and that it points to now.
fn manifests(registries: &Registries, step: &Move) -> anyhow::Result<(Manifest, Option<Manifest>)> {
    let at = |digest: &String| Remote { version: digest.clone(), ..step.tag.clone() };
    let Some(to) = registries.manifest(&at(&step.to))? else {
        anyhow::bail!(
            permanent(format!("`{}` was removed from the registry", at(&step.to)))
                .hint("run the command again")
        );
    };
    let from = match &step.from {
        Some(from) if !step.is_done() => registries.manifest(&at(from))?,
        _ => None,
    };
    Ok((to, from))
}

/// Completes the moves of a process that died: tags that still point to their old manifests are moved. Tags that
/// others have moved are left alone.
///
/// # Errors
/// Returns an error if a registry cannot be reached, or refuses.
pub fn finish(registries: &Registries, moves: &[Move], commit: Option<&str>) -> anyhow::Result<()> {
    let moves: Vec<&Move> = moves.iter().filter(|step| !step.is_done()).collect();
    let now = parallel::each(&moves, AT_ONCE, |step| registries.digest(&step.tag));
    let now: Vec<Option<String>> = now.into_iter().collect::<anyhow::Result<_>>()?;
    let is_begun = moves.iter().zip(&now).any(|(step, now)| now.as_ref() == Some(&step.to));
    if !is_begun {
        // No tag has been moved yet, and the new images are outdated by now.
        return Ok(());
    }
    let open = moves.iter().zip(now).filter(|(step, now)| step.from == *now);
    let open: Vec<Move> = open.map(|(step, _)| (*step).clone()).collect();
    move_all(registries, &open, commit)
}
