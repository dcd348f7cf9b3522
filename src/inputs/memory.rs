//! What is remembered from one run to the next, beside the engine: `.layers/`.
//!
//! Owns the inputs behind the keys of built images, so that a difference can be named, and the
//! identities of images by their IDs, which never change. None of it decides what is fresh:
//! deleting the folder costs time and words, never correctness.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirEntry};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::Identity;
use super::claims::{self, Claimed};
use super::digests::Digests;
use super::durations::Durations;
use super::identity::FORMAT;
use super::key::Inputs;
use crate::engine::Cancel;

/// The folder's name, at the repository's root.
pub const FOLDER: &str = ".layers";

/// How many inputs of one image are kept.
const MOST_KEPT: usize = 4;

/// How many identities are kept.
const MOST_IDENTITIES: usize = 20_000;

/// How many IDs of built images are kept.
const MOST_BUILT: usize = 20_000;

/// The form of `identities.json`.
#[derive(Serialize, Deserialize)]
struct Identities {
    /// What counted for them.
    format: u32,
    identities: BTreeMap<String, Identity>,
}

/// The folder of a repository.
#[derive(Debug, Clone)]
pub struct Memory {
    folder: PathBuf,
}

impl Memory {
    /// The memory of the repository at `root`. Nothing is written yet.
    pub fn of(root: &Path) -> Memory {
        Memory { folder: root.join(FOLDER) }
    }

    /// The digests of files.
    pub fn digests(&self) -> Digests {
        Digests::open(self.folder.join("files"))
    }

    /// Keeps the inputs behind a key of an image, and forgets the oldest of that image.
    ///
    /// # Errors
    /// Where they can't be written.
    pub fn keep(&self, image: &str, key: &str, inputs: &Inputs) -> io::Result<()> {
        let folder = self.keys_of(image);
        self.prepare(&folder)?;
        write_whole(&folder.join(format!("{key}.json")), &serde_json::to_vec(inputs)?)?;
        let kept: Vec<DirEntry> = fs::read_dir(&folder)?.flatten().collect();
        let too_many = kept.len().saturating_sub(MOST_KEPT);
        if too_many == 0 {
            return Ok(());
        }
        let modified = |item: &DirEntry| item.metadata().and_then(|it| it.modified()).ok();
        let mut kept: Vec<(_, PathBuf)> =
            kept.iter().filter_map(|item| Some((modified(item)?, item.path()))).collect();
        kept.sort_unstable();
        for (_, path) in kept.into_iter().take(too_many) {
            // Another process may have forgotten it already.
            drop(fs::remove_file(path));
        }
        Ok(())
    }

    /// The inputs behind a key of an image, where they are kept and can be read.
    pub fn recall(&self, image: &str, key: &str) -> Option<Inputs> {
        if !key.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            // A label is whatever somebody wrote; a path is not.
            return None;
        }
        let text = fs::read(self.keys_of(image).join(format!("{key}.json"))).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Whether the inputs behind a key of an image are kept. It does not read them.
    pub fn keeps(&self, image: &str, key: &str) -> bool {
        fs::metadata(self.keys_of(image).join(format!("{key}.json"))).is_ok_and(|it| it.len() > 0)
    }

    /// Whether the inputs behind a key of an image were kept at a moment (since 1970) or later:
    /// another run is building that key, or has built it meanwhile.
    pub fn kept_since(&self, image: &str, key: &str, moment: Duration) -> bool {
        let file = fs::metadata(self.keys_of(image).join(format!("{key}.json")));
        let modified = file.and_then(|file| file.modified()).ok();
        let modified = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        modified.is_some_and(|time| time >= moment)
    }

    /// Claims the building of a key of an image; `waits` is called where another run has it.
    ///
    /// # Errors
    /// Where the disk refuses, or knows no locks.
    pub fn claim(
        &self,
        image: &str,
        key: &str,
        waits: &dyn Fn(),
        cancel: &Cancel,
    ) -> io::Result<Claimed> {
        let folder = self.claims();
        self.prepare(&folder)?;
        let file = format!("{}.{}", file_name_of(image), key.get(..16).unwrap_or(key));
        claims::claim(&folder.join(file), waits, cancel)
    }

    /// Removes what processes left behind that died: their claims, and files that they had not
    /// yet moved to their places. Where there is neither, it reads two small folders.
    pub fn sweep(&self) {
        let mut folders = vec![self.folder.clone()];
        if claims::sweep(&self.claims()) {
            // Who builds an image keeps its inputs first.
            let keys = fs::read_dir(self.folder.join("keys")).into_iter().flatten().flatten();
            folders.extend(keys.map(|item| item.path()));
        }
        for folder in folders {
            for item in fs::read_dir(folder).into_iter().flatten().flatten() {
                if writer_of(&item.file_name().to_string_lossy()).is_some_and(is_dead) {
                    // One that can't be removed blocks nobody.
                    drop(fs::remove_file(item.path()));
                }
            }
        }
    }

    /// How long builds took.
    pub fn durations(&self) -> Durations {
        Durations::open(self.folder.join("durations.json"))
    }

