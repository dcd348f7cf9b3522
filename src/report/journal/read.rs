//! Reads the events of a log.
//!
//! Owns the tolerance: a torn last line, lines that were damaged and events of a kind that is not
//! known here are passed over. Only a log of a newer form is refused, since it may mean
//! something else.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::bail;

use super::announced::Announced;
use crate::base::error::permanent;
use crate::base::screen::visible_path;
use crate::event::{Event, Stamped};
use crate::state::runs::{EVENTS, FORM, Head, RunLog};

/// The form in which each line holds all of its step, and a failure the last lines of its log.
const FIRST_FORM: u32 = 1;

/// The events of a log, in order.
#[derive(Debug)]
pub struct Events {
    lines: BufReader<File>,
    path: PathBuf,
    line: Vec<u8>,
    /// A first line that is no head, and may be an event.
    first: bool,
    /// Whether what steps wrote is passed over unread.
    only_facts: bool,
    /// The last line that was passed over.
    passed: Vec<u8>,
    announced: Announced,
}

impl Events {
    /// The events of a run.
    ///
    /// # Errors
    /// Where they can't be read, or are of a form that a newer version writes.
    pub fn of(run: &RunLog) -> anyhow::Result<Events> {
        let path = &run.folder().join(EVENTS);
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
            announced: Announced::default(),
        };
        events.read_line()?;
        let head: Option<Head> = serde_json::from_slice(&events.line).ok();
        let version = head.map_or(FORM, |head| head.version);
        events.announced.by_number = version > FIRST_FORM;
        if version > FORM {
            bail!(
                permanent(format!(
                    "`{}` has the form {version}, and this version of layers reads {FORM}",
                    visible_path(path)
                ))
                .hint("use the version that wrote it")
            );
        }
        Ok(events)
    }

    /// The same without what steps wrote, which is nearly all of a log, unless it is the last
    /// thing that happened.
    #[must_use]
    pub fn only_facts(mut self) -> Events {
        self.only_facts = true;
        self
    }

    /// The event of a line; nothing where it holds none that is known here.
    fn event(&mut self, line: &[u8]) -> Option<Stamped> {
        let mut event = serde_json::from_slice(line).ok()?;
        self.announced.complete(&mut event);
        Some(event)
    }

    /// Reads the next line into `line`; empty at the end.
    fn read_line(&mut self) -> anyhow::Result<()> {
        self.line.clear();
        let read = self.lines.read_until(b'\n', &mut self.line);
        read.map(drop).map_err(|error| cannot_read(&self.path, &error))
    }
}

impl Iterator for Events {
    type Item = anyhow::Result<Stamped>;

    fn next(&mut self) -> Option<anyhow::Result<Stamped>> {
        loop {
            if !std::mem::take(&mut self.first)
                && let Err(error) = self.read_line()
            {
                // Nothing would come after it but the same again.
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

/// Whether an image was begun in a run, so that there is something of it to be read.
pub fn has_log_of(run: &RunLog, image: &str) -> bool {
    let is_start = |it: &Stamped| {
        matches!(it.event, Event::ImageStarted)
            && it.image.as_ref().is_some_and(|it| *it.name == *image)
    };
    Events::of(run).is_ok_and(|all| all.only_facts().any(|it| it.is_ok_and(|it| is_start(&it))))
}

/// Whether a line is an event of what a step wrote, in the form in which they are written here. Only its
/// beginning is looked at: what a step wrote may be long.
fn is_output(line: &[u8]) -> bool {
    // Within a text the quotes would stand behind backslashes.
    const MARK: &[u8] = b"\"event\":\"output\",";
    line[..line.len().min(512)].windows(MARK.len()).any(|piece| piece == MARK)
}

/// The error is no `io::Error`, which is one of writing for `say`.
fn cannot_read(path: &Path, error: &io::Error) -> anyhow::Error {
    anyhow::anyhow!("can't read `{}`: {error}", visible_path(path))
}
