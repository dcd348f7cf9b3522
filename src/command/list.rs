//! `layers list`: each image, what it is called, and where its name came from.

use std::borrow::Cow;

use serde::Serialize;

use crate::base::ImageId;
use crate::cli::{Global, List};
use crate::exit::Exit;
use crate::graph::Graph;
use crate::graph::reference::Reference;
use crate::report::clean::visible;
use crate::report::{say, table};
use crate::workspace::load::Workspace;
use crate::workspace::{Invocation, revisions};

pub fn run(options: &List, global: &Global, at: &Invocation) -> anyhow::Result<Exit> {
    let workspace = Workspace::open_graph(global, at)?;
    let graph = &workspace.graph;
    let chosen = match &options.since {
        Some(revision) => revisions::affected(&workspace, revision, global, at)?.images,
        None => graph.images.ids().collect(),
    };
    let rows = rows(graph, &chosen);
    if options.json {
        say::json(&rows)?;
    } else {
        say::out(&draw_table(&rows))?;
    }
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    references: Vec<String>,
    dockerfile: &'a str,
    context: &'a str,
    target: Option<&'a str>,
    named_by: String,
}

fn rows<'a>(graph: &'a Graph, chosen: &[ImageId]) -> Vec<Row<'a>> {
    let images = chosen.iter().map(|image| &graph.images[*image]);
    images
        .map(|image| Row {
            name: &image.name,
            references: image.references.iter().map(Reference::familiar).collect(),
            dockerfile: image.dockerfile.as_str(),
            context: image.context.as_str(),
            target: image.target.as_deref(),
            named_by: image.named_by.to_string(),
        })
        .collect()
}

fn draw_table(rows: &[Row<'_>]) -> String {
    let head = ["IMAGE", "REFERENCES", "DOCKERFILE", "NAMED BY"].map(Cow::Borrowed);
    let lines = rows.iter().map(|row| {
        let (references, named_by) = (row.references.join(" "), row.named_by.as_str());
        [visible(row.name), references.into(), visible(row.dockerfile), named_by.into()]
    });
    table::draw(std::iter::once(head).chain(lines))
}
