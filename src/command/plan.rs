//! `layers plan`: what a build would do, and why.

use crate::base::ImageId;
use crate::cli::{Global, Plan};
use crate::exit::Exit;
use crate::plan::Plan as Todo;
use crate::report::paint::Paint;
use crate::report::plan::Estimate;
use crate::report::{plan as drawn, say};
use crate::schedule::estimate::{critical_chain, duration};
use crate::session::externals::survey;
use crate::session::image_provider::{self, Kitchen, Wish};
use crate::session::selection::{self, Words};
use crate::workspace::{Surroundings, load, lock};

use super::build::jobs_of;

pub fn run(options: &Plan, global: &Global, at: &Surroundings) -> anyhow::Result<Exit> {
    let mut repository = load::load(global, at)?;
    repository.read_ignore_files();
    if let Some(exit) = repository.refuse_errors(at)? {
        return Ok(exit);
    }
    let words = Words {
        images: &options.images,
        excluded: &options.exclude,
        since: options.since.as_deref(),
    };
    let chosen = selection::choose(&repository, words, global, at)?;
    selection::warn_of_arguments(&repository, &chosen, global, at)?;
    let pins = match lock::pins_of(options.locked, &repository, at)? {
        Ok(pins) => pins,
        Err(exit) => return Ok(exit),
    };
    let mut wish = Wish { pins, ..Wish::look(chosen) };
    let engine = image_provider::connect(options.engine.engine, at)?;
    let info = engine.describe()?;
    let survey = survey(&mut repository, &mut wish, engine.as_ref(), &info, at)?;
    drop(load::memory(&repository.root, at)?);
    let (_, todo) = Kitchen::open(&repository, wish, survey, (engine.as_ref(), &info), at)?;
    let name = |image: ImageId| repository.graph.images[image].name.clone();
    let estimate = options.estimate.then(|| estimate(&todo, jobs_of(options.jobs), &name));
    say::out(&match (options.json, estimate) {
        (true, estimate) => drawn::draw_json(&todo, estimate, &name)?,
        (false, None) => drawn::draw(&todo, &name, Paint::plain()),
        (false, Some(estimate)) => {
            drawn::draw(&todo, &name, Paint::plain()) + &drawn::draw_estimate(&estimate)
        }
    })?;
    Ok(if options.check && !todo.is_all_settled() { Exit::Failed } else { Exit::Done })
}

/// What the builds of a plan are expected to take.
fn estimate(plan: &Todo, jobs: usize, name: &dyn Fn(ImageId) -> String) -> Estimate {
    let chain = critical_chain(plan);
    Estimate {
        jobs,
        time: duration(plan, jobs),
        one_more: duration(plan, jobs + 1),
        chain_time: chain.first().map(|image| plan.remaining(*image)).unwrap_or_default(),
        chain: chain.into_iter().map(name).collect(),
    }
}