    /// Keeps how long builds took, beside what another run has kept meanwhile.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn keep_durations(&self, took: &[(String, Duration)]) -> io::Result<()> {
        self.prepare(&self.folder)?;
        self.durations().add(took)
    }

    /// The folder of the logs of runs, which may not be there.
    pub fn runs(&self) -> PathBuf {
        self.folder.join("runs")
    }

    /// Makes that folder.
    ///
    /// # Errors
    /// Where it can't be made.
    pub fn prepare_runs(&self) -> io::Result<PathBuf> {
        let folder = self.runs();
        self.prepare(&folder)?;
        // Once a run it is made sure of, whatever became of the run that made the folder.
        self.ignore()?;
        Ok(folder)
    }

    /// Makes the folder in which is written down which tags a run is about to move.
    ///
    /// # Errors
    /// Where it can't be made.
    pub fn prepare_releases(&self) -> io::Result<PathBuf> {
        let folder = self.folder.join("releases");
        self.prepare(&folder)?;
        Ok(folder)
    }

    fn claims(&self) -> PathBuf {
        self.folder.join("claims")
    }

    /// Whether any inputs of an image are kept: it was built from here.
    pub fn knows(&self, image: &str) -> bool {
        fs::read_dir(self.keys_of(image)).is_ok_and(|mut items| items.next().is_some())
    }

    /// The identities of images by their IDs. Those that another version of this program found,
    /// to which other things counted, are forgotten.
    pub fn identities(&self) -> BTreeMap<String, Identity> {
        let text = fs::read(self.folder.join("identities.json"));
        let kept: Option<Identities> = text.ok().and_then(|it| serde_json::from_slice(&it).ok());
        let kept = kept.filter(|kept| kept.format == FORMAT);
        kept.map(|kept| kept.identities).unwrap_or_default()
    }

    /// Keeps identities. An engine can be asked again for those that are too many.
    ///
    /// # Errors
    /// Where they can't be written.
    pub fn keep_identities(&self, mut identities: BTreeMap<String, Identity>) -> io::Result<()> {
        while identities.len() > MOST_IDENTITIES {
            identities.pop_first();
        }
        self.prepare(&self.folder)?;
        let kept = Identities { format: FORMAT, identities };
        write_whole(&self.folder.join("identities.json"), &serde_json::to_vec(&kept)?)
    }

    /// The IDs of images that are known to be built from their Dockerfiles.
    pub fn built(&self) -> BTreeSet<String> {
        let text = fs::read_to_string(self.folder.join("built")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Adds the ID of an image that was built and cannot prove its origin otherwise.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn note_built(&self, id: &str) -> io::Result<()> {
        self.prepare(&self.folder)?;
        let file = self.folder.join("built");
        // One write at the end of the file, so that runs at the same time do not lose each other's.
        let mut file = fs::OpenOptions::new().create(true).append(true).open(file)?;
        file.write_all(format!("{id}\n").as_bytes())
    }

    /// Adds IDs to those that are `known`. An engine can be asked again for those that are too many.
    ///
    /// # Errors
    /// Where they can't be written.
    pub fn keep_built(&self, known: &BTreeSet<String>, new: BTreeSet<String>) -> io::Result<()> {
        if new.is_subset(known) {
            return Ok(());
        }
        let room = MOST_BUILT.saturating_sub(new.len());
        let all: BTreeSet<String> = known.iter().take(room).cloned().chain(new).collect();
        self.prepare(&self.folder)?;
        let text: String = all.iter().map(|id| format!("{id}\n")).collect();
        write_whole(&self.folder.join("built"), text.as_bytes())
    }

    /// Saves digests.
    ///
    /// # Errors
    /// Where they can't be written.
    pub fn keep_digests(&self, digests: &Digests) -> io::Result<()> {
        if !digests.is_changed() {
            return Ok(());
        }
        self.prepare(&self.folder)?;
        digests.save()
    }

    /// Makes a folder, and tells git to leave all of it alone.
    fn prepare(&self, folder: &Path) -> io::Result<()> {
        match fs::create_dir(folder) {
            // Most often it is there, and then all of this was done when it was made.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {
                return Ok(());
            }
            Ok(()) => {}
            Err(_) => fs::create_dir_all(folder)?,
        }
        self.ignore()
    }

    fn ignore(&self) -> io::Result<()> {
        let ignore = self.folder.join(".gitignore");
        if ignore.exists() { Ok(()) } else { write_whole(&ignore, b"*\n") }
    }

    fn keys_of(&self, image: &str) -> PathBuf {
        self.folder.join("keys").join(file_name_of(image))
    }
}

/// The name of an image as that of a file: it may hold what no file name may.
pub fn file_name_of(image: &str) -> String {
    let mut name = String::with_capacity(image.len());
    for byte in image.bytes() {
        match char::from(byte) {
            c if c.is_ascii_alphanumeric() || c == '-' || c == '_' => name.push(c),
            _ => name.push_str(&format!("%{byte:02x}")),
        }
    }
    name
}

/// The process that writes a file which is not yet at its place, by the file's name.
fn writer_of(name: &str) -> Option<u32> {
    let (_, writer) = name.strip_suffix(".tmp")?.rsplit_once('.')?;
    writer.split_once('-')?.0.parse().ok()
}

/// Whether there is no such process on this machine, as far as the system tells.
fn is_dead(process: u32) -> bool {
    Path::new("/proc/self").exists() && !Path::new(&format!("/proc/{process}")).exists()
}

/// Writes a file beside its place and renames it: whoever reads finds a whole one.
///
/// # Errors
/// Where it can't be written.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    // Threads of one process may write the same file too.
    let thread = format!("{:?}", std::thread::current().id());
    let thread: String = thread.chars().filter(char::is_ascii_digit).collect();
    beside.push(format!(".{}-{thread}.tmp", std::process::id()));
    let written = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // The half-written copy is of no use; that it may stay is not worth a second error.
        drop(fs::remove_file(&beside));
    }
    written
}
