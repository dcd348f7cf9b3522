//! The stat cache: the digest of each file's content when its metadata was last the same.
//!
//! Owns `.layers/files`. A file with the size, times, inode, and device of a record has the content that was read then,
//! so a second plan does not read any content. As in git, a record is kept only if the file was clearly older than the
//! time of the read: a file that changes again within the same clock tick has the same metadata. If the file is lost or
//! damaged, the contents are read again.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::StateDir;
use crate::base::clock::UnixTime;
use crate::inputs::FileDigests;
use crate::scan::context::Stat;

/// The version of the file's format, which increases with each change of the format.
const MAGIC: &[u8; 16] = b"layers files 2\n\0";

/// The size of a record in bytes: the hash of the path, eight numbers, and the digest.
const RECORD: usize = 16 + 8 * 8 + 32;

/// How old a file must be when it is read: the longest clock tick of a kernel if the file system stores fractions of
/// seconds, or else the coarsest resolution in use (two seconds).
const FINE: Duration = Duration::from_millis(20);
const COARSE: Duration = Duration::from_millis(2100);

type PathHash = [u8; 16];

/// What is known about the contents of files.
#[derive(Debug, Default)]
pub struct Digests {
    file: Option<(StateDir, &'static str)>,
    /// The file as it was read, or empty. Its records are sorted by the hashes of their paths and searched in place, so
    /// a plan of 100,000 files does not fill a table with them.
    content: Vec<u8>,
    /// For each bucket, the index of its first record. A bucket contains the hashes that share their first bits, and
    /// there are as many buckets as records, so a search looks at one or two records.
    starts: Vec<usize>,
    /// For each record, whether it was looked up.
    used: Vec<AtomicBool>,
    noted: BTreeMap<PathHash, DigestRecord>,
    /// Whether to ignore the kept records.
    is_distrusted: bool,
}

#[derive(Debug, Clone)]
struct DigestRecord {
    facts: [u8; 64],
    digest: [u8; 32],
}

impl Digests {
    /// Reads a file. The result is empty if it is missing or damaged.
    pub fn open(directory: StateDir, name: &'static str) -> Digests {
        let content = directory.read(name).ok().filter(|bytes| is_whole(bytes)).unwrap_or_default();
        let starts = starts(records(&content));
        let used = (0..records(&content).len()).map(|_| AtomicBool::new(false)).collect();
        let (file, noted) = (Some((directory, name)), BTreeMap::new());
        Digests { file, content, starts, used, noted, is_distrusted: false }
    }

    /// Ignores the kept digests from now on, so that every file is read. A file that changes through a shared mapping
    /// keeps its times if the file system does not update them (tmpfs).
    pub fn distrust(&mut self) {
        self.is_distrusted = true;
    }

    /// Returns whether there are new digests to save.
    pub fn is_changed(&self) -> bool {
        !self.noted.is_empty()
    }

    /// Writes the new digests, atomically.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn save(&self) -> io::Result<()> {
        let (Some((directory, name)), true) = (&self.file, self.is_changed()) else {
            return Ok(());
        };
        let is_used = |used: &AtomicBool| used.load(Ordering::Relaxed);
        let used = self.used.iter().filter(|used| is_used(used)).count() + self.noted.len();
        // Files come and go. Unused records are dropped only if they are most of the file.
        let keep_all = self.used.len() < 4 * used + 10_000;
        let entries = records(&self.content).iter().zip(&self.used);
        let entries =
            entries.filter(|(_, used)| keep_all || is_used(used)).map(|(record, _)| *record);
        let mut all: BTreeMap<PathHash, [u8; RECORD]> =
            entries.filter_map(|record| Some((*record.first_chunk()?, record))).collect();
        for (path, DigestRecord { facts, digest }) in &self.noted {
            let mut record = [0; RECORD];
            record[..16].copy_from_slice(path);
            record[16..80].copy_from_slice(facts);
            record[80..].copy_from_slice(digest);
            all.insert(*path, record);
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend(all.values().flatten());
        let sum = blake3::hash(&bytes);
        bytes.extend_from_slice(sum.as_bytes());
        directory.write(name, &bytes)
    }
}

impl FileDigests for Digests {
    fn find(&self, path: &Path, stat: &Stat) -> Option<blake3::Hash> {
        let (hash, facts) = (hash_path(path), facts(stat));
        if let Some(noted) = self.noted.get(&hash) {
            let digest = blake3::Hash::from_bytes(noted.digest);
            return (noted.facts == facts).then_some(digest);
        }
        if self.is_distrusted {
            return None;
        }
        let records = records(&self.content);
        let slot = slot(&hash, records.len());
        let range = *self.starts.get(slot)?..*self.starts.get(slot + 1)?;
        let at = range.into_iter().find(|at| records[*at][..16] == hash)?;
        let (old_facts, digest) = records[at][16..].split_last_chunk::<32>()?;
        if old_facts != facts {
            return None;
        }
        self.used[at].store(true, Ordering::Relaxed);
        Some(blake3::Hash::from_bytes(*digest))
    }

