//! `graph.json` on the disk: the committed lock of the graph.
//!
//! Owns where it lies, reading it for verbs that need its pins, and how one that is broken or out of
//! date ends them. What is in it is `graph`'s affair.

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
use crate::report::{compared, diagnostics, say};

use super::Invocation;
use super::load::Workspace;

/// The file, at the root of the repository.
pub const FILE: &str = "graph.json";

/// A lock as it was read, and the digests that it gives externals.
type Committed = (Lock, Pins);

/// Reads the lock with the digests that it gives externals; nothing where there is none.
///
/// # Errors
/// Where it can't be read. One that is broken is a diagnostic.
fn read(workspace: &Workspace) -> anyhow::Result<Result<Option<Committed>, Box<Diagnostic>>> {
    Ok(source(&workspace.root)?.map(|source| parse(&source)).transpose())
}

/// The externals by tag that the lock of a folder knows, for a shell that completes.
pub fn externals(root: &Path) -> Vec<String> {
    let lock = source(root).ok().flatten().and_then(|source| Lock::read(&source).ok());
    lock.map(|lock| lock.externals()).unwrap_or_default()
}

/// The pins of the lock, none where there is none; an error where it is broken, which it then has printed.
///
/// # Errors
/// As [`read`]; and where it is broken.
pub fn pins(workspace: &Workspace, at: &Invocation) -> anyhow::Result<Pins> {
    match read(workspace)? {
        Ok(committed) => Ok(committed.map(|(_, pins)| pins).unwrap_or_default()),
        Err(problem) => stop(&problem, at),
    }
}

/// The pins that a lock keeps when it is made anew; none where there is no lock, or where another
/// program calls a file of its own so.
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
    // What is no text is no JSON either, and is said to be none.
    Ok(Some(Source::new(name, String::from_utf8_lossy(&bytes))))
}

fn parse(source: &Source) -> Result<Committed, Box<Diagnostic>> {
    let lock = Lock::read(source)?;
    let pins = lock.pins(source)?;
    Ok((lock, pins))
}

/// The lock of a graph with these pins, as it is written.
pub fn text(graph: &Graph, pins: &Pins) -> String {
    lock::draw(&View::whole(graph).pinned(pins.clone()))
}

/// Prints what is wrong with a lock, and ends the command.
///
/// # Errors
/// Always.
pub fn stop<T>(problem: &Diagnostic, at: &Invocation) -> anyhow::Result<T> {
    say::err(&diagnostics::draw(std::slice::from_ref(problem), at.paint))?;
    Err(printed(ErrorKind::Files).into())
}

/// The pins of a build: none unless it is locked.
///
/// # Errors
/// As [`read`]; and where it is locked and the lock cannot be used.
pub fn pins_of(is_locked: bool, workspace: &Workspace, at: &Invocation) -> anyhow::Result<Pins> {
    if is_locked { heed(workspace, at) } else { Ok(Pins::default()) }
}

/// The pins that a build is to heed: those of a lock that is of today and pins all externals that are
/// named by tag. Where it is not, says so.
///
/// # Errors
/// As [`read`]; and where it is not such a lock.
fn heed(workspace: &Workspace, at: &Invocation) -> anyhow::Result<Pins> {
    let refuse = |why: &str| {
        Err(InfrastructureError::new(ErrorKind::Files, why).hint("layers update").into())
    };
    let (committed, pins) = match read(workspace)? {
        Ok(Some(committed)) => committed,
        Ok(None) => return refuse(&format!("there is no `{FILE}`, which `--locked` builds by")),
        Err(problem) => return stop(&problem, at),
    };
    let graph = &workspace.graph;
    let today = text(graph, &pins);
    let today = Source::new(RelPath::root(), today);
    let today = Lock::read(&today).map_err(|problem| anyhow::anyhow!("{}", problem.message))?;
    if today != committed {
        compared::print_difference(FILE, &committed.to_text(), &today.to_text())?;
        return refuse(&format!("`{FILE}` is out of date"));
    }
    let externals = graph.externals_by_tag().into_iter().map(|(_, reference)| reference);
    let open = externals.filter(|it| pins.digest(it).is_none());
    let open: Vec<String> = open.map(Reference::familiar).collect();
    if !open.is_empty() {
        let (externals, are) =
            (count(open.len(), "external"), if open.len() == 1 { "is" } else { "are" });
        return refuse(&format!("{externals} {are} not pinned in `{FILE}`: {}", list(&open)));
    }
    Ok(pins)
}
