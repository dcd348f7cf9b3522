//! Dockerfiles that no setting covers.
//!
//! Owns which Dockerfiles are reported: those with a usual name that are neither images nor excluded. No one should have
//! to find out from a missing image that its Dockerfile was not found.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use rayon::prelude::*;

use crate::base::text::{and, count};
use crate::base::{Diagnostic, RelPath, Rule};
use crate::scan::{glob, usual_names};

use super::load::Workspace;

/// The number of files and directories up to which commands that should start at once search a tree: a few
/// milliseconds.
const QUICK: usize = 2_000;

/// The number of Dockerfiles that are named.
const NAMED: usize = 3;

impl Workspace {
    /// Adds a warning about the Dockerfiles that no setting covers.
    pub fn report_uncovered(&mut self) {
        self.report_uncovered_of(usize::MAX);
    }

    /// Adds a warning about the Dockerfiles that no setting covers, unless the repository is large.
    pub fn report_uncovered_quickly(&mut self) {
        self.report_uncovered_of(QUICK);
    }

    fn report_uncovered_of(&mut self, most: usize) {
        let Some(mut paths) = usual_names::find(&self.root, most) else { return };
        let images = self.graph.images.values().map(|image| &image.dockerfile);
        // Images that an error leaves out are reported already.
        let labels = self.diagnostics.iter().flat_map(|problem| &problem.labels);
        let covered: HashSet<&RelPath> =
            images.chain(labels.map(|label| label.source.path())).collect();
        let config = &self.config.config;
        let groups = config.group.iter().flat_map(|group| &group.get_ref().exclude);
        let excludes: Vec<_> = config.exclude.iter().chain(groups).collect();
        let excludes: Vec<_> =
            excludes.iter().filter_map(|it| glob::compile(it.get_ref()).ok()).collect();
        paths.retain(|path| {
            !covered.contains(path) && !excludes.iter().any(|it| it.is_match(path.as_str()))
        });
        let paths: Vec<&RelPath> =
            paths.par_iter().filter(|it| has_from(&it.under(&self.root))).collect();
        let has_settings = !self.config.source.text().is_empty();
        let problem = describe(&paths, has_settings);
        self.diagnostics.extend(self.silence.apply(problem.into_iter().collect()));
    }
}

/// Returns whether a file has a FROM. Other files have such names by chance.
fn has_from(path: &Path) -> bool {
    let text = fs::read(path).unwrap_or_default();
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_start);
    lines.any(|line| line.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"FROM ")))
}

fn describe(paths: &[&RelPath], has_settings: bool) -> Option<Diagnostic> {
    if paths.is_empty() {
        return None;
    }
    let mut names: Vec<String> = paths.iter().take(NAMED).map(|it| format!("`{it}`")).collect();
    if paths.len() > NAMED {
        names.push(format!("{} more", paths.len() - NAMED));
    }
    let verb = if paths.len() == 1 { "is" } else { "are" };
    let message =
        format!("{} {verb} not covered: {}", count(paths.len(), "Dockerfile"), and(&names));
    let problem = Diagnostic::new(Rule::UncoveredDockerfile, message);
    Some(match has_settings {
        true => problem.hint("add each to `dockerfiles` or to `exclude` in `layers.toml`"),
        false => problem.hint("run `layers init` to find all images"),
    })
}
