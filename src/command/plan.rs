//! `layers plan`: shows what a build would do, and why.

use crate::cli::{Plan, jobs};
use crate::exit::Exit;
use crate::graph::Graph;
use crate::plan::Plan as Todo;
use crate::report::plan::Estimate;
use crate::report::{plan as drawn, say};
use crate::schedule::estimate::{critical_chain, duration};
use crate::session::Session;
use crate::session::image_provider::{Request, connect};
use crate::session::selection::{self, Selectors};
use crate::workspace::load::Workspace;
use crate::workspace::{Invocation, lock, root};

pub fn run(options: &Plan, at: &Invocation) -> anyhow::Result<Exit> {
    let mut workspace = Workspace::open(at)?;
    let selectors = Selectors {
        images: &options.images,
        excluded: &options.exclude,
        since: options.since.as_deref(),
    };
    let chosen = selection::choose(&workspace, selectors, at)?;
    selection::warn_of_arguments(&workspace, &chosen, at)?;
    let pins = lock::pins_of(options.locked, &workspace, at)?;
    let request = Request { chosen, pins, ..Request::default() };
    let engine = connect(options.engine.engine, at)?;
    let session = Session::open(&mut workspace, request, engine.as_ref(), at)?;
    let (workspace, todo) = (session.workspace, &session.plan);
    drop(root::memory(&workspace.root, at)?);
    let graph = &workspace.graph;
    let estimate = options.estimate.then(|| estimate(todo, jobs(options.jobs), graph));
    if options.json {
        say::out(&drawn::draw_json(todo, graph, estimate)?)?;
    } else if !at.global.quiet {
        let estimate = estimate.map(|it| drawn::draw_estimate(&it)).unwrap_or_default();
        say::out(&(drawn::draw(todo, graph, at.global.verbose) + &estimate))?;
    }
    Ok(if options.check && !todo.is_all_settled() { Exit::Failed } else { Exit::Done })
}

/// Estimates how long the builds of a plan take.
fn estimate(plan: &Todo, jobs: usize, graph: &Graph) -> Estimate {
    let chain = critical_chain(plan);
    Estimate {
        jobs,
        time: duration(plan, jobs),
        one_more: duration(plan, jobs + 1),
        chain_time: chain.first().map(|unit| plan.remaining(*unit)).unwrap_or_default(),
        chain: chain.into_iter().map(|unit| drawn::name(plan, graph, unit).into()).collect(),
    }
}
