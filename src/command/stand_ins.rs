//! What stands for what a Dockerfile names, in the build of one image.
//!
//! Owns the named contexts that lead to what was planned, whatever the names in the Dockerfile lead to
//! when the engine looks them up. Which images are taken so is the plan's affair.

use std::collections::BTreeMap;

use crate::base::ImageId;
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
    /// Those names, and the IDs of the images that get them.
    pub lent: Vec<(String, String)>,
}

impl StandIns {
    /// What an image is built on in place of what its Dockerfile calls it: by digest what comes from a
    /// registry, under a name of its own what the engine holds.
    pub fn of(judge: &Judge<'_>, image: ImageId, needs: &[Parent]) -> StandIns {
        let mut found = StandIns::default();
        let Some(Ok(own)) = &judge.own[image] else { return found };
        if !judge.takes_by_digest(image) {
            return found;
        }
        for (need, of) in own.inputs.needs.iter().zip(&own.needs) {
            let Ok(reference) = Reference::parse(&need.reference) else { continue };
            let is_context = need.kind == "context";
            if judge.is_lent(image, of, needs)
                && let NeedOf::Image(parent) = of
                && let Some(parent) = needs.iter().find(|it| it.image == *parent)
            {
                let name = found.lend(&need.reference, &parent.image_id);
                if !is_context {
                    found.contexts.insert(reference.context_name(), name);
                }
            } else if let Some(digest) = judge.remote_of(of, needs).filter(|_| !is_context) {
                found.contexts.insert(reference.context_name(), format!("{IMAGE}{digest}"));
            }
        }
        found
    }

    /// The context that stands for a reference: one name for each, however often it is needed.
    fn lend(&mut self, reference: &str, image_id: &str) -> String {
        let name = self.names.entry(reference.to_owned()).or_insert_with(|| {
            let name = lent::fresh_name();
            self.lent.push((name.clone(), image_id.to_owned()));
            name
        });
        format!("{IMAGE}{name}")
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
