//! The list of files that an image reads, as one text: what is hashed is what is stored and printed.
//!
//! Owns the format of the list, a JSON array. It is written once, from file metadata and content digests, for all
//! images that read the same files. Images then keep and compare it as one value; only code that lists differences
//! parses it again.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::scan::context::{ContextEntry, EntryKind};

/// A file, directory, or other entry of the context.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileInputs<'a> {
    /// The path relative to the context.
    #[serde(borrow)]
    pub path: Cow<'a, str>,
    /// `file`, `directory`, `symlink`, …
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    /// The permission bits in octal, including setuid, setgid, and sticky; `None` if they do not count.
    #[serde(borrow)]
    pub mode: Option<Cow<'a, str>>,
    /// The digest of a file, the target of a symlink, or the numbers of a device.
    #[serde(borrow)]
    pub content: Option<Cow<'a, str>>,
}

/// The files of an image, in walk order. Cheap to clone.
#[derive(Clone)]
pub struct FileList {
    inner: Arc<FileListData>,
}

struct FileListData {
    text: String,
    digest: blake3::Hash,
    len: usize,
}

impl FileList {
    /// Creates the list from entries of a context, with the modes that count and the digests of files.
    pub fn of<'a>(
        entries: impl Iterator<Item = (&'a ContextEntry, Option<u32>, Option<blake3::Hash>)>,
    ) -> FileList {
        // Space for a digest, the field names, and a path of typical length.
        let mut text = Vec::with_capacity(entries.size_hint().0 * 160);
        let mut len = 0;
        for (entry, mode, digest) in entries {
            text.push(if len == 0 { b'[' } else { b',' });
            // Neither serializing text nor writing to a vector can fail.
            serde_json::to_writer(&mut text, &describe(entry, mode, digest)).unwrap_or_default();
            len += 1;
        }
        text.extend_from_slice(if len == 0 { b"[]" } else { b"]" });
        FileList::from_text(String::from_utf8(text).unwrap_or_default(), len)
    }

    /// Creates the list from file descriptions.
    pub fn new(files: &[FileInputs<'_>]) -> FileList {
        // Serializing text cannot fail.
        FileList::from_text(serde_json::to_string(files).unwrap_or_default(), files.len())
    }

    fn from_text(text: String, len: usize) -> FileList {
        let digest = blake3::hash(text.as_bytes());
        FileList { inner: Arc::new(FileListData { text, digest, len }) }
    }

    /// Returns the number of files.
    pub fn len(&self) -> usize {
        self.inner.len
    }

    /// Returns whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.inner.len == 0
    }

    /// Returns the hash of the whole list.
    pub fn digest(&self) -> &blake3::Hash {
        &self.inner.digest
    }

    /// Parses the files from the text that was hashed.
    pub fn read(&self) -> Vec<FileInputs<'_>> {
        // The text was written by this type, so parsing cannot fail.
        serde_json::from_str(&self.inner.text).unwrap_or_default()
    }
}

impl Default for FileList {
    fn default() -> FileList {
        FileList::of(std::iter::empty())
    }
}

impl PartialEq for FileList {
    fn eq(&self, other: &FileList) -> bool {
        self.inner.digest == other.inner.digest
    }
}

impl Eq for FileList {}

impl fmt::Debug for FileList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.text)
    }
}

impl Serialize for FileList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.read().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for FileList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<FileList, D::Error> {
        let files: Vec<FileInputs<'_>> = Vec::deserialize(deserializer)?;
        Ok(FileList::new(&files))
    }
}

fn describe(
    entry: &ContextEntry,
    mode: Option<u32>,
    digest: Option<blake3::Hash>,
) -> FileInputs<'_> {
    let numbers = |major: u32, minor: u32| Some(Cow::Owned(format!("{major}:{minor}")));
    let (kind, content) = match &entry.kind {
        EntryKind::File => ("file", digest.map(|digest| Cow::Owned(hex(&digest)))),
        EntryKind::Directory => ("directory", None),
        EntryKind::Symlink(text) => ("symlink", Some(readable(text))),
        EntryKind::Fifo => ("fifo", None),
        EntryKind::CharDevice { major, minor } => ("char", numbers(*major, *minor)),
        EntryKind::BlockDevice { major, minor } => ("block", numbers(*major, *minor)),
    };
    let mode = mode.map(|mode| match mode {
        0o644 => Cow::Borrowed("0644"),
        0o755 => Cow::Borrowed("0755"),
        mode => Cow::Owned(format!("{mode:04o}")),
    });
    FileInputs { path: readable(&entry.path), kind: Cow::Borrowed(kind), mode, content }
}

/// Returns a digest in hexadecimal; the crate's own method takes five times as long.
fn hex(digest: &blake3::Hash) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    digest.as_bytes().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Returns a name as text. Names that are not valid UTF-8 are escaped and prefixed with a NUL, which no name
/// contains, so that different names never become equal.
pub(super) fn readable(name: &OsStr) -> Cow<'_, str> {
    match name.to_str() {
        Some(text) => Cow::Borrowed(text),
        None => Cow::Owned(format!("\0{}", name.as_bytes().escape_ascii())),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::scan::context::Stat;

    fn entry(path: impl Into<OsString>, kind: EntryKind, mode: u32) -> ContextEntry {
        let stat = Stat {
            size: 0,
            mode,
            mtime: 0,
            mtime_nanos: 0,
            ctime: 0,
            ctime_nanos: 0,
            inode: 0,
            device: 0,
        };
        ContextEntry { path: path.into(), kind, stat }
    }

    #[test]
    fn file_lists_round_trip_and_match_the_output_of_serde() {
        let digest = blake3::hash(b"x");
        let odd = OsStr::from_bytes(b"a\xff\"\n").to_owned();
        let entries = [
            (entry("d", EntryKind::Directory, 0o2755), None),
            (entry("d/f", EntryKind::File, 0o644), Some(digest)),
            (entry("d/g", EntryKind::File, 0o755), Some(digest)),
            (entry(odd, EntryKind::Symlink("../\"x\"".into()), 0o777), None),
            (entry("tty", EntryKind::CharDevice { major: 5, minor: 0 }, 0o600), None),
        ];
        let mode = |entry: &ContextEntry| Some(entry.stat.mode).filter(|mode| *mode != 0o600);
        let list = FileList::of(entries.iter().map(|(it, digest)| (it, mode(it), *digest)));
        let files = list.read();
        assert_eq!((files.len(), list.len()), (5, 5));
        assert_eq!(files[0].mode.as_deref(), Some("2755"));
        assert_eq!(files[4].mode, None);
        assert_eq!(files[1].content.as_deref(), Some(digest.to_hex().as_str()));
        assert_eq!(files[3].path, "\0a\\xff\\\"\\n");
        assert_eq!(files[3].content.as_deref(), Some("../\"x\""));
        assert_eq!(files[4].content.as_deref(), Some("5:0"));
        assert_eq!(serde_json::to_string(&files).unwrap(), list.inner.text);
        let again: FileList = serde_json::from_str(&serde_json::to_string(&list).unwrap()).unwrap();
        assert_eq!(again, list);
        assert_eq!(again.inner.text, list.inner.text);
        assert_ne!(FileList::default(), list);
        assert_eq!(FileList::default().inner.text, "[]");
    }
}