    fn note(&mut self, path: &Path, stat: &Stat, read_at: UnixTime, digest: &blake3::Hash) {
        if is_settled(stat, read_at) {
            let record = DigestRecord { facts: facts(stat), digest: *digest.as_bytes() };
            self.noted.insert(hash_path(path), record);
        }
    }
}

/// Returns whether a file is as it was written, and its records therefore in order.
fn is_whole(bytes: &[u8]) -> bool {
    bytes.split_last_chunk::<32>().is_some_and(|(body, sum)| {
        let records = body.strip_prefix(MAGIC);
        records.is_some_and(|records| records.len() % RECORD == 0)
            && blake3::hash(body).as_bytes() == sum
    })
}

/// Returns the records of an intact file, or none if the file is empty.
fn records(bytes: &[u8]) -> &[[u8; RECORD]] {
    let end = bytes.len().saturating_sub(32);
    bytes.get(MAGIC.len()..end).unwrap_or_default().as_chunks().0
}

/// Returns the bucket of a hash. There are as many buckets as records.
fn slot(hash: &[u8], records: usize) -> usize {
    let mut first = [0; 4];
    first.copy_from_slice(&hash[..4]);
    let slot = u64::from(u32::from_be_bytes(first)) * records as u64;
    usize::try_from(slot >> 32).unwrap_or_default()
}

/// Returns for each bucket the index of the first record in it or after it, and then the end.
fn starts(records: &[[u8; RECORD]]) -> Vec<usize> {
    let mut starts = Vec::with_capacity(records.len() + 1);
    for (number, record) in records.iter().enumerate() {
        let slots = slot(record, records.len()) + 1;
        starts.resize(starts.len().max(slots), number);
    }
    starts.resize(records.len() + 1, records.len());
    starts
}

fn hash_path(path: &Path) -> PathHash {
    let mut hash = PathHash::default();
    hash.copy_from_slice(&blake3::hash(path.as_os_str().as_bytes()).as_bytes()[..16]);
    hash
}

fn facts(stat: &Stat) -> [u8; 64] {
    let numbers = [
        stat.size.to_le_bytes(),
        u64::from(stat.mode).to_le_bytes(),
        stat.mtime.to_le_bytes(),
        stat.mtime_nanos.to_le_bytes(),
        stat.ctime.to_le_bytes(),
        stat.ctime_nanos.to_le_bytes(),
        stat.inode.to_le_bytes(),
        stat.device.to_le_bytes(),
    ];
    let mut facts = [0; 64];
    facts.copy_from_slice(numbers.as_flattened());
    facts
}

/// Returns whether a later change of the file would change its times.
fn is_settled(stat: &Stat, read_at: UnixTime) -> bool {
    let margin = if stat.mtime_nanos == 0 && stat.ctime_nanos == 0 { COARSE } else { FINE };
    let times = [(stat.mtime, stat.mtime_nanos), (stat.ctime, stat.ctime_nanos)];
    times.into_iter().all(|(seconds, nanos)| {
        // A time before 1970 is older than any read.
        let seconds = u64::try_from(seconds).unwrap_or(0);
        let touched =
            Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(nanos).unwrap_or(0));
        touched.checked_add(margin).is_some_and(|limit| limit < read_at.since_epoch())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(mtime: (i64, i64), ctime: (i64, i64)) -> Stat {
        Stat {
            size: 3,
            mode: 0o644,
            mtime: mtime.0,
            mtime_nanos: mtime.1,
            ctime: ctime.0,
            ctime_nanos: ctime.1,
            inode: 7,
            device: 1,
        }
    }

    #[test]
    fn recently_modified_files_are_read_again() {
        let read_at = UnixTime::from_seconds(1000);
        let check = |mtime, ctime, settled| {
            assert_eq!(is_settled(&stat(mtime, ctime), read_at), settled, "{mtime:?} {ctime:?}");
        };
        check((900, 5), (900, 5), true);
        check((900, 5), (999, 990_000_000), false);
        check((999, 990_000_000), (900, 5), false);
        check((999, 970_000_000), (999, 970_000_000), true);
        // A file system without fractions of seconds may be two seconds late.
        check((998, 0), (998, 0), false);
        check((997, 0), (997, 0), true);
        check((2000, 0), (900, 0), false);
        check((-5, 0), (900, 0), true);
        check((i64::MAX, 0), (900, 0), false);
    }

    #[test]
    fn saved_digests_are_reused_only_for_unchanged_files() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::of(directory.path());
        state.make().unwrap();
        let open = || Digests::open(state.clone(), "files");
        let (path, old) = (Path::new("/a/b"), stat((10, 1), (10, 2)));
        let digest = blake3::hash(b"abc");
        let mut digests = open();
        assert_eq!(digests.find(path, &old), None);
        digests.note(path, &old, UnixTime::from_seconds(1000), &digest);
        digests.note(Path::new("/young"), &old, UnixTime::from_seconds(10), &digest);
        digests.save().unwrap();
        let digests = open();
        assert_eq!(digests.find(path, &old), Some(digest));
        assert_eq!(digests.find(Path::new("/young"), &old), None);
        for other in [
            Stat { size: 4, ..old },
            Stat { mtime: 11, ..old },
            Stat { ctime_nanos: 3, ..old },
            Stat { inode: 8, ..old },
            Stat { device: 2, ..old },
        ] {
            assert_eq!(digests.find(path, &other), None, "{other:?}");
        }
        let mut bytes = state.read("files").unwrap();
        bytes[40] ^= 1;
        state.write("files", &bytes).unwrap();
        assert_eq!(open().find(path, &old), None, "damaged");
    }
}
