//! What the lines of a log have announced, for the lines that only refer to it.
//!
//! Owns that images and steps that are read are the ones that were announced, in logs of every form,
//! and that a failure has the last lines of its step again, which the log holds once.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::event::{Event, RunImage, Stamped, StepInfo, TAIL};

/// The images and their steps so far.
#[derive(Debug, Default)]
pub(super) struct Announced {
    /// Whether lines refer to steps by their numbers.
    pub(super) by_number: bool,
    ids: HashMap<Arc<str>, usize>,
    /// The steps of each image that has not ended, by what tells them apart.
    steps: HashMap<usize, HashMap<StepInfo, Announcement>>,
}

/// A step.
#[derive(Debug)]
struct Announcement {
    step: Arc<StepInfo>,
    tail: VecDeque<String>,
}

impl Announced {
    /// Completes an event by what was announced before it, and takes note of what it announces.
    pub(super) fn complete(&mut self, stamped: &mut Stamped) {
        if let Event::RunStarted { images, .. } = &stamped.event {
            images.iter().for_each(|image| drop(self.image(image)));
        }
        let Some(image) = &mut stamped.image else { return };
        // The name decides: numbers of a log that was damaged may be anything.
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
            // The next try counts its steps anew.
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

    fn step(&mut self, image: usize, step: &Arc<StepInfo>) -> &mut Announcement {
        let key = match self.by_number {
            true => StepInfo { id: step.id, ..StepInfo::default() },
            false => StepInfo { id: 0, ..(**step).clone() },
        };
        let steps = self.steps.entry(image).or_default();
        let id = if self.by_number { step.id } else { steps.len() };
        let new = || Arc::new(StepInfo { id, ..(**step).clone() });
        steps.entry(key).or_insert_with(|| Announcement { step: new(), tail: VecDeque::new() })
    }
}
