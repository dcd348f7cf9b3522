//! Writes the log of a run while it goes on.
//!
//! Owns when a log begins: with the first image that does, so that a run with nothing to do
//! leaves none and costs nothing; what happened before is kept until then. It also owns the files
//! of the images: what their steps wrote, as they wrote it, with headings between.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::super::{Reporter, clean, plain, words};
use super::Events;
use crate::base::clock::UnixTime;
use crate::event::{Event, Stamped, StepInfo};
use crate::state::runs::{Head, RunLog, forget_oldest, image_file, make};
use crate::state::{Memory, StateDir};

/// What stands before a line of a log that no step wrote.
const MARK: &str = "==> ";

/// How many bytes wait at most where the run does not come to rest.
const MOST_WAITING: usize = 64 << 10;

/// Keeps the log of a run. Dropping it gives the lock on it back.
pub struct Journal {
    memory: Memory,
    began: UnixTime,
    /// What happened before any image was begun.
    early: Vec<Stamped>,
    log: Option<Log>,
}

impl Journal {
    /// The log of a run that begins at a moment. Nothing is written yet.
    pub fn new(memory: &Memory, began: UnixTime) -> Journal {
        Journal { memory: memory.clone(), began, early: Vec::new(), log: None }
    }

    /// Whether there is a log.
    pub fn is_begun(&self) -> bool {
        self.log.is_some()
    }

    /// The folder of the log, where there is one; its name is what the run is called.
    pub fn folder(&self) -> Option<&Path> {
        self.log.as_ref().map(|log| log.folder.path())
    }

    /// Writes what waits. Whole lines only, so that what ends the process in between costs no more
    /// than the last of them.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.log.as_mut().map_or(Ok(()), Log::flush)
    }

    fn begin(&mut self) -> io::Result<Log> {
        let (folder, events) = make(&self.memory.prepare_runs()?, self.began)?;
        let mut log = Log { folder, events, images: HashMap::new(), waiting: Vec::new() };
        serde_json::to_writer(&mut log.waiting, &Head::of(self.began))?;
        log.waiting.push(b'\n');
        let begun = log.flush().and_then(|()| {
            let early = std::mem::take(&mut self.early);
            early.iter().try_for_each(|event| log.take(event))
        });
        match begun {
            Ok(()) => {
                forget_oldest(&self.memory, &has_end);
                Ok(log)
            }
            Err(error) => {
                // Of a log that says nothing, nobody would know what it is.
                drop(log.folder.remove());
                Err(error)
            }
        }
    }
}

/// Whether a log says that its run is over.
fn has_end(run: &RunLog) -> bool {
    let is_end = |event: &Event| matches!(event, Event::RunFinished);
    Events::of(run).is_ok_and(|mut all| all.any(|it| it.is_ok_and(|it| is_end(&it.event))))
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
        let Some(log) = &mut self.log else { return Ok(()) };
        let taken = log.take(event);
        if taken.is_err() {
            // Nobody flushes it any more: what was heard before is kept as far as it can be.
            drop(write_out(&mut log.events, &mut log.waiting));
        }
        taken
    }
}

/// The open files of a log.
struct Log {
    folder: StateDir,
    events: File,
    /// Those of the images that are being built.
    images: HashMap<String, ImageLog>,
    /// Lines of events that are not written yet.
    waiting: Vec<u8>,
}

impl Log {
    fn take(&mut self, event: &Stamped) -> io::Result<()> {
        self.waiting.extend(clean::visible_json(serde_json::to_string(event)?).into_bytes());
        self.waiting.push(b'\n');
        if self.waiting.len() > MOST_WAITING {
            self.flush()?;
        }
        let Some(image) = event.event.image() else { return Ok(()) };
        if matches!(event.event, Event::ImageStarted { .. }) {
            let path = self.folder.place(image_file(image))?;
            let file = File::options().append(true).create(true).open(path)?;
            let log = ImageLog { file, step: None, waiting: Vec::new() };
            self.images.insert(image.to_owned(), log);
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
            log.flush()?;
            self.images.remove(image);
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        write_out(&mut self.events, &mut self.waiting)?;
        self.images.values_mut().try_for_each(ImageLog::flush)
    }
}

/// Writes what waits for a file, in one write.
fn write_out(file: &mut File, waiting: &mut Vec<u8>) -> io::Result<()> {
    if !waiting.is_empty() {
        file.write_all(waiting)?;
        waiting.clear();
    }
    Ok(())
}

/// The log of one image.
struct ImageLog {
    file: File,
    /// The step whose lines come next without another heading.
    step: Option<StepInfo>,
    waiting: Vec<u8>,
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
        self.waiting.extend_from_slice(text.as_bytes());
        if self.waiting.len() > MOST_WAITING { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        write_out(&mut self.file, &mut self.waiting)
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
