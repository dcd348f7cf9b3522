//! `layers list`: lists the images, their references, and the origins of their names.

use crate::cli::List;
use crate::exit::Exit;
use crate::report::{images, say};
use crate::workspace::load::Workspace;
use crate::workspace::{Invocation, revisions};

pub fn run(options: &List, at: &Invocation) -> anyhow::Result<Exit> {
    let workspace = Workspace::open_graph(at)?;
    let graph = &workspace.graph;
    let chosen = match &options.since {
        Some(revision) => revisions::affected(&workspace, revision, at)?.images,
        None => graph.images.ids().collect(),
    };
    if options.json {
        say::data(&images::draw_json(graph, &chosen)?)?;
    } else if at.global.quiet {
        say::out(&images::draw_names(graph, &chosen))?;
    } else {
        say::out(&images::draw_table(graph, &chosen))?;
    }
    Ok(Exit::Done)
}
