//! `layers runs`: lists the last runs that built something, and how they ended.
//!
//! The latest run comes first, as in `git log`, `docker ps`, and the lists of CI services: it is the one that users
//! look for. Like `log`, reads only `.layers/`.

use crate::cli::Runs;
use crate::exit::Exit;
use crate::report::runs::{self, Row};
use crate::report::say;
use crate::state;
use crate::workspace::{Invocation, root};

pub fn run(options: &Runs, at: &Invocation) -> anyhow::Result<Exit> {
    let memory = root::own_memory(&root::WorkspaceLocation::of(at)?.root)?;
    let rows: Vec<Row> = state::runs::all(&memory).iter().rev().map(runs::read).collect();
    if options.json {
        say::json(&rows)?;
    } else if at.global.quiet {
        say::out(&rows.iter().map(|row| format!("{}\n", row.id)).collect::<String>())?;
    } else if rows.is_empty() {
        say::err("no runs found: nothing has been built here yet\n")?;
    } else {
        say::out(&runs::draw(&rows))?;
    }
    Ok(Exit::Done)
}
