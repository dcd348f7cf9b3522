//! The exit codes, and which kind of failure has which.
//!
//! Owns how the result of a command becomes the exit status of the process.

use std::process::ExitCode;

use crate::base::ErrorKind;
use crate::event::Tally;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The command succeeded.
    Done,
    /// An image failed, or a check found a problem.
    Failed,
    /// The command line is not valid.
    Usage,
    /// The repository's files have errors; diagnostics were printed.
    Files,
    /// The infrastructure failed, such as a missing engine or a full disk.
    Machinery,
    /// The process received this signal and terminates with it.
    Signal(i32),
}

impl Exit {
    /// Returns the exit code that a shell sees: for a signal, 128 plus its number.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Files => 3,
            Exit::Machinery => 4,
            Exit::Signal(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        }
    }
}

impl From<&Tally> for Exit {
    fn from(tally: &Tally) -> Exit {
        match tally {
            Tally { signal: Some(signal), .. } => Exit::Signal(*signal),
            Tally { machinery_failed: true, .. } | Tally { unpushed: 1.., .. } => Exit::Machinery,
            Tally { failed: 0, canceled: 0, skipped: 0, .. } => Exit::Done,
            _ => Exit::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        if let Exit::Signal(signal) = exit {
            // If a process terminates with the signal itself, a shell that runs a script stops too
            // (https://www.cons.org/cracauer/sigint.html). If that fails, the exit code reports the
            // signal.
            drop(signal_hook::low_level::emulate_default_handler(signal));
        }
        ExitCode::from(exit.code())
    }
}

impl From<ErrorKind> for Exit {
    fn from(kind: ErrorKind) -> Exit {
        match kind {
            ErrorKind::Usage => Exit::Usage,
            ErrorKind::Files => Exit::Files,
            ErrorKind::Permanent
            | ErrorKind::Transient
            | ErrorKind::RateLimited
            | ErrorKind::Unreachable
            | ErrorKind::Denied
            | ErrorKind::NotFound
            | ErrorKind::Corrupt => Exit::Machinery,
        }
    }
}
