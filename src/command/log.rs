//! `layers log`: prints a run again, or the output of the build of one image in it.
//!
//! Reads `.layers/` and no Dockerfile, so it works with invalid Dockerfiles and without an engine.

use crate::base::error::usage;
use crate::base::text::suggest;
use crate::cli::LogArgs;
use crate::event::{Event, Skip};
use crate::exit::Exit;
use crate::report::journal::{Events, has_log_of};
use crate::report::summary::LogLocation;
use crate::report::{printer, replay};
use crate::session::run_logs;
use crate::state::runs::RunLog;
use crate::workspace::Invocation;
use crate::workspace::root::WorkspaceLocation;

pub fn run(options: &LogArgs, at: &Invocation) -> anyhow::Result<Exit> {
    let runs = run_logs::list(&WorkspaceLocation::of(at)?.root)?;
    let run = run_logs::choose(&runs, options.run.as_deref())?;
    if options.run.is_none() && options.image.as_ref().is_none_or(|it| has_log_of(run, it)) {
        printer::note(&replay::heading(run))?;
    }
    match &options.image {
        None => {
            let is_last = runs.last().is_some_and(|last| last.id == run.id);
            let location =
                if is_last { LogLocation::Last } else { LogLocation::Of(run.id.clone()) };
            printer::out_by(|to| replay::run(run, location, to))?;
        }
        Some(image) if has_log_of(run, image) => {
            printer::out_by(|to| replay::image(run, image, to))?;
        }
        Some(image) => return Err(describe_missing(&runs, run, image)?),
    }
    Ok(Exit::Done)
}

/// Returns the error that a run has no log of an image, with the reason and the run that has one.
fn describe_missing(runs: &[RunLog], run: &RunLog, image: &str) -> anyhow::Result<anyhow::Error> {
    let mut images = Vec::new();
    let mut why = ("its build did not start", "");
    for event in Events::of(run)? {
        let event = event?;
        let is_it = event.image.is_some_and(|it| *it.name == *image);
        match event.event {
            Event::RunStarted { images: all, .. } => images = all,
            Event::ImageFresh { .. } if is_it => why = ("it was up to date", " --force"),
            Event::ImageSkipped { because } if is_it => {
                why = match because {
                    Skip::ParentFailed { .. } => ("a dependency failed", ""),
                    Skip::Stopped => ("the run stopped before its build started", ""),
                };
            }
            _ => {}
        }
    }
    let with_log = runs.iter().rev().find(|run| has_log_of(run, image));
    let elsewhere = with_log.map(|run| format!("layers log {image} --run {}", run.id));
    let id = &run.id;
    if images.iter().any(|name| **name == *image) {
        let (why, force) = why;
        let hint = elsewhere.unwrap_or_else(|| format!("layers build {image}{force}"));
        return Ok(usage(format!("run `{id}` has no log of `{image}`: {why}"))
            .hint(format!("`{hint}`"))
            .into());
    }
    let hint = elsewhere.map(|command| format!("`{command}`"));
    let hint = hint.or_else(|| suggest(image, images.iter().map(|it| &**it)));
    let hint = hint.as_deref().unwrap_or("`layers log` shows what the run did");
    Ok(usage(format!("no image `{image}` in run `{id}`")).hint(hint).into())
}
