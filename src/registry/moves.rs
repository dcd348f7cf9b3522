//! Moves of several tags to new images, all or none.
//!
//! Owns the order of the steps. A registry moves one tag at a time, so everything that can fail happens before the
//! first move: all manifests are fetched, both the new ones and those to restore. Then all tags are moved
//! concurrently, and if one cannot be moved, the others are moved back.

use serde::{Deserialize, Serialize};

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
    /// The digest that the tag pointed to before; `None` if the tag did not exist.
    pub from: Option<String>,
}

/// A move with the manifests that it needs.
struct PreparedMove<'a> {
    step: &'a Move,
    to: Manifest,
    from: Option<Manifest>,
}

/// Moves tags. Tags that now point to neither `from` nor `to` are moved as well: the caller has just checked them.
///
/// # Errors
/// Returns an error if a registry refuses a move. Then no tags are moved, or the error names those that are.
pub fn move_all(registries: &Registries, moves: &[Move]) -> anyhow::Result<()> {
    let manifests = parallel::each(moves, AT_ONCE, |step| manifests(registries, step));
    let mut ready = Vec::with_capacity(moves.len());
    for (step, manifests) in moves.iter().zip(manifests) {
        let (to, from) = manifests?;
        ready.push(PreparedMove { step, to, from });
    }
    let moved = parallel::each(&ready, AT_ONCE, |it| registries.put(&it.step.tag, &it.to));
    let Some(error) = moved.iter().find_map(|it| it.as_ref().err()) else { return Ok(()) };
    // A refused move may have been carried out: the response can be lost.
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
        "{error:#}\nthese tags may point to images of this run, and could not be moved back: \
         {stuck}"
    );
    Err(match error::hint(error) {
        Some(hint) => permanent(message).hint(hint).into(),
        None => permanent(message).into(),
    })
}

/// Returns the manifests that a tag is to point to, and that it pointed to before.
fn manifests(registries: &Registries, step: &Move) -> anyhow::Result<(Manifest, Option<Manifest>)> {
    let at = |digest: &String| Remote { version: digest.clone(), ..step.tag.clone() };
    let Some(to) = registries.manifest(&at(&step.to))? else {
        anyhow::bail!(
            permanent(format!("`{}` was removed from the registry", at(&step.to)))
                .hint("run the command again")
        );
    };
    let from = match &step.from {
        Some(from) => registries.manifest(&at(from))?,
        None => None,
    };
    Ok((to, from))
}

/// Completes the moves of a process that died: tags that still point to their old manifests are moved. Tags that
/// others have moved are left alone.
///
/// # Errors
/// Returns an error if a registry cannot be reached, or refuses.
pub fn finish(registries: &Registries, moves: &[Move]) -> anyhow::Result<()> {
    let now = parallel::each(moves, AT_ONCE, |step| registries.digest(&step.tag));
    let now: Vec<Option<String>> = now.into_iter().collect::<anyhow::Result<_>>()?;
    let is_begun = moves.iter().zip(&now).any(|(step, now)| now.as_ref() == Some(&step.to));
    if !is_begun {
        // No tag has been moved yet, and the new images are outdated by now.
        return Ok(());
    }
    let open = moves.iter().zip(now).filter(|(step, now)| step.from == *now);
    let open: Vec<Move> = open.map(|(step, _)| step.clone()).collect();
    move_all(registries, &open)
}
