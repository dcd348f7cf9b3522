//! The graph for Graphviz (<https://graphviz.org/doc/info/lang.html>).
//!
//! Solid edges for FROM, dashed for COPY, dotted for mounts; externals drawn apart, as plain
//! text without a box. Arrows point from what is needed to what needs it, the way work flows.

use std::collections::BTreeSet;

use crate::base::screen::visible;
use crate::graph::evaluate::NeedKind;

use super::View;
use super::mark::{Mark, Marks};

/// The graph as a DOT document.
pub fn draw(view: &View<'_>) -> String {
    let mut lines = vec![
        "digraph layers {".to_owned(),
        "  rankdir=LR;".to_owned(),
        "  node [shape=box, style=rounded, fontname=\"Helvetica\"];".to_owned(),
        "  edge [fontname=\"Helvetica\", fontsize=10];".to_owned(),
    ];
    for (id, image) in view.images() {
        let name = quote(&image.name);
        lines.push(match view.mark(id) {
            None => format!("  {name};"),
            Some(mark) => {
                let label = quote_lines(&[&image.name, &mark.word]);
                format!("  {name} [label={label}, {}];", paint(mark))
            }
        });
    }
    let externals = view.all_externals();
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
    lines.extend(edges(view));
    lines.extend(view.marks().into_iter().flat_map(legend));
    lines.push("}\n".to_owned());
    lines.join("\n")
}

/// Every edge once, however often it is written.
fn edges(view: &View<'_>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut lines = Vec::new();
    for (id, image) in view.images() {
        let parents = view
            .parents(id)
            .iter()
            .map(|edge| (view.image(edge.parent).name.clone(), edge.kind, ""));
        let externals = view.externals(id).iter().map(|external| {
            (external_id(&view.reference(external).familiar()), external.kind, ", color=gray60")
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

/// What the shades stand for, in a box of its own.
fn legend(marks: &Marks) -> Vec<String> {
    let mut lines = vec![
        "  subgraph cluster_legend {".to_owned(),
        format!("    label={}; color=gray60; fontname=\"Helvetica\";", quote(marks.about)),
    ];
    for (number, mark) in marks.legend.iter().enumerate() {
        let id = quote(&format!("legend {number}"));
        lines.push(format!("    {id} [label={}, {}];", quote(&mark.word), paint(mark)));
    }
    lines.push("  }".to_owned());
    lines
}

fn paint(mark: &Mark) -> String {
    let [area, border, text] = mark.shade.colors();
    format!(
        "style=\"rounded,filled\", fillcolor=\"{area}\", color=\"{border}\", fontcolor=\"{text}\""
    )
}

fn style(kind: NeedKind) -> String {
    let style = match kind {
        NeedKind::From => return "style=solid".to_owned(),
        NeedKind::Copy | NeedKind::Add => "dashed",
        NeedKind::Mount | NeedKind::Context => "dotted",
    };
    format!("style={style}, label={}", quote(kind.word()))
}

/// An external may be called as an image is, so its node is.
fn external_id(reference: &str) -> String {
    format!("external {reference}")
}

fn quote(text: &str) -> String {
    let text = visible(text);
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Lines of one label.
fn quote_lines(lines: &[&str]) -> String {
    let escaped: Vec<String> = lines.iter().map(|line| quote(line)).collect();
    let bare = escaped.iter().map(|line| &line[1..line.len() - 1]);
    format!("\"{}\"", bare.collect::<Vec<_>>().join("\\n"))
}
