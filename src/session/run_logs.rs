//! The logs of earlier runs.
//!
//! Owns which of them a command line refers to.

use std::path::Path;

use crate::base::error::usage;
use crate::base::text::suggest;
use crate::state::runs::{self, RunLog};
use crate::workspace::root::own_state;

/// Why there are no runs. A run that finds everything fresh leaves no log, and neither does one that cannot write it.
pub const NO_RUNS: &str = "no runs found: no run that built something has left a log here";

/// Returns the runs of a repository that are kept, oldest first, and at least one.
///
/// # Errors
/// Returns an error if there is none, or if the state directory cannot be used.
pub fn list(root: &Path) -> anyhow::Result<Vec<RunLog>> {
    let runs = runs::all(&own_state(root)?);
    if runs.is_empty() {
        return Err(usage(NO_RUNS).hint("`layers plan` shows what a run would build").into());
    }
    Ok(runs)
}

/// Returns the run with the given ID, or the last one.
///
/// # Errors
/// Returns an error if there is no such run.
pub fn choose<'a>(runs: &'a [RunLog], id: Option<&str>) -> anyhow::Result<&'a RunLog> {
    let found = match id {
        Some(id) => runs.iter().find(|run| run.id == id),
        None => runs.last(),
    };
    found.ok_or_else(|| {
        let id = id.unwrap_or_default();
        let hint = suggest(id, runs.iter().map(|run| run.id.as_str()));
        let hint = hint.as_deref().unwrap_or("`layers runs` lists the runs that are kept");
        usage(format!("run `{id}` not found")).hint(hint).into()
    })
}
