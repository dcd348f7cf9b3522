//! `layers runs`: lists the last runs that built something, and how they ended.
//!
//! The latest run comes first, as in `git log`, `docker ps`, and the lists of CI services: it is the one that users
//! look for. Like `log`, reads only `.layers/`.

use crate::cli::RunsArgs;
use crate::exit::Exit;
use crate::report::printer;
use crate::report::runs::{self, RunRow};
use crate::session::run_logs::NO_RUNS;
use crate::state;
use crate::workspace::{Invocation, root};

pub fn run(options: &RunsArgs, at: &Invocation) -> anyhow::Result<Exit> {
    let state = root::own_state(&root::WorkspaceLocation::of(at)?.root)?;
    let rows: Vec<RunRow> = state::runs::all(&state).iter().rev().map(runs::read).collect();
    if options.json {
        printer::json(&rows)?;
    } else if at.global.quiet {
        printer::out(&rows.iter().map(|row| format!("{}\n", row.id)).collect::<String>())?;
    } else if rows.is_empty() {
        printer::err(&format!("{NO_RUNS}\n"))?;
    } else {
        printer::out(&runs::draw(&rows))?;
    }
    Ok(Exit::Done)
}
