//! Moving several tags to new images: all of them, or none.
//!
//! Owns the order in which that is done. A registry moves one tag at a time, so what can fail is done
//! before the first is moved: all manifests are in hand, those to move to and those to go back to.
//! Then all are moved at once, and where one can't be, the others are moved back.

use serde::{Deserialize, Serialize};

use super::{AT_ONCE, Manifest, Registries, Remote};
use crate::base::error::{self, ErrorKind, InfrastructureError, permanent};
use crate::base::parallel;

/// A tag that is to lead to an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// The tag.
    pub tag: Remote,
    /// The digest of the manifest in the same repository that it is to lead to.
    pub to: String,
    /// Where it led before; nothing where there was no such tag.
    pub from: Option<String>,
}

/// A move with the manifests that it takes.
struct Ready<'a> {
    step: &'a Move,
    to: Manifest,
    from: Option<Manifest>,
}

/// Moves tags. Those that lead elsewhere by now than `from` and `to` say are moved all the same: who
/// calls has just looked.
///
/// # Errors
/// Where a registry refuses one; then none is moved, or the error says which are.
pub fn move_all(registries: &Registries, moves: &[Move]) -> anyhow::Result<()> {
    let manifests = parallel::each(moves, AT_ONCE, |step| manifests(registries, step));
    let mut ready = Vec::with_capacity(moves.len());
    for (step, manifests) in moves.iter().zip(manifests) {
        let (to, from) = manifests?;
        ready.push(Ready { step, to, from });
    }
    let moved = parallel::each(&ready, AT_ONCE, |it| registries.put(&it.step.tag, &it.to));
    let Some(error) = moved.iter().find_map(|it| it.as_ref().err()) else { return Ok(()) };
    // What was refused may have been done: an answer can be lost.
    let back = parallel::each(&ready, AT_ONCE, |it| match &it.from {
        Some(from) => registries.put(&it.step.tag, from).is_ok(),
        None => {
            matches!(registries.digest(&it.step.tag), Ok(found) if found.as_ref() != Some(&it.step.to))
        }
    });
    let stuck: Vec<String> = ready
        .iter()
        .zip(back)
        .filter(|(_, is_back)| !is_back)
        .map(|(it, _)| format!("`{}`", it.step.tag))
        .collect();
    if stuck.is_empty() {
        return Err(InfrastructureError::restate(ErrorKind::Permanent, error).into());
    }
    let stuck = stuck.join(", ");
    let message = format!(
        "{error:#}\nthese may lead to what this run has made, and could not be moved back: {stuck}"
    );
    Err(match error::hint(error) {
        Some(hint) => permanent(message).hint(hint).into(),
        None => permanent(message).into(),
    })
}

/// The manifests that a tag is to lead to, and led to.
fn manifests(registries: &Registries, step: &Move) -> anyhow::Result<(Manifest, Option<Manifest>)> {
    let at = |digest: &String| Remote { version: digest.clone(), ..step.tag.clone() };
    let Some(to) = registries.manifest(&at(&step.to))? else {
        anyhow::bail!(
            permanent(format!("`{}` is gone from the registry", at(&step.to))).hint("run it again")
        );
    };
    let from = match &step.from {
        Some(from) => registries.manifest(&at(from))?,
        None => None,
    };
    Ok((to, from))
}

/// Ends what a process has begun that died over it: tags that still lead where they led before are
/// moved. What others have moved meanwhile is left alone.
///
/// # Errors
/// Where a registry can't be asked, or refuses.
pub fn finish(registries: &Registries, moves: &[Move]) -> anyhow::Result<()> {
    let now = parallel::each(moves, AT_ONCE, |step| registries.digest(&step.tag));
    let now: Vec<Option<String>> = now.into_iter().collect::<anyhow::Result<_>>()?;
    let is_begun = moves.iter().zip(&now).any(|(step, now)| now.as_ref() == Some(&step.to));
    if !is_begun {
        // Nothing was moved yet, and what was to be is old by now.
        return Ok(());
    }
    let open = moves.iter().zip(now).filter(|(step, now)| step.from == *now);
    let open: Vec<Move> = open.map(|(step, _)| step.clone()).collect();
    move_all(registries, &open)
}
