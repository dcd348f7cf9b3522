//! The summary at the end of a run: counts, and what is needed to fix each failure.
//!
//! Owns the end of a run as a function of its events: the image, the failing instruction as written, the last
//! lines of its output, the images that were skipped because of it, and the command for another attempt.

use std::collections::HashMap;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Snippet};

use crate::base::text::count;
use crate::event::{Event, Failure, Skip, Tally, TimedEvent};

use super::clean::{VisibleText, visible};
use super::paint::Paint;
use super::{clean, phrases};

/// The maximum width of an output line: enough for a compiler's message, but not so much that the error is
/// pushed off the screen.
const LONGEST_LINE: usize = 400;

/// Collects the content of the summary.
#[derive(Debug, Default)]
pub struct Summary {
    /// The counts of the run.
    pub tally: Tally,
    /// The command line of the run, if it is known.
    command: Option<String>,
    failures: Vec<(Arc<str>, Failure)>,
    skipped: Vec<(Arc<str>, Skip)>,
    unpushed: Vec<(Arc<str>, String)>,
    /// The result of publishing in the registry, as text.
    release: Option<Result<String, String>>,
    /// The number of output lines per image.
    lines: HashMap<Arc<str>, usize>,
    /// Where the complete logs are. If set, the summary names it.
    pub log: Option<LogLocation>,
}

/// Where the complete logs of images are.
#[derive(Debug, Clone)]
pub enum LogLocation {
    /// In the log of the last run.
    Last,
    /// In the log of the run with this ID.
    Of(String),
}

impl Summary {
    /// Records an event.
    pub fn take(&mut self, stamped: &TimedEvent) {
        self.tally.take(stamped);
        let name = stamped.image.as_ref().map(|image| Arc::clone(&image.name));
        match (&stamped.event, name) {
            (Event::RunStarted { command, .. }, _) => self.command.clone_from(command),
            (Event::Released { moved, unchanged }, _) => {
                self.release = Some(Ok(phrases::released(moved, *unchanged)));
            }
            (Event::NotReleased { message }, _) => {
                let why = message.as_deref().map(phrases::lines);
                self.release = Some(Err(why.unwrap_or_default()));
            }
            (Event::PushFailed { message }, Some(name)) => {
                self.unpushed.push((name, message.clone()));
            }
            (Event::ImageFailed { failure, .. }, Some(name)) => {
                self.failures.push((name, failure.clone()));
            }
            (Event::ImageSkipped { because }, Some(name)) => {
                self.skipped.push((name, because.clone()));
            }
            (Event::Output { .. }, Some(name)) => *self.lines.entry(name).or_default() += 1,
            _ => {}
        }
    }

    /// Returns the summary as lines.
    pub fn draw(&self, paint: Paint) -> String {
        let mut text = String::new();
        for (image, failure) in &self.failures {
            text.push('\n');
            text.push_str(&self.draw_failure(image, failure, paint));
        }
        for (image, message) in &self.unpushed {
            let message = phrases::lines(message).replace('\n', "\n  ");
            let title = format!("{image} could not be pushed");
            text.push_str(&format!("\n{}: {title}\n  {message}\n", paint.bad("error")));
        }
        if let Some(Err(why)) = &self.release
            && !why.is_empty()
        {
            let why = why.replace('\n', "\n  ");
            text.push_str(&format!("\n{}: no tags were moved\n  {why}\n", paint.bad("error")));
        }
        if !text.is_empty() {
            text.push('\n');
        }
        if let Some(images) = self.skipped(|because| *because == Skip::Stopped) {
            text.push_str(&format!("not started: {images}\n"));
        }
        text.push_str(&self.draw_counts(paint));
        if let Some(command) = self.command.as_ref().filter(|_| !self.failures.is_empty()) {
            text.push_str(&format!("try again: {}\n", visible(command)));
        }
        text
    }

    fn draw_failure(&self, image: &str, failure: &Failure, paint: Paint) -> String {
        let title = format!("{image} failed{}", phrases::failed_at(failure));
        let mut text = match &failure.excerpt {
            Some(excerpt) => {
                let message = phrases::lines(&failure.message);
                let label = message.lines().next().unwrap_or_default();
                let written = VisibleText::of(&excerpt.text).text;
                let end = written.trim_end().len();
                // A log that was edited by hand can consist only of whitespace.
                let start = (written.len() - written.trim_start().len()).min(end);
                let snippet = Snippet::source(written)
                    .line_start(excerpt.location.line as usize)
                    .path(excerpt.location.file.to_string())
                    .annotation(AnnotationKind::Primary.span(start..end).label(label));
                let report = [Level::ERROR.primary_title(title).element(snippet)];
                paint.renderer().render(&report).clone() + "\n"
            }
            None => {
                let message = phrases::lines(&failure.message);
                format!("{}: {title}\n  {}\n", paint.bad("error"), message.replace('\n', "\n  "))
            }
        };
        if let Some(hint) = &failure.hint {
            text.push_str(&format!("  hint: {}\n", phrases::lines(hint).replace('\n', "\n  ")));
        }
        text.push_str(&self.draw_tail(image, failure, paint));
        let is_lost =
            |because: &Skip| matches!(because, Skip::ParentFailed { image: it } if **it == *image);
        if let Some(images) = self.skipped(is_lost) {
            text.push_str(&format!("  skipped dependents: {images}\n"));
        }
        text
    }

