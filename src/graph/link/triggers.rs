//! Graphs with the triggers of external images.
//!
//! Owns the evaluation of `ONBUILD` instructions that engines and registries report. They run in
//! the images that start from the external, like those of siblings.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::{ResolvedParents, ResolvedReference, Siblings};
use crate::base::{Diagnostic, ExternalId, IdMap, ImageId};
use crate::graph::evaluate::{self, Evaluation, EvaluationSettings, Trigger};
use crate::graph::reference::Reference;
use crate::graph::{Graph, Image};

/// The triggers of external images.
pub type ExternalTriggers = BTreeMap<ExternalId, Vec<Trigger>>;

impl Graph {
    /// Evaluates the images again that use externals with triggers, links their dependencies, and
    /// sorts the graph. Returns the diagnostics of those images and of the graph.
    pub fn learn_triggers(&mut self, reported: &ExternalTriggers) -> Vec<Diagnostic> {
        let siblings = Siblings::of_images(&self.images);
        let concerned: Vec<ImageId> = self
            .images
            .iter()
            .filter(|(_, image)| image.externals.iter().any(|it| reported.contains_key(&it.id)))
            .map(|(id, _)| id)
            .collect();
        let evaluations: Vec<(ImageId, Evaluation, ResolvedParents)> = concerned
            .par_iter()
            .map(|id| {
                let settings = self.settings_of(&self.images[*id]);
                let evaluation = self.evaluate_with(*id, &settings, &siblings, reported);
                let linked = siblings.link(&evaluation);
                (*id, evaluation, linked)
            })
            .collect();
        let mut problems = Vec::new();
        for (id, evaluation, linked) in evaluations {
            problems.extend(evaluation.diagnostics.iter().cloned());
            let image = &mut self.images[id];
            image.evaluation = evaluation;
            problems.extend(image.depend(linked, &mut self.externals));
        }
        problems.extend(self.sort());
        problems
    }

    /// Evaluates an image's Dockerfile with the known environments of external or parent images.
    pub fn evaluate_on(
        &self,
        image: ImageId,
        environments: BTreeMap<Reference, Vec<(String, String)>>,
        reported: &ExternalTriggers,
    ) -> Evaluation {
        let settings = EvaluationSettings { environments, ..self.settings_of(&self.images[image]) };
        self.evaluate_with(image, &settings, &Siblings::of_images(&self.images), reported)
    }

    fn evaluate_with(
        &self,
        image: ImageId,
        settings: &EvaluationSettings,
        siblings: &Siblings<'_>,
        reported: &ExternalTriggers,
    ) -> Evaluation {
        let triggers = |reference: &Reference| match siblings.find(reference) {
            ResolvedReference::Sibling(image) => self.images[image].evaluation.onbuild.clone(),
            ResolvedReference::OtherTag(_) | ResolvedReference::Stranger => {
                let external = self.externals.find(reference);
                external.and_then(|id| reported.get(&id)).cloned().unwrap_or_default()
            }
        };
        evaluate::evaluate(&self.images[image].file, settings, &triggers)
    }

    fn settings_of(&self, image: &Image) -> EvaluationSettings {
        let (target, contexts) = (image.target.clone(), image.contexts.clone());
        self.shared_settings.settings(
            image.name.clone(),
            image.build_args.clone(),
            target,
            contexts,
        )
    }
}

impl<'a> Siblings<'a> {
    /// Collects the references of linked images.
    fn of_images(images: &'a IdMap<Image>) -> Siblings<'a> {
        let mut siblings = Siblings::default();
        for (id, image) in images.iter() {
            for reference in &image.references {
                siblings.entry(reference).or_insert(id);
            }
        }
        siblings
    }
}
