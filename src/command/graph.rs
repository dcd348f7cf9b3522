//! `layers graph`: the graph drawn, written to a file, or compared with one.

use std::path::{Path, PathBuf};

use anyhow::Context;
use similar::TextDiff;

use crate::cli::{Global, Graph as Options};
use crate::exit::Exit;
use crate::graph::Graph;
use crate::graph::draw::{dot, json, mermaid, tree};
use crate::report::say;

use super::{Surroundings, load, usage};

/// The committed lock of the graph.
const LOCK: &str = "graph.json";

/// What `--output` calls the standard output.
const STANDARD_OUTPUT: &str = "-";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Tree,
    Dot,
    Mermaid,
    Json,
}

pub fn run(options: &Options, global: &Global, at: &Surroundings) -> anyhow::Result<Exit> {
    let repository = load::load(global, at)?;
    if let Some(exit) = repository.refuse_errors(at)? {
        return Ok(exit);
    }
    let output = options.output.as_ref().filter(|path| path.as_os_str() != STANDARD_OUTPUT);
    if options.check && output.is_none() && options.output.is_some() {
        return Err(usage("`--check` compares with a file, and `-` is the standard output"));
    }
    let output = output.map(|path| start(global).join(path));
    if options.check {
        let path = output.unwrap_or_else(|| repository.root.join(LOCK));
        let format = format_of(options, Some(&path)).unwrap_or(Format::Json);
        return check(&path, &draw(&repository.graph, format));
    }
    match output {
        Some(path) => {
            let format = format_of(options, Some(&path)).with_context(|| {
                format!(
                    "`{}` does not say which format is meant\nhint: add --dot, --mermaid or --json",
                    path.display()
                )
            });
            let format = format.map_err(|error| usage(format!("{error:#}")))?;
            say::file(&path, &draw(&repository.graph, format))?;
        }
        None => {
            let format = format_of(options, None).unwrap_or(Format::Tree);
            say::out(&draw(&repository.graph, format))?;
        }
    }
    Ok(Exit::Done)
}

/// The folder that `--output` is relative to.
fn start(global: &Global) -> PathBuf {
    global.directory.clone().unwrap_or_default()
}

/// The format of the options, else of the file's ending.
fn format_of(options: &Options, path: Option<&Path>) -> Option<Format> {
    let ending = path.and_then(Path::extension).and_then(|ending| ending.to_str());
    match &options.format {
        format if format.dot => Some(Format::Dot),
        format if format.mermaid => Some(Format::Mermaid),
        format if format.json => Some(Format::Json),
        _ => match ending? {
            "json" => Some(Format::Json),
            "dot" | "gv" => Some(Format::Dot),
            "mmd" | "mermaid" => Some(Format::Mermaid),
            "txt" => Some(Format::Tree),
            _ => None,
        },
    }
}

fn draw(graph: &Graph, format: Format) -> String {
    match format {
        Format::Tree => tree::draw(graph),
        Format::Dot => dot::draw(graph),
        Format::Mermaid => mermaid::draw(graph),
        Format::Json => json::draw(graph),
    }
}

/// Compares a file with what it should be; the difference goes to the standard output.
fn check(path: &Path, wanted: &str) -> anyhow::Result<Exit> {
    let found = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // All of the graph would be the difference.
            let name = path.file_name().map_or(path, Path::new).display();
            say::err(&format!("there is no `{name}`\nhint: layers graph --output {name}\n"))?;
            return Ok(Exit::Failed);
        }
        Err(error) => return Err(error).context(format!("can't read `{}`", path.display())),
    };
    if found == wanted {
        return Ok(Exit::Done);
    }
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let diff = TextDiff::from_lines(found.as_str(), wanted);
    let headers = (format!("{name} (committed)"), format!("{name} (from the Dockerfiles)"));
    say::out(&diff.unified_diff().header(&headers.0, &headers.1).to_string())?;
    say::err(&format!(
        "`{name}` is out of date\nhint: layers graph --output {}\n",
        path.file_name().map_or(path, Path::new).display()
    ))?;
    Ok(Exit::Failed)
}
