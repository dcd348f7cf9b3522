//! The images and steps that earlier lines of a log introduced, for later lines that refer to them.
//!
//! Owns the lookup of images and steps in logs of all formats. It also restores the last output lines in a
//! failure, which the log contains only once.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::event::{Event, RunImage, StepInfo, TAIL, TimedEvent};

/// The images and steps introduced so far.
#[derive(Debug, Default)]
pub(super) struct IntroducedNames {
    /// Whether lines refer to steps by number.
    pub(super) by_number: bool,
    ids: HashMap<Arc<str>, usize>,
    /// The steps of each unfinished image, by their identifying fields.
    steps: HashMap<usize, HashMap<StepInfo, IntroducedStep>>,
}

/// A step and its last output lines.
#[derive(Debug)]
struct IntroducedStep {
    step: Arc<StepInfo>,
    tail: VecDeque<String>,
}

impl IntroducedNames {
    /// Completes an event with earlier information, and records what it introduces.
    pub(super) fn complete(&mut self, stamped: &mut TimedEvent) {
        if let Event::RunStarted { images, .. } = &stamped.event {
            images.iter().for_each(|image| drop(self.image(image)));
        }
        let Some(image) = &mut stamped.image else { return };
        // Use the name: the numbers in a damaged log can be wrong.
        *image = self.image(&image.name);
        let id = image.id;
        match &mut stamped.event {
            Event::StepStarted { step } | Event::StepFinished { step, .. } => {
                *step = Arc::clone(&self.step(id, step).step);
            }
            Event::Output { step, line } => {
                let announced = self.step(id, step);
                if announced.tail.len() == TAIL {
                    announced.tail.pop_front();
                }
                announced.tail.push_back(line.clone());
                *step = Arc::clone(&announced.step);
            }
            Event::ImageFailed { failure, .. } => {
                if let (Some(step), true) = (&failure.step, failure.log_tail.is_empty()) {
                    failure.log_tail = self.step(id, step).tail.drain(..).collect();
                }
                self.steps.remove(&id);
            }
            // The next attempt numbers its steps from 0 again.
            Event::ImageRetried { .. } => drop(self.steps.remove(&id)),
            event if event.is_end() => drop(self.steps.remove(&id)),
            _ => {}
        }
    }

    fn image(&mut self, name: &Arc<str>) -> RunImage {
        let next = self.ids.len();
        if let Some((name, id)) = self.ids.get_key_value(name) {
            return RunImage { id: *id, name: Arc::clone(name) };
        }
        self.ids.insert(Arc::clone(name), next);
        RunImage { id: next, name: Arc::clone(name) }
    }

    fn step(&mut self, image: usize, step: &Arc<StepInfo>) -> &mut IntroducedStep {
        let key = match self.by_number {
            true => StepInfo { id: step.id, ..StepInfo::default() },
            false => StepInfo { id: 0, ..(**step).clone() },
        };
        let steps = self.steps.entry(image).or_default();
        let id = if self.by_number { step.id } else { steps.len() };
        let new = || Arc::new(StepInfo { id, ..(**step).clone() });
        steps.entry(key).or_insert_with(|| IntroducedStep { step: new(), tail: VecDeque::new() })
    }
}
