//! What stands for what a Dockerfile names, in the build of one image.
//!
//! Owns the named contexts that lead to what was planned, whatever the names in the Dockerfile lead to
//! when the engine looks them up. Which images are taken so is the plan's affair.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::base::ImageId;
use crate::engine::Engine;
use crate::graph::reference::Reference;
use crate::inputs::NeedOf;
use crate::plan::{Judge, Parent, lent};

/// How a context says that it is an image.
const IMAGE: &str = "docker-image://";

/// What stands for what a Dockerfile names.
#[derive(Default)]
pub struct StandIns {
    /// Named contexts: what a `FROM` or `--from` calls it, and what stands for it.
    pub contexts: BTreeMap<String, String>,
    /// Normalised references, and the names that are lent for what they mean.
    names: BTreeMap<String, String>,
}

/// Lends images of the engine names of their own, which they have until the end of the run: an engine
/// writes its list of names to the disk each time that one comes or goes.
#[derive(Default)]
pub struct Lender {
    /// The names by the images' IDs.
    names: Mutex<BTreeMap<String, String>>,
}

impl Lender {
    /// The name of an image, which it has from now on.
    fn lend(&self, image_id: &str, engine: &dyn Engine) -> anyhow::Result<String> {
        // Whoever needs the same image waits until it has its name.
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = names.get(image_id) {
            return Ok(name.clone());
        }
        let name = lent::fresh_name();
        engine.tag(image_id, &name)?;
        names.insert(image_id.to_owned(), name.clone());
        Ok(name)
    }

    /// Takes all names back. One that stays is taken away by a later run.
    pub fn take_back(&self, engine: &dyn Engine) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        for name in std::mem::take(&mut *names).into_values() {
            drop(engine.remove(&name));
        }
    }
}

impl StandIns {
    /// What an image is built on in place of what its Dockerfile calls it: by digest what comes from a
    /// registry, under a name of its own what the engine holds.
    ///
    /// # Errors
    /// Where the engine does not hold an image any more, or can't be asked.
    pub fn of(
        judge: &Judge<'_>,
        image: ImageId,
        needs: &[Parent],
        lender: &Lender,
        engine: &dyn Engine,
    ) -> anyhow::Result<StandIns> {
        let mut found = StandIns::default();
        let Some(Ok(own)) = &judge.own[image] else { return Ok(found) };
        if !judge.takes_by_digest(image) {
            return Ok(found);
        }
        for (need, of) in own.inputs.needs.iter().zip(&own.needs) {
            let Ok(reference) = Reference::parse(&need.reference) else { continue };
            let is_context = need.kind == "context";
            if judge.is_lent(image, of, needs)
                && let NeedOf::Image(parent) = of
                && let Some(parent) = needs.iter().find(|it| it.image == *parent)
            {
                let name = lender.lend(&parent.image_id, engine)?;
                if !is_context {
                    found.contexts.insert(reference.context_name(), format!("{IMAGE}{name}"));
                }
                found.names.insert(need.reference.clone(), name);
            } else if let Some(digest) = judge.remote_of(of, needs).filter(|_| !is_context) {
                found.contexts.insert(reference.context_name(), format!("{IMAGE}{digest}"));
            }
        }
        Ok(found)
    }

    /// The user's own contexts, with what is lent in place of images of the repository.
    pub fn replace(&self, mut contexts: BTreeMap<String, String>) -> BTreeMap<String, String> {
        for value in contexts.values_mut() {
            let reference = value.strip_prefix(IMAGE).and_then(|it| Reference::parse(it).ok());
            if let Some(name) = reference.and_then(|it| self.names.get(&it.normalised())) {
                *value = format!("{IMAGE}{name}");
            }
        }
        contexts
    }
}
