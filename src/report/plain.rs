//! A run as plain lines, for logs and for outputs that are not terminals.
//!
//! Each line is one fact: the time since the start of the run, the image, and what happened.

use std::io::{self, Write};

use crate::base::text::count;
use crate::event::{Event, TimedEvent};

use super::{Phrase, Reporter, clean, phrases, reasons};

/// Writes a line per event that has something to report.
pub struct PlainPrinter<W>(pub W);

impl<W: Write> Reporter for PlainPrinter<W> {
    fn show(&mut self, event: &TimedEvent) -> io::Result<()> {
        match line(event) {
            Some(line) => writeln!(self.0, "{line}"),
            None => Ok(()),
        }
    }
}

/// Returns the line of an event without a line ending, or `None` if the event reports nothing new.
pub(super) fn line(event: &TimedEvent) -> Option<String> {
    let words = words_of(&event.event)?;
    let image = event.image.as_ref();
    let about = image.map(|it| format!("{}: ", clean::visible(&it.name))).unwrap_or_default();
    Some(format!("[{:>6.1}s] {about}{words}", event.at.as_secs_f64()))
}

/// Describes what an event reports about its image or the run. Returns `None` if it reports nothing new.
pub(super) fn words_of(event: &Event) -> Option<Phrase> {
    let words = match event {
        Event::RunStarted { engine, jobs, images, .. } => {
            let (engine, images) = (clean::visible(engine), count(images.len(), "image"));
            format!("building {images} with {engine}, {}", count(*jobs, "slot"))
        }
        Event::ImageStarted => return Some("started".into()),
        Event::ImageFresh { tagged, registry, .. } => phrases::fresh(tagged, registry.is_some()),
        Event::ImagePulled { reference, took } => {
            format!("pulled {} ({})", clean::line(reference), phrases::duration(*took))
        }
        Event::ImagePushed { reference, took } => {
            format!("pushed as {} ({})", clean::line(reference), phrases::duration(*took))
        }
        Event::PushFailed { message } => phrases::push_failed(message),
        Event::PushCanceled => return Some("push canceled".into()),
        Event::Released { moved, unchanged } => phrases::released(moved, *unchanged),
        Event::NotReleased { message } => return Some(phrases::not_released(message.as_deref())),
        Event::ImageBlocked => return Some(phrases::BLOCKED.into()),
        Event::ImageRetried { attempt, message, wait } => {
            phrases::tried_again(*attempt, message, *wait)
        }
        Event::ImageStale { reason } => return Some(reasons::describe(reason)),
        Event::StepStarted { .. }
        | Event::PushQueued
        | Event::PushStarted
        | Event::PushProgress { .. }
        | Event::RunFinished => return None,
        Event::StepFinished { step, .. } if step.number == 0 => return None,
        Event::StepFinished { step, cached: true, .. } => {
            format!("{} (cached)", phrases::describe_step(step))
        }
        Event::StepFinished { step, took, .. } => {
            format!("{} ({})", phrases::describe_step(step), phrases::duration(*took))
        }
        Event::Output { line, .. } => format!("| {}", clean::line(line)),
        Event::Warning { message } => format!("warning: {}", clean::line(message)),
        Event::ImageBuilt { steps, took, .. } => format!(
            "built in {} ({}, {} cached)",
            phrases::duration(*took),
            count((steps.ran as usize).saturating_add(steps.cached as usize), "step"),
            steps.cached
        ),
        Event::ImageFailed { failure, took } => {
            format!("failed after {}{}", phrases::duration(*took), phrases::failed_at(failure))
        }
        Event::ImageSkipped { because } => format!("skipped: {}", phrases::why_skipped(because)),
        Event::ImageCanceled { took } => format!("canceled after {}", phrases::duration(*took)),
        Event::Waiting { what } => return Some(phrases::waiting(what)),
        Event::Interrupted { signal } => return Some(phrases::interrupted(*signal)),
    };
    Some(words.into())
}
