//! The only writers of the standard streams and of files that a user asked for.
//!
//! Owns data on the standard output, words on the standard error stream, and files that are
//! whole or not there.

use std::fs;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::Path;

use anyhow::Context;
use rustix::termios::{QueueSelector, tcflush};

use super::paint::Paint;

/// No more is read of an answer.
const LONGEST_ANSWER: u64 = 1024;

/// Writes data to the standard output.
///
/// # Errors
/// Where it can't be written. A closed pipe is none: whoever read it has seen enough, as `head`
/// does, and how a command ends must not depend on that.
pub fn out(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    unless_closed(written).context("can't write to the standard output")
}

/// Lets `write` write data to the standard output, piece by piece. An `io::Error` that it returns
/// is one of writing; what else may go wrong is of another kind.
///
/// # Errors
/// As [`out`], and what `write` returns.
pub fn out_by(write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    let written = write(&mut stdout).and_then(|()| Ok(stdout.flush()?));
    // What could not be written is not tried again when the buffer is dropped.
    drop(stdout.into_parts());
    match written.map_err(anyhow::Error::downcast::<io::Error>) {
        Ok(()) => Ok(()),
        Err(Ok(error)) => unless_closed(Err(error)).context("can't write to the standard output"),
        Err(Err(other)) => Err(other),
    }
}

/// Whether the standard output is a terminal.
pub fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// The standard output, for data that comes piece by piece while a run goes on.
pub fn data() -> impl Write {
    io::stdout()
}

/// Writes words to the standard error stream.
///
/// # Errors
/// Where it can't be written. A closed pipe is none, as for [`out`].
pub fn err(text: &str) -> anyhow::Result<()> {
    let written = io::stderr().lock().write_all(text.as_bytes());
    unless_closed(written).context("can't write to the standard error stream")
}

/// What was written, where it is no error that nobody reads any more.
pub fn unless_closed(written: io::Result<()>) -> io::Result<()> {
    written.or_else(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    })
}

/// Asks a question on the terminal; only `y` and `yes` mean yes. What was typed before the question
/// could be read is no answer to it.
///
/// # Errors
/// Where the question can't be written, or the answer not be read.
pub fn ask(question: &str) -> anyhow::Result<bool> {
    let stdin = io::stdin();
    // Where it can't be dropped, it is taken for the answer, which may only be a wrong "no".
    tcflush(&stdin, QueueSelector::IFlush).unwrap_or(());
    err(question)?;
    let mut answer = String::new();
    let read = stdin.lock().take(LONGEST_ANSWER).read_line(&mut answer);
    if read.context("can't read the answer")? == 0 {
        err("\n")?;
    }
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Says why a command could not be done. Lines of the error that begin with `hint:` come last.
pub fn error(error: &anyhow::Error, paint: Paint) {
    let text = format!("{error:#}");
    let (hints, words): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| line.trim_start().starts_with("hint:"));
    let mut message = format!("{}: {}\n", paint.bad("error"), words.join("\n  "));
    for hint in hints {
        message.push_str(&format!("{}\n", paint.strong(hint.trim_start())));
    }
    // Where even this can't be written, nobody is there to be told.
    drop(err(&message));
}

/// Warns of what does not keep a command from being done.
///
/// # Errors
/// As [`err`].
pub fn warning(message: &str, paint: Paint) -> anyhow::Result<()> {
    err(&format!("{}: {message}\n", paint.careful("warning")))
}

/// Writes a file so that it is there whole or not at all: beside its place first, then renamed.
///
/// # Errors
/// Where it can't be written; what was there before is unharmed then.
pub fn file(path: &Path, text: &str) -> anyhow::Result<()> {
    let name = path.file_name().with_context(|| format!("`{}` is no file", path.display()))?;
    let mut beside = name.to_owned();
    beside.push(format!(".{}.tmp", std::process::id()));
    let beside = path.with_file_name(beside);
    let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // The half-written copy is of no use; that it may stay is not worth a second error.
        drop(fs::remove_file(&beside));
    }
    written.with_context(|| format!("can't write `{}`", path.display()))
}
