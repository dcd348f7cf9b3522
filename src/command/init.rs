//! `layers init`: writes the `layers.toml` that results from inference, with comments.
//!
//! It never overwrites an existing file, and never writes a file that causes errors by itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::base::error::usage;
use crate::base::screen::visible_path;
use crate::base::text::{and, count};
use crate::base::{Diagnostic, RelPath};
use crate::cli::InitArgs;
use crate::exit::Exit;
use crate::graph::Graph;
use crate::report::{diagnostics, printer, references};
use crate::scan::config::FILE_NAME;
use crate::scan::dockerfiles;
use crate::workspace::Invocation;
use crate::workspace::proposal::{LeftOutFile, Proposal, propose};
use crate::workspace::root::{WorkspaceLocation, git_directory};

/// The number of files that are named per reason.
const NAMED: usize = 3;

pub fn run(options: &InitArgs, at: &Invocation) -> anyhow::Result<Exit> {
    let WorkspaceLocation { start, root, settings } = WorkspaceLocation::of(at)?;
    let root = if at.global.file.is_some() { root } else { root_for(root, &start) };
    let path = settings.under(&root);
    if path.exists() && !options.print {
        return Err(usage(format!("`{settings}` already exists"))
            .hint("`layers init --print` shows what would be written")
            .into());
    }
    let Some(Proposal { text, graph, problems, left_out }) = propose(&root, at)? else {
        return Err(usage(format!("no Dockerfile found in `{}`", visible_path(&root)))
            .hint("create one, such as docker/base/Dockerfile")
            .into());
    };
    let has_errors = problems.iter().any(Diagnostic::is_error);
    printer::err(&diagnostics::draw(&problems, at.paint))?;
    if options.print {
        printer::data(&text)?;
    } else {
        printer::file(&path, &text)?;
        printer::note(&format!("wrote `{settings}`: {}\n", describe_graph(&graph)))?;
        printer::note(&references::describe(&graph))?;
        printer::note(&describe_left_out(&left_out))?;
        if has_errors {
            printer::note("hint: fix the Dockerfiles above, or leave them out with `exclude`\n")?;
        }
    }
    Ok(if has_errors { Exit::Files } else { Exit::Done })
}

/// Returns how many images there are, and how many of their references are images of this repository.
fn describe_graph(graph: &Graph) -> String {
    let images = count(graph.images.len(), "image");
    let parents: usize = graph.images.values().map(|image| image.parents.len()).sum();
    let externals: usize = graph.images.values().map(|image| image.externals.len()).sum();
    match parents + externals {
        0 => images,
        total => format!(
            "{images}; {parents} of {total} references resolved to images of this repository"
        ),
    }
}

/// Returns a note with the files that only look like Dockerfiles, one line per reason.
fn describe_left_out(left_out: &[LeftOutFile]) -> String {
    let mut by_reason: BTreeMap<&str, Vec<&RelPath>> = BTreeMap::new();
    for file in left_out {
        by_reason.entry(file.reason).or_default().push(&file.path);
    }
    let line = |(reason, paths): (&str, Vec<&RelPath>)| {
        let mut names: Vec<String> =
            paths.iter().take(NAMED).map(|path| format!("`{path}`")).collect();
        if paths.len() > NAMED {
            names.push(format!("{} more", paths.len() - NAMED));
        }
        format!("left out, {reason}: {}\n", and(&names))
    };
    by_reason.into_iter().map(line).collect()
}

/// Returns the root of a repository that may have no settings yet: where Dockerfiles or `layers.toml` are, or else the
/// root of the git work tree.
fn root_for(root: PathBuf, start: &Path) -> PathBuf {
    if root.join(FILE_NAME).is_file() || dockerfiles::has_any(&root) {
        return root;
    }
    git_directory(start).unwrap_or(start).to_owned()
}
