//! An HTML page that shows a run, or a graph without a run.
//!
//! Owns the completeness of the page: it makes no network requests, can be opened from a disk, and contains
//! one style, one script, and one block of data. Its Content Security Policy (by hashes) permits no other
//! scripts, so that no name, path, or output line of a build can become code; the scripts next to this file
//! insert data only as text. The content is a function of the events of the run and of the previous run.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};

use crate::base::screen::visible_json;
use crate::export::View;

use super::timeline::Timeline;

mod data;
mod of_graph;
mod of_run;
#[cfg(test)]
mod tests;

pub use of_run::{PreviousRun, RunMetadata};

/// The page, with placeholders for its parts.
const TEMPLATE: &str = include_str!("page.html");

/// The style of the page.
const STYLE: &str = include_str!("page.css");

/// The scripts of the page. They share a scope, and later ones use earlier ones.
const SCRIPTS: [&str; 9] = [
    include_str!("base.js"),
    include_str!("header.js"),
    include_str!("chart.js"),
    include_str!("concurrency.js"),
    include_str!("graph.js"),
    include_str!("graph_keys.js"),
    include_str!("table.js"),
    include_str!("details.js"),
    include_str!("main.js"),
];

/// Returns the page of a run.
pub fn of_run(
    run: &Timeline,
    metadata: &RunMetadata<'_>,
    prior: Option<&PreviousRun<'_>>,
) -> String {
    assemble(&of_run::describe(run, metadata, prior))
}

/// Returns the page of a graph or of the part that a view shows. `name` is the name of the repository.
pub fn of_graph(view: &View<'_>, name: &str) -> String {
    assemble(&of_graph::describe(view, name))
}

fn assemble(page: &data::PageData<'_>) -> String {
    let script = format!("\"use strict\";\n(() => {{\n{}}})();\n", SCRIPTS.concat());
    // The data is text and numbers, so serialization cannot fail. `<` occurs only in strings, where the
    // escape has the same meaning and cannot end the element.
    let data = visible_json(serde_json::to_string(page).unwrap_or_default());
    let data = data.replace('<', "\\u003c");
    let policy = format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; base-uri 'none'; form-action 'none'",
        hash(&script),
        hash(STYLE)
    );
    let mut text = String::with_capacity(TEMPLATE.len() + STYLE.len() + script.len() + data.len());
    let mut rest = TEMPLATE;
    // Split first, so that a placeholder in the data is not replaced.
    let title = escape(&page.title);
    let parts = [
        ("{policy}", &*policy),
        ("{title}", &title),
        ("{style}", STYLE),
        ("{data}", &data),
        ("{script}", &script),
    ];
    for (mark, part) in parts {
        let (before, after) = rest.split_once(mark).unwrap_or((rest, ""));
        text.push_str(before);
        text.push_str(part);
        rest = after;
    }
    text + rest
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(digest(&SHA256, text.as_bytes())))
}
