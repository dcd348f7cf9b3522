//! The graph for Mermaid, which code hosts draw in Markdown
//! (<https://mermaid.js.org/syntax/flowchart.html>).
//!
//! Solid arrows for FROM, dotted ones with the kind's name for the rest, externals in a shape
//! of their own.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::Graph;
use crate::graph::evaluate::NeedKind;

use super::kind_word;

/// The graph as a Mermaid flow chart.
pub fn draw(graph: &Graph) -> String {
    let mut lines = vec!["flowchart LR".to_owned()];
    for (id, image) in graph.images.iter() {
        lines.push(format!("  i{}[\"{}\"]", id.index(), escape(&image.name)));
    }
    let externals: BTreeSet<String> = graph
        .images
        .values()
        .flat_map(|image| &image.externals)
        .map(|external| external.reference.familiar())
        .collect();
    let externals: BTreeMap<&str, usize> =
        externals.iter().enumerate().map(|(number, name)| (name.as_str(), number)).collect();
    for (name, number) in &externals {
        lines.push(format!("  x{number}([\"{}\"]):::external", escape(name)));
    }
    let mut seen = BTreeSet::new();
    for (id, image) in graph.images.iter() {
        let parents =
            image.parents.iter().map(|edge| (format!("i{}", edge.parent.index()), edge.kind));
        let needs = image.externals.iter().map(|external| {
            let number = externals[external.reference.familiar().as_str()];
            (format!("x{number}"), external.kind)
        });
        for (from, kind) in parents.chain(needs) {
            let line = format!("  {from} {} i{}", arrow(kind), id.index());
            if seen.insert(line.clone()) {
                lines.push(line);
            }
        }
    }
    lines.push("  classDef external stroke-dasharray: 4 3\n".to_owned());
    lines.join("\n")
}

fn arrow(kind: NeedKind) -> String {
    match kind {
        NeedKind::From => "-->".to_owned(),
        other => format!("-. {} .->", kind_word(other)),
    }
}

fn escape(text: &str) -> String {
    text.replace('"', "#quot;")
}
