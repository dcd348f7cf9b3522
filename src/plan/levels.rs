//! Levels: groups of images that can be checked at the same time because none of them depends on another.
//!
//! Owns the grouping. A registry answers ten parallel requests as fast as one, so the images of a level are looked up
//! together. The number of levels is the depth of the graph.

use super::Plan;
use crate::base::{IdMap, UnitId};

/// Groups the images of a plan into levels, each after all dependencies of its images. Within a level, images are in
/// the order of the plan.
pub(super) fn levels(plan: &Plan) -> Vec<Vec<UnitId>> {
    let mut depths = IdMap::from_fn(plan.len(), |_| 0);
    let mut levels: Vec<Vec<UnitId>> = Vec::new();
    for unit in plan.order() {
        let below = plan.parents(*unit).iter().map(|dependency| depths[*dependency] + 1);
        let depth: usize = below.max().unwrap_or_default();
        depths[*unit] = depth;
        if depth == levels.len() {
            levels.push(Vec::new());
        }
        levels[depth].push(*unit);
    }
    levels
}

#[cfg(test)]
mod tests;
