//! A run told again from its log, and the log of one image.
//!
//! Owns what is said of a run that is over. What a log holds is what builds wrote, and a file that
//! anybody may have put there, so every line is cleaned, wherever it goes.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use super::journal::{Kept, cannot_read};
use super::paint::Paint;
use super::summary::{Summary, Whole};
use super::{clean, plain};

/// Tells a run again: the plain lines, then the end as it was. `whole` is where the whole logs of
/// its images are.
///
/// # Errors
/// Where its log can't be read; an `io::Error` where it can't be written.
pub fn run(run: &Kept, whole: Whole, to: &mut dyn Write) -> anyhow::Result<()> {
    let is_written = run.is_written();
    let mut summary = Summary::default();
    summary.whole_logs(whole);
    for event in run.events()? {
        let event = event?;
        summary.take(&event);
        if let Some(line) = plain::line(&event) {
            writeln!(to, "{}", clean::line(&line))?;
        }
    }
    for line in summary.draw(Paint::plain()).lines() {
        writeln!(to, "{}", clean::line(line))?;
    }
    match (summary.tally.is_over, is_written) {
        (true, _) => {}
        (false, true) => writeln!(to, "it is still running")?,
        (false, false) => writeln!(to, "it died: its log has no end, and no process writes it")?,
    }
    Ok(())
}

/// The log of an image.
///
/// # Errors
/// Where it can't be read; an `io::Error` where it can't be written.
pub fn image(log: &Path, to: &mut dyn Write) -> anyhow::Result<()> {
    let file = File::open(log).map_err(|error| cannot_read(log, &error))?;
    let mut lines = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = lines.read_until(b'\n', &mut line);
        if read.map_err(|error| cannot_read(log, &error))? == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        writeln!(to, "{}", clean::line(text))?;
    }
}
