//! `--check` of what is made from the graph: a committed file against what the Dockerfiles say now.
//!
//! Owns the comparison and what is said of it. How the text is made is for each verb.

use std::path::Path;

use anyhow::Context;
use similar::TextDiff;

use super::say;
use crate::base::screen::visible_path;
use crate::base::text::inline_shell_word as quote;

/// Compares a file with what it should be; the difference goes to the standard output. `name` is
/// what the file is called, `command` the command line that makes it. Returns whether it is up to date.
///
/// # Errors
/// Where the file is there and can't be read.
pub fn with_file(path: &Path, wanted: &str, name: &str, command: &str) -> anyhow::Result<bool> {
    let hint = format!("hint: {command} --output {}", quote(name));
    let found = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // All of it would be the difference.
            say::err(&format!("there is no `{name}`\n{hint}\n"))?;
            return Ok(false);
        }
        Err(error) => return Err(error).context(format!("can't read `{}`", visible_path(path))),
    };
    if found == wanted {
        return Ok(true);
    }
    print_difference(name, &found, wanted)?;
    say::err(&format!("`{name}` is out of date\n{hint}\n"))?;
    Ok(false)
}

/// Prints what differs between a committed file and what it should be.
///
/// # Errors
/// Where it can't be written.
pub fn print_difference(name: &str, committed: &str, wanted: &str) -> anyhow::Result<()> {
    let diff = TextDiff::from_lines(committed, wanted);
    let headers = (format!("{name} (committed)"), format!("{name} (from the Dockerfiles)"));
    say::out(&format!("{}", diff.unified_diff().header(&headers.0, &headers.1)))
}
