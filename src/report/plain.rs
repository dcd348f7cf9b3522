//! A run as plain lines, for logs and for outputs that are not terminals.
//!
//! Each line is one fact: the time since the start of the run, the image, and what happened.

use std::io::{self, Write};
use std::time::Duration;

use crate::base::text::count;
use crate::event::{Event, Operation, TimedEvent};

use super::{Phrase, Reporter, clean, phrases, reasons};

/// Shorter operations and shorter steps that are not instructions have no line: every image has some.
const LEAST_SHOWN: Duration = Duration::from_secs(1);

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
        Event::OperationStarted { .. } | Event::OperationFinished { .. } => {
            return words_of_operation(event);
        }
        Event::ImageRetried { attempt, message, wait } => {
            phrases::tried_again(*attempt, message, *wait)
        }
        Event::ImageStale { reason } => return Some(reasons::describe(reason)),
        Event::StepStarted { .. }
        | Event::OperationProgress { .. }
        | Event::PushQueued
        | Event::PushStarted
        | Event::PushProgress { .. }
        | Event::RunFinished => return None,
        Event::StepFinished { step, took, .. } if step.number == 0 && *took < LEAST_SHOWN => {
            return None;
        }
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

fn words_of_operation(event: &Event) -> Option<Phrase> {
    match event {
        Event::OperationStarted { operation: Operation::WaitingForRun } => {
            Some(phrases::BLOCKED.into())
        }
        // A pull has an event of its own.
        Event::OperationFinished { operation: Operation::Pulling, .. } => None,
        Event::OperationFinished { operation, sent, took } if *took >= LEAST_SHOWN => {
            Some(phrases::operation_done(*operation, *sent, *took).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::StepInfo;

    #[test]
    fn slow_steps_that_are_not_instructions_have_a_line() {
        let done = |millis| {
            let text = "load metadata for docker.io/library/debian:12".to_owned();
            let step = Arc::new(StepInfo { text, ..StepInfo::default() });
            let took = Duration::from_millis(millis);
            words_of(&Event::StepFinished { step, cached: false, took })
        };
        assert_eq!(done(999), None);
        let expected = "load metadata for docker.io/library/debian:12 (1.0s)";
        assert_eq!(done(1000).as_deref(), Some(expected));
    }

    #[test]
    fn slow_operations_have_a_line_with_their_duration() {
        let check = |event: Event, expected: Option<&str>| {
            assert_eq!(words_of(&event).as_deref(), expected);
        };
        let done = |operation, sent, millis| {
            let took = Duration::from_millis(millis);
            Event::OperationFinished { operation, sent, took }
        };
        let sent = Some(300_000_000);
        let context = Operation::SendingContext;
        check(done(context, sent, 1200), Some("sent 300 MB of context in 1.2s"));
        check(done(context, None, 1200), Some("sent the context in 1.2s"));
        check(done(Operation::Exporting, None, 4100), Some("exported in 4.1s"));
        check(done(Operation::Unpacking, None, 1000), Some("unpacked in 1.0s"));
        check(done(Operation::WaitingForRun, None, 61_000), Some("waited 1m01s for another run"));
        check(done(context, sent, 999), None);
        check(done(Operation::Exporting, None, 0), None);
        // It has its own event.
        check(done(Operation::Pulling, None, 9000), None);
        let blocked = Event::OperationStarted { operation: Operation::WaitingForRun };
        check(blocked, Some("waiting for another run that builds this image"));
        check(Event::OperationStarted { operation: context }, None);
        check(Event::OperationProgress { operation: context, sent: 1, total: 2 }, None);
    }
}
