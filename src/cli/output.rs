//! `--output` of all verbs: a file, or the standard output.
//!
//! Owns how the standard output is called there, and what a file is relative to.

use std::path::{Path, PathBuf};

use super::GlobalArgs;
use crate::base::error::usage;

/// What `--output` calls the standard output.
const STANDARD_OUTPUT: &str = "-";

/// Returns the file that `--output` names, if it names one.
pub fn file_of(output: Option<&Path>) -> Option<&Path> {
    output.filter(|path| path.as_os_str() != STANDARD_OUTPUT)
}

/// Returns the file that `--output` names for a command that may compare with it instead of writing it.
///
/// # Errors
/// Where it is to be compared with the standard output.
pub fn file_to_check(output: Option<&Path>, checks: bool) -> anyhow::Result<Option<&Path>> {
    let file = file_of(output);
    if checks && file.is_none() && output.is_some() {
        return Err(usage("`--check` compares with a file, but `-` is stdout").into());
    }
    Ok(file)
}

/// Returns where a file is: its path is relative to the directory that a command is given in.
pub fn file_in(global: &GlobalArgs, path: &Path) -> PathBuf {
    global.directory.as_deref().unwrap_or(Path::new("")).join(path)
}
