//! `layers why`: explains the path from a change to an image, or for a fresh image, what was compared.

use crate::base::error::usage;
use crate::base::{ImageId, UnitId};
use crate::cli::WhyArgs;
use crate::exit::Exit;
use crate::graph::{Edge, Graph};
use crate::plan::{Decision, Plan, Verdict};
use crate::report::{clean, printer, why};
use crate::session::Session;
use crate::session::image_provider::{ImageRequest, connect};
use crate::session::selection::{self, Selectors};
use crate::workspace::{Invocation, root};

pub fn run(options: &WhyArgs, at: &Invocation) -> anyhow::Result<Exit> {
    let selectors =
        Selectors { images: std::slice::from_ref(&options.image), ..Selectors::default() };
    let (mut workspace, selected) = selection::open(selectors, at)?;
    let [image] = selected.named.as_slice() else {
        return Err(usage(format!("`{}` matches more than one image", options.image)).into());
    };
    let image = *image;
    let request = ImageRequest { selected, ..ImageRequest::default() };
    let engine = connect(options.engine.engine, at)?;
    let session = Session::open(&mut workspace, request, engine.as_ref(), at)?;
    let Session { workspace, provider, plan, .. } = &session;
    drop(root::state(&workspace.root, at)?);
    let graph = &workspace.graph;
    let unit = plan.units().first_of(image);
    let own = match &provider.freshness.own[unit] {
        Some(Ok(own)) => own,
        Some(Err(error)) => return Err(error.clone().into()),
        None => anyhow::bail!("the inputs of `{}` were not read", options.image),
    };
    let identity_of = |parent: UnitId| plan.identity(parent).cloned();
    let text = if options.inputs {
        let inputs = match provider.freshness.decide(unit, &identity_of)? {
            Decision::Build { inputs, .. } => *inputs,
            Decision::Fresh(_) => provider.freshness.complete(own, &identity_of).inputs,
        };
        clean::json(&inputs)?
    } else {
        match plan.verdict(unit) {
            Some(Verdict::Fresh { image_id, registry, .. }) => {
                let inputs = provider.freshness.complete(own, &identity_of).inputs;
                let location = registry.as_ref().unwrap_or(image_id);
                why::draw_fresh(&graph.images[image].name, location, &inputs)
            }
            _ => why::draw_chain(graph, plan, image, &way_to(graph, plan, image)),
        }
    };
    printer::out(&text)?;
    Ok(Exit::Done)
}

/// Returns the edges from an image down to the first cause, nearest first: while an image waits, the edge to its first
/// parent that is not fresh.
fn way_to<'a>(graph: &'a Graph, plan: &Plan, image: ImageId) -> Vec<(ImageId, &'a Edge)> {
    let mut way = Vec::new();
    let mut at = image;
    let unit = |image: ImageId| plan.units().first_of(image);
    while let Some(Verdict::Waits { .. }) = plan.verdict(unit(at)) {
        let stale = |edge: &&Edge| {
            let parent = unit(edge.parent);
            plan.verdict(parent).is_some() && !plan.is_fresh(parent)
        };
        let Some(edge) = graph.images[at].parents.iter().find(stale) else { break };
        way.push((at, edge));
        at = edge.parent;
    }
    way
}
