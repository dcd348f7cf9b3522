//! The list of images, as a table and as JSON.
//!
//! Owns the columns of the table and the keys of the JSON.

use std::borrow::Cow;

use serde::Serialize;

use super::clean::{self, visible};
use super::table;
use crate::base::ImageId;
use crate::graph::reference::Reference;
use crate::graph::{ContextOrigin, Graph};

#[derive(Serialize)]
struct ListRow<'a> {
    name: &'a str,
    references: Vec<String>,
    dockerfile: &'a str,
    context: &'a str,
    context_by: &'static str,
    target: Option<&'a str>,
    named_by: String,
}

fn rows<'a>(graph: &'a Graph, selected: &[ImageId]) -> Vec<ListRow<'a>> {
    let images = selected.iter().map(|image| &graph.images[*image]);
    images
        .map(|image| ListRow {
            name: &image.name,
            references: image.references.iter().map(Reference::familiar).collect(),
            dockerfile: image.dockerfile.as_str(),
            context: image.context.as_str(),
            context_by: match image.context_by {
                ContextOrigin::Setting => "setting",
                ContextOrigin::Dockerfile => "dockerfile",
                ContextOrigin::Sources => "sources",
            },
            target: image.target.as_deref(),
            named_by: image.named_by.to_string(),
        })
        .collect()
}

/// Returns the images as a JSON array.
///
/// # Errors
/// Does not fail in practice: all content is text.
pub fn draw_json(graph: &Graph, selected: &[ImageId]) -> anyhow::Result<String> {
    clean::json(&rows(graph, selected))
}

/// Returns the names of the images, one per line.
pub fn draw_names(graph: &Graph, selected: &[ImageId]) -> String {
    selected.iter().map(|image| format!("{}\n", visible(&graph.images[*image].name))).collect()
}

/// Returns the images as a table. It shows the contexts if one of them is not the directory of its Dockerfile.
pub fn draw_table(graph: &Graph, selected: &[ImageId]) -> String {
    let rows = rows(graph, selected);
    let shows_contexts = rows.iter().any(|row| row.context_by != "dockerfile");
    let head = ["IMAGE", "REFERENCES", "DOCKERFILE", "CONTEXT", "NAMED BY"].map(Cow::Borrowed);
    let lines = rows.iter().map(|row| {
        let (references, named_by) = (row.references.join(" "), row.named_by.as_str());
        let context = match row.context_by {
            "sources" => format!("{} (inferred)", visible(row.context)).into(),
            _ => visible(row.context),
        };
        [visible(row.name), references.into(), visible(row.dockerfile), context, named_by.into()]
    });
    let lines = std::iter::once(head).chain(lines);
    match shows_contexts {
        true => table::draw(lines),
        false => table::draw(lines.map(|[name, references, dockerfile, _, named_by]| {
            [name, references, dockerfile, named_by]
        })),
    }
}
