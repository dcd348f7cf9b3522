//! A run as the log of a GitHub Actions job: plain lines, grouped by image, and failures as annotations at
//! the line that failed.
//!
//! Owns when a group is printed: after its image is finished, so that the output of concurrent builds is not
//! mixed. Output that is too large to keep is printed earlier, in a separate group.
//!
//! Lines of a build cannot become workflow commands: every other line starts with the time, and the older
//! commands, which are recognized anywhere in a line, are escaped.

use std::collections::HashMap;
use std::io::{self, Write};

use crate::event::{Event, RunImage, TimedEvent};

use super::annotations;
use super::plain;
use super::{Reporter, clean, phrases};

/// The maximum number of bytes that are kept per image.
const MOST_KEPT: usize = 1 << 20;

/// Prints groups and annotations.
pub struct Groups<W> {
    to: W,
    /// The path of the repository's root relative to the directory that the workflow has checked out.
    directory: String,
    images: HashMap<usize, LogGroup>,
    most_kept: usize,
}

/// The lines of an unfinished image since its last group.
#[derive(Default)]
struct LogGroup {
    lines: String,
    /// The number of groups printed for the image.
    written: usize,
}

impl<W: Write> Groups<W> {
    /// Creates a reporter that writes to `to`. `directory` is the path of the repository's root relative to the
    /// directory that the workflow has checked out; it is empty if they are the same.
    pub fn new(to: W, directory: String) -> Groups<W> {
        Groups { to, directory, images: HashMap::new(), most_kept: MOST_KEPT }
    }

    fn write_group(&mut self, title: &str, lines: &str) -> io::Result<()> {
        // A single write because other processes write to the same log.
        let group = format!("::group::{}\n{lines}::endgroup::\n", annotations::escape(title));
        self.to.write_all(group.as_bytes())
    }

    /// Keeps a line of an image. If too much is kept, prints a group.
    fn keep(&mut self, image: &RunImage, line: &str) -> io::Result<()> {
        let group = self.images.entry(image.id).or_default();
        group.lines.push_str(line);
        group.lines.push('\n');
        if group.lines.len() <= self.most_kept {
            return Ok(());
        }
        group.written += 1;
        let lines = std::mem::take(&mut group.lines);
        let title = format!("{}: log, part {}", image.name, group.written);
        self.write_group(&title, &lines)
    }
}

impl<W: Write> Reporter for Groups<W> {
    fn show(&mut self, event: &TimedEvent) -> io::Result<()> {
        let Some(line) = plain::line(event) else { return Ok(()) };
        // Keep everything on one line: only this module writes commands.
        let line = clean::printed(&line, clean::AllowedOutput::default()).replace('\n', "\\n");
        let Some(image) = &event.image else { return writeln!(self.to, "{line}") };
        let name = &image.name;
        match &event.event {
            // Printed immediately, so that the log shows progress.
            Event::ImageStarted | Event::ImagePushed { .. } | Event::PushCanceled => {
                return writeln!(self.to, "{line}");
            }
            Event::PushFailed { message } => {
                let title = format!("{name} could not be pushed");
                let error =
                    annotations::error(None, &title, &phrases::lines(message), &self.directory);
                return writeln!(self.to, "{line}\n{error}");
            }
            event if event.is_end() => {}
            _ => return self.keep(image, &line),
        }
        match self.images.remove(&image.id) {
            Some(group) => self.write_group(&line, &group.lines)?,
            None => writeln!(self.to, "{line}")?,
        }
        if let Event::ImageFailed { failure, .. } = &event.event {
            let title = format!("{name} failed{}", phrases::failed_at(failure));
            let location = failure.excerpt.as_ref().map(|excerpt| &excerpt.location);
            let error = annotations::error(
                location,
                &title,
                &phrases::why_failed(failure),
                &self.directory,
            );
            writeln!(self.to, "{error}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::base::{Location, RelPath};
    use crate::event::{Excerpt, Failure, FailureKind};

    fn output(image: &'static str, line: &str) -> (&'static str, Event) {
        (image, Event::Output { step: Arc::default(), line: line.to_owned() })
    }

    fn show(events: Vec<(&str, Event)>, most_kept: usize) -> String {
        let mut output = Vec::new();
        let mut groups = Groups::new(&mut output, "sub".to_owned());
        groups.most_kept = most_kept;
        for (image, event) in events {
            let image = Some(RunImage::new(image.len(), image));
            groups.show(&TimedEvent { at: Duration::from_millis(1500), image, event }).unwrap();
        }
        String::from_utf8(output).unwrap()
    }

    fn failed() -> Event {
        let location =
            Location { file: RelPath::new("docker/dev/Dockerfile").unwrap(), line: 9, column: 1 };
        let failure = Failure {
            kind: FailureKind::Build,
            message: "exit code: 2".to_owned(),
            hint: None,
            step: None,
            excerpt: Some(Excerpt { location, text: "RUN make".to_owned() }),
            log_tail: vec!["50%".to_owned(), "no\x1b[31m rule".to_owned()],
        };
        Event::ImageFailed { failure, took: Duration::from_secs(1) }
    }

    #[test]
    fn image_logs_are_grouped_and_failures_are_annotated() {
        let events = vec![
            ("a", Event::ImageStarted),
            ("dev", Event::ImageStarted),
            output("a", "one"),
            output("dev", "::error::two"),
            output("a", "three"),
            ("dev", failed()),
            ("a", Event::ImageCanceled { took: Duration::from_secs(1) }),
        ];
        let expected = "\
[   1.5s] a: started
[   1.5s] dev: started
::group::[   1.5s] dev: failed after 1.0s at docker/dev/Dockerfile:9
[   1.5s] dev: | ::error::two
::endgroup::
::error file=sub/docker/dev/Dockerfile,line=9,title=dev failed at docker/dev/Dockerfile%3A9\
::exit code: 2%0A50%25%0Ano rule
::group::[   1.5s] a: canceled after 1.0s
[   1.5s] a: | one
[   1.5s] a: | three
::endgroup::
";
        assert_eq!(show(events, MOST_KEPT), expected);
    }

    #[test]
    fn logs_over_the_memory_limit_are_written_in_parts() {
        let events = vec![output("a", "one"), output("a", "two"), output("a", "three")];
        let expected = "\
::group::a: log, part 1
[   1.5s] a: | one
[   1.5s] a: | two
::endgroup::
";
        assert_eq!(show(events, 25), expected);
    }
}
