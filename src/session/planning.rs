//! Planning: which images are to be built.
//!
//! Owns how a selection becomes a plan: the inputs, the store snapshot, the aliases that keep what a run needs later,
//! and how long each image is expected to take.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::base::error::{InfrastructureError, permanent};
use crate::base::{IdMap, UnitId};
use crate::engine::{ImageStore, NamedContexts};
use crate::inputs::gather::Asked;
use crate::inputs::{Own, gather};
use crate::plan::{Held, Judge, Plan, SharedStore, Verdict, ask_held};
use crate::state::Memory;

use super::parent_aliases::ParentAliases;

/// The maximum number of plans that are made while others remove images.
const PLANS: u32 = 5;

/// The inputs of units, or why they cannot be read.
pub(super) type Gathered = IdMap<Option<Result<Own, InfrastructureError>>, UnitId>;

/// Returns the inputs of images, and the store snapshot. Both are read at once: listing the engine's images takes as
/// long as looking at the files. With `reads_all`, every file is read, whatever is remembered about it.
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
        // Without them, all files are read again next time; nothing else depends on them.
        drop(memory.keep_digests(&digests));
        let held = held.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok((own, held))
    })
}

/// Plans images, and gives those that a run needs later aliases, if there are `aliases` and the engine can build on
/// them. Also returns these images.
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

/// Plans images, and gives those that a run needs later aliases. Plans again if one of them has disappeared since the
/// store snapshot was taken.
fn plan_and_hold(
    judge: &mut Judge<'_>,
    units: &[UnitId],
    aliases: &ParentAliases,
) -> anyhow::Result<(Plan, BTreeSet<UnitId>)> {
    for _ in 0..PLANS {
        let plan = judge.plan(units)?;
        let needed = needed_later(judge, &plan);
        let fresh = needed.iter().filter_map(|unit| match plan.verdict(*unit) {
            Some(Verdict::Fresh { image_id, registry: None, .. }) => Some(image_id),
            _ => None,
        });
        let mut is_complete = true;
        for image_id in fresh {
            is_complete &= aliases.hold(image_id, judge.store)?;
        }
        if is_complete {
            return Ok((plan, needed));
        }
        judge.held = ask_held(judge.store)?;
    }
    let message =
        format!("images disappeared from the engine's store during {PLANS} attempts to plan");
    Err(permanent(message).hint("another process removes them; run the command again later").into())
}

/// Returns the images of a plan that have children to build, and those that are to be pushed.
fn needed_later(judge: &Judge<'_>, plan: &Plan) -> BTreeSet<UnitId> {
    let pushes = judge.shared.as_ref().is_some_and(SharedStore::is_needed);
    let is_built_on = |unit: UnitId| plan.children(unit).iter().any(|it| !plan.is_fresh(*it));
    let is_needed =
        |unit: &UnitId| is_built_on(*unit) || (pushes && plan.registered(*unit).is_none());
    plan.order().iter().copied().filter(is_needed).collect()
}

/// Sets how long each image of a plan is expected to take: nothing if it is not built.
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
