//! Writes the log of a run while it goes on.
//!
//! Owns when a log begins: with the first image that does, so that a run with nothing to do
//! leaves none and costs nothing; what happened before is kept until then. It also owns the files
//! of the images: what their steps wrote, as they wrote it, with headings between.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use super::super::{Reporter, clean, plain, words};
use super::Head;
use super::folders::{forget_oldest, image_file, make};
use crate::event::{Event, Stamped, StepInfo};
use crate::inputs::Memory;

/// What stands before a line of a log that no step wrote.
const MARK: &str = "==> ";

/// Keeps the log of a run. Dropping it gives the lock on it back.
pub struct Journal {
    memory: Memory,
    began: Duration,
    /// What happened before any image was begun.
    early: Vec<Stamped>,
    log: Option<Log>,
}

impl Journal {
    /// The log of a run that begins at a moment (since 1970). Nothing is written yet.
    pub fn new(memory: &Memory, began: Duration) -> Journal {
        Journal { memory: memory.clone(), began, early: Vec::new(), log: None }
    }

    /// Whether there is a log.
    pub fn is_begun(&self) -> bool {
        self.log.is_some()
    }

    fn begin(&mut self) -> io::Result<Log> {
        let (folder, events) = make(&self.memory.prepare_runs()?, self.began)?;
        let mut log = Log { folder, events, images: HashMap::new(), line: Vec::new() };
        serde_json::to_writer(&mut log.line, &Head::of(self.began))?;
        log.line.push(b'\n');
        let begun = log.events.write_all(&log.line).and_then(|()| {
            let early = std::mem::take(&mut self.early);
            early.iter().try_for_each(|event| log.take(event))
        });
        match begun {
            Ok(()) => {
                forget_oldest(&self.memory);
                Ok(log)
            }
            Err(error) => {
                // Of a log that says nothing, nobody would know what it is.
                drop(fs::remove_dir_all(&log.folder));
                Err(error)
            }
        }
    }
}

impl Reporter for Journal {
    fn show(&mut self, event: &Stamped) -> io::Result<()> {
        if self.log.is_none() {
            if !matches!(event.event, Event::ImageStarted { .. }) {
                self.early.push(event.clone());
                return Ok(());
            }
            self.log = Some(self.begin()?);
        }
        self.log.as_mut().map_or(Ok(()), |log| log.take(event))
    }
}

/// The open files of a log.
struct Log {
    folder: PathBuf,
    events: File,
    /// Those of the images that are being built.
    images: HashMap<String, ImageLog>,
    line: Vec<u8>,
}

impl Log {
    fn take(&mut self, event: &Stamped) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, event)?;
        self.line.push(b'\n');
        self.events.write_all(&self.line)?;
        let Some(image) = event.event.image() else { return Ok(()) };
        if matches!(event.event, Event::ImageStarted { .. }) {
            let path = self.folder.join(image_file(image));
            let file = File::options().append(true).create(true).open(path)?;
            self.images.insert(image.to_owned(), ImageLog { file, step: None });
        }
        let Some(log) = self.images.get_mut(image) else { return Ok(()) };
        log.take(&event.event)?;
        if matches!(
            event.event,
            Event::ImageBuilt { .. }
                | Event::ImageFresh { .. }
                | Event::ImageFailed { .. }
                | Event::ImageCancelled { .. }
        ) {
            self.images.remove(image);
        }
        Ok(())
    }
}

/// The log of one image.
struct ImageLog {
    file: File,
    /// The step whose lines come next without another heading.
    step: Option<StepInfo>,
}

impl ImageLog {
    fn take(&mut self, event: &Event) -> io::Result<()> {
        let text = match event {
            Event::Output { step, line, .. } => format!("{}{line}\n", self.heading(step)),
            // What is no instruction is only worth a heading where it says something.
            Event::StepStarted { step, .. } if step.number > 0 => self.heading(step),
            Event::StepStarted { .. } => return Ok(()),
            other => match words_of(other) {
                Some(words) => {
                    self.step = None;
                    format!("{MARK}{words}\n")
                }
                None => return Ok(()),
            },
        };
        self.file.write_all(text.as_bytes())
    }

    /// The heading that is needed before a line of a step; steps that run at once take turns.
    fn heading(&mut self, step: &StepInfo) -> String {
        if self.step.as_ref() == Some(step) {
            return String::new();
        }
        self.step = Some(step.clone());
        format!("{MARK}{}\n", words::describe_step(step))
    }
}

/// As plain lines say it, but for what the heading has said, and with all of why it failed.
fn words_of(event: &Event) -> Option<String> {
    match event {
        Event::StepFinished { step, .. } if step.number == 0 => None,
        Event::StepFinished { step, cached: true, .. } => {
            Some(format!("{} cached", words::position(step)))
        }
        Event::StepFinished { step, took, .. } => {
            Some(format!("{} done in {}", words::position(step), words::duration(*took)))
        }
        Event::ImageFailed { failure, .. } => {
            let why = failure.message.lines().map(|line| format!("\n{MARK}{}", clean::line(line)));
            Some(plain::words_of(event)? + &why.collect::<String>())
        }
        _ => plain::words_of(event),
    }
}
