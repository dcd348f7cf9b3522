//! The only writers of the standard streams and of files that a user asked for.
//!
//! Owns data on the standard output, words on the standard error stream, and files that are
//! whole or not there.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;

use super::paint::Paint;

/// Writes data to the standard output.
///
/// # Errors
/// Where it can't be written; a closed pipe is an [`io::Error`] of that kind.
pub fn out(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(())
}

/// Writes words to the standard error stream.
///
/// # Errors
/// Where it can't be written.
pub fn err(text: &str) -> anyhow::Result<()> {
    io::stderr().lock().write_all(text.as_bytes())?;
    Ok(())
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
