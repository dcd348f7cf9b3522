//! How long the builds of images took: `.layers/durations.json`.
//!
//! Owns the last few durations of each image, and the estimates from them. They only determine in which order images
//! start and how long a run is expected to take. If the file is lost, defaults are used.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::StateDir;

/// How many durations are kept per image.
const MOST_KEPT: usize = 5;

/// The estimate if no build of any image is known: milliseconds per image, and per command.
const GUESS: (u64, u64) = (500, 5_000);

/// The durations of a repository's builds.
#[derive(Debug, Clone, Default)]
pub struct Durations {
    file: Option<(StateDir, &'static str)>,
    table: DurationTable,
}

/// Milliseconds by the names of images, latest last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct DurationTable {
    images: BTreeMap<Arc<str>, Vec<u64>>,
}

impl Durations {
    /// Reads the durations from a file. They are empty if it is missing or damaged.
    pub fn open(directory: StateDir, name: &'static str) -> Durations {
        let text = directory.read(name).ok();
        let table = text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        Durations { file: Some((directory, name)), table }
    }

    /// Adds the durations of builds in which at least one step ran, and saves all durations.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn add(&mut self, took: &[(Arc<str>, Duration)]) -> io::Result<()> {
        if took.is_empty() {
            return Ok(());
        }
        for (image, time) in took {
            let times = self.table.images.entry(Arc::clone(image)).or_default();
            times.push(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
            let too_many = times.len().saturating_sub(MOST_KEPT);
            times.drain(..too_many);
        }
        let Some((directory, name)) = &self.file else { return Ok(()) };
        directory.write(name, &serde_json::to_vec(&self.table)?)
    }

    /// Returns how long the next build of an image is expected to take: the median of the last ones.
    pub fn usual(&self, image: &str) -> Option<Duration> {
        let times = self.table.images.get(image).filter(|times| !times.is_empty())?;
        Some(Duration::from_millis(median(times.clone())))
    }

    /// Returns whether a duration of any of these images is known.
    pub fn knows_any<'a>(&self, images: impl IntoIterator<Item = &'a str>) -> bool {
        images.into_iter().any(|image| self.usual(image).is_some())
    }

    /// Returns how long the next build of each of `images` is expected to take. They are given with the number of
    /// commands that they run. An image that was never built is expected to take as long per command as the others do.
    pub fn expect(&self, images: &[(&str, usize)]) -> Vec<Duration> {
        let durations: Vec<Option<Duration>> =
            images.iter().map(|(image, _)| self.usual(image)).collect();
        let a_command: Vec<u64> = images
            .iter()
            .zip(&durations)
            .filter(|((_, commands), _)| *commands > 0)
            .filter_map(|((_, commands), duration)| {
                let millis = u64::try_from((*duration)?.as_millis()).unwrap_or(u64::MAX);
                Some(millis / *commands as u64)
            })
            .collect();
        let a_command = if a_command.is_empty() { GUESS.1 } else { median(a_command) };
        let guess = |commands: usize| GUESS.0.saturating_add(a_command * commands as u64);
        let images = images.iter().zip(durations);
        images
            .map(|((_, commands), duration)| {
                duration.unwrap_or_else(|| Duration::from_millis(guess(*commands)))
            })
            .collect()
    }
}

/// Returns the median. For an even number of values, this is the lower of the two in the middle.
fn median(mut times: Vec<u64>) -> u64 {
    times.sort_unstable();
    times.get(times.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(times: &[(&str, u64)]) -> Vec<(Arc<str>, Duration)> {
        times.iter().map(|(image, time)| ((*image).into(), Duration::from_secs(*time))).collect()
    }

    #[test]
    fn the_expected_duration_is_the_median_of_the_last_builds() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::of(directory.path());
        state.make().unwrap();
        let open = || Durations::open(state.clone(), "durations.json");
        let mut durations = open();
        assert_eq!(durations.usual("a"), None);
        durations.add(&seconds(&[("a", 100), ("b", 1)])).unwrap();
        for time in [1, 2, 9, 3, 4] {
            durations.add(&seconds(&[("a", time)])).unwrap();
        }
        // The first duration, a long one, has been dropped by now.
        let again = open();
        assert_eq!(again.usual("a"), Some(Duration::from_secs(3)));
        assert_eq!(again.usual("b"), Some(Duration::from_secs(1)));
        state.write("durations.json", b"{").unwrap();
        assert_eq!(open().usual("a"), None);
    }

    #[test]
    fn durations_of_new_images_are_estimated_from_their_commands() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::of(directory.path());
        state.make().unwrap();
        let mut durations = Durations::open(state, "durations.json");
        let millis = |durations: &Durations| -> Vec<u128> {
            let expected = durations.expect(&[("a", 2), ("new", 1), ("plain", 0)]);
            expected.iter().map(Duration::as_millis).collect()
        };
        assert_eq!(millis(&durations), [10_500, 5_500, 500]);
        durations.add(&seconds(&[("a", 60)])).unwrap();
        assert_eq!(millis(&durations), [60_000, 30_500, 500]);
    }
}
