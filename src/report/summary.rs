//! What stands in the last screen: counts, and for each failure all that is needed to mend it.
//!
//! Owns the end of a run as a function of its events: the image, the failing instruction as it
//! is written, the last lines of its log, what was skipped because of it, and the command that
//! tries again.

use std::time::Duration;

use annotate_snippets::{AnnotationKind, Level, Snippet};

use crate::base::text::count;
use crate::event::{Event, Failure, FailureKind, Skip, Stamped};

use super::paint::Paint;
use super::{clean, words};

/// How many columns of a log's line are shown: enough for a compiler's message, too few to push
/// the error itself off the screen.
const LONGEST_LINE: usize = 400;

/// Collects what the end will say.
#[derive(Debug, Default)]
pub struct Summary {
    failures: Vec<(String, Failure)>,
    skipped: Vec<(String, Skip)>,
    built: usize,
    fresh: usize,
    cancelled: Vec<String>,
    total: usize,
    took: Duration,
}

impl Summary {
    /// Takes note of an event.
    pub fn take(&mut self, event: &Stamped) {
        self.took = event.at;
        match &event.event {
            Event::RunStarted { images, .. } => self.total = images.len(),
            Event::ImageBuilt { .. } => self.built += 1,
            Event::ImageFresh { .. } => self.fresh += 1,
            Event::ImageFailed { image, failure, .. } => {
                self.failures.push((image.clone(), failure.clone()));
            }
            Event::ImageSkipped { image, because } => {
                self.skipped.push((image.clone(), because.clone()));
            }
            Event::ImageCancelled { image, .. } => self.cancelled.push(image.clone()),
            _ => {}
        }
    }

    /// The whole end, in lines with line ends.
    pub fn draw(&self, paint: Paint) -> String {
        let mut text = String::new();
        for (image, failure) in &self.failures {
            text.push('\n');
            text.push_str(&self.draw_failure(image, failure, paint));
        }
        if !self.failures.is_empty() {
            text.push('\n');
        }
        let stopped: Vec<&str> = self
            .skipped
            .iter()
            .filter(|(_, because)| *because == Skip::Stopped)
            .map(|(image, _)| image.as_str())
            .collect();
        if !stopped.is_empty() {
            text.push_str(&format!("not started: {}\n", names(&stopped)));
        }
        text.push_str(&self.draw_counts(paint));
        if let Some(again) = self.draw_again() {
            text.push_str(&again);
        }
        text
    }

    fn draw_failure(&self, image: &str, failure: &Failure, paint: Paint) -> String {
        let title = format!("{image} failed{}", words::failed_at(failure));
        let mut text = match &failure.excerpt {
            Some(excerpt) => {
                let message = clean_message(&failure.message);
                let label = message.lines().next().unwrap_or_default().to_owned();
                let end = excerpt.text.trim_end().len();
                let start = excerpt.text.len() - excerpt.text.trim_start().len();
                let snippet = Snippet::source(excerpt.text.as_str())
                    .line_start(excerpt.place.line as usize)
                    .path(excerpt.place.file.as_str())
                    .annotation(AnnotationKind::Primary.span(start..end).label(label));
                let report = [Level::ERROR.primary_title(title).element(snippet)];
                paint.renderer().render(&report).clone() + "\n"
            }
            None => {
                let message = clean_message(&failure.message);
                format!("{}: {title}\n  {}\n", paint.bad("error"), message.replace('\n', "\n  "))
            }
        };
        let tail = failure.log_tail.iter().map(|line| clean::fit(&clean::line(line), LONGEST_LINE));
        let tail: Vec<String> = tail.collect();
        if tail.iter().any(|line| !line.is_empty()) {
            text.push_str(&format!("  last {} of its log:\n", count(tail.len(), "line")));
            for line in tail {
                text.push_str(&format!("  {} {line}\n", paint.faint("|")));
            }
        }
        let lost: Vec<&str> = self
            .skipped
            .iter()
            .filter(|(_, because)| words::is_because_of(because, image))
            .map(|(image, _)| image.as_str())
            .collect();
        if !lost.is_empty() {
            text.push_str(&format!("  skipped because of it: {}\n", names(&lost)));
        }
        text
    }

    fn draw_counts(&self, paint: Paint) -> String {
        let mut parts = vec![format!("{} built", self.built)];
        if self.fresh > 0 {
            parts.push(format!("{} fresh", self.fresh));
        }
        if !self.failures.is_empty() {
            parts.push(paint.bad(&format!("{} failed", self.failures.len())));
        }
        if !self.cancelled.is_empty() {
            parts.push(paint.careful(&format!("{} cancelled", self.cancelled.len())));
        }
        if !self.skipped.is_empty() {
            parts.push(paint.careful(&format!("{} skipped", self.skipped.len())));
        }
        let total = count(self.total, "image");
        let time = words::duration(self.took);
        format!("{} of {total} in {time}\n", parts.join(", "))
    }

    fn draw_again(&self) -> Option<String> {
        let failed: Vec<&str> = self
            .failures
            .iter()
            .filter(|(_, failure)| failure.kind == FailureKind::Build)
            .map(|(image, _)| image.as_str())
            .collect();
        (!failed.is_empty()).then(|| format!("try again: layers build {}\n", failed.join(" ")))
    }
}

fn names(images: &[&str]) -> String {
    images.join(", ")
}

fn clean_message(message: &str) -> String {
    let lines: Vec<String> = message.lines().map(clean::line).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Place, RelPath};
    use crate::event::{Excerpt, StepInfo};

    fn stamped(at: u64, event: Event) -> Stamped {
        Stamped { at: Duration::from_millis(at), event }
    }

    #[test]
    fn the_end_tells_all_that_is_needed() {
        let step = StepInfo { stage: None, number: 2, total: 3, text: "RUN make".to_owned() };
        let place =
            Place { file: RelPath::new("docker/dev/Dockerfile").unwrap(), line: 9, column: 1 };
        let failure = Failure {
            kind: FailureKind::Build,
            message: "exit code: 2".to_owned(),
            step: Some(step),
            excerpt: Some(Excerpt { place, text: "RUN make".to_owned() }),
            log_tail: vec!["make: \x1b[31mno rule".to_owned()],
        };
        let mut summary = Summary::default();
        let took = Duration::from_secs(1);
        let images = ["base", "dev", "release", "x"].map(str::to_owned).to_vec();
        let need = Skip::NeedFailed { image: "dev".to_owned() };
        for event in [
            Event::RunStarted { engine: "fake 1".to_owned(), jobs: 2, images },
            Event::ImageFailed { image: "dev".to_owned(), failure, took },
            Event::ImageSkipped { image: "release".to_owned(), because: need },
            Event::ImageSkipped { image: "x".to_owned(), because: Skip::Stopped },
        ] {
            summary.take(&stamped(1500, event));
        }
        let expected = "
error: dev failed at docker/dev/Dockerfile:9
 --> docker/dev/Dockerfile:9:1
  |
9 | RUN make
  | ^^^^^^^^ exit code: 2
  last 1 line of its log:
  | make: no rule
  skipped because of it: release

not started: x
0 built, 1 failed, 2 skipped of 4 images in 1.5s
try again: layers build dev
";
        assert_eq!(summary.draw(Paint::plain()), expected);
    }
}