    /// Returns the names of the images that were skipped for a matching reason, or `None` if there are none.
    fn skipped(&self, is_meant: impl Fn(&Skip) -> bool) -> Option<String> {
        let images = self.skipped.iter().filter(|(_, because)| is_meant(because));
        let names: Vec<&str> = images.map(|(image, _)| &**image).collect();
        (!names.is_empty()).then(|| visible(&names.join(", ")).into_owned())
    }

    /// Returns the last output lines of the failed step, and how to see the others.
    fn draw_tail(&self, image: &str, failure: &Failure, paint: Paint) -> String {
        let mut text = String::new();
        let mut left_out = self.lines.get(image).copied().unwrap_or_default();
        let tail: Vec<String> = failure.log_tail.iter().map(|line| clean::line(line)).collect();
        if tail.iter().any(|line| !line.is_empty()) {
            left_out = left_out.saturating_sub(tail.len());
            text.push_str(&format!("  last {} of the log:\n", count(tail.len(), "line")));
            for line in tail {
                let fitted = clean::fit(&line, LONGEST_LINE);
                left_out += usize::from(fitted != line);
                text.push_str(&format!("  {} {fitted}\n", paint.faint("|")));
            }
        }
        if let Some(log) = self.log.as_ref().filter(|_| left_out > 0) {
            let run = match log {
                LogLocation::Last => String::new(),
                LogLocation::Of(id) => format!(" --run {id}"),
            };
            text.push_str(&format!("  full log: layers log {image}{run}\n"));
        }
        text
    }

    fn draw_counts(&self, paint: Paint) -> String {
        let mut text = format!(
            "{} in {}\n",
            phrases::counts(&self.tally, paint),
            phrases::duration(self.tally.took)
        );
        let mut pushed = format!("{} pushed", count(self.tally.pushed, "image"));
        if self.tally.push_canceled > 0 {
            pushed.push_str(&format!(", {} canceled", self.tally.push_canceled));
        }
        match &self.release {
            None if self.tally.pushed + self.tally.push_canceled == 0 => {}
            None => text.push_str(&format!("{pushed}\n")),
            Some(Ok(released)) => text.push_str(&format!("{pushed}, {released}\n")),
            Some(Err(_)) => {
                text.push_str(&format!("{pushed}, no tags moved in the registry\n"));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::base::{Location, RelPath};
    use crate::event::FailureKind;
    use crate::event::{Excerpt, RunImage, StepInfo};

    fn stamped(at: u64, image: &str, event: Event) -> TimedEvent {
        let image = (!image.is_empty()).then(|| RunImage::new(0, image));
        TimedEvent { at: Duration::from_millis(at), image, event }
    }

    #[test]
    fn the_summary_reports_failures_counts_and_the_retry_command() {
        let text = "RUN make".to_owned();
        let step = StepInfo { id: 0, stage: None, number: 2, total: 3, text };
        let location =
            Location { file: RelPath::new("docker/dev/Dockerfile").unwrap(), line: 9, column: 1 };
        let failure = Failure {
            kind: FailureKind::Build,
            message: "exit code: 2".to_owned(),
            hint: Some("write a rule".to_owned()),
            step: Some(Arc::new(step)),
            excerpt: Some(Excerpt { location, text: "RUN make".to_owned() }),
            log_tail: vec!["make: \x1b[31mno rule".to_owned()],
        };
        let mut summary = Summary::default();
        let took = Duration::from_secs(1);
        let images = ["base", "dev", "release", "x"].map(Arc::from).to_vec();
        let need = Skip::ParentFailed { image: "dev".into() };
        let begun = Event::RunStarted {
            engine: "fake 1".to_owned(),
            command: Some("layers build --all -k".to_owned()),
            jobs: 2,
            images,
            edges: Vec::new(),
            expected: BTreeMap::new(),
        };
        for (image, event) in [
            ("", begun),
            ("dev", Event::ImageFailed { failure, took }),
            ("release", Event::ImageSkipped { because: need }),
            ("x", Event::ImageSkipped { because: Skip::Stopped }),
        ] {
            summary.take(&stamped(1500, image, event));
        }
        let expected = "
error: dev failed at docker/dev/Dockerfile:9
 --> docker/dev/Dockerfile:9:1
  |
9 | RUN make
  | ^^^^^^^^ exit code: 2
  hint: write a rule
  last 1 line of the log:
  | make: no rule
  skipped dependents: release

not started: x
0 built, 1 failed, 2 skipped of 4 images in 1.5s
try again: layers build --all -k
";
        assert_eq!(summary.draw(Paint::plain()), expected);
    }
}
