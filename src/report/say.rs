//! The only writers of the standard streams and of files that a user asked for.
//!
//! Owns data on the standard output, words on the standard error stream, and files that are
//! whole or not there. All that people read passes through `clean::printed` here, with what the
//! process may print: set once, by [`begin`].

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::Path;
use std::sync::OnceLock;

use anyhow::Context;
use rustix::termios::{QueueSelector, tcflush};
use serde::Serialize;

use super::clean::{self, Allowed, printed};
use super::paint::Paint;
use crate::base::error;
use crate::base::file::write_whole;
use crate::base::screen::visible_path;

/// No more is read of an answer.
const LONGEST_ANSWER: u64 = 1024;

/// What may be printed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules {
    /// To the standard output.
    pub output: Allowed,
    /// To the standard error stream.
    pub errors: Allowed,
}

static RULES: OnceLock<Rules> = OnceLock::new();

/// Sets what may be printed from here on. Only the first call counts.
pub fn begin(rules: Rules) {
    RULES.get_or_init(|| rules);
}

fn rules() -> Rules {
    RULES.get().copied().unwrap_or_default()
}

/// Writes text for people to the standard output.
///
/// # Errors
/// As [`data`].
pub fn out(text: &str) -> anyhow::Result<()> {
    data(&printed(text, rules().output))
}

/// Writes data to the standard output, exactly: its format has escaped what is not ours.
///
/// # Errors
/// Where it can't be written. A closed pipe is none: whoever read it has seen enough, as `head`
/// does, and how a command ends must not depend on that.
pub fn data(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    unless_closed(written).context("can't write to the standard output")
}

/// Writes a value as JSON to the standard output.
///
/// # Errors
/// As [`data`].
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    data(&clean::json(value)?)
}

/// Lets `write` write text for people to the standard output, piece by piece. An `io::Error` that it returns
/// is one of writing; what else may go wrong is of another kind.
///
/// # Errors
/// As [`out`], and what `write` returns.
pub fn out_by(write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut stdout = Clean::new(io::BufWriter::new(io::stdout().lock()), rules().output);
    let written = write(&mut stdout).and_then(|()| Ok(stdout.flush()?));
    // What could not be written is not tried again when the buffer is dropped.
    drop(stdout.to.into_parts());
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
pub fn data_stream() -> impl Write {
    io::stdout()
}

/// The standard error stream, for lines that come while a run goes on.
pub fn words_stream() -> impl Write {
    Clean::new(io::stderr(), rules().errors)
}

/// Lines on their way out, as [`out`] writes them.
struct Clean<W> {
    to: W,
    allowed: Allowed,
    /// What was written since the last line end.
    open: Vec<u8>,
}

impl<W: Write> Clean<W> {
    fn new(to: W, allowed: Allowed) -> Clean<W> {
        Clean { to, allowed, open: Vec::new() }
    }

    fn pass_on(&mut self, length: usize) -> io::Result<()> {
        let rest = self.open.split_off(length);
        let text = std::mem::replace(&mut self.open, rest);
        self.to.write_all(printed(&String::from_utf8_lossy(&text), self.allowed).as_bytes())
    }
}

impl<W: Write> Write for Clean<W> {
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

/// Writes words to the standard error stream.
///
/// # Errors
/// Where it can't be written. A closed pipe is none, as for [`out`].
pub fn err(text: &str) -> anyhow::Result<()> {
    let text = printed(text, rules().errors);
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

/// Prints why a command could not be done, unless that has been printed.
pub fn error(error: &anyhow::Error, paint: Paint) {
    let words = format!("{error:#}").trim_end().replace('\n', "\n  ");
    if words.is_empty() {
        return;
    }
    let mut message = format!("{}: {words}\n", paint.bad("error"));
    if let Some(hint) = error::hint(error) {
        message.push_str(&format!("{}\n", paint.strong(&format!("hint: {hint}"))));
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
    write_whole(path, text.as_bytes())
        .with_context(|| format!("can't write `{}`", visible_path(path)))
}
