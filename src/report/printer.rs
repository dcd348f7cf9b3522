//! The only code that writes to stdout, to stderr, and to files that the user requested.
//!
//! Owns data on stdout, messages on stderr, and atomic writes of files. All text for people passes through
//! `clean::printed` here, with rules that [`begin`] sets once per process.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::Path;
use std::sync::OnceLock;

use anyhow::Context;
use rustix::termios::{QueueSelector, tcflush};
use serde::Serialize;

use super::clean::{self, AllowedOutput, printed};
use super::paint::Paint;
use crate::base::error;
use crate::base::file::write_whole;
use crate::base::screen::visible_path;

/// The maximum length of an answer.
const LONGEST_ANSWER: u64 = 1024;

/// The control sequences and commands that can be printed.
#[derive(Debug, Clone, Copy, Default)]
pub struct OutputRules {
    /// Those allowed on stdout.
    pub output: AllowedOutput,
    /// Those allowed on stderr.
    pub errors: AllowedOutput,
    /// Whether notes are left out.
    pub is_quiet: bool,
}

static RULES: OnceLock<OutputRules> = OnceLock::new();

/// Sets the rules. Only the first call has an effect.
pub fn begin(rules: OutputRules) {
    RULES.get_or_init(|| rules);
}

fn rules() -> OutputRules {
    RULES.get().copied().unwrap_or_default()
}

/// Prints text for people to stdout.
///
/// # Errors
/// Returns the errors of [`data`].
pub fn out(text: &str) -> anyhow::Result<()> {
    data(&printed(text, rules().output))
}

/// Writes data to stdout unchanged. Its format has already escaped text from elsewhere.
///
/// # Errors
/// Returns an error if writing fails. A closed pipe is not an error: the reader, such as `head`, has seen
/// enough, and the exit code must not depend on that.
pub fn data(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    let result = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    unless_closed(result).context("can't write to stdout")
}

/// Writes a value to stdout as JSON.
///
/// # Errors
/// Returns the errors of [`data`].
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    data(&clean::json(value)?)
}

/// Lets `write` print text for people to stdout in parts. An `io::Error` from `write` must be an error of
/// writing; other failures must have another type.
///
/// # Errors
/// Returns the errors of [`out`] and those of `write`.
pub fn out_by(write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut stdout = CleanWriter::new(io::BufWriter::new(io::stdout().lock()), rules().output);
    let result = write(&mut stdout).and_then(|()| Ok(stdout.flush()?));
    // Otherwise, dropping the buffer would try to write the rest again.
    drop(stdout.to.into_parts());
    match result.map_err(anyhow::Error::downcast::<io::Error>) {
        Ok(()) => Ok(()),
        Err(Ok(error)) => unless_closed(Err(error)).context("can't write to stdout"),
        Err(Err(other)) => Err(other),
    }
}

/// Whether stdout is a terminal.
pub fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Returns stdout, for data that is written while a run is in progress.
pub fn data_stream() -> impl Write {
    io::stdout()
}

/// Returns stderr, for lines that are printed while a run is in progress.
pub fn words_stream() -> impl Write {
    CleanWriter::new(io::stderr(), rules().errors)
}

/// A writer that cleans lines as [`out`] does.
struct CleanWriter<W> {
    to: W,
    allowed: AllowedOutput,
    /// The bytes since the last line ending.
    open: Vec<u8>,
}

impl<W: Write> CleanWriter<W> {
    fn new(to: W, allowed: AllowedOutput) -> CleanWriter<W> {
        CleanWriter { to, allowed, open: Vec::new() }
    }

    fn pass_on(&mut self, length: usize) -> io::Result<()> {
        let rest = self.open.split_off(length);
        let text = std::mem::replace(&mut self.open, rest);
        self.to.write_all(printed(&String::from_utf8_lossy(&text), self.allowed).as_bytes())
    }
}

impl<W: Write> Write for CleanWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.open.extend_from_slice(bytes);
        let end = self.open.iter().rposition(|byte| *byte == b'\n');
        end.map_or(Ok(()), |end| self.pass_on(end + 1))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass_on(self.open.len())?;
        self.to.flush()
    }
}

/// Prints a message to stderr.
///
/// # Errors
/// Returns an error if writing fails. A closed pipe is not an error, as for [`out`].
pub fn err(text: &str) -> anyhow::Result<()> {
    let text = printed(text, rules().errors);
    let result = io::stderr().lock().write_all(text.as_bytes());
    unless_closed(result).context("can't write to stderr")
}

/// Prints to stderr what was done, which `--quiet` leaves out.
///
/// # Errors
/// Returns the errors of [`err`].
pub fn note(text: &str) -> anyhow::Result<()> {
    if rules().is_quiet { Ok(()) } else { err(text) }
}

/// Converts the error of a closed pipe to success.
pub fn unless_closed(written: io::Result<()>) -> io::Result<()> {
    written.or_else(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    })
}

/// Asks a question on the terminal. Only `y` and `yes` mean yes. Text that was typed before the question
/// appeared is not an answer.
///
/// # Errors
/// Returns an error if the question cannot be printed or the answer cannot be read.
pub fn ask(question: &str) -> anyhow::Result<bool> {
    let stdin = io::stdin();
    // If flushing fails, the earlier text counts as the answer. At worst, this is a wrong "no".
    tcflush(&stdin, QueueSelector::IFlush).unwrap_or(());
    err(question)?;
    let mut answer = String::new();
    let read = stdin.lock().take(LONGEST_ANSWER).read_line(&mut answer);
    if read.context("can't read the answer")? == 0 {
        err("\n")?;
    }
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Prints the error of a command, unless it has already been printed.
pub fn error(error: &anyhow::Error, paint: Paint) {
    let words = format!("{error:#}").trim_end().replace('\n', "\n  ");
    if words.is_empty() {
        return;
    }
    let mut message = format!("{}: {words}\n", paint.bad("error"));
    if let Some(hint) = error::hint(error) {
        message.push_str(&format!("{}\n", paint.strong(&format!("hint: {hint}"))));
    }
    // There is no way to report a failure to print.
    drop(err(&message));
}

/// Prints a warning about something that does not stop the command.
///
/// # Errors
/// Returns the errors of [`err`].
pub fn warning(message: &str, paint: Paint) -> anyhow::Result<()> {
    err(&format!("{}: {message}\n", paint.careful("warning")))
}

/// Writes a file atomically, by renaming a temporary file.
///
/// # Errors
/// Returns an error if the file cannot be written. The previous content is then unchanged.
pub fn file(path: &Path, text: &str) -> anyhow::Result<()> {
    write_whole(path, text.as_bytes())
        .with_context(|| format!("can't write `{}`", visible_path(path)))
}
