//! Planning: which images are to be built.
//!
//! Owns how a selection becomes a plan: the inputs, the store snapshot, the aliases that keep what a run needs later,
//! and how long each image is expected to take.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::base::error::{InfrastructureError, permanent};
use crate::base::{IdMap, UnitId};
use crate::engine::{ImageStore, NamedContexts};
use crate::inputs::gather::GatherRequest;
use crate::inputs::{OwnInputs, gather};
use crate::plan::{FreshnessCheck, Plan, SharedStore, StoreSnapshot, Verdict, read_snapshot};
use crate::state::RepositoryState;

use super::parent_aliases::ParentAliases;

/// The maximum number of plans that are made while others remove images.
const PLANS: u32 = 5;

/// The inputs of units, or why they cannot be read.
pub(super) type GatheredInputs = IdMap<Option<Result<OwnInputs, InfrastructureError>>, UnitId>;

/// Returns the inputs of images, and the store snapshot. Both are read at once: listing the engine's images takes as
/// long as looking at the files. With `reads_all`, every file is read, whatever is remembered about it.
pub(super) fn look(
    gather_request: GatherRequest<'_>,
    units: &[UnitId],
    state: &RepositoryState,
    reads_all: bool,
    store: &dyn ImageStore,
) -> anyhow::Result<(GatheredInputs, StoreSnapshot)> {
    std::thread::scope(|scope| {
        let snapshot = scope.spawn(|| read_snapshot(store));
        let mut digests = state.digests();
        if reads_all {
            // A file that changes through a shared mapping may keep its times.
            digests.distrust();
        }
        let own = gather(gather_request, units, &mut digests);
        // Without them, all files are read again next time; nothing else depends on them.
        drop(state.keep_digests(&digests));
        let snapshot = snapshot.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok((own, snapshot))
    })
}

/// Plans images, and gives those that a run needs later aliases, if there are `aliases` and the engine can build on
/// them. Also returns these images.
pub(super) fn make_plan(
    freshness: &mut FreshnessCheck<'_>,
    units: &[UnitId],
    aliases: Option<&ParentAliases>,
) -> anyhow::Result<(Plan, BTreeSet<UnitId>)> {
    let (mut plan, aliased) = match aliases.filter(|_| freshness.contexts == NamedContexts::All) {
        Some(aliases) => plan_and_hold(freshness, units, aliases)?,
        None => (freshness.plan(units)?, BTreeSet::new()),
    };
    expect_costs(freshness, &mut plan);
    Ok((plan, aliased))
}

/// Plans images, and gives those that a run needs later aliases. Plans again if one of them has disappeared since the
/// store snapshot was taken.
fn plan_and_hold(
    freshness: &mut FreshnessCheck<'_>,
    units: &[UnitId],
    aliases: &ParentAliases,
) -> anyhow::Result<(Plan, BTreeSet<UnitId>)> {
    for _ in 0..PLANS {
        let plan = freshness.plan(units)?;
        let needed = needed_later(freshness, &plan);
        let fresh = needed.iter().filter_map(|unit| match plan.verdict(*unit) {
            Some(Verdict::Fresh { image_id, registry: None, .. }) => Some(image_id),
            _ => None,
        });
        let mut is_complete = true;
        for image_id in fresh {
            is_complete &= aliases.hold(image_id, freshness.store)?;
        }
        if is_complete {
            return Ok((plan, needed));
        }
        freshness.snapshot = read_snapshot(freshness.store)?;
    }
    let message =
        format!("images disappeared from the engine's store during {PLANS} attempts to plan");
    Err(permanent(message).hint("another process removes them; run the command again later").into())
}

/// Returns the images of a plan that have children to build, and those that are to be pushed.
fn needed_later(freshness: &FreshnessCheck<'_>, plan: &Plan) -> BTreeSet<UnitId> {
    let pushes = freshness.shared.as_ref().is_some_and(SharedStore::is_needed);
    let is_built_on = |unit: UnitId| plan.children(unit).iter().any(|it| !plan.is_fresh(*it));
    let is_needed =
        |unit: &UnitId| is_built_on(*unit) || (pushes && plan.registry_image(*unit).is_none());
    plan.order().iter().copied().filter(is_needed).collect()
}

/// Sets how long each image of a plan is expected to take: nothing if it is not built.
fn expect_costs(freshness: &FreshnessCheck<'_>, plan: &mut Plan) {
    let mut costs = IdMap::from_fn(plan.len(), |_| Duration::ZERO);
    let stale: Vec<UnitId> =
        plan.order().iter().copied().filter(|unit| !plan.is_fresh(*unit)).collect();
    if stale.is_empty() {
        return plan.set_costs(costs);
    }
    let commands = |unit: UnitId| match &freshness.own[unit] {
        Some(Ok(own)) => {
            let instructions = own.inputs.stages.iter().flat_map(|stage| &stage.instructions);
            instructions.filter(|instruction| instruction.starts_with("RUN ")).count()
        }
        _ => 0,
    };
    let described: Vec<(&str, usize)> =
        stale.iter().map(|unit| (freshness.image(*unit).name.as_str(), commands(*unit))).collect();
    let durations = freshness.state.durations();
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
