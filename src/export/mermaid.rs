//! The graph for Mermaid, which code hosts draw in Markdown
//! (<https://mermaid.js.org/syntax/flowchart.html>).
//!
//! Solid arrows for FROM, dotted ones with the kind's name for the rest, externals in a shape
//! of their own.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::ImageId;
use crate::base::screen::visible;
use crate::graph::evaluate::NeedKind;

use super::View;
use super::mark::{Marks, Shade};

/// The graph as a Mermaid flow chart.
pub fn draw(view: &View<'_>) -> String {
    let mut lines = vec!["flowchart LR".to_owned()];
    let numbers: BTreeMap<ImageId, usize> =
        view.images().enumerate().map(|(number, (id, _))| (id, number)).collect();
    for (id, image) in view.images() {
        let (name, number) = (escape(&image.name), numbers[&id]);
        lines.push(match view.mark(id) {
            None => format!("  i{number}[\"{name}\"]"),
            Some(mark) => {
                let (word, class) = (escape(&mark.word), mark.shade.class());
                format!("  i{number}[\"{name}<br/>{word}\"]:::{class}")
            }
        });
    }
    let externals = view.all_externals();
    let externals: BTreeMap<&str, usize> =
        externals.iter().enumerate().map(|(number, name)| (name.as_str(), number)).collect();
    for (name, number) in &externals {
        lines.push(format!("  x{number}([\"{}\"]):::external", escape(name)));
    }
    let mut seen = BTreeSet::new();
    for (id, number) in &numbers {
        let parents =
            view.parents(*id).iter().map(|edge| (format!("i{}", numbers[&edge.parent]), edge.kind));
        let needs = view.externals(*id).iter().map(|external| {
            let number = externals[view.reference(external).familiar().as_str()];
            (format!("x{number}"), external.kind)
        });
        for (from, kind) in parents.chain(needs) {
            let line = format!("  {from} {} i{number}", arrow(kind));
            if seen.insert(line.clone()) {
                lines.push(line);
            }
        }
    }
    lines.extend(view.marks().into_iter().flat_map(legend));
    lines.push("  classDef external stroke-dasharray: 4 3\n".to_owned());
    lines.join("\n")
}

/// What the shades stand for, in a box of its own, and their colours.
fn legend(marks: &Marks) -> Vec<String> {
    let mut lines = vec![format!("  subgraph legend[\"{}\"]", escape(marks.about))];
    for (number, mark) in marks.legend.iter().enumerate() {
        let (word, class) = (escape(&mark.word), mark.shade.class());
        lines.push(format!("    l{number}[\"{word}\"]:::{class}"));
    }
    lines.push("  end".to_owned());
    let shades: BTreeSet<Shade> = marks.legend.iter().map(|mark| mark.shade).collect();
    for shade in shades {
        let [area, border, text] = shade.colors();
        let class = shade.class();
        lines.push(format!("  classDef {class} fill:{area},stroke:{border},color:{text}"));
    }
    lines
}

fn arrow(kind: NeedKind) -> String {
    match kind {
        NeedKind::From => "-->".to_owned(),
        other => format!("-. {} .->", other.word()),
    }
}

/// Mermaid reads labels as HTML, with entities of its own spelling. A label between backticks would be
/// Markdown, `%%{` would open a directive wherever it stands, and a line must stay one.
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
