//! Writes files atomically.
//!
//! Owns the names of the temporary files. They contain the ID of the writing process, so that a later run can
//! recognize the files of processes that died.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::Builder;

/// Writes a temporary file in the same directory and renames it. Readers always see a complete file, and an
/// error leaves the previous content in place.
///
/// # Errors
/// Returns an error if the file cannot be written.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_beside(path, bytes, 0o666, false)
}

/// Like [`write_whole`], but makes the file readable for the user only and syncs it to the disk before the
/// rename.
///
/// # Errors
/// Returns an error if the file cannot be written.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_beside(path, bytes, 0o600, true)
}

fn write_beside(path: &Path, bytes: &[u8], mode: u32, synced: bool) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let mut prefix = name.to_owned();
    prefix.push(format!(".{}-", std::process::id()));
    let mut builder = Builder::new();
    builder.prefix(&prefix).suffix(ENDING).permissions(Permissions::from_mode(mode));
    let mut beside = builder.tempfile_in(path.parent().unwrap_or(Path::new("")))?;
    beside.write_all(bytes)?;
    if synced {
        beside.as_file().sync_all()?;
    }
    beside.persist(path).map(drop).map_err(|error| error.error)
}

/// The suffix of temporary files.
const ENDING: &str = ".tmp";

/// Returns the ID of the process that writes a temporary file, from the file's name.
pub fn writer_of(name: &str) -> Option<u32> {
    let (_, writer) = name.strip_suffix(ENDING)?.rsplit_once('.')?;
    writer.split_once('-')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn writes_are_atomic_and_leave_no_temporary_files() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        write_private(&path, b"one").unwrap();
        assert_eq!(mode(), 0o600);
        write_whole(&path, b"two").unwrap();
        assert_eq!(mode() & 0o600, 0o600);
        assert_eq!(fs::read(&path).unwrap(), b"two");
        fs::create_dir_all(directory.path().join("b/c")).unwrap();
        write_whole(&directory.path().join("b"), b"three").unwrap_err();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn temporary_file_names_identify_their_writer() {
        let check = |name, expected| assert_eq!(writer_of(name), expected, "{name}");
        check("a.json.4711-3.tmp", Some(4711));
        check("a.json.4711-aB3x.tmp", Some(4711));
        check("a.json.tmp", None);
        check("a.4711-3", None);
    }
}
