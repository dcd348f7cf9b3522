//! Writes the log of a run while the run is in progress.
//!
//! Owns when a log starts: with the first image that is started, so that a run with nothing to do leaves no
//! log and costs nothing. Earlier events are kept in memory until then.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::super::{Reporter, clean};
use super::Events;
use crate::base::clock::UnixTime;
use crate::event::{Event, TimedEvent};
use crate::state::runs::{LogHeader, RunLog, forget_oldest, make};
use crate::state::{RepositoryState, StateDir};

/// The maximum number of buffered bytes while events keep arriving.
const MOST_WAITING: usize = 64 << 10;

/// Writes the log of a run. Dropping it releases the lock on the log.
pub struct Journal {
    state: RepositoryState,
    began: UnixTime,
    /// The events before the first image was started.
    early: Vec<TimedEvent>,
    log: Option<Log>,
}

impl Journal {
    /// Creates the log of a run that starts at this time. Writes nothing yet.
    pub fn new(state: &RepositoryState, began: UnixTime) -> Journal {
        Journal { state: state.clone(), began, early: Vec::new(), log: None }
    }

    /// Whether the log was started.
    pub fn is_begun(&self) -> bool {
        self.log.is_some()
    }

    /// Returns the directory of the log, if it was started. Its name is the ID of the run.
    pub fn directory(&self) -> Option<&Path> {
        self.log.as_ref().map(|log| log.directory.path())
    }

    /// Writes the buffer, which contains only complete lines. If the process is killed meanwhile, at most the
    /// last line is lost.
    ///
    /// # Errors
    /// Returns an error if the buffer cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.log.as_mut().map_or(Ok(()), Log::flush)
    }

    fn begin(&mut self) -> io::Result<Log> {
        let (directory, events) = make(&self.state.prepare_runs()?, self.began)?;
        let mut log = Log { directory, events, waiting: Vec::new() };
        serde_json::to_writer(&mut log.waiting, &LogHeader::of(self.began))?;
        log.waiting.push(b'\n');
        let begun = log.flush().and_then(|()| {
            let early = std::mem::take(&mut self.early);
            early.iter().try_for_each(|event| log.take(event))
        });
        match begun {
            Ok(()) => {
                forget_oldest(&self.state, &has_end);
                Ok(log)
            }
            Err(error) => {
                // Do not leave a log without content: its purpose would be unknown.
                drop(log.directory.remove());
                Err(error)
            }
        }
    }
}

/// Whether a log contains the end of its run.
fn has_end(run: &RunLog) -> bool {
    let is_end = |event: &Event| matches!(event, Event::RunFinished);
    Events::of(run).is_ok_and(|mut all| all.any(|it| it.is_ok_and(|it| is_end(&it.event))))
}

impl Reporter for Journal {
    fn show(&mut self, event: &TimedEvent) -> io::Result<()> {
        if self.log.is_none() {
            if !matches!(event.event, Event::ImageStarted) {
                self.early.push(event.clone());
                return Ok(());
            }
            self.log = Some(self.begin()?);
        }
        let Some(log) = &mut self.log else { return Ok(()) };
        let result = log.take(event);
        if result.is_err() {
            // The log will not be flushed again: write as much as possible of the earlier events.
            drop(write_out(&mut log.events, &mut log.waiting));
        }
        result
    }
}

/// The open files of a log.
struct Log {
    directory: StateDir,
    events: File,
    /// The lines that are not written yet.
    waiting: Vec<u8>,
}

impl Log {
    fn take(&mut self, event: &TimedEvent) -> io::Result<()> {
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

/// Writes a buffer to a file in one write.
fn write_out(file: &mut File, waiting: &mut Vec<u8>) -> io::Result<()> {
    if !waiting.is_empty() {
        file.write_all(waiting)?;
        waiting.clear();
    }
    Ok(())
}
