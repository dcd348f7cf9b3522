//! What an image that is being built is doing: its steps and operations that are running.
//!
//! Owns which of them is shown. Several can run at the same time, and a row has space for one: the last that started. Steps
//! that are not instructions, such as `load metadata for debian:12`, are shown only if they are slow.

use std::sync::Arc;
use std::time::Duration;

use crate::event::{Operation, StepInfo};

use super::super::{Phrase, phrases};

/// Shorter operations are shown without their duration, and shorter steps that are not instructions are not shown: they
/// would only flicker.
const LEAST_SHOWN: Duration = Duration::from_secs(1);

/// The steps and operations of an image that are running.
#[derive(Default)]
pub(super) struct Activities {
    running: Vec<Activity>,
    /// Whether the only one is a step that has ended. It is shown until something else starts, which is usually at once.
    has_ended: bool,
    /// A note about the image, shown while nothing else is.
    note: Phrase,
}

enum Activity {
    Step {
        step: Arc<StepInfo>,
        since: Duration,
        last_line: Phrase,
    },
    Operation {
        operation: Operation,
        since: Duration,
        /// The bytes that were sent, and all bytes.
        progress: Option<(u64, u64)>,
    },
}

impl Activities {
    /// Replaces everything by a note.
    pub(super) fn note(&mut self, words: impl Into<Phrase>) {
        *self = Activities { note: words.into(), ..Activities::default() };
    }

    fn start(&mut self, activity: Activity) {
        if std::mem::take(&mut self.has_ended) {
            self.running.clear();
        }
        self.running.push(activity);
    }

    /// Records the start of a step.
    pub(super) fn start_step(&mut self, step: &Arc<StepInfo>, since: Duration) {
        if step.number > 0 {
            self.note = Phrase::default();
        }
        let (step, last_line) = (Arc::clone(step), Phrase::default());
        self.start(Activity::Step { step, since, last_line });
    }

    /// Records the end of a step.
    pub(super) fn end_step(&mut self, step: &StepInfo) {
        let is_it = |activity: &Activity| matches!(activity, Activity::Step { step: it, .. } if it.id == step.id);
        match self.running.as_slice() {
            [only] if is_it(only) && step.number > 0 => self.has_ended = true,
            _ => self.running.retain(|activity| !is_it(activity)),
        }
    }

    /// Records the last line of a step's output.
    pub(super) fn write(&mut self, step: &StepInfo, line: impl Into<Phrase>) {
        for activity in &mut self.running {
            if let Activity::Step { step: it, last_line, .. } = activity
                && it.id == step.id
            {
                *last_line = line.into();
                return;
            }
        }
    }

    /// Records the start of an operation.
    pub(super) fn start_operation(&mut self, operation: Operation, since: Duration) {
        self.note = Phrase::default();
        self.start(Activity::Operation { operation, since, progress: None });
    }

    /// Records how far an operation is.
    pub(super) fn advance(&mut self, operation: Operation, sent: u64, total: u64) {
        for activity in &mut self.running {
            if let Activity::Operation { operation: it, progress, .. } = activity
                && *it == operation
            {
                *progress = Some((sent, total));
            }
        }
    }

    /// Records the end of an operation.
    pub(super) fn end_operation(&mut self, operation: Operation) {
        self.running.retain(|activity| {
            !matches!(activity, Activity::Operation { operation: it, .. } if *it == operation)
        });
    }

    /// Describes what is shown: the step or the operation, and its last line or its progress.
    pub(super) fn describe(&self, now: Duration) -> (Phrase, Phrase) {
        let is_shown = |activity: &&Activity| match activity {
            Activity::Step { step, since, .. } => {
                step.number > 0 || now.saturating_sub(*since) >= LEAST_SHOWN
            }
            Activity::Operation { .. } => true,
        };
        match self.running.iter().rfind(is_shown) {
            None => (Phrase::default(), self.note.clone()),
            Some(Activity::Step { step, last_line, .. }) => {
                (phrases::describe_step(step).into(), last_line.clone())
            }
            Some(Activity::Operation { operation, since, progress }) => {
                let time = now.saturating_sub(*since);
                let last = match progress {
                    Some((sent, total)) => phrases::part(*sent, *total).into(),
                    None if time < LEAST_SHOWN => Phrase::default(),
                    None => phrases::duration(time).into(),
                };
                (phrases::operation(*operation).into(), last)
            }
        }
    }
}
