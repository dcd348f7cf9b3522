//! The exit codes, and which kinds of failure have which.
//!
//! Owns how a command's end becomes the process's end.

use std::process::ExitCode;

use crate::base::ErrorKind;
use crate::event::Tally;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// An image failed, or a check found what it looks for.
    Failed,
    /// The command line can't be understood.
    Usage,
    /// The repository's files are wrong; diagnostics were printed.
    Files,
    /// The machinery failed: no engine, no disk.
    Machinery,
    /// The process got a signal and dies of it.
    Signal(i32),
}

impl Exit {
    /// The number that a shell sees; for a signal, 128 and its number.
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
            Tally { failed: 0, cancelled: 0, skipped: 0, .. } => Exit::Done,
            _ => Exit::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        if let Exit::Signal(signal) = exit {
            // Dying of the signal itself tells a shell that runs a script to stop too
            // (https://www.cons.org/cracauer/sigint.html). Where that fails the code says it.
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
            | ErrorKind::Unreachable
            | ErrorKind::Denied
            | ErrorKind::NotFound => Exit::Machinery,
        }
    }
}
