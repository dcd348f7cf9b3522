//! `--check` for generated files: compares a committed file with what the Dockerfiles result in now.
//!
//! Owns the comparison and its messages. Each command generates its own text.

use std::path::Path;

use anyhow::Context;
use similar::TextDiff;

use super::printer;
use crate::base::screen::visible_path;
use crate::base::text::inline_shell_word as quote;

/// Compares a file with its expected content, and prints the difference to stdout. `name` is the displayed
/// name of the file; `command` generates it. Returns whether the file is up to date.
///
/// # Errors
/// Returns an error if the file exists and cannot be read.
pub fn with_file(path: &Path, expected: &str, name: &str, command: &str) -> anyhow::Result<bool> {
    let hint = format!("hint: {command} --output {}", quote(name));
    let found = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // The difference would be the whole file.
            printer::err(&format!("`{name}` not found\n{hint}\n"))?;
            return Ok(false);
        }
        Err(error) => return Err(error).context(format!("can't read `{}`", visible_path(path))),
    };
    if found == expected {
        return Ok(true);
    }
    print_difference(name, &found, expected)?;
    printer::err(&format!("`{name}` is out of date\n{hint}\n"))?;
    Ok(false)
}

/// Prints the difference between a committed file and its expected content.
///
/// # Errors
/// Returns an error if it cannot be printed.
pub fn print_difference(name: &str, committed: &str, expected: &str) -> anyhow::Result<()> {
    let diff = TextDiff::from_lines(committed, expected);
    let headers = (format!("{name} (committed)"), format!("{name} (from the Dockerfiles)"));
    printer::out(&format!("{}", diff.unified_diff().header(&headers.0, &headers.1)))
}
