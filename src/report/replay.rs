//! A past run as plain lines, and the log of one image.
//!
//! Owns what is printed about a run that is over. A log contains the output of builds, and anyone could have
//! placed the file there, so every line is cleaned, whatever the destination.

use std::io::{self, Write};
use std::sync::Arc;

use crate::event::{Event, StepInfo, TimedEvent};

use super::journal::Events;
use super::paint::Paint;
use super::summary::{LogLocation, Summary};
use super::{Phrase, clean, phrases, plain};
use crate::state::runs::RunLog;

/// Describes which run is printed: the last one with a log can be older than the last command.
pub fn heading(run: &RunLog) -> String {
    format!("run {}, started {}\n", run.id, phrases::moment(&run.began.to_string()))
}

/// Prints the plain lines of a run, followed by its summary. `whole` is where the complete logs of its images
/// are.
///
/// # Errors
/// Returns an error if the log cannot be read, or an `io::Error` if writing fails.
pub fn run(run: &RunLog, whole: LogLocation, to: &mut dyn Write) -> anyhow::Result<()> {
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
        (false, true) => writeln!(to, "the run is still running")?,
        (false, false) => {
            writeln!(to, "the log is incomplete: the run died, or could not write it")?;
        }
    }
    Ok(())
}

/// Prints the log of an image: the output of its steps, with headings.
///
/// # Errors
/// Returns an error if the log cannot be read, or an `io::Error` if writing fails.
pub fn image(run: &RunLog, image: &str, to: &mut dyn Write) -> anyhow::Result<()> {
    let mut log = ImageLog::default();
    for event in Events::of(run)? {
        let TimedEvent { image: Some(of), event, .. } = event? else { continue };
        if *of.name == *image {
            log.report(&event, to)?;
        }
    }
    Ok(())
}

/// The prefix of lines in an image's log that are not output of a step.
const MARK: &str = "==> ";

/// The state while the log of an image is printed.
#[derive(Default)]
struct ImageLog {
    /// Whether the image was started and is not finished.
    is_open: bool,
    /// The step whose output can follow without another heading.
    step: Option<Arc<StepInfo>>,
}

impl ImageLog {
    fn report(&mut self, event: &Event, to: &mut dyn Write) -> io::Result<()> {
        self.is_open |= matches!(event, Event::ImageStarted);
        if !self.is_open {
            return Ok(());
        }
        match event {
            Event::Output { step, line } => {
                self.head(step, to)?;
                writeln!(to, "{}", clean::line(line))?;
            }
            // Only steps that are instructions get a heading before their output starts.
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

    /// Writes the heading before a line of a step, if necessary. The lines of concurrent steps alternate.
    fn head(&mut self, step: &Arc<StepInfo>, to: &mut dyn Write) -> io::Result<()> {
        if self.step.as_ref() == Some(step) {
            return Ok(());
        }
        self.step = Some(Arc::clone(step));
        writeln!(to, "{MARK}{}", clean::line(&phrases::describe_step(step)))
    }
}

/// Describes an event like plain lines do, but without what the heading shows, and with the complete failure
/// message.
fn words_of(event: &Event) -> Option<Phrase> {
    let words = match event {
        Event::StepFinished { step, .. } if step.number == 0 => return plain::words_of(event),
        Event::StepFinished { step, cached: true, .. } => {
            format!("{} cached", phrases::position(step))
        }
        Event::StepFinished { step, took, .. } => {
            format!("{} done in {}", phrases::position(step), phrases::duration(*took))
        }
        Event::ImageFailed { failure, .. } => {
            format!("{}\n{}", plain::words_of(event)?, failure.text())
        }
        _ => return plain::words_of(event),
    };
    Some(words.into())
}
