//! What is remembered from one run to the next, beside the engine: `.layers/`.
//!
//! Owns the inputs behind the keys of built images, so that a difference can be named, and the
//! identities of images by their IDs, which never change. None of it decides what is fresh:
//! deleting the folder costs time and words, never correctness.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::StateDir;
use super::claims::{self, Claim};
use super::digests::Digests;
use super::durations::Durations;
use crate::base::clock::UnixTime;
use crate::base::file::writer_of;
use crate::engine::Cancel;
use crate::inputs::identity::FORMAT;
use crate::inputs::{Identity, Inputs};
use crate::process;

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
    folder: StateDir,
}

/// The directories in it.
const DIRECTORIES: [&str; 4] = ["claims", "keys", "releases", "runs"];

impl Memory {
    /// The memory of the repository at `root`. Nothing is written yet.
    pub fn of(root: &Path) -> Memory {
        Memory { folder: StateDir::of(root) }
    }

    /// What keeps it, or a part of it, from being used, and how to remove it: something in it is no file or
    /// directory of ours. All else goes on without that part.
    pub fn trouble(&self) -> Option<String> {
        self.folder.trouble(&DIRECTORIES)
    }

    /// The digests of files.
    pub fn digests(&self) -> Digests {
        Digests::open(self.folder.clone(), "files")
    }

    /// Keeps the inputs behind a key of an image, and forgets the oldest of that image.
    ///
    /// # Errors
    /// Where they can't be written.
    pub fn keep(&self, image: &str, key: &str, inputs: &Inputs) -> io::Result<()> {
        let folder = self.keys_of(image);
        self.prepare(&folder)?;
        folder.write(format!("{key}.json"), &serde_json::to_vec(inputs)?)?;
        let kept = folder.names();
        let too_many = kept.len().saturating_sub(MOST_KEPT);
        if too_many == 0 {
            return Ok(());
        }
        let modified = |name| folder.metadata(name).and_then(|it| it.modified()).ok();
        let mut kept: Vec<_> = kept.iter().map(|name| (modified(name), name)).collect();
        kept.sort_unstable();
        for (_, name) in kept.into_iter().take(too_many) {
            // Another process may have forgotten it already.
            drop(folder.remove_file(name));
        }
        Ok(())
    }

    /// The inputs behind a key of an image, where they are kept and can be read.
    pub fn recall(&self, image: &str, key: &str) -> Option<Inputs> {
        if !key.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            // A label is whatever somebody wrote; a path is not.
            return None;
        }
        let text = self.keys_of(image).read(format!("{key}.json")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Whether the inputs behind a key of an image are kept. It does not read them.
    pub fn keeps(&self, image: &str, key: &str) -> bool {
        self.keys_of(image).metadata(format!("{key}.json")).is_ok_and(|it| it.len() > 0)
    }

    /// Whether the inputs behind a key of an image were kept at a moment or later:
    /// another run is building that key, or has built it meanwhile.
    pub fn kept_since(&self, image: &str, key: &str, moment: UnixTime) -> bool {
        let file = self.keys_of(image).metadata(format!("{key}.json"));
        let modified = file.and_then(|file| file.modified()).ok();
        let modified = modified.and_then(UnixTime::of);
        modified.is_some_and(|time| time >= moment)
    }

    /// Claims the building of a key of an image; `waits` is called where another run has it. Returns whether
    /// it was waited for; nothing where the waiting was cancelled.
    ///
    /// # Errors
    /// Where the disk refuses, or knows no locks.
    pub fn claim(
        &self,
        image: &str,
        key: &str,
        waits: &dyn Fn(),
        cancel: &Cancel,
    ) -> io::Result<Option<(Claim, bool)>> {
        let folder = self.claims();
        self.prepare(&folder)?;
        let file = format!("{}.{}", file_name_of(image), key.get(..16).unwrap_or(key));
        claims::claim(&folder.place(file)?, waits, cancel)
    }

    /// Removes what processes left behind that died: their claims, and files that they had not
    /// yet moved to their places. Where there is neither, it reads two small folders.
    pub fn sweep(&self) {
        let mut folders = vec![self.folder.clone()];
        if claims::sweep(&self.claims()) {
            // Who builds an image keeps its inputs first.
            let keys = self.folder.below("keys");
            let names = keys.names();
            folders.extend(names.iter().filter_map(|name| Some(keys.below(name.to_str()?))));
        }
        for folder in folders {
            for name in folder.names() {
                let writer = writer_of(&name.to_string_lossy());
                let written = || folder.metadata(&name).and_then(|it| it.modified()).ok();
                if writer.is_some_and(|process| process::has_ended(process, written())) {
                    // One that can't be removed blocks nobody.
                    drop(folder.remove_file(name));
                }
            }
        }
    }

    /// How long builds took.
    pub fn durations(&self) -> Durations {
        Durations::open(self.folder.clone(), "durations.json")
    }

    /// Keeps how long builds took, beside what another run has kept meanwhile.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn keep_durations(&self, took: &[(Arc<str>, Duration)]) -> io::Result<()> {
        self.prepare(&self.folder)?;
        self.durations().add(took)
    }

    /// The folder of the logs of runs, which may not be there.
    pub fn runs(&self) -> StateDir {
        self.folder.below("runs")
    }

    /// Makes that folder.
    ///
    /// # Errors
    /// Where it can't be made.
    pub fn prepare_runs(&self) -> io::Result<StateDir> {
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
    pub fn prepare_releases(&self) -> io::Result<StateDir> {
        let folder = self.folder.below("releases");
        self.prepare(&folder)?;
        Ok(folder)
    }

    fn claims(&self) -> StateDir {
        self.folder.below("claims")
    }

    /// Whether any inputs of an image are kept: it was built from here.
    pub fn knows(&self, image: &str) -> bool {
        !self.keys_of(image).names().is_empty()
    }

    /// The identities of images by their IDs. Those that another version of this program found,
    /// to which other things counted, are forgotten.
    pub fn identities(&self) -> BTreeMap<String, Identity> {
        let text = self.folder.read("identities.json");
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
        self.folder.write("identities.json", &serde_json::to_vec(&kept)?)
    }

    /// The IDs of images that are known to be built from their Dockerfiles.
    pub fn built(&self) -> BTreeSet<String> {
        let text = self.folder.read("built").unwrap_or_default();
        let text = String::from_utf8(text).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Adds the ID of an image that was built and cannot prove its origin otherwise.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn note_built(&self, id: &str) -> io::Result<()> {
        self.prepare(&self.folder)?;
        let file = self.folder.place("built")?;
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
        self.folder.write("built", text.as_bytes())
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
    fn prepare(&self, folder: &StateDir) -> io::Result<()> {
        // Most often it is there, and then all of this was done when it was made.
        if folder.make()? { self.ignore() } else { Ok(()) }
    }

    fn ignore(&self) -> io::Result<()> {
        const NAME: &str = ".gitignore";
        if self.folder.file(NAME).is_ok() { Ok(()) } else { self.folder.write(NAME, b"*\n") }
    }

    fn keys_of(&self, image: &str) -> StateDir {
        self.folder.below("keys").below(&file_name_of(image))
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
