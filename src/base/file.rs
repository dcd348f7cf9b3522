//! Writing a file whole or not at all.
//!
//! Owns the name of the file beside its place, from which a later run tells who died writing it.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::Builder;

/// Writes a file beside its place and renames it: whoever reads finds a whole one, and what was there
/// before is unharmed by an error.
///
/// # Errors
/// Where it can't be written.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_beside(path, bytes, 0o666, false)
}

/// The same for the user alone, and on the disk before it takes its place.
///
/// # Errors
/// Where it can't be written.
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

/// How the names end of files that are not at their places yet.
const ENDING: &str = ".tmp";

/// The process that writes a file which is not at its place yet, by that file's name.
pub fn writer_of(name: &str) -> Option<u32> {
    let (_, writer) = name.strip_suffix(ENDING)?.rsplit_once('.')?;
    writer.split_once('-')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_is_whole_and_nothing_stays_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        write_private(&path, b"one").unwrap();
        assert_eq!(mode(), 0o600);
        write_whole(&path, b"two").unwrap();
        assert_eq!(mode() & 0o600, 0o600);
        assert_eq!(fs::read(&path).unwrap(), b"two");
        fs::create_dir_all(folder.path().join("b/c")).unwrap();
        write_whole(&folder.path().join("b"), b"three").unwrap_err();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_writer_is_known_by_its_number() {
        let check = |name, expected| assert_eq!(writer_of(name), expected, "{name}");
        check("a.json.4711-3.tmp", Some(4711));
        check("a.json.4711-aB3x.tmp", Some(4711));
        check("a.json.tmp", None);
        check("a.4711-3", None);
    }
}
