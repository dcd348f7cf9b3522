//! Images that can be judged at once: none of them needs another.
//!
//! Owns their grouping. A registry takes as long for one question as for ten at once, so the images
//! of a front are asked about together; how many fronts there are is how deep the graph is.

use super::Plan;
use crate::base::{IdMap, UnitId};

/// The images of a plan in fronts, each after all that its images need; within a front in the order
/// of the plan.
pub(super) fn fronts(plan: &Plan) -> Vec<Vec<UnitId>> {
    let mut depths = IdMap::from_fn(plan.len(), |_| 0);
    let mut fronts: Vec<Vec<UnitId>> = Vec::new();
    for unit in plan.order() {
        let below = plan.needs(*unit).iter().map(|need| depths[*need] + 1);
        let depth: usize = below.max().unwrap_or_default();
        depths[*unit] = depth;
        if depth == fronts.len() {
            fronts.push(Vec::new());
        }
        fronts[depth].push(*unit);
    }
    fronts
}

#[cfg(test)]
mod tests;
