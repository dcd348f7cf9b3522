//! A run as plain lines, for logs and for screens that are no terminals.
//!
//! One line a fact: the time since the run began, the image, what happened.

use std::io::{self, Write};

use crate::base::text::{count, list};
use crate::event::{Event, Stamped};

use super::{Reporter, clean, reasons, words};

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
        Event::ImageBlocked { image } => format!("{image}: {}", words::BLOCKED),
        Event::ImageRetried { image, attempt, message, wait } => {
            format!("{image}: {}", words::tried_again(*attempt, message, *wait))
        }
        Event::ImageStale { image, reason } => format!("{image}: {}", reasons::describe(reason)),
        Event::StepStarted { .. } | Event::RunFinished => return None,
        Event::StepFinished { step, .. } if step.number == 0 => return None,
        Event::StepFinished { image, step, cached: true, .. } => {
            format!("{image}: {} (cached)", words::describe_step(step))
        }
        Event::StepFinished { image, step, took, .. } => {
            format!("{image}: {} ({})", words::describe_step(step), words::duration(*took))
        }
        Event::Output { image, line, .. } => format!("{image}: | {}", clean::line(line)),
        Event::Warning { image, message } => format!("{image}: warning: {}", clean::line(message)),
        Event::ImageBuilt { image, steps, took, .. } => format!(
            "{image}: built in {} ({}, {} cached)",
            words::duration(*took),
            count((steps.ran + steps.cached) as usize, "step"),
            steps.cached
        ),
        Event::ImageFailed { image, failure, took } => {
            format!("{image}: failed after {}{}", words::duration(*took), words::failed_at(failure))
        }
        Event::ImageSkipped { image, because } => {
            format!("{image}: skipped{}", words::skipped_because(because))
        }
        Event::ImageCancelled { image, took } => {
            format!("{image}: cancelled after {}", words::duration(*took))
        }
        Event::Interrupted { signal } => {
            format!("stopping after {}", words::signal_name(*signal))
        }
    })
}
