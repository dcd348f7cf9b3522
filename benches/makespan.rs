//! The quality of the build order, and the cost of the scheduling loop itself, for thousands of images.
//!
//! `cargo bench --bench makespan` runs graphs that are hard to schedule on an engine with a simulated clock.
//! It prints how long the run took by that clock, as a multiple of the minimum for any order (the longest
//! chain, or all work divided by the slots): with durations known from earlier runs, with unknown durations,
//! and for a build level by level. The last column is the cost of the loop.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::time::Instant;

use crate::clockwork::Work;
use crate::dice::Dice;

#[path = "../tests/common/clockwork.rs"]
mod clockwork;
#[path = "../tests/common/dice.rs"]
#[expect(dead_code, reason = "the benchmark uses a part of it")]
mod dice;

fn main() {
    let mut dice = Dice::new(11);
    let shapes = [
        ("100 arms of 30, one slow each", Work::arms(100, 30)),
        ("8 arms of 30, one slow each", Work::arms(8, 30)),
        ("3,000 short, a chain of 200 last", Work::chain_last(3_000, 200)),
        ("base, builders, 3,000 on them", Work::fan(3_000)),
        ("3,000 by chance", Work::random(3_000, &mut dice)),
    ];
    println!(
        "{:<34} {:>4} {:>8} {:>8} {:>10} {:>9}",
        "times the least that is possible", "jobs", "known", "unknown", "by levels", "µs/image"
    );
    for (name, work) in &shapes {
        for jobs in [2, 8, 32] {
            let bound = work.lower_bound(jobs).as_secs_f64();
            let begun = Instant::now();
            let known = work.run(jobs, true).as_secs_f64() / bound;
            let own = begun.elapsed().as_micros() / work.parents.len() as u128;
            let unknown = work.run(jobs, false).as_secs_f64() / bound;
            let levels = work.by_levels(jobs).as_secs_f64() / bound;
            println!("{name:<34} {jobs:>4} {known:>8.3} {unknown:>8.3} {levels:>10.3} {own:>9}");
        }
    }
}
