//! How long a plan will take: the run, played through without building anything.
//!
//! Owns the prediction. It lets the same states decide what starts when as the run does, and only
//! believes the plan's costs where the run would wait.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::states::States;
use crate::base::UnitId;
use crate::plan::Plan;

/// How long a plan takes with `jobs` places, as far as its costs are right.
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

/// The chain of images that takes longest, each needed by the next: what no further job shortens.
pub fn critical_chain(plan: &Plan) -> Vec<UnitId> {
    let longest = |images: &mut dyn Iterator<Item = UnitId>| {
        // Of equal ones the first in the order of the plan.
        images
            .filter(|image| !plan.is_settled(*image))
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
