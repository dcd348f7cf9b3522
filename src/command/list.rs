//! `layers list`: each image, what it is called, and where its name came from.

use serde::Serialize;

use crate::base::ImageId;
use crate::cli::{Global, List};
use crate::exit::Exit;
use crate::graph::Graph;
use crate::graph::reference::Reference;
use crate::report::clean::{visible, visible_json};
use crate::report::say;
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
        say::data(&draw_json(&rows)?)?;
    } else {
        say::out(&draw_table(rows))?;
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

fn draw_json(rows: &[Row<'_>]) -> anyhow::Result<String> {
    Ok(visible_json(serde_json::to_string_pretty(rows)?) + "\n")
}

/// Columns wide enough for all, blanks between.
fn draw_table(rows: Vec<Row<'_>>) -> String {
    let mut lines: Vec<[String; 4]> =
        vec![["IMAGE", "REFERENCES", "DOCKERFILE", "NAMED BY"].map(str::to_owned)];
    for row in rows {
        let references = row.references.join(" ");
        let [name, dockerfile] = [row.name, row.dockerfile].map(|it| visible(it).into_owned());
        lines.push([name, references, dockerfile, row.named_by]);
    }
    let width = |column: usize| {
        lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default()
    };
    let widths: [usize; 3] = std::array::from_fn(width);
    let mut text = String::new();
    for [name, references, dockerfile, named_by] in &lines {
        let [a, b, c] = widths;
        text.push_str(&format!("{name:<a$}  {references:<b$}  {dockerfile:<c$}  {named_by}\n"));
    }
    text
}
