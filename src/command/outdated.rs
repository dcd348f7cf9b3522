//! `layers outdated`: lists externals that have moved since they were pinned or built on.

use crate::cli::OutdatedArgs;
use crate::exit::Exit;
use crate::report::pins::{self, OutdatedRow};
use crate::report::printer;
use crate::session::outdated::compare;
use crate::workspace::load::Workspace;
use crate::workspace::{Invocation, lock};

pub fn run(options: &OutdatedArgs, at: &Invocation) -> anyhow::Result<Exit> {
    let workspace = Workspace::open_graph(at)?;
    let pins = lock::pins(&workspace, at)?;
    let rows = compare(&workspace, &pins, options.engine.engine, at);
    let rows: Vec<OutdatedRow> = rows.into_iter().map(|(_, row)| row).collect();
    if options.json {
        printer::json(&rows)?;
    } else {
        printer::out(&pins::draw_table(&rows))?;
        printer::err(&pins::draw_rest(&rows))?;
    }
    let has_moved = rows.iter().any(|row| row.moved == Some(true));
    Ok(if options.check && has_moved { Exit::Failed } else { Exit::Done })
}
