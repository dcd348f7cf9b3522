//! `layers check`: what is wrong with the Dockerfiles, without building anything.
//!
//! Owns what is told beyond that which every verb tells, how, and when it is a failure.

use crate::base::Diagnostic;
use crate::base::text::count;
use crate::cli::{Check, CheckFormat, Deny, Global};
use crate::exit::Exit;
use crate::graph::lint;
use crate::inputs::missing;
use crate::report::{annotations, diagnostics, diagnostics_json, say};
use crate::workspace::load::{self, Repository};
use crate::workspace::{Surroundings, lock};

pub fn run(options: &Check, global: &Global, at: &Surroundings) -> anyhow::Result<Exit> {
    let mut repository = load::load(global, at)?;
    repository.read_ignore_files();
    let problems = all_problems(&repository)?;
    let usual =
        if at.environment.is_in_actions() { CheckFormat::Github } else { CheckFormat::Text };
    match options.format.unwrap_or(usual) {
        CheckFormat::Json => say::data(&diagnostics_json::render(&problems)?)?,
        CheckFormat::Text => tell(&repository, &problems, at)?,
        CheckFormat::Github => {
            let folder = at.environment.below_workspace(&repository.root);
            say::data(&annotations::render(&problems, &folder))?;
            tell(&repository, &problems, at)?;
        }
    }
    let warnings_fail = options.deny == Some(Deny::Warnings);
    let fails = problems.iter().any(|problem| problem.is_error() || warnings_fail);
    Ok(if fails { Exit::Files } else { Exit::Done })
}

/// What every verb tells, and what only a check does.
fn all_problems(repository: &Repository) -> anyhow::Result<Vec<Diagnostic>> {
    let mut problems = repository.diagnostics.clone();
    problems.extend(lint::advice(&repository.graph, &problems));
    problems.extend(missing::find(&repository.root, &repository.graph));
    problems.extend(lock::problem(repository)?);
    if let Some(frontend) = repository.frontend {
        problems.extend(lint::frontend::all_newer_than(&repository.graph, frontend));
    }
    let mut problems = repository.silence.apply(problems);
    repository.silence.escalate(&mut problems);
    Ok(problems)
}

fn tell(repository: &Repository, problems: &[Diagnostic], at: &Surroundings) -> anyhow::Result<()> {
    if problems.is_empty() {
        let images = count(repository.graph.images.len(), "image");
        return say::err(&format!("{images}, nothing to complain about\n"));
    }
    say::err(&diagnostics::draw(problems, at.paint))
}
