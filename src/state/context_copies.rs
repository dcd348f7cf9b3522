//! What engines have in their copies of contexts: which content each path, size, and time stands for.
//!
//! Owns `.layers/contexts/`, with one record per context and set of patterns. An engine does not request a file whose
//! path, size, and time are those of its copy, so under the name of a copy these three must mean one content forever.
//! Editors and copies with `cp -p`, `touch -r`, or `mv` do not guarantee that. A record therefore has everything that
//! was ever sent under a name, and is written before anything is sent. A file that would break the rule is sent with a
//! time that is a few nanoseconds later.
//!
//! BuildKit does not notice that the mode of a directory has changed: the steps that read it come from the cache. Under
//! one name, a directory therefore has one mode forever, and with another one there is a new name.
//!
//! The name of a copy contains random bits that only its record has: if the record is lost, damaged, replaced, or too
//! long, there is a new name, and everything is sent once. Records are only appended to, under a lock, so that
//! concurrent runs of one checkout share a name. Another checkout has another path, and another name.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::StateDir;
use crate::base::clock::{self, UnixTime};
use crate::base::waiting;
use crate::engine::context_files::random_id;

/// The version of the format, which increases with each change of it.
const MAGIC: &[u8; 16] = b"layers copies 2\n";

/// The size in bytes of the header and of a record.
const RECORD: usize = 64;

/// The size in bytes of the check at the end of the header and of a record.
const CHECK: usize = 8;

/// How long to wait for another build, which has the lock until the disk has what it appended: milliseconds, or seconds
/// if the disk is busy. Who does not get the lock sends everything.
const LOCKED_FOR: Duration = Duration::from_secs(60);

/// How long unused records are kept. BuildKit keeps unused copies for two days.
const KEPT_FOR: Duration = Duration::from_secs(14 * 24 * 3600);

/// A file of a context.
pub struct SentFile<'a> {
    /// The path relative to the context.
    pub path: &'a [u8],
    /// The size in bytes.
    pub size: u64,
    /// The time with which it is sent, in nanoseconds since 1970.
    pub mtime: &'a mut i64,
    /// The digest of the content.
    pub digest: blake3::Hash,
}

/// A directory of a context.
pub struct SentDirectory<'a> {
    /// The path relative to the context.
    pub path: &'a [u8],
    /// The permission bits.
    pub mode: u32,
}

/// The records of a repository's contexts.
#[derive(Debug, Clone)]
pub struct ContextCopies {
    directory: StateDir,
}

/// The start of a digest; the rest does not fit into a record.
type Digest = [u8; 24];
type PathHash = [u8; 16];

/// The time in the record of a directory, which has its mode in the place of a size.
const DIRECTORY: i64 = i64::MIN;

/// The sizes, times, and contents with which a path was sent.
type SentVersions = Vec<(u64, i64, Digest)>;

impl ContextCopies {
    /// Returns the records in a directory that exists.
    pub(super) fn of(directory: StateDir) -> ContextCopies {
        ContextCopies { directory }
    }

