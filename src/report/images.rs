//! The list of images, as a table and as JSON.
//!
//! Owns the columns of the table and the keys of the JSON.

use std::borrow::Cow;

use serde::Serialize;

use super::clean::{self, visible};
use super::table;
use crate::base::ImageId;
use crate::graph::Graph;
use crate::graph::reference::Reference;

#[derive(Serialize)]
struct ListRow<'a> {
    name: &'a str,
    references: Vec<String>,
    dockerfile: &'a str,
    context: &'a str,
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

/// Returns the images as a table.
pub fn draw_table(graph: &Graph, selected: &[ImageId]) -> String {
    let rows = rows(graph, selected);
    let head = ["IMAGE", "REFERENCES", "DOCKERFILE", "NAMED BY"].map(Cow::Borrowed);
    let lines = rows.iter().map(|row| {
        let (references, named_by) = (row.references.join(" "), row.named_by.as_str());
        [visible(row.name), references.into(), visible(row.dockerfile), named_by.into()]
    });
    table::draw(std::iter::once(head).chain(lines))
}
