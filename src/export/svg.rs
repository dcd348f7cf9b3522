//! The graph as an SVG picture that needs no other program (<https://www.w3.org/TR/SVG2/>).
//!
//! Owns the generated elements: boxes for images, plain text for externals, and a curve per edge, from the
//! parent to the child, left to right. Positions come from `layout`, lengths from `page`, and colors from
//! `style`. Tooltips of boxes and lines show where they are written.

use std::borrow::Cow;

use crate::base::text::count;
use crate::graph::evaluate::DependencyKind;

use super::View;
use super::mark::Marks;

mod measure;
mod net;
mod page;
mod style;

use measure::{escape, number};
use net::{DrawnEdge, DrawnGraph, DrawnNode};
use page::{BoxRect, SvgPage};

/// Returns the graph as an SVG document.
pub fn draw(view: &View<'_>) -> String {
    let net = DrawnGraph::read(view);
    let page = SvgPage::arrange(&net);
    let legend = view.marks().map(|marks| draw_legend(marks, page.height));
    let (legend, legend_size) = legend.unwrap_or_default();
    let width = number(page.width.max(legend_size.0));
    let height = number(page.height + legend_size.1);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"layers\" role=\"img\" \
         aria-labelledby=\"layers-title layers-desc\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\">\n\
         <title id=\"layers-title\">Dependencies between images</title>\n\
         <desc id=\"layers-desc\">{}</desc>\n",
        escape(&describe(&net))
    );
    text.push_str(&style::sheet(view.marks()));
    text.push_str(
        "<defs><marker id=\"layers-arrow\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" \
         markerWidth=\"8\" markerHeight=\"8\" markerUnits=\"userSpaceOnUse\" orient=\"auto\">\
         <path class=\"head\" d=\"M0 0.8 L8 4 L0 7.2 z\"/></marker></defs>\n",
    );
    for (edge, way) in net.edges.iter().zip(&page.ways) {
        text.push_str(&draw_edge(&net, edge, way));
    }
    for (node, bounds) in net.nodes.iter().zip(&page.boxes) {
        text.push_str(&draw_node(node, *bounds));
    }
    text.push_str(&legend);
    text.push_str("</svg>\n");
    text
}

/// Returns a description of the picture for screen readers.
fn describe(net: &DrawnGraph) -> String {
    let externals = net.nodes.iter().filter(|node| node.is_external).count();
    let images = count(net.nodes.len() - externals, "image");
    let outside = count(externals, "external image");
    format!("{images} and {outside}, connected by {}", count(net.edges.len(), "edge"))
}

fn draw_node(node: &DrawnNode, bounds: BoxRect) -> String {
    let BoxRect { x, y, width, height } = bounds;
    let (name, title) = (escape(&node.name), escape(&node.title));
    let class = match (&node.mark, node.is_external) {
        (_, true) => Cow::from("external"),
        (None, false) => "image".into(),
        (Some(mark), false) => format!("image {}", mark.shade.class()).into(),
    };
    let what = if node.is_external { "external" } else { "image" };
    let middle =
        number(if node.is_external { x + width - page::PADDING / 2.0 } else { x + width / 2.0 });
    let base = number(y + height / 2.0 + measure::BASELINE);
    let word = node.mark.as_ref().map(|mark| {
        format!("<tspan class=\"word\" dx=\"{}\">{}</tspan>", measure::GAP, escape(&mark.word))
    });
    let rect = format!(
        "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"6\"/>",
        number(x),
        number(y),
        number(width),
        number(height)
    );
    format!(
        "<g class=\"{class}\" data-{what}=\"{name}\"><title>{title}</title>{rect}\
         <text x=\"{middle}\" y=\"{base}\">{}{}</text></g>\n",
        escape(&node.label),
        word.unwrap_or_default(),
    )
}

fn draw_edge(net: &DrawnGraph, edge: &DrawnEdge, way: &page::LinePath) -> String {
    let (from, to) = (&net.nodes[edge.parent].name, &net.nodes[edge.child].name);
    let class = match edge.kinds[0] {
        DependencyKind::From => "from",
        DependencyKind::Copy | DependencyKind::Add => "copy",
        DependencyKind::Mount | DependencyKind::Context => "mount",
    };
    let words: Vec<&str> = edge
        .kinds
        .iter()
        .filter(|kind| **kind != DependencyKind::From)
        .map(|it| it.word())
        .collect();
    let label = match words.as_slice() {
        [] => String::new(),
        words => {
            let (x, y) = (number(way.label.0), number(way.label.1));
            format!("<text x=\"{x}\" y=\"{y}\">{}</text>", words.join(", "))
        }
    };
    format!(
        "<g class=\"need {class}\" data-from=\"{}\" data-to=\"{}\"><title>{}</title>\
         <path d=\"{}\" marker-end=\"url(#layers-arrow)\"/>{label}</g>\n",
        escape(from),
        escape(to),
        escape(&edge.title),
        way.path
    )
}

/// Draws a row of samples below the picture, and returns it with its width and height.
fn draw_legend(marks: &Marks, top: f64) -> (String, (f64, f64)) {
    let middle = top + page::BOX / 2.0;
    let base = number(middle + measure::BASELINE);
    let mut x = page::MARGIN;
    let mut text = format!(
        "<g class=\"legend\"><text x=\"{}\" y=\"{base}\">{}</text>",
        number(x),
        escape(marks.about)
    );
    x += measure::width(marks.about) + page::MARGIN;
    for mark in &marks.legend {
        let width = measure::width(&mark.word) + 2.0 * page::PADDING;
        text.push_str(&format!(
            "<g class=\"image {}\"><rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"6\"/>\
             <text x=\"{}\" y=\"{base}\">{}</text></g>",
            mark.shade.class(),
            number(x),
            number(top),
            number(width),
            number(page::BOX),
            number(x + width / 2.0),
            escape(&mark.word)
        ));
        x += width + measure::GAP;
    }
    text.push_str("</g>\n");
    (text, (x + page::MARGIN, page::BOX + page::MARGIN))
}
