//! `layers outdated`: lists externals that have moved since they were pinned or built on.

use crate::cli::Outdated;
use crate::exit::Exit;
use crate::report::pins::{self, Row};
use crate::report::say;
use crate::session::outdated::compare;
use crate::workspace::load::Workspace;
use crate::workspace::{Invocation, lock};

pub fn run(options: &Outdated, at: &Invocation) -> anyhow::Result<Exit> {
    let workspace = Workspace::open_graph(at)?;
    let pins = lock::pins(&workspace, at)?;
    let rows = compare(&workspace, &pins, options.engine.engine, at);
    let rows: Vec<Row> = rows.into_iter().map(|(_, row)| row).collect();
    if options.json {
        say::json(&rows)?;
    } else {
        say::out(&pins::draw_table(&rows))?;
        say::err(&pins::draw_rest(&rows))?;
    }
    let has_moved = rows.iter().any(|row| row.moved == Some(true));
    Ok(if options.check && has_moved { Exit::Failed } else { Exit::Done })
}
