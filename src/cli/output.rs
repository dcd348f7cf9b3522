//! `--output` of all verbs: a file, or the standard output.
//!
//! Owns how the standard output is called there, and what a file is relative to.

use std::path::{Path, PathBuf};

use super::Global;

/// What `--output` calls the standard output.
const STANDARD_OUTPUT: &str = "-";

/// Returns the file that `--output` names, if it names one.
pub fn file_of(output: Option<&Path>) -> Option<&Path> {
    output.filter(|path| path.as_os_str() != STANDARD_OUTPUT)
}

/// Returns where a file is: its path is relative to the directory that a command is given in.
pub fn file_in(global: &Global, path: &Path) -> PathBuf {
    global.directory.as_deref().unwrap_or(Path::new("")).join(path)
}
