//! The remaining time of a run, based on its events so far.
//!
//! Owns the estimate: the maximum of the longest remaining chain and the remaining work divided by the number
//! of slots. Actual runs are within a few percent of it (see `benches/makespan`). It uses events and not the
//! plan. Without data on past builds, there is no estimate.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::event::{Event, ImageEdge, TimedEvent};

/// The remaining work of a run.
#[derive(Debug, Default)]
pub struct RemainingWork {
    jobs: u32,
    images: Vec<RemainingImage>,
    is_known: bool,
}

#[derive(Debug)]
struct RemainingImage {
    expected: Duration,
    state: ImageProgress,
    children: Vec<usize>,
}

#[derive(Debug, Clone, Copy)]
enum ImageProgress {
    Waiting,
    /// The time in the run at which the build started.
    Running(Duration),
    Ended,
}

impl RemainingWork {
    /// Records an event.
    pub fn take(&mut self, stamped: &TimedEvent) {
        let state = match &stamped.event {
            Event::RunStarted { jobs, images, edges, expected, .. } => {
                *self = RemainingWork::of(*jobs, images, edges, expected);
                return;
            }
            Event::ImageStarted => ImageProgress::Running(stamped.at),
            event if event.is_end() => ImageProgress::Ended,
            _ => return,
        };
        let image = stamped.image.as_ref().and_then(|image| self.images.get_mut(image.id));
        if let Some(image) = image {
            image.state = state;
        }
    }

    fn of(
        jobs: usize,
        images: &[Arc<str>],
        edges: &[ImageEdge],
        expected: &BTreeMap<Arc<str>, Duration>,
    ) -> RemainingWork {
        let index: HashMap<&Arc<str>, usize> =
            images.iter().enumerate().map(|(at, image)| (image, at)).collect();
        let image = |name: &Arc<str>| RemainingImage {
            expected: expected.get(name).copied().unwrap_or_default(),
            state: ImageProgress::Waiting,
            children: Vec::new(),
        };
        let mut all: Vec<RemainingImage> = images.iter().map(image).collect();
        for edge in edges {
            if let (Some(child), Some(parent)) = (index.get(&edge.image), index.get(&edge.parent)) {
                all[*parent].children.push(*child);
            }
        }
        let jobs = u32::try_from(jobs.max(1)).unwrap_or(u32::MAX);
        RemainingWork { jobs, images: all, is_known: !expected.is_empty() }
    }

    /// Returns the remaining time at a time of the run.
    pub fn at(&self, now: Duration) -> Option<Duration> {
        let mut longest: Vec<Duration> = vec![Duration::ZERO; self.images.len()];
        let (mut most, mut total) = (Duration::ZERO, Duration::ZERO);
        // Images come after their dependencies, so in reverse order, dependents are known first.
        for (at, image) in self.images.iter().enumerate().rev() {
            let own = match image.state {
                ImageProgress::Waiting => image.expected,
                ImageProgress::Running(since) => {
                    image.expected.saturating_sub(now.saturating_sub(since))
                }
                ImageProgress::Ended => Duration::ZERO,
            };
            let behind = image.children.iter().map(|child| longest[*child]).max();
            longest[at] = own + behind.unwrap_or_default();
            most = most.max(longest[at]);
            total += own;
        }
        self.is_known.then(|| most.max(total / self.jobs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::RunImage;
    use crate::graph::evaluate::DependencyKind;

    #[test]
    fn remaining_time_is_the_longer_of_critical_path_and_work_per_slot() {
        let seconds = Duration::from_secs;
        let images = ["base", "dev", "release", "x"].map(Arc::from).to_vec();
        let edge = |image: &str, parent: &str| {
            let (image, parent) = (image.into(), parent.into());
            ImageEdge { image, parent, kind: DependencyKind::From }
        };
        let expected = [("base", 10), ("dev", 20), ("release", 5), ("x", 8)];
        let expected: BTreeMap<Arc<str>, Duration> =
            expected.iter().map(|(image, time)| ((*image).into(), seconds(*time))).collect();
        let begun = |jobs, expected| Event::RunStarted {
            engine: String::new(),
            command: None,
            jobs,
            images: images.clone(),
            edges: vec![edge("dev", "base"), edge("release", "base")],
            expected,
        };
        let mut work = RemainingWork::default();
        let run = |event| TimedEvent { at: seconds(0), image: None, event };
        let base = |at, event| TimedEvent { at, image: Some(RunImage::new(0, "base")), event };
        assert_eq!(work.at(seconds(1)), None);
        work.take(&run(begun(2, BTreeMap::new())));
        assert_eq!(work.at(seconds(1)), None);
        work.take(&run(begun(2, expected.clone())));
        assert_eq!(work.at(seconds(0)), Some(seconds(30)));
        work.take(&run(begun(1, expected)));
        assert_eq!(work.at(seconds(0)), Some(seconds(43)));
        work.take(&base(seconds(2), Event::ImageStarted));
        assert_eq!(work.at(seconds(5)), Some(seconds(40)));
        // The build takes longer than expected, and the excess is unknown.
        assert_eq!(work.at(seconds(60)), Some(seconds(33)));
        work.take(&base(seconds(61), Event::ImageCanceled { took: seconds(59) }));
        assert_eq!(work.at(seconds(61)), Some(seconds(33)));
    }
}
