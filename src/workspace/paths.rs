//! Whether the paths in `layers.toml` exist: Dockerfiles, contexts, directories of named contexts.
//!
//! Owns the diagnostics about missing paths, at the setting that names them. A missing path that no setting names is
//! reported where it is read.

use std::collections::HashMap;
use std::path::Path;

use crate::base::{Diagnostic, Rule};
use crate::graph::context_directory::ContextDirectory;
use crate::graph::images::{Candidate, FilePosition};
use crate::scan::dockerfiles::what_else;

/// Checks the paths in the settings of the images. Records which named contexts are directories, and removes images
/// whose Dockerfile is missing.
///
/// `root` has the files of the revision that is read. What is outside of the repository is not part of a revision, and
/// its path is relative to the repository itself.
pub fn look(root: &Path, repository: &Path, candidates: &mut Vec<Candidate>) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    let mut directories: HashMap<ContextDirectory, bool> = HashMap::new();
    let mut is_directory = |directory: &ContextDirectory| {
        *directories.entry(directory.clone()).or_insert_with_key(|directory| match directory {
            ContextDirectory::Inside(path) => path.under(root).is_dir(),
            ContextDirectory::Outside(path) => repository.join(path).is_dir(),
        })
    };
    candidates.retain_mut(|image| {
        for context in &mut image.contexts {
            let Some(directory) = ContextDirectory::in_context(&context.value) else { continue };
            context.is_directory = is_directory(&directory);
            if let (true, false, Some(spot)) =
                (context.value.starts_with(['.', '/']), context.is_directory, &context.spot)
            {
                problems.push(missing(Rule::Config, "directory", &context.value, spot));
            }
        }
        if let Some(spot) = &image.spans.context
            && !is_directory(&ContextDirectory::Inside(image.context.clone()))
        {
            let path = image.context.as_str();
            problems.push(missing(Rule::UnreadableContext, "directory", path, spot));
        }
        let Some(spot) = &image.spans.dockerfile else { return true };
        let on_disk = image.dockerfile.under(root);
        let path = image.dockerfile.as_str();
        if let Some(what) = what_else(&on_disk) {
            let problem = Diagnostic::new(Rule::UnreadableFile, format!("`{path}` is {what}"));
            problems.push(problem.at(&spot.0, spot.1, "").hint("set it to a Dockerfile"));
            return false;
        }
        let is_there = on_disk.is_file();
        if !is_there {
            problems.push(missing(Rule::UnreadableFile, "file", path, spot));
        }
        is_there
    });
    problems
}

fn missing(rule: Rule, what: &str, path: &str, (source, span): &FilePosition) -> Diagnostic {
    Diagnostic::new(rule, format!("{what} `{path}` not found"))
        .at(source, *span, "")
        .hint("paths are relative to the directory of `layers.toml`")
}
