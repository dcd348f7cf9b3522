//! The state that is kept from one run to the next, outside the engine: `.layers/`.
//!
//! Owns the inputs behind the keys of built images, which make it possible to name a difference, and the identities of
//! images by ID, which never change. None of it decides what is fresh: deleting the directory costs time and details in
//! messages, never correctness.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::StateDir;
use super::claims::{self, Claim};
use super::context_copies::ContextCopies;
use super::digests::Digests;
use super::durations::Durations;
use crate::base::clock::UnixTime;
use crate::base::file::writer_of;
use crate::engine::Cancel;
use crate::inputs::identity::FORMAT;
use crate::inputs::{Identity, Inputs};
use crate::process;

/// How many inputs are kept per image.
const MOST_KEPT: usize = 4;

/// How many identities are kept.
const MOST_IDENTITIES: usize = 20_000;

/// How many IDs of built images are kept.
const MOST_BUILT: usize = 20_000;

/// The format of `identities.json`.
#[derive(Serialize, Deserialize)]
struct ImageIdentities {
    /// The version of what identities contain.
    format: u32,
    identities: BTreeMap<String, Identity>,
}

/// The state directory of a repository.
#[derive(Debug, Clone)]
pub struct RepositoryState {
    directory: StateDir,
}

/// The directories in it.
const DIRECTORIES: [&str; 5] = ["claims", "contexts", "keys", "releases", "runs"];

impl RepositoryState {
    /// Returns the state directory of the repository at `root`. Does not write anything yet.
    pub fn of(root: &Path) -> RepositoryState {
        RepositoryState { directory: StateDir::of(root) }
    }

    /// Returns why the state directory, or a part of it, is not used, and how to remove that part: something in it is
    /// not a file or directory that was created here. Everything else works without that part.
    pub fn trouble(&self) -> Option<String> {
        self.directory.trouble(&DIRECTORIES)
    }

    /// The digests of files.
    pub fn digests(&self) -> Digests {
        Digests::open(self.directory.clone(), "files")
    }

