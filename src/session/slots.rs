//! How many images are built at once.
//!
//! Owns the default. A small image keeps no CPU busy: most of its build is the engine's own waiting. With two builds per
//! CPU, 100 small images take two thirds of the time, and images whose commands keep all CPUs busy take no longer. An
//! engine whose store waits for its disk needs more (benches/README.md). The CPUs are those of the engine, which may run
//! on another machine.

use crate::engine::{Builder, BuilderCapacity};

/// How many builds there are per CPU.
const SLOTS_PER_CPU: usize = 2;

/// How many builds there are per CPU if the store waits for its disk.
const SLOTS_PER_CPU_AND_DISK: usize = 8;

/// Returns how many images are built at once: as many as `--jobs` says, or several per CPU of the engine. `images`
/// is the number of images to build; the engine is not queried if it does not matter.
pub fn slots(option: Option<u16>, images: usize, engine: &dyn Builder) -> usize {
    match option {
        Some(jobs) => usize::from(jobs),
        None if images <= SLOTS_PER_CPU => SLOTS_PER_CPU,
        None => engine.capacity().ok().flatten().map_or_else(local_slots, slots_of),
    }
}

fn slots_of(capacity: BuilderCapacity) -> usize {
    let per_cpu = if capacity.waits_for_disk { SLOTS_PER_CPU_AND_DISK } else { SLOTS_PER_CPU };
    capacity.cpus * per_cpu
}

/// Returns how many images are built at once if there is no engine, from the number of CPUs of this machine.
pub fn local_slots() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from) * SLOTS_PER_CPU
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::stub::Stub;

    #[test]
    fn slots_are_those_of_the_option_or_the_engine() {
        let capacity = |cpus: Option<usize>, waits_for_disk| {
            cpus.map(|cpus| BuilderCapacity { cpus, waits_for_disk })
        };
        let check = |option, images, (cpus, waits_for_disk), expected, calls: usize| {
            let mut engine = Stub::default();
            engine.capacity = capacity(cpus, waits_for_disk);
            assert_eq!(slots(option, images, &engine), expected, "{option:?} {images} {cpus:?}");
            assert_eq!(engine.take_calls().len(), calls, "{option:?} {images} {cpus:?}");
        };
        check(Some(3), 100, (Some(8), false), 3, 0);
        check(None, 100, (Some(8), false), 16, 1);
        check(None, 100, (Some(8), true), 64, 1);
        check(None, 3, (Some(1), false), 2, 1);
        // What makes no difference is not requested.
        check(None, 2, (Some(8), true), 2, 0);
        check(None, 100, (None, false), local_slots(), 1);
    }
}
