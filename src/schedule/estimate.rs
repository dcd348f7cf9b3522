//! How long a plan will take: a simulation of the run without any builds.
//!
//! Owns the prediction. The same states as in a run decide what starts when; the plan's costs replace the waits.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::states::States;
use crate::base::UnitId;
use crate::plan::Plan;

/// Returns how long a plan takes with `jobs` slots, if its costs are right.
pub fn duration(plan: &Plan, jobs: usize) -> Duration {
    let mut states = States::new(plan, jobs.max(1));
    let mut ends: BinaryHeap<Reverse<(Duration, UnitId)>> = BinaryHeap::new();
    let mut now = Duration::ZERO;
    loop {
        while let Some(image) = states.start_next() {
            ends.push(Reverse((now + plan.cost(image), image)));
        }
        let Some(Reverse((end, image))) = ends.pop() else { return now };
        now = end;
        states.finish(image);
    }
}

/// Returns the chain of images that takes longest, each a parent of the next. More slots do not make it shorter.
pub fn critical_chain(plan: &Plan) -> Vec<UnitId> {
    let longest = |images: &mut dyn Iterator<Item = UnitId>| {
        // If several take equally long, the first in the order of the plan.
        images
            .filter(|image| !plan.is_decided(*image))
            .max_by_key(|image| (plan.remaining(*image), Reverse(*image)))
    };
    let mut chain = Vec::new();
    let mut next = longest(&mut plan.order().iter().copied());
    while let Some(image) = next {
        chain.push(image);
        next = longest(&mut plan.children(image).iter().copied());
    }
    chain
}
