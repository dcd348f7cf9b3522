//! The graph for Mermaid, which code hosts render in Markdown
//! (<https://mermaid.js.org/syntax/flowchart.html>).
//!
//! Arrows are solid for FROM, and dotted with the name of the kind for the rest. Externals have a different
//! shape.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::base::ImageId;
use crate::base::screen::visible;
use crate::graph::evaluate::DependencyKind;

use super::View;
use super::mark::{Marks, Shade};

/// Returns the graph as a Mermaid flow chart.
pub fn draw(view: &View<'_>) -> String {
    let mut text = String::from("flowchart LR\n");
    let numbers: BTreeMap<ImageId, usize> =
        view.images().enumerate().map(|(number, (id, _))| (id, number)).collect();
    for (id, image) in view.images() {
        let (name, number) = (escape(&image.name), numbers[&id]);
        text.push_str(&match view.mark(id) {
            None => format!("  i{number}[\"{name}\"]\n"),
            Some(mark) => {
                let (word, class) = (escape(&mark.word), mark.shade.class());
                format!("  i{number}[\"{name}<br/>{word}\"]:::{class}\n")
            }
        });
    }
    let externals = view.all_externals();
    let externals: BTreeMap<&str, usize> =
        externals.iter().enumerate().map(|(number, name)| (name.as_str(), number)).collect();
    for (name, number) in &externals {
        text.push_str(&format!("  x{number}([\"{}\"]):::external\n", escape(name)));
    }
    let mut seen = BTreeSet::new();
    for (id, number) in &numbers {
        let parents =
            view.parents(*id).iter().map(|edge| (format!("i{}", numbers[&edge.parent]), edge.kind));
        let edges = view.externals(*id).iter().map(|external| {
            let number = externals[view.reference(external).familiar().as_str()];
            (format!("x{number}"), external.kind)
        });
        for (from, kind) in parents.chain(edges) {
            let line = format!("  {from} {} i{number}\n", arrow(kind));
            if !seen.contains(&line) {
                text.push_str(&line);
                seen.insert(line);
            }
        }
    }
    text.extend(view.marks().map(legend));
    text + "  classDef external stroke-dasharray: 4 3\n"
}

/// Returns the legend of the shades in a separate box, and their colors.
fn legend(marks: &Marks) -> String {
    let mut text = format!("  subgraph legend[\"{}\"]\n", escape(marks.about));
    for (number, mark) in marks.legend.iter().enumerate() {
        let (word, class) = (escape(&mark.word), mark.shade.class());
        text.push_str(&format!("    l{number}[\"{word}\"]:::{class}\n"));
    }
    text.push_str("  end\n");
    let shades: BTreeSet<Shade> = marks.legend.iter().map(|mark| mark.shade).collect();
    for shade in shades {
        let ([area, border, color], class) = (shade.colors(), shade.class());
        text.push_str(&format!("  classDef {class} fill:{area},stroke:{border},color:{color}\n"));
    }
    text
}

fn arrow(kind: DependencyKind) -> Cow<'static, str> {
    match kind {
        DependencyKind::From => "-->".into(),
        other => format!("-. {} .->", other.word()).into(),
    }
}

/// Escapes a label. Mermaid reads labels as HTML with its own syntax for entities. A label in backticks would
/// be Markdown, `%%{` would start a directive anywhere, and a label must stay on one line.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in visible(text).chars() {
        match character {
            '"' => escaped.push_str("#quot;"),
            '<' => escaped.push_str("#lt;"),
            '>' => escaped.push_str("#gt;"),
            '#' | '&' | '`' | '%' | '\\' => {
                escaped.push_str(&format!("#{};", u32::from(character)));
            }
            other => escaped.push(other),
        }
    }
    escaped
}
