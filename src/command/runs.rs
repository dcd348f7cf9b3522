//! `layers runs`: the last runs that built something, and how they ended.
//!
//! The newest comes first, as in `git log`, `docker ps` and the lists of CI services: it is the one
//! that is asked for. Like `log`, it reads `.layers/` alone.

use crate::cli::{Global, Runs};
use crate::exit::Exit;
use crate::report::runs::{self, Row};
use crate::report::say;
use crate::state;
use crate::workspace::load;

pub fn run(options: &Runs, global: &Global) -> anyhow::Result<Exit> {
    let memory = load::own_memory(&load::find_root(&load::start_folder(global)?))?;
    let rows: Vec<Row> = state::runs::all(&memory).iter().rev().map(runs::read).collect();
    if options.json {
        say::json(&rows)?;
    } else if rows.is_empty() {
        say::err("no run has built anything here\n")?;
    } else {
        say::out(&runs::draw(&rows))?;
    }
    Ok(Exit::Done)
}
