//! `layers list`: lists the images, their references, and the origins of their names.

use crate::cli::ListArgs;
use crate::exit::Exit;
use crate::report::{images, printer};
use crate::workspace::load;
use crate::workspace::{Invocation, revisions};

pub fn run(options: &ListArgs, at: &Invocation) -> anyhow::Result<Exit> {
    let mut workspace = load::load(at)?;
    workspace.report_uncovered();
    workspace.refuse_errors(at)?;
    let graph = &workspace.graph;
    let selected = match &options.since {
        Some(revision) => revisions::affected(&workspace, revision, at)?.images,
        None => graph.images.ids().collect(),
    };
    if options.json {
        printer::data(&images::draw_json(graph, &selected)?)?;
    } else if at.global.quiet {
        printer::out(&images::draw_names(graph, &selected))?;
    } else {
        printer::out(&images::draw_table(graph, &selected))?;
    }
    Ok(Exit::Done)
}
