//! Judging what is to be built.
//!
//! Owns the way from what was chosen to a plan: the inputs, what the engine holds, the names that keep what a run
//! needs later, and how long each image is expected to take.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::base::error::InfrastructureError;
use crate::base::{IdMap, UnitId};
use crate::engine::{ImageStore, NamedContexts};
use crate::inputs::gather::Asked;
use crate::inputs::{Own, gather};
use crate::plan::{Held, Judge, Plan, SharedStore, Verdict, ask_held};
use crate::state::Memory;

use super::parent_aliases::ParentAliases;

/// How often images are judged, at most, while others remove them.
const PLANS: u32 = 5;

/// The inputs of units, or why they can't be read.
pub(super) type Gathered = IdMap<Option<Result<Own, InfrastructureError>>, UnitId>;

/// The inputs of images, and what the engine holds: it takes as long to list its images as the files
/// take to be looked at. With `reads_all` every file is read, whatever is remembered of it.
pub(super) fn look(
    asked: Asked<'_>,
    units: &[UnitId],
    memory: &Memory,
    reads_all: bool,
    store: &dyn ImageStore,
) -> anyhow::Result<(Gathered, Held)> {
    std::thread::scope(|scope| {
        let held = scope.spawn(|| ask_held(store));
        let mut digests = memory.digests();
        if reads_all {
            // A file that changes through a shared mapping may keep its times.
            digests.distrust();
        }
        let own = gather(asked, units, &mut digests);
        // Without them all is read again next time, that is all.
        drop(memory.keep_digests(&digests));
        let held = held.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok((own, held))
    })
}

/// Judges images, and gives those that a run needs later names of their own, if there are names to be given and the
/// engine can build on them. Returns these images, too.
pub(super) fn make_plan(
    judge: &mut Judge<'_>,
    units: &[UnitId],
    aliases: Option<&ParentAliases>,
) -> anyhow::Result<(Plan, BTreeSet<UnitId>)> {
    let (mut plan, held) = match aliases.filter(|_| judge.contexts == NamedContexts::All) {
        Some(aliases) => plan_and_hold(judge, units, aliases)?,
        None => (judge.plan(units)?, BTreeSet::new()),
    };
    expect_costs(judge, &mut plan);
    Ok((plan, held))
}

/// Judges images, and gives those that a run needs later names of their own. Judges again if one of them has gone
/// since the engine was asked.
fn plan_and_hold(
    judge: &mut Judge<'_>,
    units: &[UnitId],
    aliases: &ParentAliases,
) -> anyhow::Result<(Plan, BTreeSet<UnitId>)> {
    let mut attempt = 1;
    loop {
        let plan = judge.plan(units)?;
        let needed = needed_later(judge, &plan);
        let mut fresh = needed.iter().filter_map(|unit| match plan.verdict(*unit) {
            Some(Verdict::Fresh { image_id, registry: None, .. }) => Some(image_id),
            _ => None,
        });
        match fresh.try_for_each(|image_id| aliases.alias(image_id, judge.store).map(drop)) {
            Ok(()) => return Ok((plan, needed)),
            Err(error) if attempt == PLANS => return Err(error),
            Err(_) => judge.held = ask_held(judge.store)?,
        }
        attempt += 1;
    }
}

/// The images of a plan that something is built on, and those that are to be pushed.
fn needed_later(judge: &Judge<'_>, plan: &Plan) -> BTreeSet<UnitId> {
    let pushes = judge.shared.as_ref().is_some_and(SharedStore::is_needed);
    let is_built_on = |unit: UnitId| plan.children(unit).iter().any(|it| !plan.is_fresh(*it));
    let is_needed =
        |unit: &UnitId| is_built_on(*unit) || (pushes && plan.registered(*unit).is_none());
    plan.order().iter().copied().filter(is_needed).collect()
}

/// Says how long each image of a plan is expected to take: nothing where nothing is built.
fn expect_costs(judge: &Judge<'_>, plan: &mut Plan) {
    let mut costs = IdMap::from_fn(plan.len(), |_| Duration::ZERO);
    let stale: Vec<UnitId> =
        plan.order().iter().copied().filter(|unit| !plan.is_fresh(*unit)).collect();
    if stale.is_empty() {
        return plan.set_costs(costs);
    }
    let commands = |unit: UnitId| match &judge.own[unit] {
        Some(Ok(own)) => {
            let instructions = own.inputs.stages.iter().flat_map(|stage| &stage.instructions);
            instructions.filter(|instruction| instruction.starts_with("RUN ")).count()
        }
        _ => 0,
    };
    let described: Vec<(&str, usize)> =
        stale.iter().map(|unit| (judge.image(*unit).name.as_str(), commands(*unit))).collect();
    let durations = judge.memory.durations();
    for (unit, cost) in stale.iter().zip(durations.expect(&described)) {
        costs[*unit] = cost;
    }
    if durations.knows_any(described.iter().map(|(name, _)| *name)) {
        plan.know_costs();
    }
    plan.set_costs(costs);
}

#[cfg(test)]
mod tests;
