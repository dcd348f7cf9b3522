//! A run as plain lines, for logs and for screens that are no terminals.
//!
//! One line a fact: the time since the run began, the image, what happened.

use std::io::{self, Write};

use crate::base::text::{count, list};
use crate::event::{Event, Skip, Stamped, StepInfo};

use super::{Reporter, clean, reasons, summary};

/// Writes a line for each event that says something.
pub struct Plain<W> {
    to: W,
}

impl<W: Write> Plain<W> {
    /// Plain lines to `to`.
    pub fn new(to: W) -> Plain<W> {
        Plain { to }
    }
}

impl<W: Write> Reporter for Plain<W> {
    fn show(&mut self, event: &Stamped) -> io::Result<()> {
        let Some(line) = sentence(&event.event) else { return Ok(()) };
        writeln!(self.to, "[{:>6.1}s] {line}", event.at.as_secs_f64())
    }
}

/// What an event says in one line; nothing where it says nothing new.
fn sentence(event: &Event) -> Option<String> {
    Some(match event {
        Event::RunStarted { engine, jobs, images } => {
            format!("building {} with {engine}, {jobs} at once", count(images.len(), "image"))
        }
        Event::ImageStarted { image } => format!("{image}: started"),
        Event::ImageFresh { image, tagged, .. } if tagged.is_empty() => format!("{image}: fresh"),
        Event::ImageFresh { image, tagged, .. } => {
            format!("{image}: fresh, is {} again", list(tagged))
        }
        Event::ImageStale { image, reason } => format!("{image}: {}", reasons::describe(reason)),
        Event::StepStarted { .. } | Event::RunFinished => return None,
        Event::StepFinished { step, .. } if step.number == 0 => return None,
        Event::StepFinished { image, step, cached: true, .. } => {
            format!("{image}: {} (cached)", describe_step(step))
        }
        Event::StepFinished { image, step, took, .. } => {
            format!("{image}: {} ({})", describe_step(step), summary::duration(*took))
        }
        Event::Output { image, line, .. } => format!("{image}: | {}", clean::line(line)),
        Event::Warning { image, message } => format!("{image}: warning: {}", clean::line(message)),
        Event::ImageBuilt { image, steps, took, .. } => format!(
            "{image}: built in {} ({}, {} cached)",
            summary::duration(*took),
            count((steps.ran + steps.cached) as usize, "step"),
            steps.cached
        ),
        Event::ImageFailed { image, failure, took } => format!(
            "{image}: failed after {}{}",
            summary::duration(*took),
            summary::failed_at(failure)
        ),
        Event::ImageSkipped { image, because } => {
            format!("{image}: skipped{}", summary::skipped_because(because))
        }
        Event::ImageCancelled { image, took } => {
            format!("{image}: cancelled after {}", summary::duration(*took))
        }
        Event::Interrupted { signal } => {
            format!("stopping after {}", summary::signal_name(*signal))
        }
    })
}

/// `builder 2/5 RUN make`
pub(super) fn describe_step(step: &StepInfo) -> String {
    let stage = step.stage.as_ref().map(|stage| format!("{stage} ")).unwrap_or_default();
    let text = clean::line(step.text.lines().next().unwrap_or_default());
    // Joined continuation lines keep their indentation, which only costs room here.
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if step.number == 0 {
        text
    } else {
        format!("[{}{}/{}] {text}", clean::line(&stage), step.number, step.total)
    }
}

/// Whether an image was skipped for what another did, and not because the run stopped.
pub(super) fn is_because_of(because: &Skip, image: &str) -> bool {
    matches!(because, Skip::NeedFailed { image: failed } if failed == image)
}