    /// Returns the name of an engine's copy of some files of the context at `root`, which were selected by `patterns`.
    /// Records that these files and directories are in it, and changes times that would be mistaken for those of other
    /// contents.
    ///
    /// # Errors
    /// Returns an error if the record cannot be written, or if another process has it for too long. Nothing may then
    /// be sent under a name that is used again.
    pub fn record(
        &self,
        root: &Path,
        patterns: &blake3::Hash,
        directories: &[SentDirectory<'_>],
        files: &mut [SentFile<'_>],
    ) -> io::Result<String> {
        let name = &patterns.to_hex()[..32];
        let is_new = self.directory.metadata(name).is_err();
        if is_new {
            self.remove_unused();
        }
        let path = self.directory.writable_file(name)?;
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        let file = locked(file)?;
        let mut record = CopyRecord::read(&file)?;
        let most = 4 * (files.len() + directories.len()) + 10_000;
        let is_new = |record: &CopyRecord| {
            record.count > most || directories.iter().any(|it| record.has_another_mode(it))
        };
        if record.as_ref().is_none_or(is_new) {
            record = Some(CopyRecord::create(&file)?);
        }
        let Some(mut record) = record else { return Err(io::Error::other("no record")) };
        directories.iter().for_each(|it| record.add_directory(it));
        for file in files {
            record.add(file);
        }
        record.append(&file)?;
        let mut hasher = blake3::Hasher::new();
        for part in [record.random.as_slice(), root.as_os_str().as_bytes(), patterns.as_bytes()] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        Ok(hasher.finalize().to_hex()[..32].to_owned())
    }

    /// Removes records that were not changed for a long time. A run that uses one now has it open, and a later one
    /// begins with another name.
    fn remove_unused(&self) {
        for name in self.directory.names() {
            let modified = self.directory.metadata(&name).and_then(|it| it.modified()).ok();
            let modified = modified.and_then(UnixTime::of);
            if modified.is_some_and(|modified| clock::now().since(modified) > KEPT_FOR) {
                // Another process may have removed it already.
                drop(self.directory.remove_file(&name));
            }
        }
    }
}

/// Waits for the lock of a record.
fn locked(file: File) -> io::Result<File> {
    if file.try_lock().is_ok() {
        return Ok(file);
    }
    waiting::wait("another run's record of a context", LOCKED_FOR, move || {
        file.lock().map(|()| file)
    })
    .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut)))
}

/// What was sent under one name.
struct CopyRecord {
    random: [u8; 16],
    sent: HashMap<PathHash, SentVersions>,
    /// How many records there are.
    count: usize,
    /// What is to be appended.
    new: Vec<u8>,
}

impl CopyRecord {
    /// Reads a record; `None` if it is empty, damaged, or was not written to this very file.
    fn read(mut file: &File) -> io::Result<Option<CopyRecord>> {
        let mut content = Vec::new();
        file.read_to_end(&mut content)?;
        let (parts, []) = content.as_chunks::<RECORD>() else { return Ok(None) };
        if parts.is_empty() || parts.iter().any(|part| check_of(part) != part[RECORD - CHECK..]) {
            return Ok(None);
        }
        let (head, records) = (&parts[0], &parts[1..]);
        let mut random = [0; 16];
        random.copy_from_slice(&head[16..32]);
        if *head != header(random, file)? {
            return Ok(None);
        }
        let mut sent: HashMap<PathHash, SentVersions> = HashMap::with_capacity(records.len());
        for record in records {
            let (path, version) = parse(record);
            sent.entry(path).or_default().push(version);
        }
        Ok(Some(CopyRecord { random, sent, count: records.len(), new: Vec::new() }))
    }

