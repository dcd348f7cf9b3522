//! One page of HTML that shows a run, or a graph without one.
//!
//! Owns that the page is whole: it asks no network, opens from a disk, and holds one style, one script
//! and one block of data. Its policy (Content Security Policy, by hashes) lets nothing else run, so
//! that no name, path or line of a build can become code: the scripts beside this file write data as
//! text alone. What it says is a function of the events of the run, and of the run before.

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

pub use of_run::{Prior, Standing};

/// The page, with marks where its parts go.
const TEMPLATE: &str = include_str!("page.html");

/// All that the page looks like.
const STYLE: &str = include_str!("page.css");

/// All that it does. The pieces share one scope, and what comes later uses what comes before.
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

/// The page of a run.
pub fn of_run(run: &Timeline, standing: &Standing<'_>, prior: Option<&Prior<'_>>) -> String {
    assemble(&of_run::describe(run, standing, prior))
}

/// The page of a graph, or of what is shown of it; `name` is what the repository is called.
pub fn of_graph(view: &View<'_>, name: &str) -> String {
    assemble(&of_graph::describe(view, name))
}

fn assemble(page: &data::Page<'_>) -> String {
    let script = format!("\"use strict\";\n(() => {{\n{}}})();\n", SCRIPTS.concat());
    // It is all text and numbers, which can always be written. `<` stands in texts only, where an escape means
    // the same, and ends no element.
    let data = visible_json(serde_json::to_string(page).unwrap_or_default());
    let data = data.replace('<', "\\u003c");
    let policy = format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; base-uri 'none'; form-action 'none'",
        hash(&script),
        hash(STYLE)
    );
    let mut text = String::with_capacity(TEMPLATE.len() + STYLE.len() + script.len() + data.len());
    let mut rest = TEMPLATE;
    // By pieces, so that a mark that stands in the data is left as it is.
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
