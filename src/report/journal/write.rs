//! Writes the log of a run while it goes on.
//!
//! Owns when a log begins: with the first image that does, so that a run with nothing to do
//! leaves none and costs nothing; what happened before is kept until then.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::super::{Reporter, clean};
use super::Events;
use crate::base::clock::UnixTime;
use crate::event::{Event, Stamped};
use crate::state::runs::{Head, RunLog, forget_oldest, make};
use crate::state::{Memory, StateDir};

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
        let mut log = Log { folder, events, waiting: Vec::new() };
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
            if !matches!(event.event, Event::ImageStarted) {
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
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        write_out(&mut self.events, &mut self.waiting)
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
