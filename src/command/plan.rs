//! `layers plan`: shows what a build would do, and why.

use crate::cli::PlanArgs;
use crate::exit::Exit;
use crate::graph::Graph;
use crate::plan::Plan as Todo;
use crate::report::plan::PlanEstimate;
use crate::report::{plan as drawn, printer};
use crate::schedule::estimate::{critical_chain, duration};
use crate::session::Session;
use crate::session::image_provider::{ImageRequest, connect};
use crate::session::selection::{self, Selectors};
use crate::session::slots::slots;
use crate::workspace::{Invocation, lock, root};

pub fn run(options: &PlanArgs, at: &Invocation) -> anyhow::Result<Exit> {
    let selectors = Selectors {
        images: &options.images,
        excluded: &options.exclude,
        since: options.since.as_deref(),
    };
    let (mut workspace, mut selected) = selection::open(selectors, at)?;
    let unbuildable = std::mem::take(&mut selected.unbuildable);
    selection::warn_of_arguments(&workspace, &selected, at)?;
    let pins = lock::pins_of(options.locked, &workspace, at)?;
    let request = ImageRequest { selected, pins, ..ImageRequest::default() };
    let engine = connect(options.engine.engine, at)?;
    let session = Session::open(&mut workspace, request, engine.as_ref(), at)?;
    let (workspace, todo) = (session.workspace, &session.plan);
    drop(root::state(&workspace.root, at)?);
    let graph = &workspace.graph;
    let slots = || slots(options.jobs, todo.stale_images().count(), engine.as_ref());
    let estimate = options.estimate.then(|| estimate(todo, slots(), graph));
    if options.json {
        printer::out(&drawn::draw_json(todo, graph, estimate)?)?;
    } else if !at.global.quiet {
        let estimate = estimate.map(|it| drawn::draw_estimate(&it)).unwrap_or_default();
        printer::out(&(drawn::draw(todo, graph, at.global.verbose) + &estimate))?;
    }
    let exit = if options.check && !todo.is_all_decided() { Exit::Failed } else { Exit::Done };
    selection::finish(exit, &unbuildable, graph)
}

/// Estimates how long the builds of a plan take.
fn estimate(plan: &Todo, jobs: usize, graph: &Graph) -> PlanEstimate {
    let chain = critical_chain(plan);
    PlanEstimate {
        jobs,
        time: duration(plan, jobs),
        one_more: duration(plan, jobs + 1),
        chain_time: chain.first().map(|unit| plan.remaining(*unit)).unwrap_or_default(),
        chain: chain.into_iter().map(|unit| drawn::name(plan, graph, unit).into()).collect(),
    }
}
