//! The quality of the build order: the simulated time of a run compared with the minimum for any order.
#![expect(clippy::unwrap_used, reason = "a test that can't go on says where it stopped")]

use std::time::Duration;

use layers::base::{Id, UnitId};
use layers::plan::Plan;
use layers::schedule::estimate;

use common::clockwork::Work;
use common::dice::Dice;

mod common {
    pub mod clockwork;
    #[expect(dead_code, reason = "only a part of it is used here")]
    pub mod dice;
}

/// The graphs for which building level by level is bad.
fn shapes() -> [(&'static str, Work); 3] {
    [
        ("arms", Work::arms(60, 30)),
        ("few arms", Work::arms(8, 30)),
        ("chain last", Work::chain_last(1_500, 150)),
    ]
}

fn ratio(time: Duration, bound: Duration) -> f64 {
    time.as_secs_f64() / bound.as_secs_f64()
}

#[test]
fn build_order_is_near_optimal_for_every_graph_shape() {
    for (name, work) in shapes() {
        for jobs in [2, 8, 32] {
            let bound = work.lower_bound(jobs);
            for (known, most) in [(true, 1.05), (false, 1.25)] {
                let ratio = ratio(work.run(jobs, known), bound);
                assert!(ratio <= most, "{name}, {jobs} at once, known: {known}: {ratio:.3}");
                assert!(ratio >= 1.0, "{name}: the bound is wrong: {ratio:.3}");
            }
        }
    }
}

#[test]
fn building_by_levels_is_slow_for_every_graph_shape() {
    for (name, work) in shapes() {
        let worst = [2, 8, 32].map(|jobs| ratio(work.by_levels(jobs), work.lower_bound(jobs)));
        assert!(worst.iter().any(|ratio| *ratio > 1.5), "{name}: {worst:?}");
    }
}

#[test]
fn estimated_durations_match_simulated_runs() {
    let mut dice = Dice::new(7);
    for work in [Work::random(300, &mut dice), Work::fan(200), Work::arms(9, 10)] {
        let ids = |numbers: &Vec<usize>| numbers.iter().map(|at| UnitId::from_index(*at)).collect();
        let order = (0..work.parents.len()).map(UnitId::from_index).collect();
        let mut plan = Plan::from_parents(order, work.parents.iter().map(ids).collect());
        plan.set_costs(work.takes.iter().copied().collect());
        for jobs in [1, 3, 16] {
            let (printed, took) = (estimate::duration(&plan, jobs), work.run(jobs, true));
            // If two builds end at the same time, the order of their events varies between runs.
            let off = ratio(printed, took);
            assert!((0.98..=1.02).contains(&off), "{printed:?} and {took:?} with {jobs} at once");
        }
    }
}