    /// Keeps the inputs behind a key of an image, and removes the oldest ones of that image.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn keep(&self, image: &str, key: &str, inputs: &Inputs) -> io::Result<()> {
        let directory = self.keys_of(image);
        self.prepare(&directory)?;
        directory.write(format!("{key}.json"), &serde_json::to_vec(inputs)?)?;
        let names = directory.names();
        let too_many = names.len().saturating_sub(MOST_KEPT);
        if too_many == 0 {
            return Ok(());
        }
        let modified = |name| directory.metadata(name).and_then(|it| it.modified()).ok();
        let mut by_age: Vec<_> = names.iter().map(|name| (modified(name), name)).collect();
        by_age.sort_unstable();
        for (_, name) in by_age.into_iter().take(too_many) {
            // Another process may have removed it already.
            drop(directory.remove_file(name));
        }
        Ok(())
    }

    /// Returns the inputs behind a key of an image, if they are kept and can be read.
    pub fn recall(&self, image: &str, key: &str) -> Option<Inputs> {
        if !key.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            // A label can be any text, and must not become a path.
            return None;
        }
        let text = self.keys_of(image).read(format!("{key}.json")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Returns whether the inputs behind a key of an image are kept, without reading them.
    pub fn keeps(&self, image: &str, key: &str) -> bool {
        self.keys_of(image).metadata(format!("{key}.json")).is_ok_and(|it| it.len() > 0)
    }

    /// Returns whether the inputs behind a key of an image were written at the given time or later: another run is
    /// building that key, or has built it meanwhile.
    pub fn kept_since(&self, image: &str, key: &str, moment: UnixTime) -> bool {
        let file = self.keys_of(image).metadata(format!("{key}.json"));
        let modified = file.and_then(|file| file.modified()).ok();
        let modified = modified.and_then(UnixTime::of);
        modified.is_some_and(|time| time >= moment)
    }

    /// Claims a key of an image for building. Calls `waits` if another run has the claim. Returns whether it waited, or
    /// `None` if the wait was canceled.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written, or if the file system does not support locks.
    pub fn claim(
        &self,
        image: &str,
        key: &str,
        waits: &dyn Fn(),
        cancel: &Cancel,
    ) -> io::Result<Option<(Claim, bool)>> {
        let directory = self.claims();
        self.prepare(&directory)?;
        let file = format!("{}.{}", file_name_of(image), key.get(..16).unwrap_or(key));
        claims::claim(&directory.writable_file(file)?, waits, cancel)
    }

    /// Removes what dead processes left behind: their claims, and their temporary files. If there is neither, this only
    /// lists two small directories.
    pub fn sweep(&self) {
        let mut directories = vec![self.directory.clone()];
        if claims::sweep(&self.claims()) {
            // A run writes the inputs of an image before it builds it.
            let keys = self.directory.below("keys");
            let names = keys.names();
            directories.extend(names.iter().filter_map(|name| Some(keys.below(name.to_str()?))));
        }
        for directory in directories {
            for name in directory.names() {
                let writer = writer_of(&name.to_string_lossy());
                let modified = || directory.metadata(&name).and_then(|it| it.modified()).ok();
                if writer.is_some_and(|process| process::has_ended(process, modified())) {
                    // A file that cannot be removed does not block other runs.
                    drop(directory.remove_file(name));
                }
            }
        }
    }

    /// The records of what engines have in their copies of contexts.
    ///
    /// # Errors
    /// Returns an error if their directory cannot be created.
    pub fn context_copies(&self) -> io::Result<ContextCopies> {
        let directory = self.directory.below("contexts");
        self.prepare(&directory)?;
        Ok(ContextCopies::of(directory))
    }

    /// The durations of builds.
    pub fn durations(&self) -> Durations {
        Durations::open(self.directory.clone(), "durations.json")
    }

    /// Adds durations of builds to those that another run may have written meanwhile.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn keep_durations(&self, took: &[(Arc<str>, Duration)]) -> io::Result<()> {
        self.prepare(&self.directory)?;
        self.durations().add(took)
    }

    /// The directory of the logs of runs, which may not exist.
    pub fn runs(&self) -> StateDir {
        self.directory.below("runs")
    }

    /// Creates the directory of the logs of runs.
    ///
    /// # Errors
    /// Returns an error if it cannot be created.
    pub fn prepare_runs(&self) -> io::Result<StateDir> {
        let directory = self.runs();
        self.prepare(&directory)?;
        // Checked once per run, in case the run that created the directory died early.
        self.ignore()?;
        Ok(directory)
    }

    /// Creates the directory of the files that say which tags a run is about to move.
    ///
    /// # Errors
    /// Returns an error if it cannot be created.
    pub fn prepare_releases(&self) -> io::Result<StateDir> {
        let directory = self.releases();
        self.prepare(&directory)?;
        Ok(directory)
    }

    /// The directory of these files, whether it exists or not.
    pub(super) fn releases(&self) -> StateDir {
        self.directory.below("releases")
    }

    fn claims(&self) -> StateDir {
        self.directory.below("claims")
    }

    /// Returns whether any inputs of an image are kept, which means that it was built from here.
    pub fn knows(&self, image: &str) -> bool {
        !self.keys_of(image).names().is_empty()
    }

    /// Returns the identities of images by ID. Those from another version of this program, with other contents, are
    /// dropped.
    pub fn identities(&self) -> BTreeMap<String, Identity> {
        let text = self.directory.read("identities.json");
        let file: Option<ImageIdentities> =
            text.ok().and_then(|it| serde_json::from_slice(&it).ok());
        let file = file.filter(|file| file.format == FORMAT);
        file.map(|file| file.identities).unwrap_or_default()
    }

    /// Keeps identities. Those in excess of the limit are dropped, because the engine can report them again.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn keep_identities(&self, mut identities: BTreeMap<String, Identity>) -> io::Result<()> {
        while identities.len() > MOST_IDENTITIES {
            identities.pop_first();
        }
        self.prepare(&self.directory)?;
        let file = ImageIdentities { format: FORMAT, identities };
        self.directory.write("identities.json", &serde_json::to_vec(&file)?)
    }

    /// Returns the IDs of images that are known to be built from their Dockerfiles.
    pub fn built(&self) -> BTreeSet<String> {
        let text = self.directory.read("built").unwrap_or_default();
        let text = String::from_utf8(text).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Adds the ID of an image that was built and has no other proof of its origin.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn note_built(&self, id: &str) -> io::Result<()> {
        self.prepare(&self.directory)?;
        let file = self.directory.writable_file("built")?;
        // A single write at the end of the file, so that parallel runs do not lose each other's
        // IDs.
        let mut file = fs::OpenOptions::new().create(true).append(true).open(file)?;
        file.write_all(format!("{id}\n").as_bytes())
    }

    /// Adds IDs to the `old` ones. Those in excess of the limit are dropped, because the engine can report them
    /// again.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn keep_built(&self, old: &BTreeSet<String>, new: BTreeSet<String>) -> io::Result<()> {
        if new.is_subset(old) {
            return Ok(());
        }
        let room = MOST_BUILT.saturating_sub(new.len());
        let all: BTreeSet<String> = old.iter().take(room).cloned().chain(new).collect();
        self.prepare(&self.directory)?;
        let text: String = all.iter().map(|id| format!("{id}\n")).collect();
        self.directory.write("built", text.as_bytes())
    }

    /// Saves digests.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn keep_digests(&self, digests: &Digests) -> io::Result<()> {
        if !digests.is_changed() {
            return Ok(());
        }
        self.prepare(&self.directory)?;
        digests.save()
    }

    /// Creates a directory, and makes git ignore the state directory.
    fn prepare(&self, directory: &StateDir) -> io::Result<()> {
        // A directory that exists was prepared when it was created.
        if directory.make()? { self.ignore() } else { Ok(()) }
    }

    fn ignore(&self) -> io::Result<()> {
        const NAME: &str = ".gitignore";
        if self.directory.file(NAME).is_ok() { Ok(()) } else { self.directory.write(NAME, b"*\n") }
    }

    fn keys_of(&self, image: &str) -> StateDir {
        self.directory.below("keys").below(&file_name_of(image))
    }
}

/// Returns the name of an image as a file name, with other characters escaped.
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
