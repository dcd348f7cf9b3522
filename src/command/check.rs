//! `layers check`: what is wrong with the Dockerfiles, without building anything.
//!
//! Owns what is told beyond that which every verb tells, how, and when it is a failure.

use std::path::Path;

use crate::base::text::count;
use crate::base::{Diagnostic, RelPath};
use crate::cli::{Check, CheckFormat, Deny, Global};
use crate::exit::Exit;
use crate::graph::lint;
use crate::inputs::missing;
use crate::report::{annotations, diagnostics, diagnostics_json, say};

use super::load::Repository;
use super::{Surroundings, load};

pub fn run(options: &Check, global: &Global, at: &Surroundings) -> anyhow::Result<Exit> {
    let mut repository = load::load(global, at)?;
    repository.read_ignore_files();
    let problems = all_problems(&repository);
    let in_actions = at.environment.var("GITHUB_ACTIONS") == Some("true");
    let usual = if in_actions { CheckFormat::Github } else { CheckFormat::Text };
    match options.format.unwrap_or(usual) {
        CheckFormat::Json => say::out(&diagnostics_json::render(&problems)?)?,
        CheckFormat::Text => tell(&repository, &problems, at)?,
        CheckFormat::Github => {
            let workspace = at.environment.set_var("GITHUB_WORKSPACE");
            let folder = workspace.and_then(|workspace| folder_below(workspace, &repository.root));
            say::out(&annotations::render(&problems, &folder.unwrap_or_default()))?;
            tell(&repository, &problems, at)?;
        }
    }
    let warnings_fail = options.deny == Some(Deny::Warnings);
    let fails = problems.iter().any(|problem| problem.is_error() || warnings_fail);
    Ok(if fails { Exit::Files } else { Exit::Done })
}

/// What every verb tells, and what only a check does.
fn all_problems(repository: &Repository) -> Vec<Diagnostic> {
    let mut problems = repository.diagnostics.clone();
    problems.extend(lint::advice(&repository.graph, &problems));
    problems.extend(missing::find(&repository.root, &repository.graph));
    if let Some(frontend) = repository.frontend {
        problems.extend(lint::frontend::all_newer_than(&repository.graph, frontend));
    }
    let mut problems = repository.silence.apply(problems);
    repository.silence.escalate(&mut problems);
    problems
}

fn tell(repository: &Repository, problems: &[Diagnostic], at: &Surroundings) -> anyhow::Result<()> {
    if problems.is_empty() {
        let images = count(repository.graph.images.len(), "image");
        return say::err(&format!("{images}, nothing to complain about\n"));
    }
    say::err(&diagnostics::draw(problems, at.paint))
}

/// Where the root lies below the folder of the workflow; nothing where they are the same, or it
/// lies elsewhere.
fn folder_below(workspace: &str, root: &Path) -> Option<String> {
    let workspace = Path::new(workspace).canonicalize().ok()?;
    let below = RelPath::from_path(root.canonicalize().ok()?.strip_prefix(workspace).ok()?)?;
    (!below.is_root()).then(|| below.to_string())
}