    /// Begins a record with a new name.
    fn create(mut file: &File) -> io::Result<CopyRecord> {
        let mut random = [0; 16];
        random.copy_from_slice(&blake3::hash(random_id().as_bytes()).as_bytes()[..16]);
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&header(random, file)?)?;
        Ok(CopyRecord { random, sent: HashMap::new(), count: 0, new: Vec::new() })
    }

    /// Returns whether a directory was sent with another mode.
    fn has_another_mode(&self, directory: &SentDirectory<'_>) -> bool {
        self.sent_mode(directory).is_some_and(|mode| mode != u64::from(directory.mode))
    }

    fn sent_mode(&self, directory: &SentDirectory<'_>) -> Option<u64> {
        let versions = self.sent.get(&hash_of(directory.path))?;
        versions.iter().find(|(_, time, _)| *time == DIRECTORY).map(|(mode, ..)| *mode)
    }

    /// Adds a directory, unless it was sent before.
    fn add_directory(&mut self, directory: &SentDirectory<'_>) {
        if self.sent_mode(directory).is_none() {
            let path = hash_of(directory.path);
            let version = (directory.mode.into(), DIRECTORY, Digest::default());
            self.sent.entry(path).or_default().push(version);
            self.new.extend_from_slice(&bytes_of(&path, &version));
        }
    }

    /// Adds a file. Gives it a later time if its own stands for another content.
    fn add(&mut self, file: &mut SentFile<'_>) {
        let path = hash_of(file.path);
        let mut digest = Digest::default();
        digest.copy_from_slice(&file.digest.as_bytes()[..24]);
        let versions = self.sent.entry(path).or_default();
        let sent_at = |time: i64| versions.iter().find(|it| (it.0, it.1) == (file.size, time));
        let later = file.mtime.wrapping_add(1);
        if sent_at(*file.mtime).is_some() && sent_at(later).is_some() {
            // Where a file system has coarser times, the copy may have its own time for the content of the later one.
            *file.mtime = later;
        }
        loop {
            match sent_at(*file.mtime) {
                Some(known) if known.2 == digest => return,
                Some(_) => *file.mtime = file.mtime.wrapping_add(1),
                None => break,
            }
        }
        let version = (file.size, *file.mtime, digest);
        versions.push(version);
        self.new.extend_from_slice(&bytes_of(&path, &version));
    }

    /// Writes what is new, so that it survives a crash of the machine: an engine's copy may survive too.
    fn append(&self, mut file: &File) -> io::Result<()> {
        if self.new.is_empty() {
            return Ok(());
        }
        file.seek(SeekFrom::End(0))?;
        file.write_all(&self.new)?;
        file.sync_data()
    }
}

fn hash_of(path: &[u8]) -> PathHash {
    let mut hash = PathHash::default();
    hash.copy_from_slice(&blake3::hash(path).as_bytes()[..16]);
    hash
}

/// Returns the header of a record. A copy of the file, such as one restored from a backup, is another file, and lacks
/// what was sent since.
fn header(random: [u8; 16], file: &File) -> io::Result<[u8; RECORD]> {
    let metadata = file.metadata()?;
    // Not all file systems know when a file was created.
    let created = metadata.created().ok().and_then(|it| it.duration_since(UNIX_EPOCH).ok());
    let created = created.map_or(0, |it| it.as_nanos());
    let mut header = [0; RECORD];
    header[..16].copy_from_slice(MAGIC);
    header[16..32].copy_from_slice(&random);
    header[32..40].copy_from_slice(&metadata.ino().to_le_bytes());
    header[40..56].copy_from_slice(&created.to_le_bytes());
    let check = check_of(&header);
    header[RECORD - CHECK..].copy_from_slice(&check);
    Ok(header)
}

fn check_of(part: &[u8; RECORD]) -> [u8; CHECK] {
    let mut check = [0; CHECK];
    check.copy_from_slice(&blake3::hash(&part[..RECORD - CHECK]).as_bytes()[..CHECK]);
    check
}

fn bytes_of(path: &PathHash, (size, mtime, digest): &(u64, i64, Digest)) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    record[..16].copy_from_slice(path);
    record[16..24].copy_from_slice(&size.to_le_bytes());
    record[24..32].copy_from_slice(&mtime.to_le_bytes());
    record[32..56].copy_from_slice(digest);
    let check = check_of(&record);
    record[RECORD - CHECK..].copy_from_slice(&check);
    record
}

fn parse(record: &[u8; RECORD]) -> (PathHash, (u64, i64, Digest)) {
    let mut path = PathHash::default();
    let (mut size, mut mtime, mut digest) = ([0; 8], [0; 8], Digest::default());
    path.copy_from_slice(&record[..16]);
    size.copy_from_slice(&record[16..24]);
    mtime.copy_from_slice(&record[24..32]);
    digest.copy_from_slice(&record[32..56]);
    (path, (u64::from_le_bytes(size), i64::from_le_bytes(mtime), digest))
}

#[cfg(test)]
mod tests;
