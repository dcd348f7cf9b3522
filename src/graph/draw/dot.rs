//! The graph for Graphviz (<https://graphviz.org/doc/info/lang.html>).
//!
//! Solid edges for FROM, dashed for COPY, dotted for mounts; externals drawn apart, as plain
//! text without a box. Arrows point from what is needed to what needs it, the way work flows.

use std::collections::BTreeSet;

use crate::graph::Graph;
use crate::graph::evaluate::NeedKind;

use super::kind_word;

/// The graph as a DOT document.
pub fn draw(graph: &Graph) -> String {
    let mut lines = vec![
        "digraph layers {".to_owned(),
        "  rankdir=LR;".to_owned(),
        "  node [shape=box, style=rounded, fontname=\"Helvetica\"];".to_owned(),
        "  edge [fontname=\"Helvetica\", fontsize=10];".to_owned(),
    ];
    for image in graph.images.values() {
        lines.push(format!("  {};", quote(&image.name)));
    }
    let externals: BTreeSet<String> = graph
        .images
        .values()
        .flat_map(|image| &image.externals)
        .map(|external| external.reference.familiar())
        .collect();
    if !externals.is_empty() {
        lines.push("  subgraph externals {".to_owned());
        lines.push("    rank=source;".to_owned());
        lines.push("    node [shape=plaintext, style=\"\", fontcolor=gray40];".to_owned());
        for external in &externals {
            lines.push(format!(
                "    {} [label={}];",
                quote(&external_id(external)),
                quote(external)
            ));
        }
        lines.push("  }".to_owned());
    }
    lines.extend(edges(graph));
    lines.push("}\n".to_owned());
    lines.join("\n")
}

/// Every edge once, however often it is written.
fn edges(graph: &Graph) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut lines = Vec::new();
    for image in graph.images.values() {
        let parents = image
            .parents
            .iter()
            .map(|edge| (graph.images[edge.parent].name.clone(), edge.kind, ""));
        let externals = image.externals.iter().map(|external| {
            (external_id(&external.reference.familiar()), external.kind, ", color=gray60")
        });
        for (from, kind, color) in parents.chain(externals) {
            let edge =
                format!("  {} -> {} [{}{color}];", quote(&from), quote(&image.name), style(kind));
            if seen.insert(edge.clone()) {
                lines.push(edge);
            }
        }
    }
    lines
}

fn style(kind: NeedKind) -> String {
    let style = match kind {
        NeedKind::From => return "style=solid".to_owned(),
        NeedKind::Copy | NeedKind::Add => "dashed",
        NeedKind::Mount | NeedKind::Context => "dotted",
    };
    format!("style={style}, label={}", quote(kind_word(kind)))
}

/// An external may be called as an image is, so its node is.
fn external_id(reference: &str) -> String {
    format!("external {reference}")
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
