//! A run told again from its log, and the log of one image.
//!
//! Owns what is said of a run that is over. What a log holds is what builds wrote, and a file that
//! anybody may have put there, so every line is cleaned, wherever it goes.

use std::io::{self, Write};
use std::sync::Arc;

use crate::event::{Event, Stamped, StepInfo};

use super::journal::Events;
use super::paint::Paint;
use super::summary::{Summary, Whole};
use super::{Words, clean, plain, words};
use crate::state::runs::RunLog;

/// Tells a run again: the plain lines, then the end as it was. `whole` is where the whole logs of
/// its images are.
///
/// # Errors
/// Where its log can't be read; an `io::Error` where it can't be written.
pub fn run(run: &RunLog, whole: Whole, to: &mut dyn Write) -> anyhow::Result<()> {
    let is_written = run.is_written();
    let mut summary = Summary::default();
    summary.log = Some(whole);
    for event in Events::of(run)? {
        let event = event?;
        summary.take(&event);
        if let Some(line) = plain::line(&event) {
            writeln!(to, "{}", clean::line(&line))?;
        }
    }
    for line in summary.draw(Paint::plain()).lines() {
        writeln!(to, "{}", clean::line(line))?;
    }
    match (summary.tally.is_over, is_written) {
        (true, _) => {}
        (false, true) => writeln!(to, "it is still running")?,
        (false, false) => writeln!(to, "it died: its log has no end, and no process writes it")?,
    }
    Ok(())
}

/// The log of an image: what its steps wrote, with headings between.
///
/// # Errors
/// Where it can't be read; an `io::Error` where it can't be written.
pub fn image(run: &RunLog, image: &str, to: &mut dyn Write) -> anyhow::Result<()> {
    let mut log = ImageLog::default();
    for event in Events::of(run)? {
        let Stamped { image: Some(of), event, .. } = event? else { continue };
        if *of.name == *image {
            log.tell(&event, to)?;
        }
    }
    Ok(())
}

/// What stands before a line of an image's log that no step wrote.
const MARK: &str = "==> ";

/// The log of an image, as far as it is told.
#[derive(Default)]
struct ImageLog {
    /// Whether the image was begun and has not ended.
    is_open: bool,
    /// The step whose lines come next without another heading.
    step: Option<Arc<StepInfo>>,
}

impl ImageLog {
    fn tell(&mut self, event: &Event, to: &mut dyn Write) -> io::Result<()> {
        self.is_open |= matches!(event, Event::ImageStarted);
        if !self.is_open {
            return Ok(());
        }
        match event {
            Event::Output { step, line } => {
                self.head(step, to)?;
                writeln!(to, "{}", clean::line(line))?;
            }
            // What is no instruction is only worth a heading where it says something.
            Event::StepStarted { step } if step.number > 0 => self.head(step, to)?,
            Event::StepStarted { .. } => {}
            other => {
                if let Some(words) = words_of(other) {
                    self.step = None;
                    words
                        .lines()
                        .try_for_each(|line| writeln!(to, "{MARK}{}", clean::line(line)))?;
                }
            }
        }
        self.is_open &= !event.is_end();
        Ok(())
    }

    /// Writes the heading that is needed before a line of a step; steps that run at once take turns.
    fn head(&mut self, step: &Arc<StepInfo>, to: &mut dyn Write) -> io::Result<()> {
        if self.step.as_ref() == Some(step) {
            return Ok(());
        }
        self.step = Some(Arc::clone(step));
        writeln!(to, "{MARK}{}", clean::line(&words::describe_step(step)))
    }
}

/// As plain lines say it, but for what the heading has said, and with all of why it failed.
fn words_of(event: &Event) -> Option<Words> {
    let words = match event {
        Event::StepFinished { step, .. } if step.number == 0 => return None,
        Event::StepFinished { step, cached: true, .. } => {
            format!("{} cached", words::position(step))
        }
        Event::StepFinished { step, took, .. } => {
            format!("{} done in {}", words::position(step), words::duration(*took))
        }
        Event::ImageFailed { failure, .. } => {
            format!("{}\n{}", plain::words_of(event)?, failure.message)
        }
        _ => return plain::words_of(event),
    };
    Some(words.into())
}
