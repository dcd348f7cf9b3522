//! Moving the tags of a run in the registry, in a separate process.
//!
//! Owns what is written to `.layers/releases/` before the first tag moves, and the process that moves the tags. A
//! registry moves one tag at a time, so between the first move and the last, some tags point to the old images and some
//! to the new ones. That time is short, and killing the run does not extend it: the process has its own group, so
//! signals to the run and its terminal do not reach it, and it continues to the end. If it dies too (as the machine
//! may), the next run that publishes from this repository finishes its work.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::base::error::{self, InfrastructureError};
use crate::base::screen::visible_path;
use crate::cli::MOVE_TAGS;
use crate::process;
use crate::registry::Registries;
use crate::registry::moves::{Move, finish, move_all};
use crate::state::StateDir;
use crate::workspace::{Invocation, registry};

/// The name of the file that is locked while tags are moved.
const LOCK: &str = "lock";

/// The maximum length of the process's error message, in bytes.
const LONGEST_ERROR: usize = 64 << 10;

/// The moves of a run, as written to the file.
#[derive(Serialize, Deserialize)]
struct IntendedMoves {
    /// Registries that are used without TLS. Everything else is read from the environment, which contains secrets.
    plain_http: Vec<String>,
    moves: Vec<Move>,
}

impl IntendedMoves {
    fn registries(&self, at: &Invocation) -> Registries {
        Registries::new(registry::settings_with(self.plain_http.clone(), &at.environment))
    }
}

/// Moves tags, all or none, and waits until that is done. `directory` is the directory of intents, and `name` is a name
/// that no other run has.
///
/// # Errors
/// Returns an error if a registry refuses, or if the file cannot be written.
pub fn start(
    directory: &StateDir,
    name: &str,
    plain_http: &[String],
    moves: Vec<Move>,
) -> anyhow::Result<()> {
    let name = format!("{name}.json");
    let file = directory.path().join(&name);
    let text = serde_json::to_vec(&IntendedMoves { plain_http: plain_http.to_vec(), moves })?;
    let result = directory.write(&name, &text);
    result.with_context(|| format!("can't write `{}`", visible_path(&file)))?;
    let arguments = [OsStr::new(MOVE_TAGS), file.as_os_str()];
    let finished = process::run_apart(&arguments, LONGEST_ERROR)?;
    if finished.status.success() {
        return Ok(());
    }
    // The process itself removes a file that it has read. This removes one that it could not read. One whose process was
    // killed stays: the next release completes its moves.
    if finished.status.code().is_some() {
        drop(directory.remove_file(&name));
    }
    let stderr = String::from_utf8_lossy(&finished.stderr);
    match serde_json::from_str::<InfrastructureError>(&stderr) {
        Ok(error) => Err(error.into()),
        Err(_) if stderr.trim().is_empty() => {
            anyhow::bail!("the process that moves tags failed: {}", finished.status)
        }
        Err(_) => anyhow::bail!("{}", stderr.trim()),
    }
}

/// Moves the tags of a file, after those that earlier runs left behind. This is what the separate process runs.
///
/// # Errors
/// Returns an error if the file cannot be read, if releases cannot be locked, or if a registry refuses.
pub fn move_tags(file: &Path, at: &Invocation) -> anyhow::Result<()> {
    // The lock is created only after the file was read as an intent: this may be run by hand on
    // another path.
    let (parent, name) =
        file.parent().zip(file.file_name()).context("the path has no directory")?;
    let directory = StateDir::at(parent);
    let intent = read(&directory, name)?;
    let lock = directory
        .place(LOCK)
        .and_then(|path| File::options().write(true).create(true).truncate(false).open(path));
    let lock = lock.context("can't create the lock for moving tags")?;
    lock.lock().context("can't acquire the lock for moving tags")?;
    for other in others(&directory, name) {
        finish_other(&directory, &other, at)?;
    }
    let moved = move_all(&intent.registries(at), &intent.moves);
    drop(directory.remove_file(name));
    moved
}

fn read(directory: &StateDir, name: &OsStr) -> anyhow::Result<IntendedMoves> {
    let file = directory.path().join(name);
    let cant = || format!("can't read `{}`", visible_path(&file));
    let text = directory.read(name).with_context(cant)?;
    serde_json::from_slice(&text).with_context(cant)
}

/// Returns whether a dead run left moves unfinished.
pub fn is_any_left(directory: &StateDir) -> bool {
    !others(directory, OsStr::new("")).is_empty()
}

/// Returns the files of other runs that died.
fn others(directory: &StateDir, own: &OsStr) -> Vec<OsString> {
    let is_left = |name: &OsString| {
        let is_intent = Path::new(name).extension().is_some_and(|it| it == "json");
        is_intent && name != own && directory.file(name).is_ok()
    };
    let mut names: Vec<OsString> = directory.names().into_iter().filter(is_left).collect();
    names.sort();
    names
}

/// Finishes the moves of another run.
fn finish_other(directory: &StateDir, name: &OsStr, at: &Invocation) -> anyhow::Result<()> {
    if let Ok(intent) = read(directory, name) {
        let finished = finish(&intent.registries(at), &intent.moves);
        // A registry that refuses will refuse again, and must not block later releases.
        finished.or_else(|error| if error::is_transient(&error) { Err(error) } else { Ok(()) })?;
    }
    drop(directory.remove_file(name));
    Ok(())
}
