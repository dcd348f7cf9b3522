//! The graph for Graphviz (<https://graphviz.org/doc/info/lang.html>).
//!
//! Edges are solid for FROM, dashed for COPY, and dotted for mounts. Externals are plain text without a box.
//! Arrows point from the parent to the child, in the direction of the build.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::base::screen::visible;
use crate::graph::evaluate::DependencyKind;

use super::View;
use super::mark::{Mark, Marks};

/// Returns the graph as a DOT document.
pub fn draw(view: &View<'_>) -> String {
    let mut text = String::from(
        "digraph layers {\n  rankdir=LR;\n  \
         node [shape=box, style=rounded, fontname=\"Helvetica\"];\n  \
         edge [fontname=\"Helvetica\", fontsize=10];\n",
    );
    for (id, image) in view.images() {
        let name = quote(&image.name);
        text.push_str(&match view.mark(id) {
            None => format!("  {name};\n"),
            Some(mark) => {
                let label = quote_lines(&[&image.name, &mark.word]);
                format!("  {name} [label={label}, {}];\n", paint(mark))
            }
        });
    }
    let externals = view.all_externals();
    if !externals.is_empty() {
        text.push_str(
            "  subgraph externals {\n    rank=source;\n    \
             node [shape=plaintext, style=\"\", fontcolor=gray40];\n",
        );
        for external in &externals {
            let (id, label) = (quote(&external_id(external)), quote(external));
            text.push_str(&format!("    {id} [label={label}];\n"));
        }
        text.push_str("  }\n");
    }
    text.push_str(&edges(view));
    text.extend(view.marks().map(legend));
    text + "}\n"
}

/// Returns the edges without duplicates.
fn edges(view: &View<'_>) -> String {
    let mut seen = BTreeSet::new();
    let mut text = String::new();
    for (id, image) in view.images() {
        let parents = view
            .parents(id)
            .iter()
            .map(|edge| (quote(&view.image(edge.parent).name), edge.kind, ""));
        let externals = view.externals(id).iter().map(|external| {
            let id = external_id(&view.reference(external).familiar());
            (quote(&id), external.kind, ", color=gray60")
        });
        for (from, kind, color) in parents.chain(externals) {
            let edge = format!("  {from} -> {} [{}{color}];\n", quote(&image.name), style(kind));
            if !seen.contains(&edge) {
                text.push_str(&edge);
                seen.insert(edge);
            }
        }
    }
    text
}

/// Returns the legend of the shades in a separate box.
fn legend(marks: &Marks) -> String {
    let mut text = format!(
        "  subgraph cluster_legend {{\n    label={}; color=gray60; fontname=\"Helvetica\";\n",
        quote(marks.about)
    );
    for (number, mark) in marks.legend.iter().enumerate() {
        let id = quote(&format!("legend {number}"));
        text.push_str(&format!("    {id} [label={}, {}];\n", quote(&mark.word), paint(mark)));
    }
    text + "  }\n"
}

fn paint(mark: &Mark) -> String {
    let [area, border, text] = mark.shade.colors();
    format!(
        "style=\"rounded,filled\", fillcolor=\"{area}\", color=\"{border}\", fontcolor=\"{text}\""
    )
}

fn style(kind: DependencyKind) -> Cow<'static, str> {
    let style = match kind {
        DependencyKind::From => return "style=solid".into(),
        DependencyKind::Copy | DependencyKind::Add => "dashed",
        DependencyKind::Mount | DependencyKind::Context => "dotted",
    };
    format!("style={style}, label={}", quote(kind.word())).into()
}

/// Returns the node ID of an external. An external can have the same name as an image.
fn external_id(reference: &str) -> String {
    format!("external {reference}")
}

fn quote(text: &str) -> String {
    let text = visible(text);
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Joins the lines of a label.
fn quote_lines(lines: &[&str]) -> String {
    let escaped: Vec<String> = lines.iter().map(|line| quote(line)).collect();
    let bare = escaped.iter().map(|line| &line[1..line.len() - 1]);
    format!("\"{}\"", bare.collect::<Vec<_>>().join("\\n"))
}
