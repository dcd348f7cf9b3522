//! `graph.json` on the disk: the committed lock file of the graph.
//!
//! Owns where it is, how it is read by verbs that need its pins, and the errors about one that is invalid or out of
//! date. `graph` owns its content.

use std::io;
use std::path::Path;

use anyhow::Context;

use crate::base::error::{ErrorKind, InfrastructureError, printed};
use crate::base::text::{count, list};
use crate::base::{Diagnostic, RelPath, Source};
use crate::export::View;
use crate::export::lock::{self, Lock, looks_like_lock};
use crate::graph::Graph;
use crate::graph::pins::Pins;
use crate::graph::reference::Reference;
use crate::report::{comparison, diagnostics, printer};

use super::Invocation;
use super::load::Workspace;

/// The name of the lock file, at the root of the repository.
pub const FILE: &str = "graph.json";

/// A lock file as read, and its pins.
type CommittedLock = (Lock, Pins);

/// Reads the lock file and its pins. Returns `None` if there is none.
///
/// # Errors
/// Returns an error if the lock file cannot be read. One that is not valid is a diagnostic.
fn read(workspace: &Workspace) -> anyhow::Result<Result<Option<CommittedLock>, Box<Diagnostic>>> {
    Ok(source(&workspace.root)?.map(|source| parse(&source)).transpose())
}

/// Returns the externals with tags that the lock file in a directory contains, for shell completion.
pub fn externals(root: &Path) -> Vec<String> {
    let lock = source(root).ok().flatten().and_then(|source| Lock::read(&source).ok());
    lock.map(|lock| lock.externals()).unwrap_or_default()
}

/// Returns the pins of the lock file, which are empty if there is none.
///
/// # Errors
/// As [`read`]; also returns an error if the lock file is not valid, and has then printed the diagnostic.
pub fn pins(workspace: &Workspace, at: &Invocation) -> anyhow::Result<Pins> {
    match read(workspace)? {
        Ok(committed) => Ok(committed.map(|(_, pins)| pins).unwrap_or_default()),
        Err(problem) => stop(&problem, at),
    }
}

/// Returns the pins that a new lock file keeps. They are empty if there is no lock file, or if the file of that name
/// belongs to another program.
///
/// # Errors
/// As [`read`].
pub fn kept_pins(workspace: &Workspace) -> anyhow::Result<Result<Pins, Box<Diagnostic>>> {
    let source = source(&workspace.root)?.filter(|source| looks_like_lock(source.text()));
    let committed = source.map(|source| parse(&source)).transpose();
    Ok(committed.map(|committed| committed.map(|(_, pins)| pins).unwrap_or_default()))
}

fn source(root: &Path) -> anyhow::Result<Option<Source>> {
    let path = root.join(FILE);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).context(format!("can't read `{FILE}`")),
    };
    let name = RelPath::new(FILE).context("the lock has a name")?;
    // A file that is not UTF-8 is not JSON either, and is reported as such.
    Ok(Some(Source::new(name, String::from_utf8_lossy(&bytes))))
}

fn parse(source: &Source) -> Result<CommittedLock, Box<Diagnostic>> {
    let lock = Lock::read(source)?;
    let pins = lock.pins(source)?;
    Ok((lock, pins))
}

/// Returns the text of the lock file of a graph with these pins.
pub fn text(graph: &Graph, pins: &Pins) -> String {
    lock::draw(&View::new(graph).pinned(pins.clone()))
}

/// Prints the problem of a lock file and ends the command.
///
/// # Errors
/// Always returns an error.
pub fn stop<T>(problem: &Diagnostic, at: &Invocation) -> anyhow::Result<T> {
    printer::err(&diagnostics::draw(std::slice::from_ref(problem), at.paint))?;
    Err(printed(ErrorKind::Files).into())
}

/// Returns the pins of a build, which are empty without `--locked`.
///
/// # Errors
/// As [`read`]; also returns an error if the build is locked and the lock file cannot be used.
pub fn pins_of(is_locked: bool, workspace: &Workspace, at: &Invocation) -> anyhow::Result<Pins> {
    if is_locked { heed(workspace, at) } else { Ok(Pins::default()) }
}

/// Returns the pins of a locked build: those of a lock file that is up to date and pins all externals with tags. Prints
/// the reason if the lock file is not like that.
///
/// # Errors
/// As [`read`]; also returns an error if the lock file is not like that.
fn heed(workspace: &Workspace, at: &Invocation) -> anyhow::Result<Pins> {
    let refuse = |why: &str| {
        Err(InfrastructureError::new(ErrorKind::Files, why).hint("layers update").into())
    };
    let (committed, pins) = match read(workspace)? {
        Ok(Some(committed)) => committed,
        Ok(None) => return refuse(&format!("`{FILE}` not found, which `--locked` requires")),
        Err(problem) => return stop(&problem, at),
    };
    let graph = &workspace.graph;
    let today = text(graph, &pins);
    let today = Source::new(RelPath::root(), today);
    let today = Lock::read(&today).map_err(|problem| anyhow::anyhow!("{}", problem.message))?;
    if today != committed {
        comparison::print_difference(FILE, &committed.to_text(), &today.to_text())?;
        return refuse(&format!("`{FILE}` is out of date"));
    }
    let externals = graph.externals_by_tag().into_iter().map(|(_, reference)| reference);
    let open = externals.filter(|it| pins.digest(it).is_none());
    let open: Vec<String> = open.map(Reference::familiar).collect();
    if !open.is_empty() {
        let (externals, are) =
            (count(open.len(), "external image"), if open.len() == 1 { "is" } else { "are" });
        return refuse(&format!("{externals} {are} not pinned in `{FILE}`: {}", list(&open)));
    }
    Ok(pins)
}
