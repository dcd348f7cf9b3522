//! The list of images, as a table and as JSON.
//!
//! Owns the columns of the table and the keys of the JSON.

use serde::Serialize;

use super::clean::{visible, visible_json};
use crate::base::ImageId;
use crate::graph::Graph;
use crate::graph::reference::Reference;

#[derive(Serialize)]
struct ListedRow<'a> {
    name: &'a str,
    references: Vec<String>,
    dockerfile: &'a str,
    context: &'a str,
    target: Option<&'a str>,
    named_by: String,
}

fn rows<'a>(graph: &'a Graph, chosen: &[ImageId]) -> Vec<ListedRow<'a>> {
    let images = chosen.iter().map(|image| &graph.images[*image]);
    images
        .map(|image| ListedRow {
            name: &image.name,
            references: image.references.iter().map(Reference::familiar).collect(),
            dockerfile: image.dockerfile.as_str(),
            context: image.context.as_str(),
            target: image.target.as_deref(),
            named_by: image.named_by.to_string(),
        })
        .collect()
}

/// The images as a JSON array.
///
/// # Errors
/// If they cannot be written as JSON, which does not happen.
pub fn draw_json(graph: &Graph, chosen: &[ImageId]) -> anyhow::Result<String> {
    Ok(visible_json(serde_json::to_string_pretty(&rows(graph, chosen))?) + "\n")
}

/// The images as a table: columns wide enough for all, blanks between.
pub fn draw_table(graph: &Graph, chosen: &[ImageId]) -> String {
    let mut lines: Vec<[String; 4]> =
        vec![["IMAGE", "REFERENCES", "DOCKERFILE", "NAMED BY"].map(str::to_owned)];
    for row in rows(graph, chosen) {
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
