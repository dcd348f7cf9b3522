//! Reads the events of a log.
//!
//! Owns the tolerance for damage: an incomplete last line, damaged lines, and unknown kinds of events are
//! skipped. Only logs of a newer format are rejected because their content could have another meaning.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::bail;

use super::announced::IntroducedNames;
use crate::base::error::permanent;
use crate::base::screen::visible_path;
use crate::event::{Event, TimedEvent};
use crate::state::runs::{EVENTS, FORM, LogHeader, RunLog};

/// The format in which each line contains all fields of its step, and a failure the last lines of its output.
const FIRST_FORM: u32 = 1;

/// The events of a log, in order.
#[derive(Debug)]
pub struct Events {
    lines: BufReader<File>,
    path: PathBuf,
    line: Vec<u8>,
    /// Whether `line` is the first line of a log without a header, which can be an event.
    first: bool,
    /// Whether the output of steps is skipped without parsing it.
    only_facts: bool,
    /// The last skipped line.
    passed: Vec<u8>,
    announced: IntroducedNames,
}

impl Events {
    /// Opens the events of a run.
    ///
    /// # Errors
    /// Returns an error if they cannot be read or have a newer format.
    pub fn of(run: &RunLog) -> anyhow::Result<Events> {
        let path = &run.directory().join(EVENTS);
        let file = run.events_file().and_then(File::open);
        let file = file.map_err(|error| cannot_read(path, &error))?;
        let lines = BufReader::new(file);
        let mut events = Events {
            lines,
            path: path.to_owned(),
            line: Vec::new(),
            first: true,
            only_facts: false,
            passed: Vec::new(),
            announced: IntroducedNames::default(),
        };
        events.read_line()?;
        let head: Option<LogHeader> = serde_json::from_slice(&events.line).ok();
        let version = head.map_or(FORM, |head| head.version);
        events.announced.by_number = version > FIRST_FORM;
        if version > FORM {
            bail!(
                permanent(format!(
                    "`{}` has format version {version}, but this version of layers reads up to \
                     version {FORM}",
                    visible_path(path)
                ))
                .hint("use the version of layers that wrote it")
            );
        }
        Ok(events)
    }

    /// Skips the output of steps, which is most of a log, unless it is the last event.
    #[must_use]
    pub fn only_facts(mut self) -> Events {
        self.only_facts = true;
        self
    }

    /// Parses the event on a line. Returns `None` if it is not a known event.
    fn event(&mut self, line: &[u8]) -> Option<TimedEvent> {
        let mut event = serde_json::from_slice(line).ok()?;
        self.announced.complete(&mut event);
        Some(event)
    }

    /// Reads the next line into `line`, which is empty at the end of the file.
    fn read_line(&mut self) -> anyhow::Result<()> {
        self.line.clear();
        let read = self.lines.read_until(b'\n', &mut self.line);
        read.map(drop).map_err(|error| cannot_read(&self.path, &error))
    }
}

impl Iterator for Events {
    type Item = anyhow::Result<TimedEvent>;

    fn next(&mut self) -> Option<anyhow::Result<TimedEvent>> {
        loop {
            if !std::mem::take(&mut self.first)
                && let Err(error) = self.read_line()
            {
                // Another attempt would return the same error forever.
                return Some(Err(error));
            }
            if self.line.is_empty() {
                let last = std::mem::take(&mut self.passed);
                return self.event(&last).map(Ok);
            }
            self.passed.clear();
            if self.only_facts && is_output(&self.line) {
                std::mem::swap(&mut self.passed, &mut self.line);
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let event = self.event(&line);
            self.line = line;
            if let Some(event) = event {
                return Some(Ok(event));
            }
        }
    }
}

/// Whether an image was started in a run, so that it has a log.
pub fn has_log_of(run: &RunLog, image: &str) -> bool {
    let is_start = |it: &TimedEvent| {
        matches!(it.event, Event::ImageStarted)
            && it.image.as_ref().is_some_and(|it| *it.name == *image)
    };
    Events::of(run).is_ok_and(|all| all.only_facts().any(|it| it.is_ok_and(|it| is_start(&it))))
}

/// Whether a line is an event with the output of a step, in the format of this version. Checks only the start
/// of the line because output can be long.
fn is_output(line: &[u8]) -> bool {
    // Inside a JSON string, the quotes would be escaped.
    const MARK: &[u8] = b"\"event\":\"output\",";
    line[..line.len().min(512)].windows(MARK.len()).any(|piece| piece == MARK)
}

/// Does not return an `io::Error`, which `say` would treat as an error while printing.
fn cannot_read(path: &Path, error: &io::Error) -> anyhow::Error {
    anyhow::anyhow!("can't read `{}`: {error}", visible_path(path))
}
