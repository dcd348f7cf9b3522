//! Writing a file whole or not at all.
//!
//! Owns the one way in which this program replaces a file.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// Writes a file beside its place and renames it, so that a reader finds a whole one.
///
/// # Errors
/// If it cannot be written; what was there before is unharmed then.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    // Threads of one process may write the same file too.
    let thread = format!("{:?}", std::thread::current().id());
    let thread: String = thread.chars().filter(char::is_ascii_digit).collect();
    beside.push(format!(".{}-{thread}.tmp", std::process::id()));
    // Whatever else has this name is left over, or no file of ours: a new one never leads elsewhere.
    drop(fs::remove_file(&beside));
    let written = fs::File::create_new(&beside).and_then(|mut file| file.write_all(bytes));
    let written = written.and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // The half-written copy is of no use; that it may stay is not worth a second error.
        drop(fs::remove_file(&beside));
    }
    written
}
