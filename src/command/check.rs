//! `layers check`: checks the Dockerfiles without building anything.
//!
//! Owns which diagnostics it reports in addition to those of every verb, in which format, and when they are a failure.

use crate::base::Diagnostic;
use crate::base::text::{count, list};
use crate::cli::{CheckArgs, CheckFormat, Deny};
use crate::exit::Exit;
use crate::inputs::missing;
use crate::lint::build_checks::FailedCheck;
use crate::lint::{self, build_checks};
use crate::report::{annotations, diagnostics, diagnostics_json, printer};
use crate::workspace::load::{self, Workspace};
use crate::workspace::{Invocation, lock};

pub fn run(options: &CheckArgs, at: &Invocation) -> anyhow::Result<Exit> {
    let mut workspace = load::load(at)?;
    workspace.read_ignore_files();
    workspace.report_uncovered();
    let problems = all_problems(&workspace)?;
    let usual =
        if at.environment.is_in_actions() { CheckFormat::Github } else { CheckFormat::Text };
    match options.format.unwrap_or(usual) {
        CheckFormat::Json => printer::data(&diagnostics_json::render(&problems)?)?,
        CheckFormat::Text => report(&workspace, &problems, at)?,
        CheckFormat::Github => {
            let directory = at.environment.below_workspace(&workspace.root);
            printer::data(&annotations::render(&problems, &directory))?;
            report(&workspace, &problems, at)?;
        }
    }
    let warnings_fail = options.deny == Some(Deny::Warnings);
    let fails = problems.iter().any(|problem| problem.is_error() || warnings_fail);
    Ok(if fails { Exit::Files } else { Exit::Done })
}

/// Returns the diagnostics that every verb reports, and those that only `check` reports.
fn all_problems(workspace: &Workspace) -> anyhow::Result<Vec<Diagnostic>> {
    let mut problems = workspace.diagnostics.clone();
    problems.extend(lint::advice(&workspace.graph, &problems));
    problems.extend(missing::find(&workspace.root, &workspace.graph));
    problems.extend(lock::kept_pins(workspace)?.err().map(|problem| *problem));
    if let Some(frontend) = workspace.frontend {
        problems.extend(lint::frontend::newer_than(workspace.graph.images.values(), frontend));
    }
    let mut problems = workspace.silence.apply(problems);
    workspace.silence.escalate(&mut problems);
    let failed = workspace.graph.images.values();
    let failed = failed.filter_map(|image| build_checks::failed(image, workspace.frontend));
    let is_new = |check: &FailedCheck| {
        !problems.iter().any(|problem| problem.rule.buildkit().contains(&check.name))
    };
    let new: Vec<FailedCheck> = failed.flatten().filter(is_new).collect();
    problems.extend(new.into_iter().map(|check| check.diagnostic));
    // Images from one Dockerfile share its checks.
    Ok(workspace.silence.apply(problems))
}

fn report(workspace: &Workspace, problems: &[Diagnostic], at: &Invocation) -> anyhow::Result<()> {
    let images = workspace.graph.images.values();
    let files = build_checks::undecided(images, workspace.frontend);
    if !files.is_empty() {
        printer::note(&format!("the engine decides about the other checks of {}\n", list(files)))?;
    }
    if problems.is_empty() {
        let images = count(workspace.graph.images.len(), "image");
        return printer::note(&format!("{images}, no problems found\n"));
    }
    printer::err(&diagnostics::draw(problems, at.paint))
}
