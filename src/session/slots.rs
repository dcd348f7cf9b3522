//! How many images are built at once.
//!
//! Owns the default. A small image keeps no CPU busy: most of its build is the engine's own waiting. With two builds per
//! CPU, 100 small images take two thirds of the time, and images whose commands keep all CPUs busy take no longer
//! (benches/README.md). The CPUs are those of the engine, which may run on another machine.

use crate::engine::Builder;

/// How many builds there are per CPU.
const SLOTS_PER_CPU: usize = 2;

/// Returns how many images are built at once: as many as `--jobs` says, or two per CPU of the engine. `images`
/// is the number of images to build; the engine is not queried if it does not matter.
pub fn slots(option: Option<u16>, images: usize, engine: &dyn Builder) -> usize {
    match option {
        Some(jobs) => usize::from(jobs),
        None if images <= SLOTS_PER_CPU => SLOTS_PER_CPU,
        None => engine.cpus().ok().flatten().map_or_else(local_slots, |cpus| cpus * SLOTS_PER_CPU),
    }
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
        let check = |option, images, cpus, expected, calls: usize| {
            let mut engine = Stub::default();
            engine.cpus = cpus;
            assert_eq!(slots(option, images, &engine), expected, "{option:?} {images} {cpus:?}");
            assert_eq!(engine.take_calls().len(), calls, "{option:?} {images} {cpus:?}");
        };
        check(Some(3), 100, Some(8), 3, 0);
        check(None, 100, Some(8), 16, 1);
        check(None, 3, Some(1), 2, 1);
        // What makes no difference is not requested.
        check(None, 2, Some(8), 2, 0);
        check(None, 100, None, local_slots(), 1);
    }
}
