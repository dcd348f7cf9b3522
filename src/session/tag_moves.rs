//! Moving the tags of a run in the registry, in a separate process.
//!
//! Owns what is written to the disk before the first tag moves, and the process that moves the tags. A registry moves
//! one tag at a time, so between the first move and the last, some tags point to the old images and some to the new
//! ones. That time is short, and killing the run does not extend it: the process has its own group, so signals to the
//! run and its terminal do not reach it, and it continues to the end. If it dies too (as the machine may), the next run
//! that publishes from this repository finishes its work.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::base::error::{self, InfrastructureError};
use crate::base::screen::visible_path;
use crate::cli::MOVE_TAGS;
use crate::process;
use crate::registry::Registries;
use crate::registry::moves::{Move, finish, move_all};
use crate::state::{IntentDirs, StateDir};
use crate::workspace::{Invocation, registry};

/// The name of the file that is locked while tags are moved.
const LOCK: &str = "lock";

/// The maximum length of the process's error message, in bytes.
const LONGEST_ERROR: usize = 64 << 10;

/// The moves of a run, as written to the file.
#[derive(Default, Serialize, Deserialize)]
pub struct IntendedMoves {
    /// Registries that are used without TLS. Everything else is read from the environment, which contains secrets.
    pub plain_http: Vec<String>,
    /// The commit that the tags are moved by, if it is known.
    #[serde(default)]
    pub commit: Option<String>,
    /// The moves.
    pub moves: Vec<Move>,
}

impl IntendedMoves {
    fn registries(&self, at: &Invocation) -> Registries {
        Registries::new(registry::settings_with(self.plain_http.clone(), &at.environment))
    }
}

/// The directories of the intents of a workspace.
pub fn directories(root: &Path, at: &Invocation) -> IntentDirs {
    let home = || Some(at.environment.path("HOME")?.join(".local/state"));
    let user_state = at.environment.path("XDG_STATE_HOME").or_else(home);
    IntentDirs::of(root, user_state, &std::env::temp_dir())
}

/// Moves tags, all or none, and waits until that is done, after finishing what dead runs began. `name` is a name that no
/// other run has. If the moves can be written to no directory, they are done nevertheless, and `unrecorded` is called
/// with the reason.
///
/// # Errors
/// Returns an error if a registry refuses.
pub fn start(
    directories: &IntentDirs,
    name: &str,
    intent: &IntendedMoves,
    unrecorded: &dyn Fn(&io::Error),
) -> anyhow::Result<()> {
    let interrupted: Vec<PathBuf> = directories
        .existing()
        .into_iter()
        .filter(|directory| !others(directory, OsStr::new("")).is_empty())
        .map(|directory| directory.path().to_owned())
        .collect();
    if intent.moves.is_empty() && interrupted.is_empty() {
        return Ok(());
    }
    let name = format!("{name}.json");
    let text = serde_json::to_vec(intent)?;
    let directory = match directories.write(&name, &text) {
        Ok(directory) => Some(directory),
        Err(error) => {
            unrecorded(&error);
            None
        }
    };
    let file = directory.as_ref().map_or("-".into(), |it| it.path().join(&name));
    let mut arguments = vec![OsStr::new(MOVE_TAGS), file.as_os_str()];
    arguments.extend(interrupted.iter().map(|path| path.as_os_str()));
    let finished = process::run_apart(&arguments, &text, LONGEST_ERROR)?;
    if finished.status.success() {
        return Ok(());
    }
    // The process itself removes a file that it has read. This removes one that it could not read. One whose process was
    // killed stays: the next release completes its moves.
    if let (Some(directory), Some(_)) = (directory, finished.status.code()) {
        drop(directory.remove_file(&name));
    }
    let message = String::from_utf8_lossy(&finished.stderr);
    match serde_json::from_str::<InfrastructureError>(&message) {
        Ok(error) => Err(error.into()),
        Err(_) if message.trim().is_empty() => {
            anyhow::bail!("the process that moves tags failed: {}", finished.status)
        }
        Err(_) => anyhow::bail!("{}", message.trim()),
    }
}

/// Moves the tags of a file, or those that are read from stdin if it is `-`, after those that dead runs left in its
/// directory and in `interrupted`. This is what the separate process runs.
///
/// # Errors
/// Returns an error if the moves cannot be read, if releases cannot be locked, or if a registry refuses.
pub fn move_tags(file: &Path, interrupted: &[PathBuf], at: &Invocation) -> anyhow::Result<()> {
    if file == "-" {
        let mut text = Vec::new();
        io::stdin().read_to_end(&mut text)?;
        let intent: IntendedMoves = serde_json::from_slice(&text).context("can't read stdin")?;
        return move_after(interrupted, &intent, OsStr::new(""), at);
    }
    // The lock is created only after the file was read as an intent: this may be run by hand on
    // another path.
    let (parent, name) =
        file.parent().zip(file.file_name()).context("the path has no directory")?;
    let directory = StateDir::at(parent);
    let intent = read(&directory, name)?;
    let lock = directory
        .writable_file(LOCK)
        .and_then(|path| File::options().write(true).create(true).truncate(false).open(path));
    let lock = lock.context("can't create the lock for moving tags")?;
    lock.lock().context("can't acquire the lock for moving tags")?;
    let elsewhere = interrupted.iter().filter(|path| *path != parent).cloned();
    let directories: Vec<PathBuf> = elsewhere.chain([parent.to_owned()]).collect();
    let moved = move_after(&directories, &intent, name, at);
    drop(directory.remove_file(name));
    moved
}

/// Finishes what dead runs left in some directories, and then moves tags. `own` is the file of this run.
fn move_after(
    directories: &[PathBuf],
    intent: &IntendedMoves,
    own: &OsStr,
    at: &Invocation,
) -> anyhow::Result<()> {
    for directory in directories {
        let directory = StateDir::at(directory);
        for name in others(&directory, own) {
            finish_interrupted(&directory, &name, at)?;
        }
    }
    move_all(&intent.registries(at), &intent.moves, intent.commit.as_deref())
}

fn read(directory: &StateDir, name: &OsStr) -> anyhow::Result<IntendedMoves> {
    let file = directory.path().join(name);
    let cant = || format!("can't read `{}`", visible_path(&file));
    let text = directory.read(name).with_context(cant)?;
    serde_json::from_slice(&text).with_context(cant)
}

/// Returns the files of other runs that died.
fn others(directory: &StateDir, own: &OsStr) -> Vec<OsString> {
    let is_other = |name: &OsString| {
        let is_intent = Path::new(name).extension().is_some_and(|it| it == "json");
        is_intent && name != own && directory.file(name).is_ok()
    };
    let mut others: Vec<OsString> = directory.names().into_iter().filter(is_other).collect();
    others.sort();
    others
}

/// Finishes the moves of another run.
fn finish_interrupted(directory: &StateDir, name: &OsStr, at: &Invocation) -> anyhow::Result<()> {
    if let Ok(intent) = read(directory, name) {
        let finished = finish(&intent.registries(at), &intent.moves, intent.commit.as_deref());
        // A registry that refuses will refuse again, and must not block later releases.
        finished.or_else(|error| if error::is_transient(&error) { Err(error) } else { Ok(()) })?;
    }
    drop(directory.remove_file(name));
    Ok(())
}
